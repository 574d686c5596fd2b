"""A model's name, folder or file → `ModelSpec` → its files on this machine.

- `catalogue`: the published models, as `ModelInfo`
- `names`: a name, folder or checkpoint file → `ModelSpec`
- `settings`: the user's default model, and where settings and caches are kept
- `files`: `ModelSpec` → `ModelFiles`
- `download`: files from the Hugging Face Hub, through its local cache
- `adapters`: the folder of a LoRA adapter → `Adapter`
- `folders`: a folder as another program keeps models in it → the model's own; `shards`: weights in several files
- `configs`, `transformers_config`, `training_config`: configuration files → OpenCLIP's configuration, checked, and how
  images are prepared
- `identity`: the digest of a model, for the cache's keys
"""
