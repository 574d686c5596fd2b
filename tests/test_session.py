"""Tests of `session`: results line up with what a Python caller gave, and what is no list is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clipsim
from clipsim.errors import ImageError, NoInputError, UsageError
from clipsim.render.json import format_csv, format_json, format_json_line

pytestmark = pytest.mark.usefixtures("machine")

MINI: dict[str, Any] = {"model": "clipsim-mini"}
UNTYPED: Any = clipsim  # for calls that a type checker refuses


@pytest.fixture
def paths(colours: Path) -> list[str]:
    """Red, one that does not exist, green, one that is no picture, blue."""
    text = colours / "text.png"
    text.write_text("no picture")
    return [str(colours / name) for name in ("red.png", "gone.png", "green.png", "text.png", "blue.png")]


def test_every_record_has_the_index_of_its_input(paths: list[str]) -> None:
    """After a failure too, and when the images are sorted; so that labels can be put beside them."""
    result = clipsim.rank(iter(paths), ["red", "lime", "blue"], sort_by="blue", **MINI)

    assert {scores.image: scores.index for scores in result.scores} == {paths[0]: 0, paths[2]: 2, paths[4]: 4}
    assert all(paths[index] == image for index, image in zip(result.indices, result.images, strict=True) if index)
    assert [(failure.image, failure.index) for failure in result.errors] == [(paths[1], 1), (paths[3], 3)]
    assert result.to_dict()["indices"] == list(result.indices)
    assert [row["index"] for row in result.to_rows()[::3]] == list(result.indices)


def test_a_folder_stands_for_its_images(paths: list[str], colours: Path) -> None:
    """Inputs are counted as they are found in folders and patterns."""
    result = clipsim.rank([colours, paths[1], paths[0]], ["red"], **MINI)

    assert [Path(name).name for name in result.images] == ["blue.png", "green.png", "red.png", "red.png"]
    assert result.indices == (0, 1, 2, 5)
    assert [failure.index for failure in result.errors] == [3, 4]  # text.png of the folder, and what does not exist


@pytest.mark.parametrize("by_session", [True, False])
def test_nan_keeps_the_rows(paths: list[str], by_session: bool) -> None:
    """`zip` of the paths and the result is right: NaN, and no best text; the failures are listed too."""
    texts = ["red", "lime", "blue"]
    if by_session:
        with clipsim.open("clipsim-mini") as session:
            result = session.rank(paths, texts, on_error="nan")
            assert session.rank(paths, texts).indices == (0, 2, 4)  # the session itself skips
    else:
        result = clipsim.rank(paths, texts, on_error="nan", **MINI)

    assert result.images == tuple(paths)
    assert result.best == (0, None, 1, None, 2)
    assert np.isnan(result.similarity).any(axis=0).tolist() == [False, True, False, True, False]
    assert result.probabilities is not None
    assert np.isnan(result.probabilities).all(axis=0).tolist() == [False, True, False, True, False]
    assert [failure.index for failure in result.errors] == [1, 3]
    assert result == clipsim.rank(paths, texts, on_error="nan", **MINI)
    assert hash(result) == hash(clipsim.rank(paths, texts, on_error="nan", **MINI))
    assert [image.index for image in result.top_images(0, 5)] == [0, 2, 4]


def test_nan_is_null_in_every_output(paths: list[str]) -> None:
    """JSON has no NaN."""
    result = clipsim.rank(paths, ["red", "blue"], on_error="nan", **MINI)

    record = json.loads(format_json(result), parse_constant=pytest.fail)
    assert record["similarity"][0][1] is record["probabilities"][1][3] is record["best"][1] is None
    line = json.loads(format_json_line(result.scores[1], result.texts), parse_constant=pytest.fail)
    assert line["scores"] == [{"text": text, "similarity": None, "probability": None} for text in ("red", "blue")]
    assert format_csv(result.scores[1], result.texts) == f"{paths[1]},red,,\n{paths[1]},blue,,\n"


def test_rows_of_nan_stand_last_where_images_are_sorted(paths: list[str]) -> None:
    """However many there are."""
    result = clipsim.rank(paths, ["red", "blue"], on_error="nan", sort_by="blue", **MINI)

    assert result.indices[0] == 4
    assert result.indices[3:] == (1, 3)


def test_nan_where_nothing_can_be_used(paths: list[str]) -> None:
    """All rows are kept; with one text there is no probability, as elsewhere."""
    result = clipsim.rank([paths[1], paths[3]], "red", on_error="nan", **MINI)

    assert result.best == (None, None)
    assert np.isnan(result.similarity).all()
    assert result.probabilities is None
    with pytest.raises(NoInputError):
        clipsim.rank([], "red", on_error="nan", **MINI)


def test_comparing_leaves_rows_of_nan_out(paths: list[str]) -> None:
    """An image that one of two rankings could not use is not compared."""
    whole = clipsim.rank([paths[0], paths[4]], ["red", "blue"], **MINI)
    gaps = clipsim.rank(paths, ["red", "blue"], on_error="nan", **MINI)

    (change,) = clipsim.compare(whole, gaps.to_dict()).to_dict()["changes"]

    assert (change["images"], change["similarity_difference"]["largest"]) == (2, 0)
    assert change["only_b"]["images"] == [paths[2]]


@pytest.mark.parametrize("on_error", ["raise", "fail"])
def test_the_first_failure_may_raise(paths: list[str], on_error: Any) -> None:
    """In a call, and for a session."""
    with pytest.raises(ImageError, match="gone"):
        clipsim.rank(paths, "red", on_error=on_error, **MINI)
    with clipsim.open("clipsim-mini") as session, pytest.raises(ImageError, match="gone"):
        session.rank(paths, "red", on_error=on_error)


def test_repeated_texts_may_be_kept(paths: list[str]) -> None:
    """With `deduplicate=False` the rows are those of the texts given, in `rank`, `search` and `threshold`."""
    captions = ["red", "blue", "red"]
    with clipsim.open("clipsim-mini") as session:
        ranked = session.rank(paths[:1], captions, deduplicate=False)
        searched = session.search([paths[0], paths[4]], captions, deduplicate=False)
        found = session.threshold(captions, [Image.new("RGB", (9, 6), "red")] * 9, recall=0.9, deduplicate=False)

    assert ranked.texts == tuple(captions)
    assert ranked.similarity[0] == ranked.similarity[2]
    assert ranked.warnings == ()
    assert [query.text for query in searched.queries] == captions
    assert [query.results[0].index for query in searched.queries] == [0, 1, 0]
    assert [threshold.text for threshold in found.thresholds] == captions
    assert clipsim.rank(paths[:1], captions, **MINI).texts == ("red", "blue")


def test_matches_have_the_index_of_their_image(paths: list[str]) -> None:
    """Among all that are searched, those that are left out by name counted too."""
    with clipsim.open("clipsim-mini") as session:
        found = session.search(paths, ["red", "blue"], top=1)
        chosen = session.search(paths, "blue", exclude="red.png")

    assert [query.results[0].index for query in found.queries] == [0, 4]
    assert [failure.index for failure in found.errors] == [1, 3]
    assert [match.index for match in chosen.queries[0].results] == [4, 2]


def test_images_of_queries_keep_their_places(paths: list[str]) -> None:
    """With "nan", an image that cannot be used is a query without results."""
    with clipsim.open("clipsim-mini", on_error="nan") as session:
        found = session.search(paths[4], ["red"], images=[paths[0], paths[1], paths[2]])

    assert [(query.text, query.image) for query in found.queries] == [
        ("red", None), (None, paths[0]), (None, paths[1]), (None, paths[2]),
    ]  # fmt: skip
    assert [len(query.results) for query in found.queries] == [1, 1, 0, 1]


def test_duplicates_have_the_index_of_their_image(paths: list[str]) -> None:
    """Of pictures in memory too, which have no files whose bytes could be the same."""
    picture = Image.new("RGB", (40, 30), "red")
    copy = picture.copy()
    with clipsim.open("clipsim-mini") as session:
        (group,) = session.duplicates([paths[4], paths[1], picture, copy], pixels=False).groups
        alone = session.duplicates([picture, paths[0], copy, paths[0]], exact_files=True)

        with pytest.raises(NoInputError, match="image 1: an image in memory, which has no file"):
            session.duplicates([picture, copy], exact_files=True)

    assert [image.index for image in group.images] == [2, 3]
    assert [failure.index for failure in alone.errors] == [0, 2]


def test_evaluations_have_the_indices_of_their_images(colours: Path, tmp_path: Path) -> None:
    """The positions among the images of the table."""
    rows = [("red", "red"), ("gone", "red"), ("blue", "blue")]
    table = tmp_path / "labels.csv"
    table.write_text("image,label\n" + "".join(f"{colours / name}.png,{label}\n" for name, label in rows))

    result = clipsim.evaluate(table)

    assert result.indices == (0, 2)
    assert result.to_dict()["indices"] == [0, 2]


class Frame:
    """A data frame, as its parts tell it: iterating gives the names of its columns."""

    shape = (2, 2)

    def __init__(self, **columns: list[str]) -> None:
        self.columns = list(columns)
        self._values = columns

    def __iter__(self) -> Any:
        return iter(self.columns)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]


class ArrowTable:
    """A table whose columns are values, and whose names are beside them."""

    column_names = ("images", "label")

    def __iter__(self) -> Any:
        return iter([["a"], ["b"]])


def call_everything(value: Any, session: clipsim.Session) -> dict[str, Callable[[], object]]:
    """A call a parameter that takes a list."""
    return {
        "images": lambda: session.rank(value, "red"),
        "texts": lambda: session.score_pairs("red.png", value),
        "templates": lambda: session.rank("red.png", "red", templates=value),
        "where": lambda: session.search(value, "red"),
        "plus": lambda: session.search("red.png", "red", plus=value),
        "minus": lambda: session.search("red.png", "red", minus=value),
        "plus_images": lambda: session.search("red.png", "red", plus_images=value),
        "include": lambda: session.search("red.png", "red", include=value),
        "positives": lambda: session.threshold("red", value, recall=0.5),
        "negatives": lambda: session.threshold("red", "red.png", value, recall=0.5),
        "images of embed": lambda: session.embed(value, "out"),
    }


@pytest.mark.parametrize("parameter", call_everything(None, None))  # type: ignore[arg-type]
@pytest.mark.parametrize("value", [{"images": ["a"], "b": []}, {}, Frame(images=["a"], b=["c"]), ArrowTable()])
def test_mappings_and_tables_are_no_lists(
    value: Any, parameter: str, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are refused with a hint, even where a folder has the name of a key or column."""
    monkeypatch.chdir(colours)
    (colours / "images").mkdir()
    Image.new("RGB", (4, 3), "red").save(colours / "images" / "red.png")

    with clipsim.open("clipsim-mini") as session, pytest.raises(UsageError) as caught:
        call_everything(value, session)[parameter]()

    assert str(caught.value).startswith(f"{parameter.split()[0]}: a ")
    assert "not a list; " in str(caught.value)
    assert not value or isinstance(value, dict) or f"such as {parameter.split()[0]}['images']" in str(caught.value)


def test_columns_arrays_and_other_lists(colours: Path) -> None:
    """A column of paths, an array of strings, a set, the values of a mapping."""
    red, blue = str(colours / "red.png"), str(colours / "blue.png")
    frame = Frame(path=[red, blue])

    for images in (frame["path"], np.array([red, blue]), {"a": red, "b": blue}.values(), (Path(red), Path(blue))):
        assert UNTYPED.rank(images, np.array(["red", "blue"]), **MINI).best == (0, 1)
    assert UNTYPED.rank({red, blue}, {"red", "blue"}, **MINI).similarity.shape == (2, 2)
    assert UNTYPED.rank(np.array(red), np.array("red"), **MINI).images == (red,)
    assert type(UNTYPED.rank(np.array([red]), "red", **MINI).images[0]) is str


def test_pictures_of_data_sets_and_tensors(colours: Path) -> None:
    """An undecoded picture of the package datasets, and a tensor with its channels last or first."""
    torch = pytest.importorskip("torch")
    red, blue = colours / "red.png", colours / "blue.png"
    array = np.zeros((6, 9, 3), np.uint8)
    array[..., 2] = 255
    tensor = torch.from_numpy(array)
    encoded = [{"bytes": red.read_bytes(), "path": "inside.png"}, {"bytes": None, "path": str(blue)}]

    result = UNTYPED.rank([*encoded, tensor, tensor.permute(2, 0, 1), array], ["red", "blue"], **MINI)

    assert result.images == ("inside.png", str(blue), "image 3", "image 4", "image 5")
    assert result.best == (0, 1, 1, 1, 1)
    assert UNTYPED.rank(encoded[0], "red", **MINI).images == ("inside.png",)
    assert UNTYPED.rank(tensor, "red", **MINI).images == ("image 1",)
    assert len(UNTYPED.rank(torch.stack([tensor, tensor]), "red", **MINI).images) == 2
    with pytest.raises(UsageError, match=r"type uint8; got \(6, 9, 3\), torch.float32"):
        UNTYPED.rank(tensor.float(), "red", **MINI)
    with pytest.raises(UsageError, match="'bytes'"):
        UNTYPED.rank([{"bytes": None, "path": None}], "red", **MINI)


def test_numbers_of_numpy(paths: list[str]) -> None:
    """They are numbers."""
    with UNTYPED.open("clipsim-mini", batch_size=np.int64(2), workers=np.int32(1)) as session:
        found = session.search(
            paths, "red", plus="blue", weight=np.float32(0.5), top=np.int64(1), min_similarity=np.float32(0)
        )
        assert session.duplicates(paths, min_similarity=np.float32(0.5)).min_similarity == 0.5

    assert len(found.queries[0].results) == 1
    json.dumps(found.to_dict())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda session: session.rank(None, "red"), "an image is a path"),
        (lambda session: session.rank(5, "red"), "an image is a path"),
        (lambda session: session.rank("red.png", None), "texts: not a string or a list of strings, but None"),
        (lambda session: session.rank("red.png", 5), "texts: not a string or a list of strings, but int"),
        (lambda session: session.rank("red.png", b"red"), "texts: not a string or a list of strings, but bytes"),
        (lambda session: session.rank("red.png", [b"red"]), "texts: number 1 is b'red', not a string"),
        (lambda session: session.rank("red.png", "red", templates=None), "templates: not a string or a list"),
        (lambda session: session.rank("red.png", "red", sort_by=Path("red")), r"sort_by=PosixPath\('red'\): not one"),
        (lambda session: session.rank("red.png", "red", on_error="ignore"), "on_error='ignore': not"),
        (lambda session: session.rank("red.png", "red", thresholds=5), "the thresholds is a path"),
        (lambda session: session.search(None, "red"), "an image is a path"),
        (lambda session: session.search("red.png", None), "texts: not a string"),
        (lambda session: session.search("red.png", "red", weight="2"), "weight='2': not a number"),
        (lambda session: session.search("red.png", "red", top=True), "top=True: not a positive integer"),
        (lambda session: session.search("red.png", "red", top=None), "top: not a positive integer"),
        (lambda session: session.search("red.png", "red", min_similarity="x"), "min_similarity='x': not a cosine"),
        (lambda session: session.search("red.png", "red", include=5), "include: not a string or a list"),
        (lambda session: session.search("red.png", "red", exclude=[5]), "exclude=5: not a string"),
        (lambda session: session.search("red.png", images=[None]), "an image is a path"),
        (lambda session: session.duplicates("red.png", min_similarity="x"), "min_similarity='x': not a cosine"),
        (lambda session: session.duplicates("red.png", min_similarity=True), "min_similarity=True: not a cosine"),
        (lambda session: session.duplicates("red.png", pixels=None), "pixels: not True or False"),
        (lambda session: session.threshold("red", "red.png", recall="0.9"), "recall='0.9': not between 0 and 1"),
        (lambda session: session.threshold("red", None, recall=0.9), "an image is a path"),
        (lambda session: session.evaluate(None), "nothing to measure; give data"),
        (lambda session: session.evaluate(["a.png"]), "data: not a path, a data frame or a data set, but list"),
        (lambda session: session.evaluate("data", top_k="5"), "top_k='5': not positive integers"),
        (lambda session: session.evaluate("data", top_k=0), "top_k='0': not positive integers"),
        (lambda session: session.evaluate("data", root=5), "root=5: not a path"),
        (lambda session: session.evaluate("data", label_column=5), "label_column=5: not a string"),
        (lambda session: session.evaluate("data", seed=1.5), "seed=1.5: not a non-negative integer"),
        (lambda session: session.evaluate("data", none="x", min_similarity="x"), "min_similarity='x': not a cosine"),
        (lambda session: session.evaluate("data", template_sets=5), "template_sets: not a string or a list"),
        (lambda session: session.evaluate("data", template_sets={"a": 5}), "template_sets: not a string or a list"),
        (lambda session: session.evaluate("data", template_sets=[5]), "template_sets='5': not a built-in set"),
        (lambda session: session.rank("red.png", "red", deduplicate="no"), "deduplicate='no': not True or False"),
        (lambda session: session.duplicates("red.png", exact_files=None), "exact_files: not True or False"),
        (lambda session: session.embed("red.png", None), "output: not a path"),
        (lambda session: session.embed("red.png", "out", shard_size="x"), "shard_size='x': not a whole number"),
        (lambda session: session.embed("red.png", "out", dtype=5), "dtype=5: not 'fp16' or 'fp32'"),
        (lambda session: session.embed(None, "out"), "an input is a path"),
        (lambda session: session.embed("red.png", "out", include={"a": 1}), "include: a mapping"),
        (lambda session: UNTYPED.compare(None, "b.json"), "the first result is a path"),
        (lambda session: UNTYPED.open("clipsim-mini", preprocess=5), "preprocess=5: not a path"),
        (lambda session: UNTYPED.open("clipsim-mini", cache="no"), "cache='no': not True or False"),
        (lambda session: UNTYPED.open(5), "model=5: not a string"),
        (lambda session: UNTYPED.open("clipsim-mini", device=None), "device='None': unknown device"),
        (lambda session: UNTYPED.evaluate("data", models=5), "models: not a string or a list"),
        (lambda session: UNTYPED.evaluate("data", models={"a": 1}), "models: a mapping"),
    ],
)
def test_what_is_no_value_of_a_parameter(
    call: Callable[[Any], object], message: str, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line that names the parameter, never an error of Python's own."""
    monkeypatch.chdir(colours)
    with UNTYPED.open("clipsim-mini") as session, pytest.raises(UsageError, match=message):
        call(session)


@pytest.mark.parametrize(
    "call",
    [clipsim.open, clipsim.rank, clipsim.evaluate, clipsim.threshold, clipsim.compare]
    + [getattr(clipsim.Session, name) for name in ("rank", "search", "duplicates", "embed", "evaluate", "threshold")],
)
def test_signatures_are_real(call: Callable[..., object]) -> None:
    """`help` shows every parameter, and a misspelt one is Python's own TypeError."""
    import inspect

    kinds = {parameter.kind for parameter in inspect.signature(call).parameters.values()}

    assert inspect.Parameter.VAR_KEYWORD not in kinds
    with pytest.raises(TypeError, match="modle"):
        call("red.png", modle="x")
