"""Classifiers through the API: fitted, kept, read again, used by the other calls, and refused where they do not fit."""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tasks.conftest import MakeModel, NamedEncoder

import clipsim
from clipsim.errors import ClipsimWarning, DataError, UsageError

pytestmark = pytest.mark.usefixtures("encoders", "labelled")
BY_WORDS = "no better than the words alone"


@pytest.fixture
def kinds(labelled: Path) -> Path:
    """Folders `warm` and `cold` of twelve pictures each, whose names are no colours: the words say nothing of them."""
    rng = np.random.default_rng(2)
    for name, base in (("warm", (200, 60, 30)), ("cold", (30, 90, 200))):
        folder = labelled.parent / "kinds" / name
        folder.mkdir(parents=True)
        for number in range(12):
            shade = tuple(int(value) for value in np.clip(base + rng.integers(-30, 30, 3), 0, 255))
            Image.new("RGB", (14, 9 + number), shade).save(folder / f"{number:02d}.png")
    return labelled.parent / "kinds"


def test_examples_are_better_than_words_that_say_nothing(kinds: Path) -> None:
    """By cross-validation and by its interval; the record says of how many examples."""
    classifier = clipsim.fit(kinds)

    assert classifier.labels == ("cold", "warm")
    assert classifier.examples == 24
    assert classifier.folds == 5
    assert classifier.by_words.value == 0.5
    assert classifier.by_classifier is not None
    assert classifier.by_classifier.value == 1
    assert classifier.comparison is not None
    assert (classifier.comparison.only_a, classifier.comparison.only_b) == (0, 12)
    assert classifier.better is True
    assert not any(BY_WORDS in warning for warning in classifier.warnings)
    assert [(label.label, label.examples, label.by_words) for label in classifier.fitted] == [
        ("cold", 12, 1.0), ("warm", 12, 0.0),
    ]  # fmt: skip
    assert classifier.weights.shape == (2, 4)
    assert np.allclose(np.linalg.norm(classifier.weights, axis=1), 1, atol=1e-6)


def test_where_words_are_right_it_says_that_examples_are_no_better() -> None:
    """In the record and as a warning."""
    with pytest.warns(ClipsimWarning, match=BY_WORDS):
        classifier = clipsim.fit("data")

    assert classifier.by_words.value == 1
    assert classifier.better is False


def test_one_example_a_label_is_not_measured(kinds: Path) -> None:
    """The mixture is a fixed one, with the model's own scale."""
    classifier = clipsim.fit(kinds, shots=1)

    assert classifier.method == "mixture"
    assert (classifier.folds, classifier.by_classifier, classifier.comparison, classifier.better) == (None,) * 4
    assert (classifier.scale, classifier.calibrated) == (10.0, False)
    assert any("nothing can be cross-validated" in warning for warning in classifier.warnings)
    assert classifier.by_words.n == 2


def test_the_record_survives_json_and_pickle(kinds: Path) -> None:
    """Equal, hashed equally, and with the same numbers to the last bit; its file is its dictionary."""
    classifier = clipsim.fit(kinds, "c.json", templates="a {} thing")
    written = json.loads(Path("c.json").read_text())
    again = clipsim.Classifier.from_dict(written)

    assert written == classifier.to_dict() == json.loads(json.dumps(again.to_dict()))
    assert again == classifier == pickle.loads(pickle.dumps(classifier))
    assert hash(again) == hash(classifier)
    assert np.array_equal(again.weights, classifier.weights)
    assert classifier != clipsim.fit(kinds, seed=1, templates="a {} thing")
    assert clipsim.fit(kinds, templates="a {} thing") == classifier
    assert written["schema"] == "clipsim.classifier/1"
    assert written["templates"] == ["a {} thing"]
    assert len(written["images"]) == 24


def test_rank_uses_its_labels(kinds: Path) -> None:
    """A cosine is that with the label's vector, a probability the softmax of its own scale; from any form of it."""
    classifier = clipsim.fit(kinds, "c.json")
    for given in (classifier, classifier.to_dict(), "c.json", Path("c.json")):
        ranked = clipsim.rank(kinds, classifier=given)
        assert ranked.texts == classifier.labels
        assert [ranked.texts[best] for best in ranked.best if best is not None] == ["cold"] * 12 + ["warm"] * 12
        assert ranked.classifier == classifier.use
    with clipsim.open() as session:
        vectors = session.encode_images(kinds)
        (batch,) = session.rank_batches(kinds, classifier=classifier)
    cosines = classifier.weights @ vectors.T
    assert np.abs(ranked.similarity - cosines).max() < 1e-6
    logits = classifier.scale * cosines.astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum(axis=0)
    assert ranked.probabilities is not None
    assert np.abs(ranked.probabilities - expected).max() < 1e-4
    assert batch == ranked
    record = ranked.to_dict()["classifier"]
    assert list(record) == ["method", "strength", "scale", "calibrated", "examples"]
    assert "classifier" not in clipsim.rank(kinds, ["red", "blue"]).to_dict()


def test_a_classifier_of_a_sigmoid_model_gives_shares(kinds: Path, encoders: dict[str, NamedEncoder]) -> None:
    """Its scale is for a softmax over its labels, whatever the head of the model."""
    encoders["clipsim-mini"].head, encoders["clipsim-mini"].logit_bias = "sigmoid", -3.0
    ranked = clipsim.rank(kinds, classifier=clipsim.fit(kinds))

    assert ranked.probabilities is not None
    assert np.allclose(ranked.probabilities.sum(axis=0), 1)
    assert ranked.model.head == "sigmoid"


def test_no_text_is_encoded_with_a_classifier(kinds: Path, encoders: dict[str, NamedEncoder]) -> None:
    """Its vectors are those of its labels."""
    classifier = clipsim.fit(kinds)
    encoders["clipsim-mini"].text_batches.clear()
    clipsim.rank(kinds, classifier=classifier)
    clipsim.evaluate(kinds, classifier=classifier)

    assert encoders["clipsim-mini"].text_batches == []


@pytest.mark.parametrize("other", [{"texts": ["cat"]}, {"templates": "a {}"}, {"thresholds": "t.json"}])
def test_texts_templates_and_thresholds_beside_a_classifier_are_refused(kinds: Path, other: dict[str, Any]) -> None:
    """In one line that names them."""
    classifier = clipsim.fit(kinds)
    with pytest.raises(UsageError, match=rf"^{next(iter(other))}: cannot be combined with a classifier"):
        clipsim.rank(kinds, classifier=classifier, **other)


def test_evaluate_measures_it_and_names_its_examples(kinds: Path) -> None:
    """All labels of the classifier can be chosen; images that it was made of are known by their content."""
    shutil.copytree(kinds / "warm", "others/warm")
    for number in range(6):
        Image.new("RGB", (9, 9), (200, 50, 20 + number)).save(f"others/warm/new{number}.png")
    classifier = clipsim.fit(kinds)
    measured = clipsim.evaluate("others", classifier=classifier)
    (run,) = measured.results

    assert measured.data.labels == ("warm", "cold")
    assert run.metrics["top1"] is not None
    assert run.metrics["top1"].value == 1
    assert run.name == "clipsim-mini [classifier]"
    assert run.to_dict()["classifier"]["method"] == classifier.method
    assert any(warning.startswith("12 of 18 images are examples") for warning in measured.warnings)
    labels = {"red": "warm", "green": "grass", "blue": "cold"}
    other = clipsim.evaluate("others", classifier=clipsim.fit("data", labels=labels))
    assert not any("are examples" in warning for warning in other.warnings)


def test_a_baseline_of_words_is_of_the_same_data(kinds: Path) -> None:
    """So that the two are compared image by image."""
    words = clipsim.evaluate(kinds)
    measured = clipsim.evaluate(kinds, classifier=clipsim.fit(kinds), baseline=words)

    (comparison,) = measured.comparisons
    assert (comparison.only_a, comparison.only_b) == (0, 12)


def test_evaluate_refuses_labels_that_it_does_not_have(kinds: Path) -> None:
    """In one line that names them, and tasks and words that do not go with it."""
    classifier = clipsim.fit(kinds)
    with pytest.raises(DataError, match="the classifier has no label 'blue', 'green', 'red'; it has 'cold', 'warm'"):
        clipsim.evaluate("data", classifier=classifier)
    with pytest.raises(UsageError, match="classifier: goes with the task classify; leave out task='pairs'"):
        clipsim.evaluate(kinds, classifier=classifier, task="pairs")
    with pytest.raises(UsageError, match="templates: cannot be combined with a classifier"):
        clipsim.evaluate(kinds, classifier=classifier, templates="a {}")


def test_another_model_is_refused_by_name(kinds: Path, make_model: MakeModel) -> None:
    """So are two models at once."""
    classifier = clipsim.fit(kinds)
    other = make_model("other")
    with pytest.raises(
        DataError, match=r"another model \('clipsim-mini/bundled'\) than that of this run \('.*other'\)"
    ):
        clipsim.rank(kinds, classifier=classifier, model=other)
    with pytest.raises(UsageError, match="classifier: goes with one model"):
        clipsim.evaluate(kinds, classifier=classifier, models=["clipsim-mini", other])


def change(record: dict[str, Any], **values: Any) -> dict[str, Any]:
    """A record with other values."""
    return {**record, **values}


def encode(weights: Any) -> dict[str, Any]:
    """Weights as a file has them."""
    array = np.asarray(weights, "<f4")
    return {"dtype": "float32", "shape": list(array.shape), "base64": base64.b64encode(array.tobytes()).decode()}


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda r: change(r, schema="clipsim.classifier/0"), "another version.*'clipsim.classifier/0'"),
        (lambda r: change(r, schema="clipsim.rank/1"), "not a classifier.*'clipsim.rank/1'"),
        (lambda _: [], "not a classifier"),
        (lambda r: change(r, weights=encode(np.eye(2, 3))), "another shape"),
        (lambda r: change(r, weights=encode(np.eye(3, 4))), "another shape"),
        (lambda r: change(r, weights={**r["weights"], "shape": [4, 2]}), "another shape"),
        (lambda r: change(r, weights={**r["weights"], "base64": r["weights"]["base64"][:-8]}), "cut, or too long"),
        (lambda r: change(r, weights={**r["weights"], "base64": "!!!"}), "damaged"),
        (lambda r: change(r, weights={**r["weights"], "base64": 3}), "damaged"),
        (lambda r: change(r, weights=encode(np.full((2, 4), np.nan))), "length 1"),
        (lambda r: change(r, weights=encode(np.full((2, 4), 1e30))), "length 1"),
        (lambda r: change(r, weights=encode(np.zeros((2, 4)))), "length 1"),
        (lambda r: change(r, labels=r["labels"][:1]), "another shape"),
        (lambda r: change(r, labels=[r["labels"][0]] * 2), "twice"),
        (lambda r: change(r, labels=[{**r["labels"][0], "label": ""}, r["labels"][1]]), "empty"),
        (lambda r: change(r, labels=None), "damaged"),
        (lambda r: change(r, scale=float("nan")), "scale"),
        (lambda r: change(r, scale=float("inf")), "scale"),
        (lambda r: change(r, scale=-1), "scale"),
        (lambda r: change(r, scale=10**400), "damaged"),
        (lambda r: change(r, method="magic"), "method"),
        (lambda r: change(r, model={}), "damaged"),
        (lambda r: change(r, model={**r["model"], "embed_dim": 10**30}), "another shape"),
        (lambda r: change(r, images=[1]), "damaged"),
        (lambda r: change(r, by_words=None), "damaged"),
        (lambda r: {name: value for name, value in r.items() if name != "digest"}, "damaged"),
    ],
)
def test_a_damaged_file_is_one_line(kinds: Path, tamper: Callable[[Any], Any], message: str) -> None:
    """Whatever is wrong with it, and none of it reaches a ranking."""
    record = json.loads(json.dumps(clipsim.fit(kinds).to_dict()))
    Path("bad.json").write_text(json.dumps(tamper(record)))
    with pytest.raises(DataError, match=rf"^bad\.json: .*{message}") as caught:
        clipsim.rank(kinds, classifier="bad.json")
    assert "\n" not in str(caught.value)


def test_another_preprocessing_is_refused(kinds: Path) -> None:
    """Its name says which setting."""
    record = json.loads(json.dumps(clipsim.fit(kinds).to_dict()))
    record["model"]["preprocess"]["mean"] = [0.1, 0.2, 0.3]
    with pytest.raises(DataError, match=r"another preprocessing of 'clipsim-mini/bundled' \(mean\)"):
        clipsim.rank(kinds, classifier=record)


def test_other_files_and_precisions(kinds: Path) -> None:
    """Other files of a model that was published are said, int8 beside another precision is refused."""
    record = json.loads(json.dumps(clipsim.fit(kinds).to_dict()))
    with pytest.raises(DataError, match="files of 'clipsim-mini/bundled', or the version of OpenCLIP, have changed"):
        clipsim.rank(kinds, classifier={**record, "digest": "0" * 64})
    with pytest.raises(DataError, match="fitted at the precision int8, and this run has fp32"):
        clipsim.rank(kinds, classifier={**record, "precision": "int8"})
    ranked = clipsim.rank(kinds, classifier={**record, "precision": "fp16"})
    assert any("fitted at the precision fp16" in warning for warning in ranked.warnings)
    assert clipsim.rank(kinds, classifier={**record, "engine": "onnx"}).warnings == ranked.warnings[:-1]


def test_labels_without_images_and_single_labels_are_refused(kinds: Path) -> None:
    """Before a model is opened."""
    (kinds / "empty").mkdir()
    with pytest.raises(DataError, match="no image that can be used has the label 'empty'"):
        clipsim.fit(kinds, model="clipsim-mini")
    (kinds / "empty").rmdir()
    with pytest.raises(DataError, match="no image that can be used has the label 'cold'"):
        clipsim.fit(kinds, exclude="*/cold/*")
    shutil.rmtree(kinds / "cold")
    with pytest.raises(DataError, match="there is one label, 'warm', and a classifier chooses among two or more"):
        clipsim.fit(kinds)
    for shots in (0, -1, 1.5, "many", True):
        with pytest.raises(UsageError, match=r"shots=.*: not a positive integer"):
            clipsim.fit(kinds, shots=shots)  # type: ignore[arg-type]


def test_a_label_whose_images_all_fail_is_refused(kinds: Path) -> None:
    """Once they have been looked at."""
    for path in (kinds / "cold").iterdir():
        path.write_bytes(b"not an image")
    with pytest.raises(DataError, match="no image that can be used has the label 'cold'"):
        clipsim.fit(kinds)


def test_equal_content_counts_once_and_contradictions_are_left_out(kinds: Path) -> None:
    """A copy under another label is a failure that names the first."""
    shutil.copy(kinds / "warm" / "00.png", kinds / "warm" / "copy.png")
    shutil.copy(kinds / "cold" / "03.png", kinds / "warm" / "wrong.png")
    classifier = clipsim.fit(kinds)

    assert classifier.examples == 24
    assert [(Path(failure.image).name, failure.error) for failure in classifier.errors] == [
        ("wrong.png", f"the same image has the label 'cold', as {kinds / 'cold' / '03.png'}")
    ]
    assert "1 image with the content of another of its label counted once" in classifier.warnings


@pytest.mark.parametrize("kind", ["pillow", "array"])
def test_equal_images_in_memory_count_once_too(kinds: Path, kind: str) -> None:
    """By their pixels, since they have no file."""
    rows: list[dict[str, object]] = []
    for path in [*sorted(kinds.glob("*/*.png")), kinds / "warm" / "00.png", kinds / "cold" / "03.png"]:
        image = Image.open(path)
        rows.append({"image": image if kind == "pillow" else np.asarray(image), "label": path.parent.name})
    rows[-1]["label"] = "warm"
    classifier = clipsim.fit(rows)

    assert classifier.examples == 24
    assert [failure.error for failure in classifier.errors] == ["the same image has the label 'cold', as image 4"]
    assert "1 image with the content of another of its label counted once" in classifier.warnings


def test_shots_are_drawn_by_the_seed(kinds: Path) -> None:
    """As many of each label; all of a label that has fewer, which is said."""
    shutil.rmtree(kinds / "cold")
    (kinds / "cold").mkdir()
    for number in range(2):
        Image.new("RGB", (9, 9), (30, 90 + number, 200)).save(kinds / "cold" / f"{number}.png")
    first, again, other = (clipsim.fit(kinds, shots=4, seed=seed) for seed in (0, 0, 1))

    assert [label.examples for label in first.fitted] == [2, 4]
    assert first.shots == 4
    assert first.images == again.images
    assert set(first.images) != set(other.images)
    assert "fewer than 4 images have the label 'cold'; all of them are used" in first.warnings


def test_an_output_that_is_something_else_is_left_alone(kinds: Path) -> None:
    """Before anything is computed; a classifier is replaced."""
    for content in ("label,image\n", "[1, 2]", '{"schema": "clipsim.rank/1"}', ""):
        Path("c.json").write_text(content)
        with pytest.raises(DataError, match="it is there and is no classifier"):
            clipsim.fit(kinds, "c.json")
        assert Path("c.json").read_text() == content
    Path("folder").mkdir()
    for name in filter(os.path.exists, ("folder", "/dev/zero")):
        with pytest.raises(DataError, match="it is there and is no classifier"):
            clipsim.fit(kinds, name)
    Path("c.json").write_text('{"schema": "clipsim.classifier/0"}')
    classifier = clipsim.fit(kinds, "c.json")
    assert clipsim.Classifier.from_dict(json.loads(Path("c.json").read_text())) == classifier


def test_labels_may_have_several_words(labelled: Path) -> None:
    """Whose mean is the text that the examples are mixed with."""
    plain = clipsim.fit(labelled, shots=1)
    several = clipsim.fit(labelled, shots=1, labels={"blue": "blue", "green": "green", "red": ["red", "brown"]})

    assert several.labels == plain.labels == ("blue", "green", "red")
    assert np.abs(several.weights[:2] - plain.weights[:2]).max() < 1e-6
    assert np.abs(several.weights[2] - plain.weights[2]).max() > 0.01


def test_a_folder_of_vectors_is_fitted_to_without_its_images(kinds: Path, decoded: list[int]) -> None:
    """As its images are, whose names are written in its metadata; whatever the shards and the draw."""
    rows = [f"{path.relative_to(kinds.parent)},{path.parent.name}" for path in sorted(kinds.rglob("*.png"))]
    Path("t.csv").write_text("\n".join(["image,label", *rows]) + "\n")
    clipsim.embed("t.csv", "vectors", dtype="fp32", shard_size=5)
    for options in ({}, {"shots": 4}, {"exclude": "*/00.png"}):
        by_images = clipsim.fit("t.csv", **options)
        decoded.clear()
        by_vectors = clipsim.fit("vectors", cache=False, **options)
        assert decoded == []
        assert by_vectors.images == by_images.images
        assert by_vectors.comparison == by_images.comparison
        assert np.abs(by_vectors.weights - by_images.weights).max() < 1e-6
