"""What the user named → `Source`s in order, and prompts.

- `sources`: `Source`, what is opened and decoded; `make_sources` for what a Python caller passed
- `paths`: files, folders, globs and lists of paths → one path an image
- `expand`: what `clipsim embed` takes (paths, addresses, tar shards, tables) → sources; sources ↔ plain records
- `tars`, `tables`, `urls`: the members of a tar, the rows of a table, and what fsspec opens
- `captions`: what stands beside a picture → its caption
- `filters`: include and exclude globs → which names are taken
- `prompts`: texts, prompt files and templates
"""
