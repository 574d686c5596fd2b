"""What `search`, `duplicates`, `embed`, `index` and `vectors export` found or made → tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.parts import empty_table, remark, shorten_paths, title
from clipsim.results.datasets import EmbedPlan, EmbedResult, ExportResult, IndexResult
from clipsim.results.search import (
    DuplicateGroup,
    DuplicateImage,
    DuplicatesResult,
    Match,
    QueryMatches,
    SearchResult,
)

MIN_NAME_WIDTH = 16  # cells; names are not shortened below this
FIXED_WIDTH = 18  # cells that similarity and the space between columns take
KIND = 8  # cells that "copy" or "alike" takes, with the space beside it


def build_search_tables(result: SearchResult, width: int, *, whole_names: bool = False) -> Iterator[RenderableType]:
    """Title, a table a query, and a sentence that explains the numbers.

    Names are shortened where they do not fit into `width` cells, unless `whole_names`.
    """
    yield search_title(result)
    for query in result.queries:
        yield Text(printable(query.label, None if whole_names else width), style="bold")
        yield _build_matches(query, width, whole_names)
    yield SEARCH_REMARK


def search_title(result: SearchResult) -> Text:
    """The model, what it ran on, and how many images were searched."""
    return title(result.model, result.device, result.precision, result.engine, pluralise(result.searched, "image"))


SEARCH_REMARK = remark("The cosine similarity of each image and the query; compare it within a query.")


def _build_matches(query: QueryMatches, width: int, whole_names: bool) -> Table:
    notes = list(map(describe_match, query.results))
    noted = max(map(len, notes), default=0)
    table = empty_table(["rank", "similarity", *([""] if noted else []), "image"], right=[0, 1])
    names = [match.image for match in query.results]
    ranks = max((len(str(match.rank)) for match in query.results), default=0)
    room = width - FIXED_WIDTH - max(len("rank"), ranks) - (noted + 2 if noted else 0)
    for match, note, name in zip(query.results, notes, _fit(names, room, whole_names), strict=True):
        table.add_row(str(match.rank), f"{match.similarity:.4f}", *([note] if noted else []), Text(name))
    if not query.results:
        table.add_row("", "", Text("none", style="dim"))
    return table


def describe_match(match: Match) -> str:
    """What stands beside the cosine of an image: that it is the query's own, how many copies it is one of."""
    same = "" if match.same is None else f"same {match.same}"
    return ", ".join(filter(None, (same, f"{match.copies:,} copies" if (match.copies or 1) > 1 else "")))


def _fit(names: Sequence[str], room: int, whole_names: bool) -> list[str]:
    return list(map(printable, names)) if whole_names else shorten_paths(names, max(MIN_NAME_WIDTH, room))


def build_duplicates_table(
    result: DuplicatesResult, width: int, *, whole_names: bool = False
) -> Iterator[RenderableType]:
    """Title, a table of all groups, and a sentence that explains it."""
    yield duplicates_title(result)
    if not result.groups:
        return
    table = empty_table(["similarity", "", "pixels", "image"], right=[0, 2])
    images = [image for group in result.groups for image in group.images]
    sizes = list(map(describe_size, images))
    room = width - FIXED_WIDTH - KIND - max(map(len, ["pixels", *sizes]))
    cells = zip(sizes, _fit([image.image for image in images], room, whole_names), strict=True)
    for group in result.groups:
        for index in range(len(group.images)):
            size, name = next(cells)
            style = "bold" if index == 0 else ""
            table.add_row(*describe_kinship(group, index), size, Text(name, style=style))
        table.add_section()
    yield table
    yield DUPLICATES_REMARK


def duplicates_title(result: DuplicatesResult) -> Text:
    """The model, the least cosine, and how many images were compared and groups found."""
    over = [] if result.min_similarity is None else [f"over {result.min_similarity:g}"]
    return title(result.model, *over, pluralise(result.compared, "image"), pluralise(len(result.groups), "group"))


def describe_kinship(group: DuplicateGroup, index: int) -> tuple[str, str]:
    """How near an image of a group is to the best one, and whether it is a copy or alike; blank for the best one."""
    image = group.images[index]
    if index == 0:
        return "", ""
    cosine = "same bytes" if group.same_bytes else f"{image.similarity:.4f}"
    return cosine, "alike" if image.copy_of is None else "copy"


def describe_size(image: DuplicateImage) -> str:
    """Width and height in pixels, where they are known."""
    return "" if image.width is None else f"{image.width} × {image.height}"


DUPLICATES_REMARK = remark(
    "In each group the best image first; the similarity is the cosine with it. --paths prints the copies that may go; "
    "what is only alike may differ in details."
)


def build_embed_table(result: EmbedResult) -> Table:
    """A summary: where the vectors are, from which model, and how many."""
    new = f"{result.made:,} of {result.shards:,} made in {result.seconds:,.1f} s"
    model = f"{printable(result.model.full_name)}, {result.precision} on {result.device} ({result.engine})"
    rows = {
        "folder": printable(result.folder),
        "model": model,
        "vectors": "unfinished" if result.images is None else f"{result.images:,} × {result.dimensions} {result.dtype}",
        **({} if result.captions is None else {"captions": f"{result.captions:,}"}),
        **({} if result.errors is None else {"failed": f"{result.errors:,}"}),
        "shards": new if result.made else f"{result.shards:,}, all there before",
    }
    return _build_summary(rows)


def build_plan_table(plan: EmbedPlan) -> Table:
    """A summary: what would be embedded, and what differs from what is there."""
    words = {"file": "file", "url": "address", "tar": "member of tars", "parquet": "row of tables", "failed": "failed"}
    plurals = {"url": "addresses", "tar": "members of tars", "parquet": "rows of tables", "failed": "failed"}
    kinds = (pluralise(count, words[kind], plurals.get(kind)) for kind, count in plan.kinds.items())
    changes = {name: getattr(plan, name) for name in ("added", "changed", "removed", "kept")}
    return _build_summary(
        {
            "folder": printable(plan.folder),
            "inputs": f"{plan.sources:,}",
            "named": ", ".join(kinds),
            "differ": ", ".join(f"{name} {count:,}" for name, count in changes.items() if count) or "none",
            "shards": f"{plan.shards:,}",
            "plan": f"{printable(plan.plan)}, made in {plan.seconds:,.1f} s",
        }
    )


def build_index_table(result: IndexResult) -> Table:
    """A summary: how the vectors are searched, how fast, and how much of an exact search's answers is found."""
    rows = {"folder": printable(result.folder), "vectors": f"{result.vectors:,}"}
    if result.lists is None or result.probes is None:
        rows["search"] = f"exact, {result.exact_milliseconds:,.1f} ms a query"
    else:
        lists, probes = pluralise(result.lists, "list"), pluralise(result.probes, "list")
        made = f"built in {result.seconds:,.1f} s"
        if result.added is not None:
            added = f"{pluralise(result.added, 'vector')} added in {result.seconds:,.1f} s"
            made = added if result.added else "all vectors were in it before"
        rows["index"] = f"{lists}, {result.bytes / 1e6:,.1f} MB, {made}"
        exact = f"{result.exact_milliseconds:,.1f} ms"
        rows["search"] = f"reads {probes}, {result.milliseconds:,.1f} ms a query (exact: {exact})"
        images, texts = (
            "not measured" if recall is None else f"{recall:.3f}"
            for recall in (result.recall_images, result.recall_texts)
        )
        rows["recall@10"] = f"{images} by image, {texts} by text"
    return _build_summary(rows)


def build_export_table(result: ExportResult) -> Table:
    """A summary: where the vectors are now, and which columns they have."""
    return _build_summary(
        {
            "folder": printable(result.folder),
            "to": f"{result.to}, {printable(result.destination)}",
            "name": printable(result.name),
            "vectors": f"{result.vectors:,} × {result.dimensions} in {result.seconds:,.1f} s",
            "columns": ", ".join(map(printable, result.columns)),
        }
    )


def _build_summary(rows: Mapping[str, str]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in rows.items():
        table.add_row(Text(name, style="bold"), Text(value))
    return table
