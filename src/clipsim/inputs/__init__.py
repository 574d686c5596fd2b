"""What the user named → `Source`s in order, and prompts.

- `sources`: `Source`, which is opened and decoded
- `arguments`: the images of a Python call → sources
- `lists`: what a Python call gives where a list is meant
- `paths`: files, folders, globs and lists of paths → one path an image
- `expand`: what `clipsim embed` takes (paths, addresses, tar shards, tables) → sources; sources ↔ plain records
- `repeats`: several names of one file → its first
- `tars`, `tables`, `urls`: the members of a tar, the rows of a table, and what fsspec opens
- `captions`: what stands beside a picture → its caption
- `filters`: include and exclude globs → which names are taken
- `prompts`: texts, prompt files and templates
- `labelled`: labelled or captioned images, in any of these layouts:
  `labelled_folders`, `labelled_rows` and `labelled_json`
- `label_names`: the texts of labels
- `rows`: CSV, TSV, JSON lines and Parquet → their rows, for `tables` and `labelled_rows`
- `text_files`: text and JSON files
"""
