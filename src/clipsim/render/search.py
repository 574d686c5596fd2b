"""`SearchResult` → a table a query, one JSON object, JSON lines, CSV or names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clipsim.errors import pluralise, printable
from clipsim.render.json import csv_line, failure_line
from clipsim.render.safe_json import to_json
from clipsim.results.base import ModelRecord
from clipsim.results.search import QueryMatches, SearchResult

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text


SEARCH_CSV_FIELDS = ("text", "query_image", "rank", "image", "similarity")
MIN_NAME_WIDTH = 16  # cells; names are not shortened below this
FIXED_WIDTH = 18  # cells that similarity and the space between columns take


def format_search_json(result: SearchResult) -> str:
    """The result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def format_search_lines(result: SearchResult) -> Iterator[str]:
    """A line of JSON a query, and one an image that failed."""
    for query in result.queries:
        yield to_json(query.to_dict()) + "\n"
    for failure in result.errors:
        yield failure_line(failure)


def format_search_csv(result: SearchResult) -> Iterator[str]:
    """A header, and a line a match."""
    yield csv_line(SEARCH_CSV_FIELDS)
    for query in result.queries:
        for match in query.results:
            fields = match.to_dict()
            yield csv_line((query.text, query.image, *(fields[name] for name in SEARCH_CSV_FIELDS[2:])))


def format_paths(names: Iterator[str], *, null: bool = False) -> Iterator[str]:
    """Names, each once, in order, each ended by a line feed or by NUL."""
    for name in dict.fromkeys(names):
        yield name + ("\0" if null else "\n")


def found_names(result: SearchResult) -> Iterator[str]:
    """The names of all matches, query by query."""
    return (match.image for query in result.queries for match in query.results)


def build_search_tables(result: SearchResult, width: int, *, whole_names: bool = False) -> Iterator[RenderableType]:
    """Title, a table a query, and a sentence that explains the numbers.

    Names are shortened where they do not fit into `width` cells, unless `whole_names`.
    """
    from rich.text import Text

    yield title(result.model, result.device, result.precision, result.engine, pluralise(result.searched, "image"))
    for query in result.queries:
        yield Text(printable(query.label, None if whole_names else width), style="bold")
        yield _build_table(query, width, whole_names)
    yield Text("The cosine similarity of each image and the query; compare it within a query.", style="dim")


def title(model: ModelRecord | None, *parts: str) -> Text:
    """The model's name and what else stands in the first line of a table; the engine only where it is not torch."""
    from rich.text import Text

    names = [] if model is None else [model.name, *([model.pretrained] if model.pretrained else [])]
    return Text(" · ".join(printable(part, 64) for part in [*names, *parts] if part != "torch"), style="bold")


def _build_table(query: QueryMatches, width: int, whole_names: bool) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from clipsim.render.labels import shorten_all

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("similarity", justify="right", no_wrap=True)
    table.add_column("image", no_wrap=True)
    names = [match.image for match in query.results]
    beside = FIXED_WIDTH + max(len("rank"), len(str(len(names))))
    labels = list(map(printable, names)) if whole_names else shorten_all(names, max(MIN_NAME_WIDTH, width - beside))
    for match, name in zip(query.results, labels, strict=True):
        table.add_row(str(match.rank), f"{match.similarity:.4f}", Text(name))
    if not query.results:
        table.add_row("", "", Text("none", style="dim"))
    return table
