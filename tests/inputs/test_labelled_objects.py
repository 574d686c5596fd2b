"""Labelled images in memory: lists, data frames, data sets of Hugging Face, and what is wrong with each."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clipsim.errors import ClipsimError, ImageError, UsageError
from clipsim.inputs.labelled import LabelledData, LabelledRequest, read_labelled
from clipsim.inputs.labelled_objects import make_pairs, make_table
from clipsim.inputs.labelled_rows import Columns
from clipsim.inputs.rows import Row


def read(data: object, **options: Any) -> LabelledData:
    """Read labelled data in memory."""
    return read_labelled(LabelledRequest("data", table=make_table(data), **options))


def rows_of(images: object, labels: object = None, captions: object = None, texts: object = None) -> list[Any]:
    """The label or the caption of each row."""
    table, _ = make_pairs(images, labels, captions, texts)
    return [row.values[table.columns[1]] for row in table.read(table.columns)]


def encode(colour: str) -> bytes:
    """A small PNG file."""
    file = io.BytesIO()
    Image.new("RGB", (5, 4), colour).save(file, "PNG")
    return file.getvalue()


class ClassLabel:
    """The feature of a class, as the package datasets has it."""

    names = ("cat", "dog")


class Sequenced:
    """The feature of a list."""

    feature = ClassLabel()


class ImageFeature:
    """The feature of an image, which may be decoded."""

    def __init__(self, decode: bool = True) -> None:
        self.decode = decode


class Dataset:
    """A data set of rows, some of whose features decode their values."""

    def __init__(self, features: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        self.features, self.rows = features, list(rows)
        self.decoded = 0

    @property
    def column_names(self) -> list[str]:
        return list(self.features)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.features)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: int | str) -> Any:
        if isinstance(key, str):
            return [row[key] for row in self.rows]
        row = dict(self.rows[key])
        for name, feature in self.features.items():
            if getattr(feature, "decode", False):
                self.decoded += 1
                row[name] = Image.open(io.BytesIO(row[name]["bytes"]))
        return row

    def cast_column(self, name: str, feature: object) -> Dataset:
        return Dataset({**self.features, name: feature}, self.rows)


def make_dataset(labels: Sequence[Any], feature: object) -> Dataset:
    """Red and blue images with these labels."""
    rows = [
        {"image": {"bytes": encode(colour), "path": None}, "label": label}
        for colour, label in zip(("red", "blue", "red"), labels, strict=False)
    ]
    return Dataset({"image": ImageFeature(), "label": feature}, rows)


def test_a_data_set_of_hugging_face() -> None:
    """Numbers are the names of classes, and no image is read before it is needed, nor decoded by the data set."""
    dataset = make_dataset([0, 1, 0], ClassLabel())
    data = read(dataset)
    assert read(make_dataset([1, 1], ClassLabel())).labels == ("cat", "dog")  # also those without images

    assert (data.task, data.labels) == ("classify", ("cat", "dog"))
    assert [image.label for image in data.images] == ["cat", "dog", "cat"]
    assert [image.path for image in data.images] == ["image 1", "image 2", "image 3"]
    source = data.images[1].source
    assert source is not None
    assert source.decoded() is None
    assert source.open().read() == encode("blue")
    assert dataset.decoded == 0


def test_lists_of_classes_are_several_labels() -> None:
    """An empty one is none."""
    data = read(make_dataset([[0, 1], [], [1]], Sequenced()))

    assert data.task == "multilabel"
    assert [image.labels for image in data.images] == [("cat", "dog"), (), ("dog",)]


def test_a_data_set_that_decodes_or_fails() -> None:
    """What it decodes is taken; whatever it raises is the failure of an image."""

    class Decoding(Dataset):
        cast_column = None  # type: ignore[assignment]

    decoding = Decoding({"image": ImageFeature(), "label": ClassLabel()}, make_dataset([0], ClassLabel()).rows)
    source = read(decoding).images[0].source
    assert source is not None
    decoded = source.decoded()
    assert decoded is not None
    assert decoded.size == (5, 4)
    decoding.rows[0]["image"] = {"bytes": b"nothing"}
    with pytest.raises(ImageError, match="its row of the data set cannot be read"):
        source.decoded()


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "rows"])
def test_frames(kind: str, tmp_path: Path) -> None:
    """Columns by their usual names or by others; missing labels are named, files and bytes are images."""
    columns: dict[str, list[Any]] = {
        "path": ["a.png", "b.png", "c.png", "a.png"], "label": ["cat", None, "dog", "cat"], "n": [1, 2, 3, 4],
    }  # fmt: skip
    make: dict[str, Any] = {
        "pandas": lambda: pytest.importorskip("pandas").DataFrame(columns),
        "pyarrow": lambda: pytest.importorskip("pyarrow").table(columns),
        "rows": lambda: [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)],
    }
    frame = make[kind]()
    data = read(frame, root="folder")

    assert [(image.path, image.label) for image in data.images] == [("folder/a.png", "cat"), ("folder/c.png", "dog")]
    assert [image.row for image in data.images] == [0, 2]
    assert [(failure.image, failure.error) for failure in data.failures] == [("data: row 2", "no label")]
    assert [image.label for image in read(frame, columns=Columns(label="n")).images] == ["1", "2", "3"]
    with pytest.raises(UsageError, match="data has the columns 'path', 'label', 'n'"):
        read(frame, columns=Columns(label="none"))


def test_images_in_a_frame() -> None:
    """Bytes, PIL images and arrays in its cells; rows of equal names are images of their own."""
    pandas = pytest.importorskip("pandas")
    cells = [encode("red"), {"bytes": encode("blue"), "path": "x.png"}, {"bytes": encode("red"), "path": "x.png"}, 3]
    data = read(pandas.DataFrame({"image": cells, "label": [np.array(["a", "b"]), ["a"], [], ["b"]]}))

    assert [(image.path, image.labels) for image in data.images] == [
        ("image 1", ("a", "b")), ("x.png", ("a",)), ("x.png", ()),
    ]  # fmt: skip
    assert "an image is a path, the bytes of an image file" in data.failures[0].error


def test_lists() -> None:
    """A label for each image: text, a number, a list, an array; a caption, or several."""
    images = ["a.png", Path("b.png"), Image.new("RGB", (4, 3))]
    array = np.array([[1, 0], [0, 0], [1, 1]])

    assert rows_of(images, ["cat", "dog", "cat"]) == ["cat", "dog", "cat"]
    assert rows_of(images, np.array([1, 0, 1]), texts=["cat", "dog"]) == ["dog", "cat", "dog"]
    assert rows_of(images, iter([1, 0, 1])) == [1, 0, 1]
    assert rows_of(images, [["cat"], (), {"dog"}]) == [["cat"], [], ["dog"]]
    assert rows_of(images, array, texts={"cat": ["cat", "kitten"], "dog": "dog"}) == [["cat"], [], ["cat", "dog"]]
    assert rows_of(images, captions=["x", ["y", "z"], "w"]) == ["x", ["y", "z"], "w"]
    assert rows_of(np.zeros((2, 4, 3, 3), np.uint8), ["cat", "dog"]) == ["cat", "dog"]
    assert rows_of(iter(images), ["cat", "dog", "cat"]) == ["cat", "dog", "cat"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["a.png"], ["cat", "dog"]), "labels: 1 image and 2 labels; give one for each image"),
        ((["a.png", "b.png"], None, ["x"]), "captions: 2 images and 1 caption; give one for each image"),
        ((["a.png"],), "images: give the labels or the captions of the images"),
        ((["a.png"], ["x"], ["x"]), "images: give the labels or the captions of the images"),
        ((["a.png"], "cat"), "labels: a string; give a list with one for each image"),
        ((["a.png"], ["cat"], None, []), "texts: none given; give at least one"),
        ((["a.png"], [2], None, ["cat", "dog"]), "labels: no text has the number 2; there are 2, from 0"),
        ((["a.png"], np.ones((1, 3)), None, ["cat", "dog"]), "labels: an array of 3 columns and 2 texts; give a text"),
        ((["a.png"], np.full((1, 2), 0.5), None, ["cat", "dog"]), "labels: an array of labels with a row an image has"),
        (([3], ["cat"]), "an image is a path, the bytes of an image file"),
    ],
)
def test_lists_that_are_refused(arguments: tuple[Any, ...], message: str) -> None:
    """In one line."""
    with pytest.raises(UsageError) as caught:
        make_pairs(*arguments, *(None,) * (4 - len(arguments)))
    assert str(caught.value).startswith(message)


class Streaming:
    """A data set that can be iterated once."""

    column_names = ("image", "label")

    def __init__(self) -> None:
        self.features = {"image": ImageFeature(), "label": ClassLabel()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "data: not a path, a data frame or a data set, but None"),
        (3, "data: not a path, a data frame or a data set, but int"),
        ([], "data: not a path, a data frame or a data set, but list"),
        (["a.png"], "data: not a path, a data frame or a data set, but list"),
        (
            {"train": make_dataset([0], ClassLabel())},
            "data: several data sets; pass one of them, such as data['train']",
        ),
        ({"image": ["a.png"]}, "data: a mapping (dict), not a list"),
        (Streaming(), "data: a data set that streams"),
        ([{"x": 1}], "data: no column 'image', 'file_name'"),
        (make_dataset([], ClassLabel()), "data: no image with a label in it"),
    ],
)
def test_data_that_are_refused(data: object, message: str) -> None:
    """In one line, with what to do."""
    with pytest.raises(ClipsimError) as caught:
        read(data)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_row_says_what_is_wrong() -> None:
    """A list may have rows that are none."""
    table = make_table([{"image": "a.png", "label": "cat"}, {"label": "cat"}])
    assert all(isinstance(row, Row) for row in table.read(table.columns))
    data = read([{"image": "a.png", "label": "cat"}, {"label": "cat"}, {"image": float("nan"), "label": "cat"}])
    assert [failure.error for failure in data.failures] == ["no image", "no image"]
