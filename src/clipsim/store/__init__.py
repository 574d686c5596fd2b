"""Vectors on disk that outlive a run.

Reading:

- `layout`: which files a data set has, and `clipsim.json` ↔ `DatasetFacts`
- `dataset`: a folder that `clipsim embed` wrote → vectors in place, names and the facts of the model, compared with
  what was written
- `scan`: the nearest vectors of a data set, all of them compared
- `index`: an index beside a data set, which finds them faster
- `vector_table`: data sets and new vectors as one table

Writing:

- `folders`: a folder on this machine or in an object store, whose files are whole or not there
- `plan`: which inputs make up which shard
- `shards`: one shard, made of `arrays` (vectors) and `metadata` (Parquet)
- `writing`: what a folder holds already, how it is replaced, and the end of a data set
"""
