"""The examples run as they are, with the bundled model, and print what their docstrings say."""

from __future__ import annotations

import csv
import runpy
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clipsim

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
Run = Callable[..., tuple[list[str], str]]


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache for all examples: their images are the same."""
    return tmp_path_factory.mktemp("examples") / "cache"


@pytest.fixture(autouse=True)
def reader(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    """The surroundings of a reader: the folder of the repository, and the bundled model."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("CLIPSIM_MODEL", "clipsim-mini")
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(shared_cache))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example with arguments, and return its lines on standard output and its text on standard error."""

    def run_example(name: str, *arguments: str) -> tuple[list[str], str]:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err

    return run_example


def test_a_folder_is_labelled(run: Run) -> None:
    """A row an image, with the label of what it shows; the table is one of labelled data."""
    lines, _ = run("label_folder.py", "images", "cat", "dog", "maze", "house")
    rows = list(csv.DictReader(lines))

    assert list(rows[0]) == ["image", "label", "similarity"]
    labels = {row["image"]: row["label"] for row in rows}
    assert len(labels) == len(rows) == 12
    assert labels["images/cat1.jpeg"] == "cat"
    assert labels["images/maze1.jpeg"] == "maze"


def test_an_unusable_image_is_named(run: Run, tmp_path: Path) -> None:
    """On standard error; the others are labelled."""
    (tmp_path / "broken.jpeg").write_bytes(b"no image")
    (tmp_path / "cat.jpeg").write_bytes((ROOT / "images" / "cat1.jpeg").read_bytes())
    lines, errors = run("label_folder.py", str(tmp_path), "cat", "maze")

    assert "broken.jpeg" in errors
    assert len(lines) == 2
    assert "cat.jpeg,cat," in lines[1]


def test_a_threshold_passes_what_it_was_found_on(run: Run) -> None:
    """75 % by three positives is the smallest of their cosines, which all three reach; a cat is no maze."""
    lines, _ = run("threshold.py", "maze", "images", "--positives", "images/maze*.jpeg", "--recall", "0.75")

    assert {f"yes images/maze{number}.jpeg" for number in (1, 2, 3)} <= set(lines)
    assert "no  images/cat1.jpeg" in lines
    assert "75%" in lines[0]
    assert len(lines) == 2 + 12


def test_a_classifier_is_made_and_used(run: Run, tmp_path: Path) -> None:
    """Each image gets a label, and the file is a classifier."""
    file = tmp_path / "classifier.json"
    lines, _ = run("few_shots.py", "images/labels.csv", "images/*.jpeg", "--output", str(file))

    assert len(lines) == 3 + 12
    assert f"{'maze':<12} images/maze1.jpeg" in lines
    result = clipsim.rank("images/cat1.jpeg", classifier=str(file))
    assert result.texts[result.best[0] or 0] == "cat"


@pytest.mark.parametrize(("database", "package"), [("lancedb", "lancedb"), ("qdrant", "qdrant_client")])
def test_a_vector_database_finds_what_a_search_finds(run: Run, tmp_path: Path, database: str, package: str) -> None:
    """In the same order, with the same cosines as far as half precision keeps them; also when it is filled again."""
    pytest.importorskip(package, reason=f"needs {package}")
    pytest.importorskip("pyarrow", reason="needs clipsim[embed]")
    expected = clipsim.search("images", "a cat", top=3).queries[0].results
    cosines = [match.similarity for match in expected]

    for _ in range(2):
        lines, _ = run("vector_databases.py", database, "images", "a cat", "--output", str(tmp_path))
        rows = [line.split("  ") for line in lines]
        assert [Path(name).name for _, name in rows] == [Path(match.image).name for match in expected]
        assert [float(number) for number, _ in rows] == pytest.approx(cosines, abs=2e-3)


@pytest.fixture
def client() -> Any:
    """A client of the search service."""
    for package in ("fastapi", "httpx", "python_multipart"):
        pytest.importorskip(package, reason=f"needs {package}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it prefers another client than the one that the server's tests use
        from fastapi.testclient import TestClient

    service = runpy.run_path(str(EXAMPLES / "search_service.py"), run_name="search_service")
    with TestClient(service["app"]) as client:
        yield client


def test_the_service_searches_by_words_and_by_images(client: Any) -> None:
    """The matches are those of `clipsim.search`; an image that is sent is the nearest to itself."""
    by_words = client.get("/search", params={"text": "a cat", "top": 2}).json()
    image = {"image": ("mine.jpeg", (ROOT / "images" / "cat1.jpeg").read_bytes())}
    by_image = client.post("/similar", files=image, params={"top": 1}).json()

    expected = clipsim.search("images", "a cat", top=2).queries[0].results
    assert [match["image"] for match in by_words] == [match.image for match in expected]
    assert by_image[0]["image"] == "images/cat1.jpeg"
    assert by_image[0]["similarity"] == pytest.approx(1, abs=1e-5)


def test_the_service_says_what_is_wrong(client: Any) -> None:
    """With the message of clipsim's error, or by the bounds of the parameter."""
    no_image = client.post("/similar", files={"image": ("broken.jpeg", b"no image")})
    no_text = client.get("/search", params={"text": " "})

    assert no_image.status_code == no_text.status_code == 422
    assert isinstance(no_image.json()["detail"], str)
    assert isinstance(no_text.json()["detail"], str)
    assert client.get("/search", params={"text": "cat", "top": 0}).status_code == 422


def test_the_notebook_runs_and_shows_results() -> None:
    """Every result is shown as a table or a page, thumbnails and heat map included."""
    for package in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(package, reason=f"needs {package}")
    import nbclient
    import nbformat

    notebook = nbformat.read(EXAMPLES / "results.ipynb", as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(EXAMPLES)}}).execute()

    outputs = {
        cell.id: cell.outputs[-1]["data"]
        for cell in notebook.cells
        if cell.cell_type == "code" and cell.outputs[-1]["output_type"] == "execute_result"
    }
    shown = {name for name, data in outputs.items() if "text/html" in data}
    assert {"rank", "page", "search", "explain", "overview"} <= shown
    assert "images/cat1.jpeg" in outputs["rank"]["text/html"]
    assert "data:image/webp" in outputs["page"]["text/html"]
    assert "'../images/maze1.jpeg': 'maze'" in outputs["numbers"]["text/plain"]


def test_examples_are_kept_without_outputs() -> None:
    """Which change with the model; a reader runs the notebook."""
    assert '"outputs": []' in (EXAMPLES / "results.ipynb").read_text(encoding="utf-8")
    assert '"output_type"' not in (EXAMPLES / "results.ipynb").read_text(encoding="utf-8")


def test_every_example_is_listed() -> None:
    """With a line in examples/README.md, and a test here."""
    listing = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    tests = Path(__file__).read_text(encoding="utf-8")
    for path in [*EXAMPLES.glob("*.py"), *EXAMPLES.glob("*.ipynb")]:
        assert f"| [{path.name}]({path.name}) |" in listing
        assert f'"{path.name}"' in tests
