"""Sources and texts → feature vectors, in order; every command gets its vectors here.

- `session`: `Session`, which owns options, encoder and cache, and is the only way in for the rooms that follow
- `pipeline`: sources → prepared pixels or cached vectors, by threads, ahead of the model
- `content`: an open stream → its digest, and what to decode
- `feed`: an iterable that may be slow, such as a pipe of paths, read by a thread
- `encode`: prepared pixels and prompts → vectors, in batches, through the cache
- `deferred`: an encoder that is opened in the background when the first vector is missing
"""
