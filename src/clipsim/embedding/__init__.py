"""Sources and texts → feature vectors, in order; every command gets its vectors here.

- `embedder`: `Embedder`, which owns options, encoder and cache, and is the only way in for the rooms that follow
- `deferred`: an encoder that is opened in the background when the first vector is missing
- `preparation`: one source → prepared pixels, or the vector that is cached for it
- `pipeline`: sources, also those of a slow pipe → prepared pixels or cached vectors, by threads, ahead of the model
- `encode`: prepared pixels and texts → vectors, in batches, through the cache
- `decoders`: processes that do a pipeline's decoding, beside a GPU
- `processes`: processes that this one starts, which Ctrl-C ends quietly
- `shared_decoding`: several models over the same sources, each image decoded once
"""
