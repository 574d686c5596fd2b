"""What `overview` says of a collection → a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from clipsim.errors import pluralise, printable
from clipsim.render.parts import empty_table, remark, shorten, shorten_paths, title
from clipsim.results.overview import ImageGroup, OverviewResult

FIXED_WIDTH = 26  # cells that the figures and the space between columns take
MIN_WIDTH = 14  # cells; words and names are not shortened below this, the width of a heading


def build_overview_table(result: OverviewResult, width: int, *, whole_names: bool = False) -> Iterator[RenderableType]:
    """Title, a table of all groups, and a sentence that explains it.

    Names and words are shortened where they do not fit into `width` cells, unless `whole_names`.
    """
    yield overview_title(result)
    table = empty_table(["", "share", "images", "words", "typical images"], right=[0, 1, 2])
    names = [image.image for group in result.groups for image in group.images]
    room = max(2 * MIN_WIDTH, width - FIXED_WIDTH - len(str(result.images)))
    labels = list(map(printable, names) if whole_names else shorten_paths(names, room // 2))
    words_room = room - max(map(cell_len, ["typical images", *labels]))
    rest = iter(labels)
    for number, group in enumerate(result.groups, start=1):
        facts = [
            str(number),
            f"{group.share:.1%}",
            f"{group.size:,}",
            list_words(group) if whole_names else _fit_words(group, words_room),
        ]
        for row in range(len(group.images)):
            table.add_row(*map(Text, facts if row == 0 else [""] * len(facts)), Text(next(rest)))
        table.add_section()
    yield table
    yield overview_remark(result)


def overview_title(result: OverviewResult) -> Text:
    """The model, and how many images and groups there are."""
    counts = pluralise(result.images, "image"), pluralise(len(result.groups), "group")
    return title(result.model, result.device, result.precision, result.engine, *counts)


def list_words(group: ImageGroup) -> str:
    """The words of a group in one line, escaped, best first."""
    return ", ".join(printable(word.text) for word in group.words) or "none"


def _fit_words(group: ImageGroup, width: int) -> str:
    """As many of the words as fit, best first; the first is shortened where it alone does not."""
    words = list_words(group)
    for count in range(len(group.words) - 1, 0, -1):
        if cell_len(words) <= width:
            break
        words = ", ".join(printable(word.text) for word in group.words[:count]) + ", …"
    return shorten(words, width)


def explain_overview(result: OverviewResult) -> str:
    """A sentence that says what the words are and how well the groups are told apart."""
    texts = pluralise(result.texts, "text")
    if result.silhouette is None:
        return f"The words are the nearest of {texts} to the images; the images nearest to the centre come first."
    return (
        f"The words are those of {texts} that fit a group better than all other images; the images nearest to its "
        f"centre come first. How well the groups are told apart (silhouette, -1 to 1): {result.silhouette:.2f}."
    )


def overview_remark(result: OverviewResult) -> Text:
    """The sentence under the table."""
    return remark(explain_overview(result))
