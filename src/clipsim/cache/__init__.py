"""Contents → the vectors that earlier runs computed for them, in one SQLite file, keyed by all that decides a vector.

- `keys`: the keys of a model's vectors, of a text, and of an image file without its metadata
- `vectors`: `EmbeddingCache`, what a run reads and writes; what is known of files that have not changed
- `database`: the SQLite file itself: its tables, its rows, and what happens when it is damaged
- `skipped`: the inputs that earlier runs have skipped
- `maintenance`: counts and sizes; clearing and pruning
"""
