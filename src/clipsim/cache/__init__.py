"""Vectors that were computed before: one SQLite file, keyed by content and by everything that decides a vector.

- `keys`: the keys that say which vectors belong to which model, text and file
- `vectors`: the vectors of one model, and `EmbeddingCache`, what a run may find and keep
- `files`: the digests of files that were read before
- `database`: the SQLite file itself, its rows checked; `schema` creates its tables, `recovery` replaces a damaged one
- `maintenance`: what the cache holds, and how to make it smaller
"""
