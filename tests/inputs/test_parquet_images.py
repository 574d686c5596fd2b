"""Image files in a column of a Parquet table: read again when they are opened, a group of rows at a time."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from clipsim.errors import ImageError
from clipsim.inputs.labelled import LabelledRequest, read_labelled
from clipsim.inputs.parquet_images import KEPT_GROUPS, ParquetColumn

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def encode(shade: int) -> bytes:
    """A small PNG file."""
    file = io.BytesIO()
    Image.new("RGB", (5, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> str:
    """Eleven rows in groups of three, as the package datasets writes them: a file and its class."""
    images = [{"bytes": encode(shade), "path": f"{shade}.png"} for shade in range(11)]
    rows = pyarrow.table(
        {"image": images, "label": [shade % 2 for shade in range(11)], "file": list(map(encode, range(11)))}
    )
    features = {"image": {"_type": "Image"}, "label": {"names": ["even", "odd", "neither"], "_type": "ClassLabel"}}
    path = tmp_path / "t.parquet"
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    parquet.write_table(rows.replace_schema_metadata(metadata), path, row_group_size=3)
    return str(path)


@pytest.mark.parametrize("column", ["image", "file"])
def test_files_in_a_table(table: str, column: str) -> None:
    """As bytes, or with their names; numbers of classes are their names."""
    from clipsim.inputs.labelled_rows import Columns

    data = read_labelled(LabelledRequest(table, columns=Columns(image=column)))

    assert data.labels == ("even", "odd", "neither")
    assert [image.label for image in data.images] == [("even", "odd")[shade % 2] for shade in range(11)]
    assert data.images[3].path == ("3.png" if column == "image" else "image 4")
    sources = [image.source for image in data.images]
    with ThreadPoolExecutor(4) as pool:
        contents = list(pool.map(lambda source: source.open().read(), sources))
    assert contents == list(map(encode, range(11)))


def test_few_groups_are_in_memory(table: str) -> None:
    """Whatever the order in which they are read."""
    column = ParquetColumn(table, "file")
    for row in (10, 0, 5, 3, 10, 9, 1):
        assert column.read(row) == encode(row)
        assert len(column._groups) <= KEPT_GROUPS


def test_a_table_that_is_gone(table: str) -> None:
    """The image fails, with the cause."""
    source: Any = read_labelled(LabelledRequest(table)).images[0].source
    Path(table).write_bytes(b"nothing")
    with pytest.raises(ImageError, match="cannot read its row of the table"):
        source.open()
    Path(table).unlink()
    with pytest.raises(ImageError, match="no such file"):
        source.open()
