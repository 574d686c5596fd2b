"""What the user calls a model → `ModelSpec` → its files on this machine.

- `catalogue`: facts of the models that have a name
- `names`: a name, folder or checkpoint file → `ModelSpec`
- `settings`: the user's default model, and where settings and caches are kept
- `files`: `ModelSpec` → `ModelFiles`
- `download`: files from the Hugging Face Hub, through its local cache
- `identity`: the digest of a model, for the cache's keys
- `digests`: SHA-256 and stamps of files
- `configs`, `transformers_config`: configuration files → OpenCLIP's configuration, checked
- `preprocess`: which preprocessing a model's pictures get
"""
