"""Tests of `clipsim search`, `duplicates` and `index`: options, messages, exit status; a model of colours behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from data_sets import random_vectors, write_data_set
from fake_encoder import FakeEncoder

from clipsim.results.base import ModelRecord

if TYPE_CHECKING:
    from cli.conftest import Clipsim

MINI = ModelRecord("clipsim-mini", "bundled", 4, 64, 10.0, None, "softmax")


def stems(names: str) -> list[str]:
    """The names of files without folder and suffix."""
    return [Path(name).stem for name in names.splitlines()]


def test_a_folder(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """A table a query; the note about the bundled model goes to standard error."""
    ended = clipsim("search", colours, "-t", "red", "-t", "blue", "--top", "2")
    lines = ended.out.splitlines()

    assert ended.status == 0
    assert lines[0].endswith(" · cpu · fp32 · 3 images")
    assert [line.split()[2] for line in lines if line.split()[0] == "1"] == [
        str(colours / "red.png"), str(colours / "blue.png"),
    ]  # fmt: skip
    assert len([line for line in lines if line.split()[0] == "2"]) == 2
    assert ended.err.count("\n") == 1
    assert "clipsim-mini" in ended.err
    assert clipsim("search", colours, "-t", "red", "-q").err == ""


def test_every_kind_of_query(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """Texts as arguments and from a file, images; with others added and subtracted; as the schema has it."""
    (tmp_path / "texts").write_text("lime\n\nwhite\n")
    ended = clipsim(
        "search", colours, "-t", "red", "--text-file", tmp_path / "texts", "--image", colours / "blue.png",
        "--plus", "green", "--minus", "red", "--weight", "0.25", "--top", "1", "--json",
    )  # fmt: skip
    result = json.loads(ended.out)

    assert ended.status == 0
    assert (result["schema"], result["searched"]) == ("clipsim.search/1", 3)
    assert [(query["text"], query["image"], query["plus"], query["minus"]) for query in result["queries"]] == [
        ("red", None, ["green"], ["red"]), ("lime", None, ["green"], ["red"]), ("white", None, ["green"], ["red"]),
        (None, str(colours / "blue.png"), ["green"], ["red"]),
    ]  # fmt: skip
    assert [[Path(match["image"]).stem for match in query["results"]] for query in result["queries"]] == [
        ["red"], ["green"], ["green"], ["blue"],
    ]  # fmt: skip
    assert [match["same"] for match in result["queries"][3]["results"]] == ["file"]
    assert all(query["results"][0]["rank"] == 1 for query in result["queries"])


def test_additions_with_weights(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number and a colon before a text or a file; a file with such a name is itself."""
    monkeypatch.chdir(colours)
    Path("2:green.png").write_bytes(Path("green.png").read_bytes())
    ended = clipsim(
        "search", ".", "red", "--plus", "0.5:lime", "--plus", "navy", "--minus", "1:5:30 pm", "--minus", "16 :9",
        "--plus-image", ".25:blue.png", "--minus-image", "2:green.png", "--weight", "3", "--json",
    )  # fmt: skip
    (query,) = json.loads(ended.out)["queries"]
    label = clipsim("search", ".", "red", "--plus", "0.5:lime", "--minus-image", "blue.png", "-q").out.splitlines()[1]

    assert [(added["text"], added["image"], added["weight"]) for added in query["additions"]] == [
        ("lime", None, 0.5), ("navy", None, 3.0), (None, "blue.png", 0.25), ("5:30 pm", None, -1.0),
        ("16 :9", None, -3.0), (None, "2:green.png", -3.0),
    ]  # fmt: skip
    assert label == "red + 0.5 × lime − blue.png"
    assert [match["rank"] for match in query["results"]] == [1, 2, 3, 4]
    rest = clipsim("search", ".", "red", "--plus", "0.5:lime", "--skip", "3", "--top", "1", "--format", "csv")
    assert rest.out.splitlines()[1].startswith("red,,4,")


def test_one_of_several_copies(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """Their number stands beside the cosine, and in the JSON."""
    (colours / "again.png").write_bytes((colours / "red.png").read_bytes())
    table = clipsim("search", colours, "red", "--unique", "-q")
    (query,) = json.loads(clipsim("search", colours, "red", "--unique", "--json").out)["queries"]

    assert [line.split()[2:-1] for line in table.out.splitlines()[4:7]] == [["2", "copies"], [], []]
    assert [match["copies"] for match in query["results"]] == [2, 1, 1]


@pytest.mark.parametrize(
    ("options", "lines"),
    [
        (["--format", "csv"], ["text,query_image,rank,image,similarity,same,copies", "red,,1,"]),
        (["--format", "jsonl"], ['{"text": "red", "image": null, ']),
    ],
)
def test_other_formats(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, options: list[str], lines: list[str]
) -> None:
    """A match a line, and a query a line."""
    ended = clipsim("search", colours, "-t", "red", "--top", "1", *options)

    assert ended.status == 0
    assert [line.startswith(start) for line, start in zip(ended.out.splitlines(), lines, strict=True)]


def test_names_alone(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """For other commands, ended by line feeds or by NUL, each once."""
    lines = clipsim("search", colours, "-t", "red", "-t", "blue", "-t", "navy", "--min-similarity", "0.9", "-l")
    null = clipsim("search", colours, "-t", "red", "-t", "blue", "--top", "1", "-l0")

    assert stems(lines.out) == ["red", "blue"]
    assert null.out == f"{colours / 'red.png'}\0{colours / 'blue.png'}\0"


def test_names_with_a_line_feed(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """A reader of lines would take one for two: it is left out with a warning, and printed before NUL."""
    (colours / "red.png").rename(colours / "red\n.png")
    for command in ("search", "rank"):
        lines, null = (clipsim(command, colours, "-t", "red", "-q", *options) for options in (["-l"], ["-l0"]))

        assert sorted(stems(lines.out)) == ["blue", "green"]
        assert "names that hold a line feed are left out; --null (-0) prints them too" in lines.err
        assert f"{colours}/red\n.png\0" in null.out
        assert (lines.status, null.status, null.err) == (0, 0, "")


def test_thresholds(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """An image below its text's own is not listed; of another template, or with other queries, they are refused."""
    file = tmp_path / "thresholds.json"
    for text in ("red", "blue"):
        found = clipsim("threshold", text, "--positives", colours / f"{text}.png", "--recall", "0.5", "-o", file, "-q")
        assert found.status == 0, found.err
    asked = ("search", colours, "-t", "red", "-t", "blue", "--thresholds", file, "-q")
    result = json.loads(clipsim(*asked, "--json").out)
    other = clipsim(*asked, "--template", "a {} thing")
    unknown = clipsim("search", colours, "-t", "lime", "--thresholds", file, "-q")
    image = clipsim(*asked, "--image", colours / "green.png")

    assert [[Path(match["image"]).stem for match in query["results"]] for query in result["queries"]] == [
        ["red"], ["blue"],
    ]  # fmt: skip
    assert stems(clipsim(*asked, "-l", "--top", "1").out) == ["red", "blue"]
    assert other.status == unknown.status == 1
    assert "the thresholds were found with other templates" in other.err
    assert "the thresholds have none for the text 'lime'; they are of 'red', 'blue'" in unknown.err
    assert image.status == 2
    assert "a threshold is of a text alone" in image.err


def test_places(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path) -> None:
    """Folders of vectors bring their model with them; a list of paths comes through a pipe; patterns choose."""
    pytest.importorskip("pyarrow")
    assert clipsim("embed", colours, "-o", tmp_path / "vectors", "-q").status == 0
    by_vectors = clipsim("search", tmp_path / "vectors", "-t", "blue", "-l")
    assert stems(by_vectors.out) == ["blue", "green", "red"]
    assert by_vectors.err == ""
    listed = clipsim("search", "-", "-t", "blue", "-l", stdin=f"{colours / 'red.png'}\n{colours}\n".encode())
    assert stems(listed.out) == ["blue", "green", "red"]
    chosen = clipsim(
        "search", colours, tmp_path / "vectors", "-t", "red", "-l", "--include", "*.png", "--exclude", "r*"
    )
    assert stems(chosen.out) == ["green", "blue"]


def test_inputs_that_cannot_be_used(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """A line each; the rest is searched, and the status says so. Where nothing exists, no model is loaded."""
    (colours / "broken.png").write_bytes(b"x")
    some = clipsim("search", colours, "-t", "red", "--image", "none.png", "--top", "1", "-q", "--json")
    nothing = clipsim("search", "none", "missing.png", "-t", "red")
    no_query = clipsim("search", colours, "--image", "none.png", "-q")

    assert some.status == 3
    assert some.err.splitlines()[0] == "clipsim: skipped: none.png: no such file"
    assert some.err.splitlines()[1].startswith(f"clipsim: skipped: {colours / 'broken.png'}: ")
    assert some.err.splitlines()[2] == "clipsim: warning: 2 of 5 inputs skipped"
    assert len(json.loads(some.out)["errors"]) == 2
    assert nothing.status == no_query.status == 1
    assert nothing.err.splitlines() == [
        "clipsim: skipped: none: no such file", "clipsim: skipped: missing.png: no such file",
        "clipsim: error: none of the inputs could be used; the lines above say why",
    ]  # fmt: skip
    assert no_query.err.splitlines()[-1] == nothing.err.splitlines()[-1]
    assert (nothing.out, no_query.out) == ("", "")
    failed = clipsim("search", colours, "-t", "red", "--on-error", "fail", "-q")
    assert (failed.status, failed.err.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["search"], 2, "nothing to search"),
        (["search", "{tmp}/colours"], 2, "give a text, --text-file FILE or --image FILE"),
        (["search", "{tmp}/colours", "--plus", "a"], 2, "nothing to search for"),
        (["search", "x", "-t", "a", "-l", "--json"], 2, "--paths"),
        (["search", "x", "-t", "a", "-0"], 2, "--paths (-l)"),
        (["search", "x", "-t", "a", "--json", "--format", "csv"], 2, "contradict"),
        (["search", "-", "--text-file", "-"], 2, "only once"),
        (["search", "x", "-t", "a", "--top", "0"], 2, "0"),
        (["search", "x", "-t", "a", "--weight", "much"], 2, "number"),
        (["search", "x", "-t", "a", "--weight", "nan"], 2, "--weight nan: not a number"),
        (["search", "x", "-t", "a", "--plus", "2:b", "--plus", "b"], 2, "--plus names a text more than once"),
        (["search", "x", "-t", "a", "--plus", "-1:b"], 2, "--plus -1:b: a weight is a number from 0 on"),
        (["search", "x", "-t", "a", "--plus", "0,5:b"], 2, "--plus 0,5:b: a weight is"),
        (["search", "x", "-t", "a", "--minus", "1e3:b"], 2, "--minus 1e3:b: a weight is"),
        (["search", "x", "-t", "a", "--plus-image", "0.5:"], 2, "--plus-image 0.5:: a weight is"),
        (["search", "x", "-t", "a", "--plus-image", "{tmp}"], 2, "--plus-image takes one image"),
        (["search", "{tmp}/colours", "-t", "a", "--minus-image", "2:none.png", "-q"], 1, "none.png: no such file"),
        (["search", "x", "-t", "a", "--after", "2019-02-29"], 2, "--after 2019-02-29: no such date"),
        (["search", "x", "-t", "a", "--before", "June"], 2, "--before June: a date is written like 2019, 2019-06"),
        (["search", "{tmp}/colours", "-t", "a", "--after", "2999", "-q"], 1, "none of the images was taken"),
        (["search", "x", "-t", "a", "--skip", "-1"], 2, "'-1' is not a whole number from 0"),
        (["search", "x", "-t", "a", "--min-similarity", "2"], 2, "from -1 to 1"),
        (["search", "x", "-t", "a", "--include", ""], 2, "a pattern"),
        (["search", "{tmp}/colours", "-t", "blue", "--minus", "blue", "-q"], 2, "nothing is left of the query 'blue'"),
        (["search", "{tmp}/colours", "-t", "a", "--exclude", "*", "-q"], 1, "no images"),
        (["duplicates"], 2, "nothing to search"),
        (["duplicates", "x", "--exact-files", "--min-similarity", "0.9"], 2, "--exact-files"),
        (["duplicates", "x", "--min-similarity", "95"], 2, "--min-similarity 95: not a cosine"),
        (["duplicates", "none.png"], 1, "none of the inputs could be used"),
        (["duplicates", "none.png", "--exact-files"], 1, "none of the inputs could be used"),
        (["index"], 2, "DIR"),
        (["index", "{tmp}/colours"], 1, "not a folder of vectors"),
        (["index", "none", "--remove", "--kind", "ivf"], 2, "--remove"),
    ],
)
def test_what_cannot_be_done(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    """One line says what and what to do, in the command line's words."""
    ended = clipsim(*(argument.format(tmp=tmp_path) for argument in arguments))

    assert ended.status == status
    assert ended.out == ""
    assert message in ended.err
    assert "Traceback" not in ended.err


def test_vectors_of_another_model(clipsim: Clipsim, colour_model: FakeEncoder, tmp_path: Path) -> None:
    """They are searched by their own model, and refused by another, which is named as an option."""
    pytest.importorskip("pyarrow")
    other = ModelRecord("ViT-B-32", "openai", 4, 64, 10.0, None, "softmax")
    write_data_set(tmp_path / "vectors", random_vectors(4, 4), digest="x", model=other)
    refused = clipsim("search", tmp_path / "vectors", "-t", "red", "-m", "clipsim-mini")
    missing = clipsim("search", tmp_path / "vectors", "-t", "red")

    assert refused.status == 1
    assert "not from clipsim-mini; give --model ViT-B-32/openai" in refused.err
    assert missing.status == 1
    assert "ViT-B-32/openai" in missing.err


def test_duplicates(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """The groups; the names of what may go; the same bytes alone, without a model."""
    shutil.copy(colours / "red.png", colours / "also red.png")
    (colours / "broken.png").write_bytes(b"x")
    table = clipsim("duplicates", colours)
    names = clipsim("duplicates", colours, "-l", "-0", "-q")
    result = json.loads(clipsim("duplicates", colours, "--json", "-q").out)
    loaded = len(colour_model.image_batches)
    exact = clipsim("duplicates", colours, "--exact-files")

    assert table.status == 3
    assert table.out.splitlines()[0].endswith(" · over 0.94 · 4 images · 1 group")
    assert "same bytes   copy   40 × 24" in table.out
    assert names.out == f"{colours / 'also red.png'}\0"
    assert (result["schema"], len(result["groups"])) == ("clipsim.duplicates/1", 1)
    assert exact.status == 0
    assert exact.out.splitlines()[0] == "5 images · 1 group"
    assert len(colour_model.image_batches) == loaded


def test_an_index(clipsim: Clipsim, colour_model: FakeEncoder, tmp_path: Path) -> None:
    """It is built, used, removed; and not needed for few vectors."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("faiss")
    folder = tmp_path / "vectors"
    write_data_set(folder, random_vectors(1500, 4), digest="colours", model=MINI)
    few, built = clipsim("index", folder), clipsim("index", folder, "--kind", "ivf", "--json")
    searched = clipsim("search", folder, "-t", "red", "-l")
    removed, again = clipsim("index", folder, "--remove"), clipsim("index", folder, "--remove")

    assert few.status == built.status == searched.status == removed.status == again.status == 0
    assert "exact" in few.out
    assert json.loads(built.out)["kind"] == "ivf"
    assert json.loads(built.out)["recall_texts"] >= 0.95
    assert "searched by its index" in searched.err
    assert len(searched.out.splitlines()) == 10
    assert removed.err.endswith(": the index is removed\n")
    assert again.err.endswith(": there is no index\n")
    assert "by its index" not in clipsim("search", folder, "-t", "red").err


def test_the_weight_is_shown(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """Where it is not one: in the table, in JSON and on the page."""
    asked = ("search", colours, "-t", "red", "--plus", "blue", "--minus", "lime", "-q")

    assert "red + blue − lime" in clipsim(*asked).out.splitlines()
    assert "red + 0.5 × blue − 0.5 × lime" in clipsim(*asked, "--weight", "0.5").out.splitlines()
    assert json.loads(clipsim(*asked, "--weight", "0.5", "--json").out)["queries"][0]["weight"] == 0.5
    assert "red + 0.5 × blue" in clipsim(*asked, "--weight", "0.5", "--format", "html").out


def test_an_empty_page_shows_the_query(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """And that there is none near enough; likewise of duplicates."""
    page = clipsim("search", colours, "-t", "red", "--min-similarity", "1", "--exclude", "red.png", "--format", "html")
    copies = clipsim("duplicates", colours, "--format", "html")

    assert (page.status, copies.status) == (0, 0)
    assert '<bdi class="name">red</bdi>' in page.out
    assert "is near enough to this query" in page.out
    assert "No two images are alike" in copies.out


@pytest.mark.parametrize(
    ("name", "kind"), [(".", "a folder"), ("a.tar", "a tar"), ("a.csv", "a list"), ("*.png", "a pattern")]
)
def test_an_image_to_search_for_is_one_picture(
    clipsim: Clipsim, colours: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    """What stands for several is refused before a model is looked for."""
    monkeypatch.chdir(colours)
    ended = clipsim("search", ".", "--image", name, "-m", "no-such-model")

    assert (ended.status, ended.out) == (2, "")
    assert ended.err == f"clipsim: error: --image takes one image, and {name} is {kind}; repeat --image for several\n"


def test_a_folder_is_no_file_of_texts(clipsim: Clipsim, colours: Path) -> None:
    """The line says what is wanted."""
    ended = clipsim("search", colours, "--text-file", colours)

    assert ended.status == 1
    assert ended.err.endswith(": a folder, not a file; give a file with one text a line\n")


def test_a_data_set_in_a_store(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """It is made there and searched by a copy, of which a line tells once; the answer names the images."""
    memory = pytest.importorskip("fsspec", reason="fsspec is not installed").filesystem("memory")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    try:
        assert clipsim("embed", str(colours), "-o", "memory://store/vectors", "-q").status == 0
        first, second = (clipsim("search", "memory://store/vectors", "-t", "red", "--top", "1", "-l") for _ in range(2))
        assert first.out == second.out == f"{colours}/red.png\n"
        assert first.err.count("of memory://store/vectors into ") == 1
        assert "memory://store" not in second.err
        alike = clipsim("duplicates", "memory://store/vectors", "-q", "--json")
        assert (alike.status, json.loads(alike.out)["schema"]) == (0, "clipsim.duplicates/1")
    finally:
        memory.rm("/store", recursive=True)
