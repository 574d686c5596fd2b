"""A result → the best images of each text: as a rich table, lines of JSON, or CSV."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from clipsim.errors import count_of, printable
from clipsim.render.csv import CSV_FIELDS, csv_line
from clipsim.render.json import score_fields
from clipsim.render.labels import shorten_all, strip_common_folder
from clipsim.render.safe_json import to_json
from clipsim.render.table import TableParts, describe_run, explain
from clipsim.scoring.records import ImageScores, RankResult

PLACE_WIDTH, SCORE_WIDTH, GAPS = 4, 16, 12  # cells of the other columns, and between columns


def build_top_images_table(result: RankResult, count: int, width: int, *, whole_names: bool = False) -> TableParts:
    """Lay out the `count` best images of each text, a line each, the text in the first line of its group."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1), header_style="bold")
    for heading in ("text", "", "image", "score"):
        table.add_column(heading, no_wrap=True, justify="right" if heading == "" else "left")
    files = result.images if whole_names else strip_common_folder(result.images)
    room = max(8, (width - PLACE_WIDTH - SCORE_WIDTH - GAPS) // 2)
    texts = [printable(text) for text in result.texts] if whole_names else shorten_all(result.texts, room)
    shown = [printable(name) for name in files] if whole_names else shorten_all(files, room)
    names = dict(zip(result.images, shown, strict=True))
    for row, text in enumerate(texts):
        for place, image in enumerate(result.top_images(row, count), start=1):
            score = image.score(result.texts, row)
            share = "" if score.probability is None else f" {score.probability:6.1%}"
            table.add_row(
                Text(text if place == 1 else ""),
                str(place),
                Text(names[image.image]),
                Text(f"{score.similarity:7.4f}{share}"),
                end_section=place == count,
            )
    images = count_of(len(result.images), "image")
    layout = f"The best {min(count, len(result.images)):,} of {images} for each text, best first"
    return describe_run(result), table, Text(f"{layout}: {explain(result, marked=False)}", style="dim")


def format_top_images_lines(result: RankResult, count: int) -> str:
    """A line of JSON a text: its best images, best first."""
    lines = []
    for row, text in enumerate(result.texts):
        images = [{"image": image.image, **_numbers(result, row, image)} for image in result.top_images(row, count)]
        lines.append(to_json({"text": text, "images": images}) + "\n")
    return "".join(lines)


def format_top_images_csv(result: RankResult, count: int) -> str:
    """CSV, a line a pair, grouped by text, best first."""
    rows = [
        csv_line((image.image, text, *_numbers(result, row, image).values()))
        for row, text in enumerate(result.texts)
        for image in result.top_images(row, count)
    ]
    return csv_line(CSV_FIELDS) + "".join(rows)


def _numbers(result: RankResult, row: int, image: ImageScores) -> dict[str, object]:
    fields = score_fields(image.score(result.texts, row))
    return {"similarity": fields["similarity"], "probability": fields["probability"]}
