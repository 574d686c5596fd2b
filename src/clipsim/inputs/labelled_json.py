"""A JSON file of captions (COCO's, an object of images and captions, or a list of rows) → captioned images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clipsim.errors import DataError, printable
from clipsim.inputs.labelled_rows import Columns, Reading, RowFailure, collect_captions, read_rows
from clipsim.inputs.rows import Row, RowTable, rows_of_objects
from clipsim.inputs.text_files import parse_json, read_text

COCO, OBJECT = "coco captions", "json"


def read_json(path: Path, columns: Columns, wants: str | None, root: str | None) -> Reading:
    """The images of a JSON file. Raises DataError for JSON of another layout, and for what is not JSON."""
    shown = printable(str(path))
    value = parse_json(read_text(path), shown)
    folder = path.parent if root is None else Path(root)
    if isinstance(value, list):
        rows = list(rows_of_objects(value))
        names = next((tuple(row.values) for row in rows if row.error is None), ())
        return read_rows(path, RowTable(names, lambda _: iter(rows)), columns, wants, root)
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        if not isinstance(value.get("annotations"), list):
            raise DataError(f"{shown}: 'images' without 'annotations'; expected COCO's captions")
        failures: list[RowFailure] = []
        return collect_captions(shown, folder, list(_coco(value, shown, failures)), COCO, failures)
    if isinstance(value, dict):
        return collect_captions(shown, folder, value.items(), OBJECT)
    raise DataError(f"{shown}: expected COCO's captions, an object of images and captions, or a list of rows")


def _coco(value: dict[str, Any], shown: str, failures: list[RowFailure]) -> Iterator[tuple[str, Any]]:
    """The pairs of COCO's two lists, images in their order: "annotations" with "image_id" and "caption"."""
    captions: dict[Any, list[str]] = {}
    for row in rows_of_objects(value["annotations"]):
        problem = row.error or _add_caption(row, captions)
        if problem:
            failures.append(RowFailure(f"{shown}: annotation {row.number}", problem))
    if not captions:
        raise DataError(f"{shown}: no annotation in it has a 'caption'; expected COCO's captions")
    for row in rows_of_objects(value["images"]):
        name, key = row.values.get("file_name"), row.values.get("id")
        own = captions.pop(key, None) if isinstance(key, int | str) else None
        if own is None or not isinstance(name, str):
            problem = row.error or ("no 'file_name'" if own else "no annotation has a caption for it")
            failures.append(RowFailure(f"{shown}: image {row.number}", problem))
            continue
        yield name, own
    failures += [
        RowFailure(f"{shown}: image_id {printable(str(key), 40)}", "no such image, but it has captions")
        for key in captions
    ]


def _add_caption(row: Row, captions: dict[Any, list[str]]) -> str | None:
    key, caption = row.values.get("image_id"), row.values.get("caption")
    if not isinstance(key, int | str):
        return "no 'image_id'"
    if not isinstance(caption, str) or not caption.strip():
        return "no 'caption'"
    captions.setdefault(key, []).append(caption)
    return None
