"""Vectors on disk that outlive a run.

Reading:

- `layout`: which files a data set has, and `clipsim.json` ↔ `DatasetInfo`
- `clip_retrieval`: a folder of clip-retrieval's own, as a data set
- `dataset`: a folder that `clipsim embed` wrote → vectors in place, names and the model's record, compared with
  what was written; the nearest of them, all compared
- `index`: an index beside a data set, which finds them faster; `ivf` fills its lists and merges them on the disk
- `databases`: the rows of a data set → Parquet, LanceDB, Qdrant
- `copies`: a data set in an object store → its copy on this machine
- `vector_table`: data sets and new vectors as one table

Writing:

- `folders`: a folder on this machine or in an object store, whose files are written in one step
- `plan`: which inputs make up which shard
- `lifecycle`: what a folder holds already, how it is replaced, and how it is finished
- `shards`: one shard: vectors, and the `metadata` of their images as Parquet
"""
