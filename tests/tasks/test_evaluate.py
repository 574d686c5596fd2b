"""Evaluations through the API: figures, several models over the same pictures, wordings, baselines, refusals."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tasks.conftest import MakeModel, NamedEncoder

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.errors import ClipsimError, DataError, ImageError, NoInputError, TextError, UsageError
from clipsim.options import ModelOptions, RunOptions
from clipsim.results.evaluation import EvaluationResult
from clipsim.tasks.evaluate import run
from clipsim.tasks.evaluate_request import EvaluationRequest
from clipsim.tasks.progress import Progress

pytestmark = pytest.mark.usefixtures("encoders", "labelled")


def value_of(result: EvaluationResult, metric: str, run: int = 0) -> float | None:
    """A metric's value."""
    found = result.results[run].metrics[metric]
    return None if found is None else found.value


def test_the_figures_are_those_of_rank() -> None:
    """Classification is ranking the same pictures against the labels."""
    result = clipsim.evaluate("data")
    ranked = clipsim.rank("data", ["blue", "green", "red"])
    truth = [Path(image).parent.name for image in ranked.images]
    best = [ranked.texts[place] for place in ranked.best if place is not None]

    assert result.images == ranked.images
    assert result.data.labels == ranked.texts
    assert value_of(result, "top1") == np.mean([a == b for a, b in zip(truth, best, strict=True)])
    assert value_of(result, "top5") is None
    assert ranked.probabilities is not None
    assert result.results[0].model == ranked.model


def test_the_schema() -> None:
    """The keys of the contract, in an object that JSON can carry."""
    record = json.loads(json.dumps(clipsim.evaluate("data").to_dict()))

    assert record["schema"] == "clipsim.evaluate/1"
    assert list(record) == [
        "schema", "task", "data", "results", "comparisons", "images", "indices", "errors", "warnings",
    ]  # fmt: skip
    assert {"images", "labels", "digest", "skipped"} <= set(record["data"])
    (run,) = record["results"]
    assert {"model", "device", "precision", "engine", "seconds", "metrics", "per_class", "confusion"} <= set(run)
    assert {"contradicted", "warnings"} <= set(run)
    assert set(run["metrics"]["top1"]) == {"value", "low", "high", "n", "method"}
    assert run["metrics"]["top5"] is None
    assert set(run["per_class"][0]) == {"label", "n", "recall", "precision"}
    assert np.sum(run["confusion"]) == 12


def test_one_model_stays_open_for_several_evaluations(encoders: dict[str, NamedEncoder]) -> None:
    """A session's evaluation is that of the function, and reads no picture twice."""
    with clipsim.open() as session:
        first = session.evaluate("data")
        second = session.evaluate("data", templates="a {} thing", top_k=[1, 2])
    assert sum(encoders["clipsim-mini"].image_batches) == 12
    assert value_of(first, "top1") == value_of(clipsim.evaluate("data"), "top1")
    assert list(second.results[0].metrics) == ["top1", "top2", "mean_class_recall", "ece"]


def test_models_of_one_size_decode_each_picture_once(
    make_model: MakeModel, encoders: dict[str, NamedEncoder], decoded: list[int]
) -> None:
    """Side by side they give what each gives alone, and their difference is tested."""
    other = make_model("other", dim=True)
    both = clipsim.evaluate("data", models=["clipsim-mini", other])
    assert len(decoded) == 12

    alone = [clipsim.evaluate("data", models=name, cache=False) for name in ("clipsim-mini", other)]
    for index, single in enumerate(alone):
        assert both.results[index].outcomes == single.results[0].outcomes
        assert both.results[index].metrics == single.results[0].metrics
    comparison = both.comparisons[0]
    assert (comparison.metric, comparison.a, comparison.b) == ("top1", "clipsim-mini", other)
    values = [value_of(both, "top1", run) or 0.0 for run in (0, 1)]
    assert comparison.difference.value == pytest.approx(values[1] - values[0])
    assert comparison.only_a > comparison.only_b
    assert [run.images_per_second is not None for run in both.results] == [True, True]


def test_models_of_other_sizes_read_by_themselves(make_model: MakeModel, decoded: list[int]) -> None:
    """The size decides at which fraction a large JPEG is decoded."""
    clipsim.evaluate("data", models=["clipsim-mini", make_model("small", size=32)])
    assert len(decoded) == 24


def test_a_model_that_has_seen_all_is_not_asked_again(
    make_model: MakeModel, encoders: dict[str, NamedEncoder], decoded: list[int]
) -> None:
    """A second model decodes for itself alone; a third time nothing is decoded."""
    other = make_model("other")
    clipsim.evaluate("data")
    before = list(encoders["clipsim-mini"].image_batches)
    both = clipsim.evaluate("data", models=["clipsim-mini", other])

    assert encoders["clipsim-mini"].image_batches == before
    assert len(decoded) == 24
    assert both.results[0].images_per_second is None
    again = clipsim.evaluate("data", models=["clipsim-mini", other], templates="{} one")
    assert len(decoded) == 24
    assert [run.images_per_second for run in again.results] == [None, None]


def test_cached_vectors_of_several_models_stay_apart(make_model: MakeModel) -> None:
    """What was computed side by side is found by each alone."""
    other = make_model("other", dim=True)
    both = clipsim.evaluate("data", models=["clipsim-mini", other])
    for index, name in enumerate(("clipsim-mini", other)):
        single = clipsim.evaluate("data", models=name)
        assert single.results[0].images_per_second is None
        assert single.results[0].metrics == both.results[index].metrics


def test_a_picture_that_one_model_cannot_use_is_used_by_none(make_model: MakeModel) -> None:
    """The models are compared on the same pictures; the failure is reported once."""
    Image.new("RGB", (8, 8), "black").save("data/red/black.png")  # no finite vector
    Path("data/blue/broken.png").write_bytes(b"\x89PNG nothing")
    result = clipsim.evaluate("data", models=["clipsim-mini", make_model("small", size=32, dim=True)])

    assert [Path(failure.image).name for failure in result.errors] == ["broken.png", "black.png"]
    assert result.data.skipped == 2
    assert result.data.images == len(result.images) == 12
    assert all(len(run.outcomes["rank"]) == 12 for run in result.results)


def test_wordings_are_compared_in_pairs() -> None:
    """Sets of templates, with Holm's correction; built-in ones by name alone."""
    result = clipsim.evaluate(
        "data", template_sets={"plain": None, "odd": ["blue {}", "{}"], "simple": None}, truncate=True
    )

    assert [run.name for run in result.results] == [f"clipsim-mini [{name}]" for name in ("plain", "odd", "simple")]
    assert [run.template_set for run in result.results] == ["plain", "odd", "simple"]
    assert len(result.results[2].templates) == 7
    assert len(result.comparisons) == 3
    assert all(comparison.p_holm is not None for comparison in result.comparisons)
    alone = clipsim.evaluate("data", templates=["blue {}", "{}"])
    assert alone.results[0].metrics == result.results[1].metrics


def test_a_label_may_have_several_words(tmp_path: Path) -> None:
    """By a mapping or a file; the first is shown, and the numbers are those of `rank` with the same mapping."""
    labels = {"red": ["crimson", "red"], "green": "green", "blue": ["navy", "blue"]}
    (tmp_path / "l.csv").write_text("red,crimson|red\ngreen,green\nblue,navy|blue\n")
    result = clipsim.evaluate("data", labels=labels)
    words = {own[0]: own for own in (["crimson", "red"], ["green"], ["navy", "blue"])}
    ranked = clipsim.rank("data", words)

    assert result.data.labels == ranked.texts == ("crimson", "green", "navy")
    assert result.to_dict()["data"]["words"] == [["crimson", "red"], ["green"], ["navy", "blue"]]
    truth = [words[ranked.texts[best]][-1] for best in ranked.best if best is not None]
    folders = [Path(image).parent.name for image in ranked.images]
    assert value_of(result, "top1") == np.mean([a == b for a, b in zip(truth, folders, strict=True)])
    assert clipsim.evaluate("data", labels="l.csv").results[0].metrics == result.results[0].metrics
    assert "words" not in clipsim.evaluate("data").to_dict()["data"]

    shown = {"crimson": "crimson", "green": "green", "navy": "navy"}
    plain = clipsim.evaluate("data", labels=dict(zip(("red", "green", "blue"), shown, strict=True)))
    assert clipsim.evaluate("data", labels=labels, baseline=plain).comparisons


def test_the_imagenet_set_has_its_80_templates() -> None:
    """They come from the installed open_clip."""
    result = clipsim.evaluate("data", template_sets=["imagenet"], truncate=True)
    assert len(result.results[0].templates) == 80
    assert "a photo of a {}." in result.results[0].templates


def test_a_baseline_is_an_earlier_result(make_model: MakeModel, tmp_path: Path) -> None:
    """By path or as it is; the pictures are known by their content, wherever they are."""
    earlier = clipsim.evaluate("data")
    (tmp_path / "earlier.json").write_text(json.dumps(earlier.to_dict()))
    (tmp_path / "data").rename(tmp_path / "moved")
    dim = make_model("dim", dim=True)

    for baseline in (earlier, "earlier.json", earlier.to_dict()):
        result = clipsim.evaluate("moved", models=dim, baseline=baseline)
        (comparison,) = result.comparisons
        assert (comparison.a, comparison.b) == ("clipsim-mini (baseline)", dim)
        assert comparison.only_a > 0


def test_a_baseline_of_other_pictures_or_labels_is_refused(tmp_path: Path) -> None:
    """One changed picture, or one label more, makes it another data set."""
    earlier = clipsim.evaluate("data")
    Path("data/yellow").mkdir()
    with pytest.raises(DataError, match="other images or labels"):
        clipsim.evaluate("data", baseline=earlier)
    Path("data/yellow").rmdir()
    Image.new("RGB", (9, 9), "red").save("data/red/0.png")
    with pytest.raises(DataError, match="other images or labels"):
        clipsim.evaluate("data", baseline=earlier)


def captions_table(**rows: str) -> str:
    """A table of pictures and captions; gives its path."""
    lines = [f"data/{path.replace('_', '/')}.png,{caption}" for path, caption in rows.items()]
    Path("t.csv").write_text("image,caption\n" + "\n".join(lines) + "\n")
    return "t.csv"


def test_retrieval_in_both_directions() -> None:
    """Each caption finds its picture; equal captions are right for each other's, and counted."""
    table = captions_table(red_0="red", red_1="red", green_0="a green one", blue_0="blue")
    result = clipsim.evaluate(table)

    assert result.task == "retrieve"
    assert (result.data.captions, result.data.shared_captions) == (4, 2)
    assert value_of(result, "text_to_image_recall@1") == 1
    assert value_of(result, "image_to_text_recall@1") == 1
    assert value_of(result, "text_to_image_recall@5") is None
    assert result.data.chance["text_to_image_recall@1"] == pytest.approx((2 * 0.5 + 2 * 0.25) / 4)
    assert "labels" not in result.data.to_dict()


def test_labels_that_are_one_text_to_the_model_are_one_label() -> None:
    """An image of either is right with the first of them, which takes one place among the ranks."""
    shutil.copytree("data/red", "data/Red")
    for number in range(4):
        Image.new("RGB", (30, 11 + number), (220, 20 + number, 20)).save(f"data/Red/{number}.png")
    result = clipsim.evaluate("data", top_k=(1, 2, 3))
    (run,) = result.results

    assert result.data.labels == ("Red", "blue", "green", "red")
    assert any("'Red' and 'red'" in warning and "count as the first" in warning for warning in result.warnings)
    assert value_of(result, "top1") == 1
    assert value_of(result, "top3") is None  # all that there are
    assert [record.n for record in run.per_class] == [8, 4, 4, 0]
    assert run.per_class[0].recall == 1
    assert set(run.outcomes["rank"]) == {1}
    ece = run.metrics["ece"]
    assert ece is not None
    assert ece.value < 0.3  # the probability is not halved


def test_captions_that_are_one_text_to_the_model_are_in_the_gallery_once() -> None:
    """A right caption is not behind several equal ones; a repeated caption of an image counts once."""
    table = captions_table(red_0="red thing", red_1="Red thing", red_2="RED thing", green_0="green", blue_0="blue")
    with Path(table).open("a") as file:
        file.write("data/blue/0.png,blue\n")
    result = clipsim.evaluate(table, recall_k=(1, 2, 3))

    assert result.data.captions == 5
    assert any("1 repeated caption of the same image is left out" in warning for warning in result.warnings)
    assert value_of(result, "image_to_text_recall@1") == 1
    assert value_of(result, "image_to_text_recall@3") is None  # there are three different captions
    assert value_of(result, "text_to_image_recall@1") == 1


def test_copies_are_named_and_a_copy_of_the_right_image_is_right() -> None:
    """The same content under another name; and what looks nearly alike."""
    Image.new("RGB", (21, 12), (203, 33, 33)).save("data/red/8.png")
    Image.new("RGB", (21, 12), (202, 33, 33)).save("data/red/9.png")
    shutil.copy("data/red/9.png", "data/blue/9.png")
    table = captions_table(green_0="a", blue_9="one", red_9="red", red_8="crimson")
    result = clipsim.evaluate(table, recall_k=(1, 2))
    copies, near = (warning for warning in result.warnings if "/9.png" in warning)

    assert result.data.copies == 1
    assert copies.startswith("1 of 4 images has the same content as another; each is right for the captions")
    assert copies.endswith("data/red/9.png and data/blue/9.png")
    assert near.endswith("data/red/8.png and data/blue/9.png")
    assert result.results[0].outcomes["text_to_image"][2] == (2,)  # "red" is behind red/8, not behind its own copy
    assert result.data.chance["text_to_image_recall@1"] == pytest.approx((1 + 2 + 2 + 1) / 4 / 4)
    labels = clipsim.evaluate("data")
    assert any("the same content as another; each counts" in warning for warning in labels.warnings)
    assert labels.to_dict()["data"]["copies"] == 1


def test_retrieval_is_a_plain_double_loop_over_rank() -> None:
    """On the cosines that `rank` gives."""
    rows = {f"{colour}_{number}": f"{word} {number}" for colour, word in (("red", "orange"), ("green", "olive"),
            ("blue", "navy")) for number in range(4)}  # fmt: skip
    result = clipsim.evaluate(captions_table(**rows), recall_k=(1, 3, 6))
    ranked = clipsim.rank(list(result.images), list(rows.values()))
    hits: dict[int, int] = dict.fromkeys((1, 3, 6), 0)
    for row, scores in enumerate(ranked.similarity):
        place = sorted(range(12), key=lambda image, scores=scores: (-scores[image], image)).index(row)  # type: ignore[misc]
        for k in hits:
            hits[k] += place < k

    assert {k: value_of(result, f"text_to_image_recall@{k}") for k in hits} == {k: n / 12 for k, n in hits.items()}


def test_pairs_are_clipscore_of_rank() -> None:
    """Each pair's cosine is `rank`'s; the prefix is a template."""
    table = captions_table(red_0="red", green_0="blue", blue_3="blue")
    result = clipsim.evaluate(table, task="pairs")
    ranked = clipsim.rank(list(result.images), ["red", "blue"])
    cosines = [ranked.similarity[row][column] for column, row in enumerate((0, 1, 1))]

    assert value_of(result, "cosine") == pytest.approx(float(np.mean(cosines)), abs=1e-6)
    assert value_of(result, "clipscore_2.5") == pytest.approx(2.5 * float(np.mean(np.maximum(cosines, 0))), abs=1e-6)
    prefixed = clipsim.evaluate(table, task="pairs", clipscore_prefix=True)
    assert prefixed.results[0].templates == ("A photo depicts {}",)


def test_captions_are_compared_with_references() -> None:
    """RefCLIPScore by its formula, of the nearest reference of the image; an image without any has none."""
    rows = [
        {"image": "data/red/0.png", "caption": "red", "reference": ["blue", "orange"]},
        {"image": "data/green/0.png", "caption": ["green", "navy"], "reference": "lime"},
        {"image": "data/green/0.png", "caption": "olive", "reference": None},
        {"image": "data/blue/0.png", "caption": "blue"},
    ]
    Path("t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = clipsim.evaluate("t.jsonl", task="pairs", reference_column="reference")
    texts = ["red", "green", "navy", "olive", "blue", "orange", "lime"]
    with clipsim.open() as session:
        vectors = dict(zip(texts, session.encode_texts(texts), strict=True))
        images = dict(zip(("red", "green"), session.encode_images(["data/red/0.png", "data/green/0.png"]), strict=True))
    expected = []
    for image, caption, references in (
        ("red", "red", ["blue", "orange"]), ("green", "green", ["lime"]), ("green", "navy", ["lime"]),
        ("green", "olive", ["lime"]),
    ):  # fmt: skip
        score = 2.5 * max(0.0, float(images[image] @ vectors[caption]))
        nearest = max(0.0, *(float(vectors[reference] @ vectors[caption]) for reference in references))
        expected.append(2 * score * nearest / (score + nearest))
    figure = result.results[0].metrics["ref_clipscore"]

    assert figure is not None
    assert figure.n == 4
    assert figure.value == pytest.approx(np.mean(expected), abs=1e-5)
    assert figure.formula is not None
    assert list(clipsim.evaluate("t.jsonl", task="pairs").results[0].metrics) == [
        "cosine", "clipscore_2.5", "cosine_x100",
    ]  # fmt: skip
    assert result.data.digest != clipsim.evaluate("t.jsonl", task="pairs").data.digest


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("t.csv", {"task": "pairs", "reference_column": "other"}, "t.csv has the columns 'image', 'caption'"),
        ("t.csv", {"task": "retrieve", "reference_column": "caption"}, "goes with the task pairs only"),
        ("t.json", {"task": "pairs", "reference_column": "caption"}, "goes with a table"),
        ("t.csv", {"task": "pairs", "reference_column": 3}, "not a string"),
    ],
)
def test_references_are_a_column_of_a_table_of_pairs(data: str, options: dict[str, Any], message: str) -> None:
    """Anything else is refused."""
    captions_table(red_0="red")
    Path("t.json").write_text('{"data/red/0.png": "red"}')
    with pytest.raises(UsageError, match=message):
        clipsim.evaluate(data, **options)


def test_pairs_of_two_models_are_not_compared_but_wordings_are(make_model: MakeModel) -> None:
    """The cosines of two models lie in different ranges."""
    table = captions_table(red_0="red", green_0="blue")
    models = clipsim.evaluate(table, task="pairs", models=["clipsim-mini", make_model("other")])
    assert models.comparisons == ()
    words = clipsim.evaluate(table, task="pairs", template_sets={"a": ["{}"], "b": ["{} thing"]})
    assert [comparison.metric for comparison in words.comparisons] == ["cosine"]


def test_pictures_of_none_are_judged_by_their_cosine() -> None:
    """Grey pictures fit no colour; by a threshold that is given, and one that is found."""
    folder = Path("data/nothing")
    folder.mkdir()
    for number in range(6):
        Image.new("RGB", (9, 9), (100 + 3 * number,) * 3).save(folder / f"{number}.png")
    given = clipsim.evaluate("data", none="nothing", min_similarity=0.8)
    found = clipsim.evaluate("data", none="nothing")

    for result in (given, found):
        assert result.data.labels == ("blue", "green", "red", "nothing")
        assert result.results[0].per_class[-1].n == 6
        assert value_of(result, "none_auroc") == 1
    assert given.results[0].rejection is not None
    assert given.results[0].rejection.threshold == 0.8
    assert found.results[0].per_class[-1].recall is not None
    assert found.results[0].per_class[-1].recall >= 0.5


def test_one_label_is_told() -> None:
    """Nothing can be told apart."""
    for colour in ("red", "green"):
        for path in Path("data", colour).iterdir():
            path.unlink()
        Path("data", colour).rmdir()
    result = clipsim.evaluate("data")

    assert any("only one label" in warning for warning in result.warnings)
    assert all(found is None for found in result.results[0].metrics.values())
    assert result.comparisons == ()


def test_progress_counts_the_images_of_each_reading(make_model: MakeModel) -> None:
    """Models of two sizes read them twice; what fails is reported once, and `done` never goes back."""
    Path("data/blue/broken.png").write_bytes(b"\x89PNG nothing")
    steps: list[Progress] = []
    lines: list[object] = []
    small = make_model("small", size=32)
    with Embedder(ModelOptions("clipsim-mini")) as one, Embedder(ModelOptions(small)) as other:
        result = run([one, other], EvaluationRequest.check("data"), steps.append, lines.extend)

    assert {step.stage for step in steps} == {"reading images"}
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].done, steps[-1].total) == (26, 26)
    assert [failure for step in steps for failure in step.failures] == list(result.errors)
    assert len(lines) == 2 * 12 + 1


def test_what_is_kept_of_a_picture_does_not_grow_with_the_labels() -> None:
    """Of its scores against 3,000 labels, a handful of numbers."""
    paths = []
    for number in range(60):
        paths.append(f"p{number}.png")
        Image.new("RGB", (8, 8), (number, 40, 90)).save(paths[-1])
    Path("many.csv").write_text("image,label\n" + "".join(f"{path},label {k}\n" for k, path in enumerate(paths)))
    Path("labels.csv").write_text("".join(f"label {k},colour number {k}\n" for k in range(3000)))
    request = EvaluationRequest.check("many.csv", labels="labels.csv")
    held: list[int] = []
    with Embedder(run=RunOptions(batch_size=6)) as embedder:
        run([embedder], request)  # images and texts are cached from now on
        tracemalloc.start()
        run(
            [embedder],
            request,
            lambda progress: held.append(tracemalloc.get_traced_memory()[0]) if progress.done else None,
        )
        tracemalloc.stop()

    assert len(held) == 10
    assert (held[-1] - held[1]) / (8 * 6) < 3000  # bytes a picture; its cosines alone take four times that


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "classify", "recall_k": [1]}, "recall_k='1': goes with the task retrieve"),
        ({"recall_k": [1]}, "recall_k='1': goes with the task retrieve, and this is classify"),
        ({"top_k": [0]}, "top_k='0': not positive integers"),
        ({"top_k": []}, "not positive integers"),
        ({"seed": -1}, "seed=-1: not a non-negative integer"),
        ({"clipscore_prefix": True}, "goes with the task pairs"),
        ({"min_similarity": 0.2}, "min_similarity=0.2: needs a label"),
        ({"min_similarity": float("nan"), "none": "red"}, "min_similarity=nan: not a cosine"),
        ({"template_sets": ["nothing"]}, "template_sets='nothing': not a built-in set"),
        ({"template_sets": {"a": []}}, "no templates"),
        ({"template_sets": {"a": ["x"]}}, "has no {}"),
        ({"template_sets": ["plain"], "templates": "a {}"}, "cannot be combined with template sets"),
        ({"models": []}, "models: none given"),
        ({"models": ["clipsim-mini", "clipsim-mini"]}, "given twice"),
        ({"models": ["a", "b"], "weights": "w.pt"}, "goes with one model"),
        ({"baseline": 3}, "the baseline is a path, a result"),
    ],
)
def test_requests_that_contradict(options: dict[str, Any], message: str) -> None:
    """Wrong usage, before any picture is read."""
    with pytest.raises(UsageError, match=message):
        clipsim.evaluate("data", **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "not a result of 'clipsim rank"),
        ("[", "not JSON"),
        ('{"schema": "clipsim.thresholds/1"}', "its schema is 'clipsim.thresholds/1'"),
        ('{"schema": "clipsim.evaluate/1", "task": "classify"}', "a damaged result"),
        ('{"schema": "clipsim.rank/1", "model": {"name": "a", "pretrained": null}, "templates": [], "texts": ["a"], '
         '"images": [], "similarity": [[]], "best": []}', "a result of 'clipsim rank', and a baseline"),
    ],
)  # fmt: skip
def test_baselines_that_are_none(content: str, message: str) -> None:
    """One line says what the file is."""
    Path("b.json").write_text(content)
    with pytest.raises(DataError, match=message):
        clipsim.evaluate("data", baseline="b.json")


def test_a_baseline_of_another_task_is_refused_before_pictures_are_read(decoded: list[int]) -> None:
    """It can be known from the file."""
    earlier = clipsim.evaluate(captions_table(red_0="red", green_0="green"), task="pairs")
    decoded.clear()
    with pytest.raises(DataError, match="of the task pairs, and this is classify"):
        clipsim.evaluate("data", baseline=earlier)
    assert decoded == []


def test_damaged_outcomes_are_refused() -> None:
    """A result whose outcomes do not fit its pictures."""
    record = clipsim.evaluate("data").to_dict()
    record["results"][0]["outcomes"]["rank"].pop()
    with pytest.raises(DataError, match="damaged"):
        clipsim.evaluate("data", baseline=record)


def test_no_usable_picture() -> None:
    """The first failure says why."""
    Path("t.csv").write_text("image,label\nnone.png,red\n")
    with pytest.raises(NoInputError, match=r"none of the inputs could be used: none\.png: no such file"):
        clipsim.evaluate("t.csv")
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        clipsim.evaluate("t.csv", on_error="fail")


def test_a_label_that_is_too_long_is_named() -> None:
    """As in `rank`; `truncate` cuts it."""
    Path("data/a_b_c_d_e_f").mkdir()
    with pytest.raises(TextError, match="a b c d e f"):
        clipsim.evaluate("data")
    assert clipsim.evaluate("data", truncate=True).data.images == 12


def test_everything_raised_is_of_the_family() -> None:
    """A caller catches one class."""
    with pytest.raises(ClipsimError):
        clipsim.evaluate("nowhere")


def test_images_in_memory(encoders: dict[str, NamedEncoder]) -> None:
    """Paths, PIL images and vectors with their labels give the figures of the folder, in the order of the list."""
    expected = clipsim.evaluate("data").results[0].metrics
    paths = [f"data/{colour}/{number}.png" for colour in ("red", "green", "blue") for number in range(4)]
    labels = [Path(path).parent.name for path in paths]
    opened = [Image.open(path) for path in paths]
    with clipsim.open() as session:
        kinds = (paths, opened, session.encode_images(paths))
        results = [session.evaluate(images=images, labels=labels) for images in kinds]
        numbers = session.evaluate(images=paths, labels=[2] * 4 + [1] * 4 + [0] * 4, texts=["blue", "green", "red"])
    for result in (*results, numbers):
        assert result.results[0].metrics == expected
        assert result.indices == tuple(range(12))
    assert results[0].data.digest == numbers.data.digest
    assert len({result.data.digest for result in results}) == 3
    again = clipsim.evaluate(images=[*opened[:11], opened[0]], labels=labels)
    assert again.data.digest != results[1].data.digest
    with pytest.raises(DataError, match="other images or labels"):
        clipsim.evaluate(images=[*opened[:11], opened[0]], labels=labels, baseline=results[1])

    missing = clipsim.evaluate(images=["none.png", *paths], labels=["red", *labels])
    assert missing.indices == tuple(range(1, 13))
    assert [(failure.image, failure.index) for failure in missing.errors] == [("none.png", 0)]


def test_texts_say_which_labels_there_are() -> None:
    """Also without images, in their order, and with several words."""
    texts = {"warm": ["red", "orange"], "cold": "blue", "grassy": "green"}
    images = ["data/red/0.png", "data/blue/0.png"]
    result = clipsim.evaluate(images=images, labels=["warm", "cold"], texts=texts)

    assert result.data.labels == ("warm", "cold", "grassy")
    assert result.data.words == (("red", "orange"), ("blue",), ("green",))
    assert value_of(result, "top1") == 1
    captions = clipsim.evaluate(images=images, captions=["red", ["blue", "a blue thing"]])
    assert (captions.task, captions.data.captions) == ("retrieve", 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to measure; give data, or images with their labels"),
        ({"data": "data", "images": ["a.png"]}, "images: goes without data"),
        ({"data": "data", "texts": ["red"]}, "texts: goes with images, not with data"),
        ({"images": ["a.png"], "labels": {"red": "red"}}, "labels: with images, a list with the label of each image"),
        ({"images": ["a.png"], "labels": ["red", "blue"]}, "labels: 1 image and 2 labels"),
        ({"images": ["a.png"], "labels": ["red"], "task": "retrieve"}, "no column 'caption'"),
    ],
)
def test_arguments_that_do_not_go_together(arguments: dict[str, Any], message: str) -> None:
    """In one line."""
    with pytest.raises(ClipsimError, match=message):
        clipsim.evaluate(**arguments)
