"""A model's name, folder or file → `ModelSpec` → its files on this machine.

- `catalogue`: the published models, as `ModelInfo`
- `names`: a name, folder or checkpoint file → `ModelSpec`
- `settings`: the user's default model, and where settings and caches are kept
- `files`: `ModelSpec` → `ModelFiles`
- `download`: files from the Hugging Face Hub, through its local cache
- `configs`, `transformers_config`: configuration files → OpenCLIP's configuration, checked, and the preprocessing
- `identity`: the digest of a model, for the cache's keys
"""
