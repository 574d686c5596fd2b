"""Records → text: one module a format; nothing here computes or prints.

- `table`: the rich table of the terminal; `labels` shortens its names
- `json`: the JSON object and the JSON lines
- `csv`: CSV
- `embed`, `index`: what these commands made, as a table or JSON
- `search`, `duplicates`: what these commands found, in every format
- `safe_json`: any value → JSON that is safe to print
"""
