"""Sources and texts → feature vectors, in order: everything between what was asked for and what is scored.

- `session`: `Session`, which owns options, encoder and cache; the one way in for everything above
- `pipeline`: sources → prepared pixels or cached vectors, by threads, ahead of the model
- `content`: an open stream → its digest and what to decode
- `encode`: prepared pixels and prompts → vectors, in batches, through the cache
- `deferred`: an encoder that is opened in the background when the first vector is missing
"""
