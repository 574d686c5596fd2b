"""Tests of `api.calls`: the functions of `clipsim` and sessions, with an encoder that knows colours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from PIL import Image

import clipsim
from clipsim.errors import ClipsimWarning, Failure, ImageError, NoInputError, UsageError
from clipsim.inputs import sources
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.sources import FileSource, PillowSource, find_missing
from clipsim.results.rank import ImageScores
from clipsim.tasks.rank import RankRequest, run, stream

pytestmark = pytest.mark.usefixtures("machine")

PATIENCE = 60.0  # seconds, for what happens at once


def rank_colours(folder: Path, texts: list[str], **options: Any) -> clipsim.RankResult:
    """Rank the red, green and blue pictures."""
    paths = [folder / f"{name}.png" for name in ("red", "green", "blue")]
    return clipsim.rank(paths, texts, model="clipsim-mini", **options)


def test_every_colour_finds_its_picture(colours: Path) -> None:
    """Rows are texts, columns are images, and `best` points at rows."""
    result = rank_colours(colours, ["blue", "red", "lime"])

    assert result.similarity.shape == (3, 3)
    assert [result.texts[row] for row in result.best if row is not None] == ["red", "lime", "blue"]
    assert result.probabilities is not None
    assert result.probabilities.sum(axis=0) == pytest.approx([1, 1, 1])
    assert result.images == tuple(str(colours / f"{name}.png") for name in ("red", "green", "blue"))


def test_a_function_gives_what_a_session_gives(colours: Path, tmp_path: Path) -> None:
    """Whichever the command; the function closes its model again."""
    pytest.importorskip("pyarrow")
    folder, red, name = str(colours), str(colours / "red.png"), "clipsim-mini"
    with clipsim.open(name) as session:
        searched = session.search(folder, "red", images=red, top=2)
        grouped = session.duplicates([folder, red], pixels=False)
        embedded = session.embed(folder, tmp_path / "a")

    assert clipsim.search(folder, "red", images=red, top=2, model=name) == searched
    assert clipsim.duplicates([folder, red], pixels=False, model=name) == grouped
    again = clipsim.embed(folder, tmp_path / "b", model=name)
    assert (again.images, again.made) == (embedded.images, embedded.made) == (3, 1)
    files = [(tmp_path / name / "img_emb" / "img_emb_0000.npy").read_bytes() for name in "ab"]
    assert files[0] == files[1]


def test_same_files_need_no_model(colours: Path) -> None:
    """Comparing bytes opens none, so that one that does not exist does not matter."""
    (colours / "copy.png").write_bytes((colours / "red.png").read_bytes())

    (group,) = clipsim.duplicates(colours, exact_files=True, model="no such model").groups

    assert {Path(image.image).name for image in group.images} == {"copy.png", "red.png"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda **model: clipsim.search("x.png", **model), "no query"),
        (lambda **model: clipsim.duplicates("x.png", min_similarity=2, **model), "min_similarity=2: not a cosine"),
        (lambda **model: clipsim.embed("x.png", "out", dtype="int8", **model), "dtype='int8': not"),
        (lambda **model: clipsim.threshold("red", "x.png", **model), "a threshold keeps one guarantee"),
        (lambda **model: clipsim.evaluate("x.csv", min_similarity=0.5, models=model["model"]), "needs a label"),
    ],
)
def test_arguments_are_checked_before_a_model_is_looked_for(call: Callable[..., object], message: str) -> None:
    """So that a mistake downloads nothing."""
    pytest.importorskip("pyarrow")
    with pytest.raises(UsageError, match=message):
        call(model="no such model")


def test_sorting_by_a_text(colours: Path) -> None:
    """The images come in the order of their similarity with it, the most similar first."""
    result = rank_colours(colours, ["red", "blue", "lime"], sort_by=" blue ")

    assert Path(result.images[0]).stem == "blue"
    row = result.similarity[1]
    assert (np.diff(row) <= 0).all()


def test_a_prompt_ensemble_lies_between_its_templates() -> None:
    """The vector of a text in two templates is as similar to both colours, and its mean has length one."""
    pictures = [Image.new("RGB", (20, 10), name) for name in ("red", "lime", "blue")]
    options: dict[str, Any] = {"model": "clipsim-mini"}

    red, lime, blue = clipsim.rank(pictures, ["x"], templates=["red {}", "lime {}"], **options).similarity[0]

    assert red == pytest.approx(lime)
    unit = np.array([1, 1, 0, 0.2]) / np.linalg.norm([1, 1, 0, 0.2])
    assert red == pytest.approx(unit @ np.array([1, 0, 0, 0.1]) / 1.01**0.5, abs=1e-4)
    assert blue < red


def test_one_template_may_be_a_string(colours: Path) -> None:
    """Not a list of its characters; a list, a tuple and an iterator of it give the same."""
    listed = rank_colours(colours, ["red", "blue"], templates=["a photo of a {}"])

    assert listed.templates == ("a photo of a {}",)
    assert rank_colours(colours, ["red", "blue"], templates="a photo of a {}") == listed
    assert rank_colours(colours, ["red", "blue"], templates=iter(["a photo of a {}"])) == listed


def test_iterators_of_images_and_texts(colours: Path) -> None:
    """They are read once, for `clipsim.rank` and for a session."""
    paths = sorted(colours.iterdir())
    listed = clipsim.rank(paths, ["red", "blue"], model="clipsim-mini")
    with clipsim.open("clipsim-mini") as session:
        again = session.rank(iter(paths), (text for text in ("red", "blue")))

    assert clipsim.rank(iter(paths), iter(["red", "blue"]), model="clipsim-mini") == listed == again
    assert len(listed.scores) == 3


def test_globs_folders_and_pictures_from_python(colours: Path) -> None:
    """Paths are expanded as on the command line; one string, path or picture is one input."""
    picture = Image.new("L", (30, 10), 255)

    def images(given: Any) -> list[str]:
        return [Path(name).name for name in clipsim.rank(given, ["red"], model="clipsim-mini").images]

    every = ["blue.png", "green.png", "red.png"]
    assert images(str(colours / "*.png")) == images(colours) == images([colours]) == every
    assert images(picture) == ["image 1"]
    assert images([picture, colours / "red.png", picture]) == ["image 1", "red.png", "image 3"]
    assert images(FileSource(str(colours / "red.png"))) == ["red.png"]


def test_the_record_as_json(colours: Path) -> None:
    """`clipsim.rank` gives the record of the contract, its numbers to seven digits."""
    result = clipsim.rank([colours / "red.png", colours / "nope.png"], ["red", "blue", "red"], model="clipsim-mini")

    record = result.to_dict()

    assert record["model"].pop("preprocess")["size"] == [96, 96]
    assert record == {
        "schema": "clipsim.rank/1",
        "model": {
            "name": "clipsim-mini",
            "pretrained": "bundled",
            "embed_dim": 4,
            "image_size": 96,
            "logit_scale": 10.0,
            "logit_bias": None,
            "head": "softmax",
        },
        "device": "cpu",
        "precision": "fp32",
        "engine": "torch",
        "templates": [],
        "texts": ["red", "blue"],
        "images": [str(colours / "red.png")],
        "indices": [0],
        "similarity": [[1.0], [0.00990099]],
        "probabilities": [[0.9999499], [5.012252e-05]],
        "best": [0],
        "errors": [{"path": str(colours / "nope.png"), "error": "no such file", "index": 1}],
        "warnings": ["given more than once, counted once: 'red'"],
    }


def test_one_text_has_no_probability(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probability is null, and a warning says why; a sigmoid head has one all the same."""
    picture = Image.new("RGB", (20, 10), "red")

    alone = clipsim.rank(picture, "red", model="clipsim-mini").to_dict()
    assert alone["probabilities"] == [[None]]
    assert "there is no probability" in alone["warnings"][0]

    monkeypatch.setattr(FakeEncoder, "head", "sigmoid")
    monkeypatch.setattr(FakeEncoder, "logit_bias", -5.0)
    pair = clipsim.rank(picture, "red", model="clipsim-mini", cache=False).to_dict()
    assert pair["probabilities"] == [[pytest.approx(1 / (1 + np.exp(-5)), rel=1e-4)]]
    assert pair["warnings"] == []


def test_no_usable_input_is_an_error(colours: Path) -> None:
    """As the command line ends with status 1: the first cause, the number of others, and the record of each."""
    (colours / "text.png").write_text("hello")
    missing, text = str(colours / "nope.png"), str(colours / "text.png")

    with pytest.raises(NoInputError, match=r"nope\.png: no such file \(and 1 more\)$") as raised:
        clipsim.rank([missing, text], ["red"], model="clipsim-mini")
    assert raised.value.failures == (
        Failure(missing, "no such file"),
        Failure(text, "plain text, not an image"),
    )
    with pytest.raises(ImageError, match=r"none of the inputs could be used: .*text\.png: plain text, not an image$"):
        clipsim.rank(text, ["red"], model="clipsim-mini")


@pytest.mark.parametrize("images", [[], (), iter(())])
def test_no_input_is_an_error(images: Any) -> None:
    """A list that happens to be empty has no result."""
    with pytest.raises(NoInputError, match="no images to rank"):
        clipsim.rank(images, ["red"], model="clipsim-mini")


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [
        ([], {}, "texts: none given"),
        (iter(()), {}, "texts: none given"),
        ([" "], {}, "texts: number 1 is empty"),
        (["red", 1], {}, "texts: number 2 is 1, not a string"),
        (["red"], {"sort_by": "blue"}, "sort_by='blue': not one of the texts"),
        (["red"], {"sort_by": 1}, "sort_by=1: not one of the texts"),
        (["red"], {"templates": "no place"}, "'no place' has no {}"),
        (["red"], {"templates": [1]}, "templates: number 1 is 1, not a string"),
    ],
)
def test_contradictions_are_reported_before_a_model_is_looked_for(
    texts: Any, options: dict[str, Any], message: str
) -> None:
    """Wrong usage never waits for a model."""
    with pytest.raises(UsageError) as raised:
        clipsim.rank("x.png", texts, model="no such model", **options)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "tpu"),
        ({"precision": "fp8"}, "fp8"),
        ({"engine": "onnx", "device": "cuda"}, "onnx"),
        ({"batch_size": 0}, "batch_size"),
        ({"on_error": "panic"}, "panic"),
        ({"model": 7}, "model=7: not a string"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], message: str) -> None:
    """One family of errors, whatever is wrong; none of TypeError."""
    with pytest.raises(UsageError, match=message):
        clipsim.open(**options)


def test_the_first_bad_image_may_end_the_run(colours: Path) -> None:
    """With `on_error="fail"`, as `--on-error fail`."""
    with pytest.raises(ImageError, match=r"nope\.png: no such file"):
        clipsim.rank([colours / "red.png", "nope.png"], ["red"], model="clipsim-mini", on_error="fail")


def test_a_session_ranks_as_clipsim_rank_does(machine: Machine, colours: Path) -> None:
    """The same result, with the same options, and one model for all calls."""
    with clipsim.open("clipsim-mini", batch_size=2, workers=1, cache=False) as session:
        for texts in (["red", "blue"], ["lime", "red", "navy"]):
            expected = rank_colours(colours, texts, sort_by="red", templates="a {}", cache=False)
            paths = [colours / f"{name}.png" for name in ("red", "green", "blue")]
            assert session.rank(paths, texts, sort_by="red", templates="a {}") == expected

    assert len(machine.encoders) == 3


def test_a_ranking_gives_its_batches_as_they_are_scored(colours: Path) -> None:
    """Failures in their places; all batches together are the result."""
    names = ["red.png", "nope.png", "green.png", "blue.png", "red.png"]
    with clipsim.open("clipsim-mini", batch_size=2) as session:
        request = RankRequest.check([FileSource(str(colours / name)) for name in names], "red")
        batches = [batch.outcomes for batch in stream(session.embedder, request)]
        result = run(session.embedder, request)

    assert [[Path(outcome.image).name for outcome in batch] for batch in batches] == [
        ["red.png", "nope.png"],
        ["green.png", "blue.png"],
        ["red.png"],
    ]
    assert [item for batch in batches for item in batch if isinstance(item, ImageScores)] == list(result.scores)
    assert [failure.error for failure in result.errors] == ["no such file"]


def test_batches_of_results(colours: Path) -> None:
    """Each is a result of its own images; together they are that of `rank`, and warnings come once."""
    names = [str(colours / name) for name in ("red.png", "nope.png", "green.png", "blue.png", "red.png")]
    with clipsim.open("clipsim-mini", batch_size=2) as session:
        with pytest.warns(ClipsimWarning) as issued:
            batches = list(session.rank_batches(iter(names), "red"))
        whole = session.rank(names, "red")

    assert [len(batch.images) for batch in batches] == [1, 2, 1]
    assert tuple(scores for batch in batches for scores in batch.scores) == whole.scores
    assert tuple(failure for batch in batches for failure in batch.errors) == whole.errors
    messages = [str(one.message) for one in issued if issubclass(one.category, ClipsimWarning)]  # of others none counts
    assert messages == list(whole.warnings)


def test_closing_a_ranking_ends_decoding(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `close`, no file is opened but those that were being opened; then no thread is left."""
    opened, gate, held = 0, threading.Event(), threading.Semaphore(0)
    open_regular = sources.open_regular

    def open_slowly(path: str) -> BinaryIO:
        nonlocal opened
        opened += 1
        if opened > 4:
            held.release()
            gate.wait(PATIENCE)
        return open_regular(path)

    monkeypatch.setattr(sources, "open_regular", open_slowly)
    before = set(threading.enumerate())
    with clipsim.open("clipsim-mini", batch_size=4, workers=1, cache=False) as session:
        named = (FileSource(str(colours / "red.png")) for _ in range(10_000))
        batches = stream(session.embedder, RankRequest.check(named, ["red", "blue"]))
        assert len(next(batches).outcomes) == 4
        assert held.acquire(timeout=PATIENCE)

        batches.close()
        gate.set()
        for thread in set(threading.enumerate()) - before:
            thread.join(PATIENCE)

    assert opened == 5
    assert not set(threading.enumerate()) - before


def test_results_from_a_slow_list_of_paths(colours: Path) -> None:
    """With `live`, three paths have their scores while the list waits for a fourth; then the others follow."""
    released, gone_on = threading.Event(), threading.Event()

    def slow() -> Iterator[FileSource]:
        for name in ("red", "green", "blue"):
            yield FileSource(str(colours / f"{name}.png"))
        released.wait(PATIENCE)
        gone_on.set()
        for name in ("blue", "none", "red"):
            yield FileSource(str(colours / f"{name}.png"))

    def names(batches: list[list[Any]]) -> list[str]:
        return [Path(getattr(item, "image", "none")).stem for batch in batches for item in batch]

    with clipsim.open("clipsim-mini", batch_size=64) as session:
        request = RankRequest.check(slow(), ["red", "lime", "blue"])
        batches = (batch.outcomes for batch in stream(session.embedder, request, live=True))
        first: list[list[Any]] = []
        while len(names(first)) < 3:
            first.append(next(batches))
        assert not gone_on.is_set()
        assert names(first) == ["red", "green", "blue"]
        released.set()
        assert names(list(batches)) == ["blue", "none", "red"]


def test_missing_files_are_found_without_opening_any(colours: Path) -> None:
    """Links that lead nowhere exist; a picture is not a file."""
    (colours / "link.png").symlink_to("nowhere")
    names = [str(colours / name) for name in ("red.png", "nope.png", "link.png")]
    picture = PillowSource("image 4", Image.new("RGB", (9, 5)))

    assert find_missing([*make_sources(names), picture]) == (Failure(names[1], "no such file"),)
