"""What the user named → `Source`s in order, and prompts.

- `sources`: `Source`, which is opened and decoded; `make_sources` for the images of a Python call
- `paths`: files, folders, globs and lists of paths → one path an image
- `prompts`: texts, prompt files and templates
- `labelled`: labelled or captioned images, in any of these layouts:
  `labelled_folders`, `labelled_rows` and `labelled_json`
- `label_names`: the texts of labels
- `rows`: tables of text → their rows
"""
