"""Vectors on disk that outlive a run.

Reading:

- `layout`: which files a data set has, and `clipsim.json` ↔ `DatasetFacts`
- `dataset`: a folder that `clipsim embed` wrote → memory-mapped vectors, names and the facts of the model
- `scan`, `index`: the nearest vectors of a query, by comparing all of them or by an index
- `fingerprint`: a digest of a data set, for what is derived from it
- `vectors_file`: vectors in the order they come, to be read again

Writing:

- `folders`: a folder on this machine or in an object store, whose files are whole or not there
- `plan`: which inputs make up which shard
- `shards`: one shard, made of `arrays` (vectors) and `metadata` (Parquet)
- `writing`: what a folder holds already, and the end of a data set
"""
