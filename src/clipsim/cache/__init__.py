"""Contents → the vectors that earlier runs computed for them, in one SQLite file, keyed by all that decides a vector.

- `keys`: the keys of a model's vectors, and of a text
- `vectors`: the vectors of one model, and `EmbeddingCache`, what a run reads and writes
- `recent`: vectors in memory alone, before a cache on disk
- `files`: the digests of files that were read before and have not changed
- `database`: the SQLite file itself, its rows checked; `schema` creates its tables, `recovery` replaces a damaged one
- `maintenance`: counts and sizes; clearing and pruning
"""
