"""What the user named → `Source`s in order, and prompts.

- `sources`: `Source`, what is opened and decoded; `make_sources` for what a Python caller passed
- `paths`: files, folders, globs and lists of paths → one path an image
- `filters`: include and exclude globs → which names are taken
- `prompts`: texts, prompt files and templates
"""
