"""`clipsim evaluate`, `threshold` and `compare`: options, tables, files and exit statuses, with colours for a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.conftest import Clipsim
from fake_encoder import FakeEncoder
from PIL import Image

pytestmark = pytest.mark.usefixtures("colour_model")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start beside `data`, which has folders of red, green and blue pictures, four each."""
    for colour, shade in (("red", (200, 40, 40)), ("green", (40, 130, 40)), ("blue", (40, 40, 200))):
        (tmp_path / "data" / colour).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (20 + number, 12), shade).save(tmp_path / "data" / colour / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tables_of_a_folder(clipsim: Clipsim) -> None:
    """Figures with intervals, the labels, and nothing but notices on standard error."""
    done = clipsim("evaluate", "data")

    assert done.status == 0
    assert done.out.startswith("classify · 12 images · 3 labels\n")
    assert "100.0 % (75.8 to 100.0)" in done.out
    assert "33.3 %" in done.out
    assert "Labels, the worst first" in done.out
    notices = done.err.splitlines()
    assert notices[0].startswith("clipsim: note: using clipsim-mini")
    assert notices[1].startswith("clipsim: note: 9 of 12 images have nearly the same vector as another")
    assert len(notices) == 2


def test_what_is_confused_and_contradicted(clipsim: Clipsim) -> None:
    """A picture in the wrong folder is found."""
    Path("data/green/0.png").rename("data/red/9.png")
    done = clipsim("evaluate", "data", "-q")

    assert done.err == ""
    assert "Taken for each other most" in done.out
    assert "data/red/9.png" in done.out


def test_json_and_a_line_for_each_picture(clipsim: Clipsim) -> None:
    """The object of the contract; the file has every picture, the broken ones as errors."""
    Path("data/red/broken.png").write_bytes(b"nothing")
    done = clipsim("evaluate", "data", "--json", "--per-image", "lines.jsonl", "-q")
    record = json.loads(done.out)
    lines = [json.loads(line) for line in Path("lines.jsonl").read_text().splitlines()]

    assert done.status == 3
    assert "clipsim: skipped: data/red/broken.png" in done.err
    assert "1 of 13 inputs skipped" in done.err
    assert record["schema"] == "clipsim.evaluate/1"
    assert len(lines) == 13
    assert {"image", "label", "best", "rank", "similarity", "probability"} <= set(lines[0])
    assert [line["image"] for line in lines] == sorted(line["image"] for line in lines)
    assert "error" in lines[-1]


def test_sets_of_templates_are_compared(clipsim: Clipsim) -> None:
    """Named by NAME=TEMPLATE, or built in."""
    done = clipsim(
        "evaluate", "data", "--template-set", "plain", "--template-set", "odd=blue {}", "--template-set", "odd={} = {}",
        "--json", "-q", "--per-image", "lines.jsonl",
    )  # fmt: skip
    record = json.loads(done.out)

    assert [run["name"] for run in record["results"]] == ["clipsim-mini [plain]", "clipsim-mini [odd]"]
    assert record["results"][1]["templates"] == ["blue {}", "{} = {}"]
    assert record["comparisons"][0]["a"] == "clipsim-mini [plain]"
    assert {json.loads(line)["model"] for line in Path("lines.jsonl").read_text().splitlines()} == {
        "clipsim-mini [plain]",
        "clipsim-mini [odd]",
    }
    assert (
        "Differences (b less a)"
        in clipsim("evaluate", "data", "--template-set", "plain", "--template-set", "a=a {}").out
    )


def test_a_baseline_and_a_comparison_of_files(clipsim: Clipsim) -> None:
    """The two ways to hold a result against an earlier one."""
    Path("a.json").write_text(clipsim("evaluate", "data", "--json", "-q").out)
    done = clipsim("evaluate", "data", "--template", "blue {}", "--baseline", "a.json", "--json", "-q")
    Path("b.json").write_text(done.out)
    assert json.loads(done.out)["comparisons"][0]["a"] == "clipsim-mini (baseline)"

    table = clipsim("compare", "a.json", "b.json")
    assert table.status == 0
    assert "b less a" in table.out
    assert "Images that only one of them gets right" in table.out
    assert json.loads(clipsim("compare", "a.json", "b.json", "--json").out)["kind"] == "classify"


def test_rankings_are_compared(clipsim: Clipsim) -> None:
    """What `rank --json` printed."""
    texts = ("-t", "red", "-t", "blue", "-t", "green")
    for name, others in (
        ("a.json", ("-t", "navy")),
        ("b.json", ("--template", "red {}")),
    ):  # in which all texts are red
        Path(name).write_text(clipsim("rank", "data", *texts, *others, "--json", "-q").out)
    done = clipsim("compare", "a.json", "b.json")

    assert done.status == 0
    assert "Another best text: 8 of 12 images." in " ".join(done.out.split())


def test_retrieval_and_pairs(clipsim: Clipsim) -> None:
    """Captions are retrieved unless pairs are asked for."""
    Path("t.csv").write_text("image,caption\ndata/red/0.png,red\ndata/blue/0.png,blue\nnone.png,lost\n,blue\n")
    found = clipsim("evaluate", "t.csv", "-q", "--recall-k", "1")
    pairs = clipsim("evaluate", "t.csv", "-q", "--task", "pairs", "--clipscore-prefix")

    assert found.status == pairs.status == 3
    assert "skipped: t.csv: row 5: no image" in found.err
    assert "skipped: none.png: no such file" in found.err
    assert "text_to_image_recall@1" in found.out
    assert "2.5 · max(cos, 0)" in pairs.out


def test_a_threshold_is_written_and_used(clipsim: Clipsim) -> None:
    """The table says what is promised; `rank` says none where nothing passes."""
    for number in range(12):
        Image.new("RGB", (9, 8), (180 + number, 30 + number, 40)).save(f"{number}.png")
    found = clipsim(
        "threshold", "red", "--positives", "*.png", "--negatives", "data/blue", "--recall", "0.9", "-o", "t.json"
    )
    assert found.status == 0
    assert "at least 90 % of new images that show the text pass" in found.out.replace("\n", " ")
    assert "thresholds written to t.json" in found.err

    ranked = clipsim("rank", "5.png", "data/blue/0.png", "-t", "red", "--thresholds", "t.json", "-q")
    assert ranked.out.count("* none") == 1
    lines = clipsim(
        "rank", "5.png", "data/blue/0.png", "-t", "red", "--thresholds", "t.json", "-q", "--format", "jsonl"
    ).out
    assert [json.loads(line)["best"] for line in lines.splitlines()] == ["red", None]
    for options in (["--top", "1"], ["-t", "red", "--top", "1"]):
        assert "none" in clipsim("rank", "data/blue", "-t", "red", "--thresholds", "t.json", "-q", *options).out


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("evaluate", "nowhere"), 1, "nowhere: cannot read it"),
        (("evaluate", "data/red"), 1, "data/red: expected a folder for each class"),
        (
            ("evaluate", "data", "--label-column", "x", "--caption-column", "y"),
            2,
            "leave out --caption-column y",
        ),
        (("evaluate", "t.csv", "--image-column", "x"), 2, "--image-column x: t.csv has the columns"),
        (("evaluate", "t.csv"), 1, "it has 'image', 'what'"),
        (("evaluate", "data", "--labels", "l.csv"), 1, "l.csv: no text for the class 'blue'"),
        (("evaluate", "data", "--none", "grey"), 2, "--none grey: not one of the labels"),
        (
            ("evaluate", "data", "--min-similarity", "0.2"),
            2,
            "--min-similarity 0.2: needs a label of its own; give --none",
        ),
        (("evaluate", "data", "--min-similarity", "x", "--none", "red"), 2, "'x' is not a number"),
        (("evaluate", "data", "--top-k", "1,x"), 2, "--top-k 1,x: not positive integers"),
        (("evaluate", "data", "--recall-k", "5"), 2, "--recall-k 5: goes with the task retrieve"),
        (("evaluate", "data", "--template-set", "nothing"), 2, "--template-set nothing: not a built-in set"),
        (("evaluate", "data", "--template-set", "a", "--template-set", "a={}"), 2, "with templates and without"),
        (("evaluate", "data", "--task", "pears"), 2, "'pears' is not one of"),
        (("evaluate", "data", "--baseline", "t.csv"), 1, "t.csv: not JSON"),
        (("evaluate", "data", "--per-image", "no/l.jsonl"), 1, "no/l.jsonl: cannot write the lines"),
        (("evaluate", "data", "-m", "clipsim-mini", "-m", "clipsim-mini"), 2, "given twice"),
        (("evaluate", "data", "-m", "clipsim-mini", "-m", "none"), 1, "'none'"),
        (("evaluate", "data", "-m", "ViT-B-32", "-m", "RN50", "--weights", "w.pt"), 2, "goes with one model"),
        (("evaluate",), 2, "missing argument 'DATA'"),
        (("threshold", "red", "--recall", "0.9"), 2, "--positives PATH"),
        (("threshold", "--positives", "data", "--recall", "0.9"), 2, "no TEXT"),
        (
            ("threshold", "red", "--positives", "data"),
            2,
            "pass exactly one of --recall, --false-alarms and --false-alarms-any",
        ),
        (("threshold", "red", "--positives", "data", "--recall", "95"), 2, "--recall 95: not between 0 and 1"),
        (("threshold", "red", "--positives", "data/red", "--recall", "0.9"), 1, "4 positives are too few"),
        (("threshold", "red", "--positives", "data", "--recall", "x"), 2, "'x' is not a number"),
        (("rank", "data", "-t", "red", "--thresholds", "t.csv"), 1, "t.csv: not JSON"),
        (("compare", "t.csv", "t.csv"), 1, "t.csv: not JSON"),
        (("compare", "t.csv"), 2, "missing argument 'B.json'"),
    ],
)
def test_refusals(clipsim: Clipsim, arguments: tuple[str, ...], status: int, message: str) -> None:
    """One line says what is wrong, in the words of the command line; no traceback."""
    Path("t.csv").write_text("image,what\na.png,x\n")
    Path("l.csv").write_text("red,a red thing\n")
    done = clipsim(*arguments)

    assert done.status == status
    assert message in done.err.replace("\n", " ")
    assert "Traceback" not in done.err
    assert done.out == ""


def test_nothing_usable(clipsim: Clipsim) -> None:
    """Every failure is named, and the run ends with 1."""
    Path("t.csv").write_text("image,label\na.png,red\nb.png,blue\n")
    done = clipsim("evaluate", "t.csv", "-q")

    assert done.status == 1
    assert done.out == ""
    assert done.err.count("no such file") == 3


def test_the_first_failure_ends_a_run_that_asks_for_it(clipsim: Clipsim) -> None:
    """With --on-error fail."""
    Path("data/blue/broken.png").write_bytes(b"nothing")
    done = clipsim("evaluate", "data", "--on-error", "fail", "-q")

    assert done.status == 1
    assert "data/blue/broken.png" in done.err


def test_names_cannot_act_on_the_terminal(clipsim: Clipsim) -> None:
    """Labels, pictures and captions are escaped in tables and lines."""
    Path("data/red\x1b[31m").mkdir()
    Path("data/red/0.png").rename("data/red\x1b[31m/\x1b]0;x.png")
    done = clipsim("evaluate", "data", "--per-image", "lines.jsonl")

    assert "\x1b" not in done.out + done.err + Path("lines.jsonl").read_text()


def test_help_has_an_example(clipsim: Clipsim) -> None:
    """Each command shows one."""
    for command in ("evaluate", "threshold", "compare"):
        done = clipsim(command, "--help")
        assert done.status == 0
        assert "Example:" in done.out


def test_texts_are_encoded_once(clipsim: Clipsim, colour_model: FakeEncoder) -> None:
    """Other templates encode texts alone."""
    clipsim("evaluate", "data", "-q")
    assert sum(colour_model.image_batches) == 12
    texts = sum(colour_model.text_batches)
    clipsim("evaluate", "data", "-q", "--template", "a {}", "--template", "the {}")

    assert sum(colour_model.image_batches) == 12
    assert sum(colour_model.text_batches) == texts + 6


def test_images_are_chosen_by_name(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """The labels stay all; an evaluation without an image is an error; a page is not JSON."""
    (tmp_path / "labels.csv").write_text("image,label\nred.png,red\ngreen.png,lime\nblue.png,blue\n")
    asked = ("evaluate", tmp_path / "labels.csv", "--root", colours, "-q")
    chosen = json.loads(clipsim(*asked, "--include", "*.png", "--exclude", "re*", "--json").out)
    nothing = clipsim(*asked, "--include", "*.jpg")
    contradiction = clipsim(*asked, "--json", "--format", "html")

    assert [Path(name).stem for name in chosen["images"]] == ["green", "blue"]
    assert chosen["data"]["labels"] == ["blue", "lime", "red"]
    assert nothing.status == 1
    assert "include and exclude rejected all of its images" in nothing.err
    assert contradiction.status == 2
    assert "--json and --format html contradict each other" in contradiction.err
