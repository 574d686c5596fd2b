"""Sources and texts → feature vectors, in order; every command gets its vectors here.

- `joint`: several sessions over the same sources, each picture decoded once
- `session`: `Session`, which owns options, encoder and cache, and is the only way in for the rooms that follow
- `pipeline`: sources → prepared pixels or cached vectors, by threads, ahead of the model
- `feed`: an iterable that may be slow, such as a pipe of paths, read by a thread
- `content`: an open stream → its digest, and what to decode
- `thumbnails`: sources whose vectors are known → small image files
- `encode`: prepared pixels and prompts → vectors, in batches, through the cache
- `remembered_device`: what "auto" stood for in an earlier run
- `deferred`: an encoder that is opened in the background when the first vector is missing
"""
