"""Facts of models → the table of `clipsim models`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from clipsim.models.catalogue import BUNDLED, ModelFacts, read_catalogue

if TYPE_CHECKING:
    from rich.console import RenderableType


class SortBy(str, Enum):
    """What the list can be ordered by."""

    top1 = "top1"
    size = "size"
    name = "name"


# Unknown values go last.
ORDERS: dict[SortBy, Callable[[ModelFacts], Any]] = {
    SortBy.top1: lambda facts: -(facts.imagenet_top1 or 0),
    SortBy.size: lambda facts: facts.download_bytes or float("inf"),
    SortBy.name: lambda facts: facts.name.lower(),
}


def build_model_table(
    models: Sequence[ModelFacts], here: Mapping[str, bool], default: str
) -> tuple[RenderableType, RenderableType]:
    """The table, and a sentence that explains its columns; `here` says which weights are on this machine."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    published = read_catalogue()["sources"]["imagenet_top1"]
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1),
        header_style="bold",
    )
    table.add_column("model", overflow="fold")
    for heading in ("M", "MB", "px", "dim", "top-1"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("here", justify="center", no_wrap=True)
    for facts in models:
        name = Text(("> " if default in (facts.name, *facts.aliases) else "  ") + facts.name)
        if facts.aliases:
            name.append(f" ({', '.join(facts.aliases)})", style="dim")
        table.add_row(
            name,
            _number(facts.parameters_millions, ".0f" if (facts.parameters_millions or 0) >= 10 else ".1f"),
            _number(None if facts.download_bytes is None else facts.download_bytes / 1e6, ",.0f"),
            str(facts.image_size),
            str(facts.embed_dim),
            _number(facts.imagenet_top1, ".1%"),
            ("*" if here[facts.name] else "") + ("t" if facts.needs_transformers else ""),
            style="bold" if facts.name == BUNDLED else "",
        )
    return table, Text(
        "M: millions of parameters; MB: of the download, about; px: side of the image; dim: length of the vectors; "
        f"top-1: ImageNet-1k, from {published}; *: on this machine; t: needs pip install 'clipsim[transformers]'; "
        ">: the default. Also accepted: hf-hub:ORG/REPO, a model folder, a checkpoint file.",
        style="dim",
    )


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
