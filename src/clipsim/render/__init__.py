"""Records → text: one module a format; nothing here computes or prints.

- `table`: the rich table of the terminal; `labels` shortens its names
- `figures`: figures with their intervals, and plain tables to put them in
- `evaluation_table`, `threshold_table`, `change_table`: the tables of `evaluate`, `threshold` and `compare`
- `top_images`: the best images of each text, in those formats
- `json`: the JSON object and the JSON lines
- `csv`: CSV
- `embed`, `index`: what these commands made, as a table or JSON
- `search`, `duplicates`: what these commands found, in every format
- `rank_page`, `gallery_page`, `search_page`, `duplicates_page`, `evaluation_page`: HTML pages with pictures, made by
  `page` from `templates`
- `preview_table`: tables for the terminal with pictures, drawn by `preview`
- `routes_page`: the routes of the server
- `safe_json`: any value → JSON that is safe to print
"""
