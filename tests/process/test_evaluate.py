"""`clipsim evaluate` as its user runs it, with the bundled model: scikit-learn on `rank`'s numbers, and warm runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import HOMES
from forked_processes import forked_command
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_score,
    recall_score,
    top_k_accuracy_score,
)

from training.draw import draw_picture
from training.draw.scene import EVALUATION_SEEDS

WATCHED = (
    "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr)); "
    "from clipsim import files; files.CLOCK_TICK = 0; "  # files that have just been written are not read again
    "from clipsim.cli import main; main()"
)
THINGS = ("maze", "bar chart", "diagram", "chessboard", "pie chart", "sudoku", "QR code")
HEAVY = {"torch", "open_clip", "torchvision", "pydantic", "sklearn"}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of seven things with eight drawn pictures, one of them of the next thing, and a broken one."""
    folder = tmp_path_factory.mktemp("labelled")
    for place, thing in enumerate(THINGS):
        own = folder / thing.replace(" ", "_")
        own.mkdir()
        for number in range(8):
            shown = THINGS[(place + 1) % len(THINGS)] if number == 7 else thing
            draw_picture(EVALUATION_SEEDS + 100 * place + number, shown).image.save(own / f"{number}.png")
    (folder / "maze" / "broken.png").write_bytes(b"\x89PNG nothing")
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache and a home of this module's own."""
    return tmp_path_factory.mktemp("home")


def run(home: Path, *arguments: str | Path, python: Sequence[str] = (sys.executable,)) -> tuple[Any, set[str], int]:
    """What a command printed as JSON, the modules that it loaded, and its status."""
    env = (
        os.environ | dict.fromkeys(HOMES, str(home)) | {"CLIPSIM_CACHE_DIR": str(home / "cache"), "HF_HUB_OFFLINE": "1"}
    )
    command = [*python, "-c", WATCHED, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=300)
    said, _, loaded = done.stderr.partition("LOADED")
    assert "Traceback" not in said
    return json.loads(done.stdout), set(loaded.split()), done.returncode


def test_figures_are_scikit_learns_on_ranks_own_numbers(pictures: Path, home: Path) -> None:
    """Top-1, top-k, mean and per-class recall, precision, confusion and calibration, to 1e-9."""
    found, _, status = run(home, "evaluate", pictures, "--json", "--top-k", "1,2,3", python=forked_command("torch"))
    labels = found["data"]["labels"]
    texts = (part for label in labels for part in ("-t", label))
    ranked, _, _ = run(home, "rank", pictures, *texts, "--json", python=forked_command("torch"))
    scores, shares = np.array(ranked["similarity"]).T, np.array(ranked["probabilities"]).T
    truth = np.array([labels.index(Path(image).parent.name.replace("_", " ")) for image in ranked["images"]])
    best = scores.argmax(axis=1)
    (result,) = found["results"]
    metrics = {name: estimate["value"] for name, estimate in result["metrics"].items()}

    assert status == 3
    assert found["data"]["skipped"] == 1
    assert found["images"] == ranked["images"]
    assert best.tolist() == ranked["best"]
    assert metrics["top1"] == pytest.approx(accuracy_score(truth, best), abs=1e-9)
    assert 0.7 < metrics["top1"] < 0.95
    for k in (2, 3):
        assert metrics[f"top{k}"] == pytest.approx(top_k_accuracy_score(truth, scores, k=k), abs=1e-9)
    assert metrics["mean_class_recall"] == pytest.approx(balanced_accuracy_score(truth, best), abs=1e-9)
    recalls, precisions = (score(truth, best, average=None) for score in (recall_score, precision_score))
    assert [record["label"] for record in result["per_class"]] == labels
    assert [record["recall"] for record in result["per_class"]] == pytest.approx(recalls.tolist(), abs=1e-9)
    assert [record["precision"] for record in result["per_class"]] == pytest.approx(precisions.tolist(), abs=1e-9)
    assert result["confusion"] == confusion_matrix(truth, best).tolist()
    confidence = shares.max(axis=1)
    right, mean = calibration_curve(best == truth, confidence, n_bins=15, strategy="uniform")
    sizes = np.bincount(np.searchsorted(np.linspace(0, 1, 16)[1:-1], confidence), minlength=15)
    error = float((np.abs(right - mean) * sizes[sizes > 0]).sum() / len(truth))
    assert metrics["ece"] == pytest.approx(error, abs=1e-9)
    worst = result["contradicted"][0]
    column = ranked["images"].index(worst["image"])
    assert worst["similarity"] == ranked["similarity"][labels.index(worst["best"])][column]


def test_the_second_time_needs_no_model(pictures: Path, home: Path) -> None:
    """All vectors are cached: no torch, the same figures; other words need the model for texts alone."""
    cold, _, _ = run(home, "evaluate", pictures, "--json", "--top-k", "1,2,3", python=forked_command("torch"))
    warm, loaded, _ = run(home, "evaluate", pictures, "--json", "--top-k", "1,2,3")

    assert loaded & HEAVY == set()
    for record in (cold, warm):
        for result in record["results"]:
            del result["seconds"], result["images_per_second"]
    assert warm == cold
    words, loaded, _ = run(home, "evaluate", pictures, "--json", "--template", "a drawing of a {}")
    assert "torch" in loaded
    assert words["results"][0]["images_per_second"] is None
    sets = ("--template-set", "plain", "--template-set", "drawing=a drawing of a {}")
    both, loaded, _ = run(home, "evaluate", pictures, "--json", *sets)
    assert loaded & HEAVY == set()
    tops = [record["results"][0]["metrics"]["top1"] for record in (warm, words)]
    assert [result["metrics"]["top1"] for result in both["results"]] == tops
    assert len(both["comparisons"]) == 1


def test_a_threshold_says_none_for_other_things(pictures: Path, home: Path) -> None:
    """Found on eight drawings of mazes and used on all; nine are too few for 95 %."""
    options = ("threshold", "maze", "--positives", pictures / "maze", "--negatives", pictures / "diagram", "-q")
    python = forked_command("torch")
    found, _, _ = run(home, *options, "--recall", "0.8", "--json", "-o", home / "t.json", python=python)
    thresholds = ("--thresholds", home / "t.json")
    ranked, _, _ = run(home, "rank", pictures, "-t", "maze", *thresholds, "--json", "-q", python=python)
    (threshold,) = found["thresholds"]

    assert (threshold["n"], threshold["k"]) == (8, 1)
    passing = [image for image, best in zip(ranked["images"], ranked["best"], strict=True) if best == 0]
    assert passing == [
        image
        for image, cosine in zip(ranked["images"], ranked["similarity"][0], strict=True)
        if cosine >= threshold["threshold"]
    ]
    assert len(passing) >= 8
