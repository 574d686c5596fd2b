"""The functions of `clipsim` itself, one a command; each takes the arguments of the method of `Session` and of `open`.

- `calls`: `open`, and `rank`, `search`, `duplicates`, `overview` and `embed`, which open a model for one call
- `encoding`: `encode_images`, `encode_texts` and `score_pairs`, which give arrays; `explain`
- `pages`: a result → its page, and the table of a notebook
- `evaluation`: `evaluate`, `threshold` and `compare`
- `vectors`: `export_vectors`
"""
