"""Thresholds through the API: found on known pictures, kept in a file, used by `rank`, refused elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tasks.conftest import MakeModel

import clipsim
from clipsim.errors import ClipsimError, DataError, NoInputError, UsageError
from clipsim.tasks.threshold import save_thresholds

pytestmark = pytest.mark.usefixtures("encoders", "labelled")


@pytest.fixture(autouse=True)
def reds(labelled: Path) -> None:
    """Folders of 24 red and 24 bluish pictures."""
    rng = np.random.default_rng(1)
    for name, base in (("reds", (190, 40, 40)), ("others", (60, 60, 160))):
        Path(name).mkdir()
        for number in range(24):
            shade = tuple(int(value) for value in np.clip(base + rng.integers(-40, 40, 3), 0, 255))
            Image.new("RGB", (8, 9), shade).save(f"{name}/{number:02d}.png")


def test_the_threshold_is_the_kth_smallest_of_ranks_cosines() -> None:
    """K = floor(0.1 · 25) = 2, in the digits that `rank` prints."""
    found = clipsim.threshold("red", "reds", "others", recall=0.9)
    ranked = clipsim.rank("reds", "red").to_dict()
    (threshold,) = found.thresholds

    assert (threshold.n, threshold.k) == (24, 2)
    assert threshold.threshold == sorted(ranked["similarity"][0])[1]
    assert threshold.recall.value == 23 / 24
    assert threshold.false_alarms is not None
    assert threshold.expected == pytest.approx(23 / 25)


def test_false_alarms_are_promised_on_negatives() -> None:
    """At most k - 1 of those given pass, the k-th highest being the first that does not."""
    found = clipsim.threshold("red", "reds", "others", false_alarms=0.1)
    scores = sorted(clipsim.rank("others", "red").to_dict()["similarity"][0], reverse=True)
    (threshold,) = found.thresholds

    assert scores[1] < threshold.threshold <= scores[0]
    assert threshold.false_alarms is not None
    assert threshold.false_alarms.value == 1 / 24


def test_false_alarms_of_any_text_are_promised_for_all_of_them() -> None:
    """Of those given, at most as many pass for one of the texts as are promised; the result says how many."""
    texts = ["red", "blue", "green", "olive", "navy"]
    single = clipsim.threshold(texts, "reds", "others", false_alarms=0.1)
    joint = clipsim.threshold(texts, "reds", "others", false_alarms_any=0.1)
    ranked = clipsim.rank("others", texts, thresholds=joint)

    assert joint.any_false_alarms is not None
    assert joint.any_false_alarms.value <= 0.1
    assert joint.any_false_alarms.value == np.mean([best is not None for best in ranked.best])
    assert single.any_false_alarms is not None
    assert single.any_false_alarms.value > joint.any_false_alarms.value
    assert joint.to_dict()["thresholds"][0]["promise"] == {"kind": "false_alarms_any", "level": 0.1}
    assert joint.to_dict()["any_false_alarms"]["low"] is None
    assert clipsim.threshold(texts, "reds", recall=0.9).to_dict()["any_false_alarms"] is None


def test_a_joint_promise_is_not_that_of_a_file_with_other_texts() -> None:
    """The file says so, and so does the call that adds to it."""
    assert save_thresholds(clipsim.threshold("red", "reds", "others", false_alarms_any=0.1), "t.json") == []
    (notice,) = save_thresholds(clipsim.threshold("blue", "others", recall=0.9), "t.json")

    assert "holds for the texts of one call" in notice
    saved = json.loads(Path("t.json").read_text())
    assert notice in saved["warnings"]
    assert saved["any_false_alarms"] is None
    assert save_thresholds(clipsim.threshold(["red", "blue"], "reds", "others", false_alarms_any=0.1), "t.json") == []


def test_rank_says_none_where_no_text_passes(tmp_path: Path) -> None:
    """With the result, its dictionary or its file; the best text is the best of those that pass."""
    found = clipsim.threshold(["red", "crimson"], "reds", recall=0.9)
    save_thresholds(found, "t.json")
    images = ["reds/00.png", "others/00.png"]
    plain = clipsim.rank(images, ["red", "crimson"])

    for thresholds in (found, found.to_dict(), "t.json"):
        ranked = clipsim.rank(images, ["red", "crimson"], thresholds=thresholds)
        assert ranked.best[1] is None
        assert ranked.best[0] == plain.best[0]
        assert np.array_equal(ranked.similarity, plain.similarity)
        assert ranked.to_dict()["best"][1] is None
        assert ranked.to_dict()["thresholds"] == [found.thresholds[0].threshold, found.thresholds[1].threshold]
    assert "thresholds" not in plain.to_dict()
    passing = clipsim.rank("reds", ["red", "crimson"], thresholds=found)
    ok = sum(round(float(cosine), 7) >= found.thresholds[0].threshold for cosine in passing.similarity[0])
    assert ok == 23


def test_a_file_takes_the_thresholds_of_several_calls() -> None:
    """Those of the same text are replaced; others stay."""
    save_thresholds(clipsim.threshold("red", "reds", recall=0.9), "t.json")
    save_thresholds(clipsim.threshold("blue", "others", recall=0.9), "t.json")
    save_thresholds(clipsim.threshold("red", "reds", recall=0.8), "t.json")
    saved = json.loads(Path("t.json").read_text())

    assert saved["schema"] == "clipsim.thresholds/1"
    assert [(entry["text"], entry["promise"]["level"]) for entry in saved["thresholds"]] == [
        ("blue", 0.9),
        ("red", 0.8),
    ]
    assert [path.name for path in Path().iterdir() if path.name.startswith(".t.json")] == []
    assert clipsim.rank("reds", ["red", "blue"], thresholds="t.json").best[0] is not None


def test_thresholds_hold_for_their_model_templates_and_texts(make_model: MakeModel) -> None:
    """A run with others refuses them, in one line."""
    found = clipsim.threshold("red", "reds", recall=0.9, templates="a {} thing")
    save_thresholds(found, "t.json")
    same: dict[str, Any] = {"templates": "a {} thing", "thresholds": "t.json"}

    assert clipsim.rank("reds", "red", **same).best
    with pytest.raises(DataError, match=r"other models \('clipsim-mini"):
        clipsim.rank("reds", "red", model=make_model("other"), **same)
    with pytest.raises(DataError, match=r"other templates \(a \{\} thing\) than those of this run \(none\)"):
        clipsim.rank("reds", "red", thresholds="t.json")
    with pytest.raises(DataError, match="none for the text 'blue'; they are of 'red'"):
        clipsim.rank("reds", ["red", "blue"], **same)
    with pytest.raises(DataError, match="holds thresholds of another model"):
        save_thresholds(clipsim.threshold("red", "reds", recall=0.9), "t.json")


def test_thresholds_hold_for_their_words() -> None:
    """A threshold of a label with several words records them, and is refused with others."""
    warm = {"warm": ["red", "orange"]}
    found = clipsim.threshold(warm | {"red": "red"}, "reds", recall=0.9)
    save_thresholds(found, "t.json")
    saved = json.loads(Path("t.json").read_text())["thresholds"]

    assert [entry.get("words") for entry in saved] == [["red", "orange"], None]
    ranked = clipsim.rank("reds", {"warm": ["orange", "red"], "red": "red"}, thresholds="t.json")
    assert ranked.thresholds == tuple(entry["threshold"] for entry in saved)
    assert clipsim.rank("reds", "red", thresholds="t.json").thresholds == ranked.thresholds[1:]
    for texts in ("warm", {"warm": "red"}, {"warm": ["red", "orange", "pink"]}):
        with pytest.raises(DataError, match=r"the threshold of 'warm' was found with other words \('orange', 'red'\)"):
            clipsim.rank("reds", texts, thresholds="t.json")
    with pytest.raises(DataError, match="'red' was found with other words"):
        clipsim.rank("reds", {"red": ["red", "crimson"]}, thresholds="t.json")
    with pytest.raises(DataError, match="'warm' was found with other words"):
        clipsim.search("reds", "warm", thresholds="t.json")


def test_thresholds_of_another_precision_are_refused() -> None:
    """What fp32 computed is not what fp16 computes."""
    value = clipsim.threshold("red", "reds", recall=0.9).to_dict() | {"precision": "fp16"}
    with pytest.raises(DataError, match=r"other precision \('fp16'\)"):
        clipsim.rank("reds", "red", thresholds=value)


def test_near_duplicates_are_counted() -> None:
    """Copies make a promise look better than it is."""
    for number in range(5):
        Image.open("reds/00.png").save(f"reds/copy{number}.png")
    found = clipsim.threshold("red", [f"reds/{name}.png" for name in ("00", "copy0", "copy1", *(f"copy{k}" for k in
            (2, 3, 4)), "07", "08", "09")], recall=0.9, model="clipsim-mini")  # fmt: skip

    (warning,) = found.warnings
    assert "of 9 positives look nearly like another" in warning


def test_broken_pictures_are_left_out() -> None:
    """They are named, and do not count."""
    Path("reds/broken.png").write_bytes(b"nothing")
    found = clipsim.threshold("red", "reds", recall=0.9)

    assert [Path(failure.image).name for failure in found.errors] == ["broken.png"]
    assert found.thresholds[0].n == 24


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            ("red", "reds"),
            {"recall": 0.99},
            ClipsimError,
            "24 positives are too few to promise 0.99 of recall: it takes 99",
        ),
        (("red", "reds", "others"), {"false_alarms": 0.01}, ClipsimError, "24 negatives are too few"),
        (("red", "reds"), {}, UsageError, "pass exactly one of recall, false_alarms and false_alarms_any"),
        (
            ("red", "reds"),
            {"recall": 0.9, "false_alarms": 0.1},
            UsageError,
            "pass exactly one of recall, false_alarms and false_alarms_any",
        ),
        (("red", "reds"), {"recall": 90}, UsageError, "recall=90.0: not between 0 and 1"),
        (("red", "reds"), {"false_alarms": 0.1}, UsageError, "needs negatives"),
        (("red", "reds"), {"false_alarms_any": 0.1}, UsageError, "needs negatives"),
        (("red", "reds", "reds/00.png"), {"recall": 0.9}, UsageError, "reds/00.png is a positive and a negative"),
        (([], "reds"), {"recall": 0.9}, UsageError, "texts: none given"),
        (("red", []), {"recall": 0.9}, NoInputError, "no positives"),
        (("red", "nowhere.png"), {"recall": 0.9}, NoInputError, "nowhere.png: no such file"),
        (("red", "reds"), {"recall": 0.9, "templates": "x"}, UsageError, "has no {}"),
    ],
)
def test_refusals(arguments: tuple[Any, ...], options: dict[str, Any], error: type[Exception], message: str) -> None:
    """Each in one line."""
    with pytest.raises(error, match=message):
        clipsim.threshold(*arguments, **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not JSON"), ("{}", "not a file of thresholds"), ('{"schema": "clipsim.thresholds/1"}', "a damaged result")],
)
def test_files_that_hold_no_thresholds(content: str, message: str) -> None:
    """Neither read nor written over."""
    Path("t.json").write_text(content)
    with pytest.raises(DataError, match=message):
        clipsim.rank("reds", "red", thresholds="t.json")
    with pytest.raises(DataError, match=message):
        save_thresholds(clipsim.threshold("red", "reds", recall=0.9), "t.json")
    assert Path("t.json").read_text() == content


def test_a_file_that_cannot_be_written() -> None:
    """One line says why."""
    with pytest.raises(DataError, match="cannot write the thresholds: No such file"):
        save_thresholds(clipsim.threshold("red", "reds", recall=0.9), "no/t.json")
