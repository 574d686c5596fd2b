"""Labelled and captioned images in every layout, and what is wrong with each, in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clipsim.errors import ClipsimError, DataError, UsageError
from clipsim.inputs.labelled import LabelledData, LabelledRequest, read_labelled
from clipsim.inputs.labelled_rows import Columns

Read = Callable[..., LabelledData]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start in an empty folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def touch(*names: str) -> bool:
    """Files without content, which nobody opens."""
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return True


def read(path: str, *, columns: Columns | None = None, **options: str | None) -> LabelledData:
    """Read labelled data."""
    return read_labelled(LabelledRequest(path, columns=columns or Columns(), **options))  # type: ignore[arg-type]


def labels_of(data: LabelledData) -> dict[str, str | None]:
    """The label of each image."""
    return {image.path: image.label for image in data.images}


def captions_of(data: LabelledData) -> dict[str, tuple[str, ...]]:
    """The captions of each image."""
    return {image.path: image.captions for image in data.images}


def test_a_folder_for_each_class() -> None:
    """Names become labels, in their order; a class has all images below its folder, and may have none."""
    touch("d/bar_chart/b.png", "d/bar_chart/deep/a.jpg", "d/a-cat/1.png", "d/.hidden/x.png", "d/a-cat/notes.md")
    Path("d/zebra").mkdir()
    data = read("d")

    assert (data.layout, data.task) == ("folders", "classify")
    assert data.labels == ("a cat", "bar chart", "zebra")
    assert labels_of(data) == {
        "d/a-cat/1.png": "a cat", "d/bar_chart/b.png": "bar chart", "d/bar_chart/deep/a.jpg": "bar chart",
    }  # fmt: skip
    assert data.failures == ()
    assert "no image has the label 'zebra'" in data.notices[0]


def test_the_order_is_that_of_rank() -> None:
    """The same images in the same order as `rank` finds below the folder."""
    from clipsim.inputs.paths import find_images

    touch("d/b/2.png", "d/b/1.png", "d/a/9.png", "d/c/x/1.png")

    assert [image.path for image in read("d").images] == list(find_images(["d"]))


def test_an_image_beside_the_classes_is_named() -> None:
    """It has no label."""
    touch("d/cat/1.png", "d/stray.png")
    data = read("d/")

    assert [failure.image for failure in data.failures] == ["d/stray.png"]
    assert list(labels_of(data)) == ["d/cat/1.png"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", 'n01,tench\nn02,"great white shark, a fish"\n'),
        ("l.tsv", "class\tlabel\nn01\ttench\nn02\tgreat white shark, a fish\n"),
        ("l.json", '{"n01": "tench", "n02": "great white shark, a fish"}'),
    ],
)
def test_a_file_of_labels(name: str, content: str) -> None:
    """It gives the text of each folder; its order is that of the labels."""
    touch("d/n02/1.png", "d/n01/1.png")
    Path(name).write_text(content, encoding="utf-8-sig")
    data = read("d", labels=name)

    assert data.labels == ("tench", "great white shark, a fish")
    assert labels_of(data)["d/n02/1.png"] == "great white shark, a fish"
    assert data.notices == ()


def test_classes_with_one_label_count_as_one() -> None:
    """As the two cranes of ImageNet."""
    touch("d/a/1.png", "d/b/1.png", "d/c/1.png")
    Path("l.csv").write_text("a,crane\nb,crane\nc,cat\n")
    data = read("d", labels="l.csv")

    assert data.labels == ("crane", "cat")
    assert "several classes have the label 'crane'" in data.notices[0]


def test_labels_that_look_like_ids_are_told() -> None:
    """A model knows words only."""
    touch("d/n01440764/1.png", "d/n01443537/1.png")
    assert "look like ids" in read("d").notices[0]


def test_labels_that_look_like_splits_are_told() -> None:
    """The folder above the data set was given."""
    touch("d/train/cat/1.png", "d/val/cat/1.png")
    assert "splits" in read("d").notices[0]


def test_none_is_no_label_to_choose() -> None:
    """Its pictures keep it; by folder or by the label made of it, also beside a file of labels."""
    touch("d/cat/1.png", "d/dog/1.png", "d/some_thing/1.png")
    for none in ("some_thing", "some thing"):
        data = read("d", none=none)
        assert data.labels == ("cat", "dog")
        assert labels_of(data)["d/some_thing/1.png"] == none
    Path("l.csv").write_text("cat,a cat\ndog,a dog\n")
    assert read("d", none="some thing", labels="l.csv").labels == ("a cat", "a dog")


def test_text_files_beside_images() -> None:
    """A line each is a caption; an image without one is named, unless labels are wanted."""
    touch("d/cat/a.jpg", "d/cat/b.png", "d/cat/c.png")
    Path("d/cat/a.txt").write_text("\ufeffa cat\n\n a red cat \r\n", encoding="utf-8")
    Path("d/cat/b.txt").write_text(" \n")
    data = read("d")

    assert (data.layout, data.task) == ("text files", "retrieve")
    assert captions_of(data) == {"d/cat/a.jpg": ("a cat", "a red cat")}
    assert [failure.image for failure in data.failures] == ["d/cat/b.png", "d/cat/c.png"]
    assert read("d", task="pairs").task == "pairs"
    assert read("d", task="classify").labels == ("cat",)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", 'id,image,label\n1,a.png,cat\n2,b.png,"dog, big"\n'),
        ("t.csv", "FilePath\tLabel\na.png\tcat\r\nb.png\tdog, big\r\n"),
        ("t.tsv", "path\tlabel\na.png\tcat\nb.png\tdog, big\n"),
        ("t.txt", "file_name;label\na.png;cat\nb.png;dog, big\n"),
        ("t.jsonl", '{"image": "a.png", "label": "cat"}\n\n{"image": "b.png", "label": "dog, big", "more": 1}\n'),
        ("t.json", '[{"image": "a.png", "label": "cat"}, {"image": "b.png", "label": "dog, big"}]'),
    ],
)
def test_tables_of_labels(name: str, content: str) -> None:
    """Whatever the delimiter; paths are relative to the table, and labels are as written."""
    Path("sub").mkdir()
    (Path("sub") / name).write_text(content, encoding="utf-8-sig")
    data = read(f"sub/{name}")

    assert (data.layout, data.task) == ("table", "classify")
    assert labels_of(data) == {"sub/a.png": "cat", "sub/b.png": "dog, big"}
    assert data.labels == ("cat", "dog, big")


def test_paths_are_relative_to_the_root() -> None:
    """An absolute one stays."""
    Path("t.csv").write_text("image,label\na.png,cat\n/b.png,dog\n")
    assert list(labels_of(read("t.csv", root="pictures"))) == ["pictures/a.png", "/b.png"]


def test_rows_of_one_image_are_its_captions() -> None:
    """Also a list of captions in a row of JSON."""
    Path("t.csv").write_text("image,caption\na.png,one\nb.png,two\na.png, three \n")
    assert captions_of(read("t.csv")) == {"a.png": ("one", "three"), "b.png": ("two",)}
    Path("t.jsonl").write_text('{"path": "a.png", "text": ["one", "two"]}\n')
    assert list(captions_of(read("t.jsonl")).values()) == [("one", "two")]


def test_labels_come_before_captions_unless_captions_are_wanted() -> None:
    """A table may have both; columns and tasks choose."""
    Path("t.csv").write_text("image,label,title,other\na.png,cat,a cat,x\n")

    assert read("t.csv").task == "classify"
    assert captions_of(read("t.csv", task="pairs")) == {"a.png": ("a cat",)}
    assert read("t.csv", columns=Columns(caption="other")).images[0].captions == ("x",)
    assert read("t.csv", columns=Columns(label="other")).labels == ("x",)
    with pytest.raises(UsageError, match="goes with another task"):
        read("t.csv", columns=Columns(label="label", caption="other"))


def test_broken_rows_are_named_and_the_rest_is_used() -> None:
    """Each with the number of its line and what is wrong with it."""
    Path("t.csv").write_bytes(
        b"image,label\na.png,cat\n,dog\nb.png,\nc.png\nd.png,dog,more\ne.png,caf\xe9\na.png,dog\na.png,cat\nf.png,dog\n"
    )
    data = read("t.csv")

    assert [Path(path).name for path in labels_of(data)] == ["a.png", "f.png"]
    assert [(failure.image, failure.error) for failure in data.failures] == [
        ("t.csv: row 3", "no image"),
        ("t.csv: row 4", "no label"),
        ("t.csv: row 5", "1 values for 2 columns"),
        ("t.csv: row 6", "3 values for 2 columns"),
        ("t.csv: row 7", "the label is not UTF-8"),
        ("t.csv: row 8", "the image has the label 'cat' already"),
    ]
    assert "repeat an image" in data.notices[0]


def test_a_table_of_parquet() -> None:
    """Labels may be numbers; a row without one is named."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    columns = {"filename": ["a.png", "b.png", "c.png"], "label": [3, None, 4], "pixels": [b"x"] * 3}
    parquet.write_table(arrow.table(columns), "t.parquet")
    data = read("t.parquet")

    assert labels_of(data) == {"a.png": "3", "c.png": "4"}
    assert [(failure.image, failure.error) for failure in data.failures] == [("t.parquet: row 2", "no label")]


def test_broken_lines_of_json() -> None:
    """What is not JSON, not an object, or nested without end."""
    Path("t.jsonl").write_text(
        '{"image": "a.png", "caption": "a cat"}\n{"image": \n[1]\n'
        + "[" * 100_000
        + '\n{"image": "b.png", "caption": {}}\n'
    )
    data = read("t.jsonl")

    assert len(data.images) == 1
    assert [failure.image[-5:] for failure in data.failures] == ["row 2", "row 3", "row 4", "row 5"]
    assert data.failures[1].error == "not a JSON object but list"


def test_an_unclosed_quote_costs_its_row() -> None:
    """The table's other rows are read."""
    Path("t.csv").write_text('image,label\na.png,cat\nb.png,"dog\n')
    data = read("t.csv")

    assert data.labels == ("cat",)
    assert data.failures[0].image == "t.csv: row 3"


def test_names_that_are_not_utf8_are_kept() -> None:
    """A path is bytes, as the system has them."""
    Path("t.csv").write_bytes(b"image,label\ncaf\xe9.png,cat\n")
    assert os.fsencode(read("t.csv").images[0].path).endswith(b"caf\xe9.png")


def test_coco_captions() -> None:
    """Images in their order, with their annotations; what does not fit is named."""
    value = {
        "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}, {"id": 9, "file_name": "c.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 3, "caption": "a cat "},
            {"id": 2, "image_id": 7, "caption": "a dog"},
            {"id": 3, "image_id": 3, "caption": "an animal"},
            {"id": 4, "image_id": 99, "caption": "lost"},
            {"id": 5, "image_id": 7},
        ],
    }
    Path("coco.json").write_text(json.dumps(value))
    data = read("coco.json", root="val")

    assert (data.layout, data.task) == ("coco captions", "retrieve")
    assert captions_of(data) == {"val/b.jpg": ("a dog",), "val/a.jpg": ("a cat", "an animal")}
    assert [failure.image for failure in data.failures] == [
        "coco.json: annotation 5", "coco.json: image 3", "coco.json: image_id 99",
    ]  # fmt: skip


def test_an_object_of_images_and_captions() -> None:
    """One caption, or several."""
    Path("c.json").write_text('{"a.png": "a cat", "b.png": ["one", "two"], "c.png": 3, "d.png": {}}')
    data = read("c.json")

    assert list(captions_of(data).values()) == [("a cat",), ("one", "two"), ("3",)]
    assert data.failures[0].error == "a caption is text, not dict"


@pytest.mark.parametrize(
    ("make", "path", "options", "message"),
    [
        (lambda: None, "nowhere", {}, "nowhere: cannot read it: no such file"),
        (lambda: Path("d").mkdir(), "d", {}, "d: no image in it; expected a folder for each class or a text file"),
        (lambda: touch("d/a.png"), "d", {}, "d: expected a folder for each class"),
        (lambda: touch("d/cat/a.png"), "d", {"task": "pairs"}, "d: expected a text file beside each image"),
        (lambda: Path("t.csv").touch(), "t.csv", {}, "t.csv: the file is empty"),
        (lambda: Path("t.csv").write_text("a,b\n1,2\n"), "t.csv", {}, "no column 'image', .*; it has 'a', 'b'"),
        (lambda: Path("t.csv").write_text("image,b\n1,2\n"), "t.csv", {}, "no column 'label', .*; it has 'image', 'b'"),
        (lambda: Path("t.csv").write_text("image,label\n"), "t.csv", {}, "t.csv: no image with a label in it"),
        (lambda: Path("t.csv").write_text("image,label\n,cat\n"), "t.csv", {}, "row 2: no image"),
        (lambda: Path("t.json").write_text("{"), "t.json", {}, "t.json: not JSON"),
        (lambda: Path("t.json").write_text("3"), "t.json", {}, "expected COCO's JSON"),
        (lambda: Path("t.json").write_text("[" * 100_000), "t.json", {}, "t.json: not JSON"),
        (lambda: Path("t.json").write_text('{"images": []}'), "t.json", {}, "'images' without 'annotations'"),
        (
            lambda: Path("t.json").write_text('{"images": [], "annotations": [{"image_id": 1, "bbox": []}]}'),
            "t.json", {}, "no annotation in it has a 'caption'",
        ),
        (lambda: touch("d/cat/a.png"), "d", {"labels": "no.csv"}, "no.csv: cannot read it"),
        (
            lambda: [touch("d/cat/a.png"), Path("l.csv").write_text("dog,a dog\n")],
            "d", {"labels": "l.csv"}, "l.csv: no text for the class 'cat'",
        ),
        (
            lambda: [touch("d/cat/a.png"), Path("l.csv").write_text("cat\n")],
            "d", {"labels": "l.csv"}, "l.csv: line 1 has no tab or comma",
        ),
        (
            lambda: [touch("d/cat/a.png"), Path("l.json").write_text('{"cat": 3}')],
            "d", {"labels": "l.json"}, "the class 'cat' has no text",
        ),
        (lambda: touch("d/cat/a.png"), "d", {"none": "cat"}, "there is no label but 'cat'"),
        (
            lambda: Path("t.csv").write_text("image,caption\na.png,x\n"),
            "t.csv", {"task": "classify"}, "no column 'label'; it has",
        ),
        (lambda: Path("t.json").write_text('{"a.png": ["x", "y"]}'), "t.json", {"task": "classify"}, "2 labels; "),
        (lambda: [touch("d/a.png"), Path("d/a.txt").write_text("x")], "d", {"task": "multilabel"}, "a folder for each"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(make: Callable[[], object], path: str, options: dict[str, Any], message: str) -> None:
    """One line names the file and what was expected."""
    make()
    with pytest.raises(DataError, match=message) as error:
        read(path, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "sort"}, "task='sort': unknown task"),
        ({"task": "pairs", "labels": "l.csv"}, "labels='l.csv': goes with the task classify"),
        ({"task": "retrieve", "none": "x"}, "none='x': goes with"),
        ({"none": "x"}, "none='x': not one of the labels"),
        ({"task": "pairs", "folder_labels": "last"}, "folder_labels='last': goes with the task classify"),
        ({"columns": Columns(image="name")}, "image_column='name': t.csv has the columns 'image', 'label'"),
        ({"columns": Columns(label="kind")}, "label_column='kind'"),
        ({"task": "classify", "columns": Columns(caption="c")}, "caption_column='c': goes with"),
    ],
)
def test_requests_that_contradict(options: dict[str, object], message: str) -> None:
    """Wrong usage is told from data that are wrong."""
    Path("t.csv").write_text("image,label\na.png,cat\n")
    with pytest.raises(UsageError, match=message):
        read("t.csv", **options)  # type: ignore[arg-type]


def test_a_folder_whose_name_is_no_label() -> None:
    """A name that is not UTF-8, or nothing but dashes, is no text."""
    for name in (b"caf\xe9", b"--"):
        folder = Path("d", os.fsdecode(name))
        folder.mkdir(parents=True)
        with pytest.raises(ClipsimError, match="is not a label"):
            read("d")
        folder.rmdir()


def several_of(data: LabelledData) -> dict[str, tuple[str, ...]]:
    """The labels of each image."""
    return {image.path: image.labels for image in data.images}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "image,label\na.png,cat | dog\nb.png,\nc.png,dog\na.png,bird\n"),
        ("t.tsv", "image\tlabels\na.png\tcat|dog\nb.png\t\nc.png\tdog\na.png\tbird|cat\n"),
        (
            "t.jsonl",
            '{"image": "a.png", "labels": ["cat", "dog", "bird"]}\n{"image": "b.png", "labels": []}\n'
            '{"image": "c.png", "labels": "dog"}\n',
        ),
        ("t.json", '{"a.png": ["cat", "dog", "bird"], "b.png": [], "c.png": "dog"}'),
        ("rows.json", '[{"image": "a.png", "label": "cat|dog|bird"}, {"image": "b.png", "label": null},'
                      '{"image": "c.png", "label": ["dog"]}]'),
    ],
)  # fmt: skip
def test_several_labels_an_image(name: str, content: str) -> None:
    """With a bar between them, as a list, or in several rows; an image may have none."""
    Path(name).write_text(content)
    data = read(name, task="multilabel")

    assert (data.task, data.labels) == ("multilabel", ("bird", "cat", "dog"))
    assert several_of(data) == {"a.png": ("cat", "dog", "bird"), "b.png": (), "c.png": ("dog",)}
    assert data.failures == ()


def test_lists_of_labels_are_several_labels() -> None:
    """Whatever the task is not said to be; a bar and several rows are not, and say so."""
    rows = [
        {"image": "a.png", "label": ["cat", "dog"]},
        {"image": "b.png", "label": []},
        {"image": "a.png", "label": "x"},
    ]
    Path("t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert several_of(read("t.jsonl")) == {"a.png": ("cat", "dog", "x"), "b.png": ()}

    Path("t.csv").write_text("image,label\na.png,cat|dog\nb.png,fish\nb.png,bird\n")
    data = read("t.csv")
    assert data.task == "classify"
    assert data.labels == ("cat|dog", "fish")
    assert "labels with a '|' are taken as they are, such as 'cat|dog'; with task='multilabel'" in data.notices[0]
    assert [failure.error for failure in data.failures] == ["the image has the label 'fish' already"]


@pytest.mark.parametrize("value", ["|", "cat|", "cat||dog", ["cat", ""], ["cat", None], [["cat"]], {"a": 1}, True])
def test_labels_that_are_none(value: object) -> None:
    """Such a row is named and left out."""
    rows = [{"image": "a.png", "label": value}, {"image": "b.png", "label": ["cat"]}, {"image": "c.png"}]
    Path("t.json").write_text(json.dumps(rows))
    data = read("t.json", task="multilabel")

    assert several_of(data) == {"b.png": ("cat",)}
    assert [failure.image for failure in data.failures] == ["t.json: row 1", "t.json: row 3"]


def test_classify_takes_images_of_one_label_each() -> None:
    """From lists too."""
    rows = [
        {"image": name, "label": own} for name, own in (("a.png", ["cat"]), ("b.png", ["cat", "dog"]), ("c.png", []))
    ]
    Path("t.json").write_text(json.dumps(rows))
    data = read("t.json", task="classify")

    assert labels_of(data) == {"a.png": "cat"}
    assert [failure.error for failure in data.failures] == [
        "2 labels; classify takes one, and task='multilabel' takes several", "no label",
    ]  # fmt: skip


def test_coco_instances() -> None:
    """An image has the categories of its annotations, once each, or none; all categories are labels."""
    value = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "categories": [{"id": 7, "name": "zebra"}, {"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
        "annotations": [
            {"image_id": 1, "category_id": 7, "bbox": []}, {"image_id": 1, "category_id": 3},
            {"image_id": 1, "category_id": 7}, {"image_id": 1, "category_id": 99},
            {"image_id": 8, "category_id": 3}, {"category_id": 3}, 5,
        ],
    }  # fmt: skip
    Path("instances.json").write_text(json.dumps(value))
    data = read("instances.json")

    assert (data.layout, data.task, data.labels) == ("coco", "multilabel", ("zebra", "cat", "dog"))
    assert several_of(data) == {"a.png": ("zebra", "cat"), "b.png": ()}
    assert [failure.error for failure in data.failures] == [
        "no category has the id 99", "no 'image_id'", "not a JSON object but int", "no such image, but it has labels",
    ]  # fmt: skip
    assert "no image has the label 'dog'" in data.notices[0]


def test_links_in_several_folders_are_several_labels() -> None:
    """Hard and symbolic ones; a file that is in one folder has one."""
    touch("d/cat/a.png", "d/dog/b.png")
    Path("d/pet").mkdir()
    os.link("d/cat/a.png", "d/pet/1.png")
    Path("d/dog/2.png").symlink_to("../cat/a.png")
    data = read("d", task="multilabel")

    assert several_of(data) == {"d/cat/a.png": ("cat", "dog", "pet"), "d/dog/b.png": ("dog",)}


def test_folders_of_folders() -> None:
    """Labels are paths, and the model reads the last part, or all where two end alike."""
    touch("d/my_animals/tabby-cat/1.png", "d/my_animals/crane/2.png", "d/machines/crane/x/3.png", "d/4.png")
    data = read("d")

    assert data.labels == ("machines/crane/x", "my animals/crane", "my animals/tabby cat")
    assert data.words == (("x",), ("crane",), ("tabby cat",))
    assert labels_of(data)["d/my_animals/crane/2.png"] == "my animals/crane"
    assert [failure.image for failure in data.failures] == ["d/4.png"]
    assert "labels are the paths of the folders" in data.notices[0]
    Path("d/machines/crane/x/3.png").rename("d/machines/crane/3.png")
    assert read("d").words == (("machines crane",), ("my animals crane",), ("tabby cat",))

    first = read("d", folder_labels="first")
    assert (first.labels, first.words) == (("machines", "my animals"), None)
    assert read("d", folder_labels="last").labels == ("crane", "tabby cat")
    Path("l.json").write_text(
        '{"machines/crane": "crane", "my_animals/crane": ["bird", "heron"], "my_animals/tabby-cat": "cat"}'
    )
    assert read("d", labels="l.json").labels == ("crane", "bird", "cat")
    assert read("d", none="my animals/tabby cat").labels == ("machines/crane", "my animals/crane")


def test_one_image_right_below_makes_the_first_folders_classes() -> None:
    """As it does everywhere; a path is still to be had, and splits are never parts of labels by themselves."""
    touch("d/cat/1.png", "d/dog/indoors/2.png")
    assert read("d").labels == ("cat", "dog")
    assert read("d", folder_labels="path").labels == ("cat", "dog/indoors")

    touch("s/train/cat/1.png", "s/val/cat/2.png")
    data = read("s")
    assert data.labels == ("train", "val")
    assert "look like the splits" in data.notices[-1]


def test_tables_have_no_folders_of_classes() -> None:
    """The option for them is refused, not ignored."""
    Path("t.csv").write_text("image,label\na.png,cat\n")
    with pytest.raises(UsageError, match="folder_labels='last': goes with a folder of classes"):
        read("t.csv", folder_labels="last")
