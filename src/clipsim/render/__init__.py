"""Records → text: nothing here computes or prints.

- `table`: the rich table of a ranking; `labels` shortens its names
- `json`, `safe_json`: JSON objects, JSON lines and CSV of a ranking; any value → JSON that is safe to print
- `search`, `duplicates`, `datasets`: what these commands found or made, in every format but HTML
- `evaluation_table`, `changes`: the tables of `evaluate`, `threshold` and `compare`; `format_metrics` words figures
- `rank_page`, `search_page`, `evaluation_page`: HTML pages with images, made by `page` from `templates`
- `preview`: images in the terminal, and tables with them
"""
