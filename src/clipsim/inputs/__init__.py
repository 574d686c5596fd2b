"""What the user named → `Source`s in order, each file once; texts and templates; labelled data.

- `sources`: `Source`, which is opened and decoded
- `paths`: files, folders, globs and lists of paths → one path an image; include and exclude patterns
- `raw`: which files are RAW files, and what shows the same shot
- `arguments`: the images of a Python call → sources
- `expand`: what `clipsim embed` takes (paths, addresses, tar shards, tables) → sources; sources ↔ plain records
- `shards`: ranges in names; which files of a folder of shards hold images
- `tars`, `urls`: the members of a tar, and what fsspec opens; `sparse_reads`: parts of an object, in few requests
- `listing`: a folder or pattern of a store → addresses; `digests`: which names were met before
- `ahead`: several tars of a store at a time; `plan_file`: what names stood for ↔ a file
- `captions`: the caption that comes with an image
- `lists`: what a Python caller passed where a list is meant → its elements
- `rows`: CSV, TSV, JSON lines and Parquet → their rows
- `texts`: texts, templates, and the files they are read from
- `labelled`: labelled or captioned images, from folders and JSON by `labelled_layouts`, from tables by `labelled_rows`,
  from memory by `labelled_objects`; `label_words`: the words of their classes; `parquet_images`: files in a table
"""
