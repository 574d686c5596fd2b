"""What the user calls a model → `ModelSpec` → its files on this machine.

- `catalogue`: facts of the models that have a name
- `names`: a name, folder or checkpoint file → `ModelSpec`
- `settings`: the user's default model, and where settings and caches are kept
- `files`: `ModelSpec` → `ModelFiles`
- `download`: files from the Hugging Face Hub, through its local cache
- `configs`, `transformers_config`: configuration files → OpenCLIP's configuration, checked, and the preprocessing
- `identity`: the digest of a model, for the cache's keys
"""
