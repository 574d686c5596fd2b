"""Vectors on disk that outlive a run.

- `layout`: which files a data set has, and `clipsim.json` ↔ `DatasetFacts`
- `dataset`: a folder that `clipsim embed` wrote → memory-mapped vectors, names and the facts of the model
"""
