"""`EmbedResult` → a JSON object, or a summary in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clipsim.errors import pluralise, printable
from clipsim.render.safe_json import to_json
from clipsim.results.datasets import EmbedResult, IndexResult

if TYPE_CHECKING:
    from rich.table import Table


def format_embed_json(result: EmbedResult) -> str:
    """The result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def build_embed_table(result: EmbedResult) -> Table:
    """A summary: where the vectors are, from which model, and how many."""
    from rich.table import Table
    from rich.text import Text

    model = result.model.name + (f"/{result.model.pretrained}" if result.model.pretrained else "")
    new = f"{result.made:,} of {result.shards:,} made in {result.seconds:,.1f} s"
    rows = {
        "folder": printable(result.folder),
        "model": f"{printable(model)}, {result.precision} on {result.device} ({result.engine})",
        "vectors": "unfinished" if result.images is None else f"{result.images:,} × {result.dimensions} {result.dtype}",
        **({} if result.captions is None else {"captions": f"{result.captions:,}"}),
        **({} if result.errors is None else {"failed": f"{result.errors:,}"}),
        "shards": new if result.made else f"{result.shards:,}, all there before",
    }
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def format_index_json(result: IndexResult) -> str:
    """The result as one JSON object, a key a line."""
    lines = (f"  {to_json(key)}: {to_json(value)}" for key, value in result.to_dict().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def build_index_table(result: IndexResult) -> Table:
    """A summary: how the vectors are searched, how fast, and how much of an exact search's answers is found."""
    from rich.table import Table
    from rich.text import Text

    rows = {"folder": printable(result.folder), "vectors": f"{result.vectors:,}"}
    if result.lists is None or result.probes is None:
        rows["search"] = f"exact, {result.exact_milliseconds:,.1f} ms a query"
    else:
        rows["index"] = (
            f"{pluralise(result.lists, 'list')}, {result.bytes / 1e6:,.1f} MB, built in {result.seconds:,.1f} s"
        )
        rows["search"] = (
            f"reads {pluralise(result.probes, 'list')}, {result.milliseconds:,.1f} ms a query "
            f"(exact: {result.exact_milliseconds:,.1f} ms)"
        )
        rows["recall@10"] = f"{_share(result.recall_images)} by image, {_share(result.recall_texts)} by text"
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    return table


def _share(recall: float | None) -> str:
    return "not measured" if recall is None else f"{recall:.3f}"
