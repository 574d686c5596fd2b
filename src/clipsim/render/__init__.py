"""Records → text: nothing here computes or prints.

- `json`: JSON objects, JSON lines and CSV of every result; any value → JSON that is safe to print
- `parts`: what tables are made of: titles, names that fit, empty tables, tables of figures
- `table`: the table of a ranking; `search`: those of `search`, `duplicates`, `embed` and `index`
- `evaluation_table`: those of `evaluate`, `threshold` and `compare`, and the wording of figures
- `classifier_table`: that of `fit`
- `rank_page`, `search_page`, `evaluation_page`: HTML pages with images, made by `page` from `templates`
- `small_table`: any result as a small table of HTML, for notebooks
- `plans`: what a command is going to do with files, or has done
- `file_links`: the addresses of images' files for pages, and their paths as a shell reads them
- `overview`, `overview_page`: the groups of an overview, as a table and as a page
- `explain`, `explain_page`: what speaks for each text in an image, as a table and as a page
- `preview`: images in the terminal, and tables with them
"""
