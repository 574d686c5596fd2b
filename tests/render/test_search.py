"""Tests of `render.search`, and of `render.json` for what is searched: exact text of records."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from rich.console import Console

from clipsim.errors import Failure
from clipsim.render.json import format_duplicates_csv, format_json, format_lines, format_search_csv
from clipsim.render.search import build_duplicates_table, build_index_table, build_search_tables
from clipsim.results.base import ModelRecord
from clipsim.results.datasets import IndexResult
from clipsim.results.search import (
    AddedQuery,
    DuplicateGroup,
    DuplicateImage,
    DuplicatesResult,
    Match,
    QueryMatches,
    SearchResult,
)

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")
NAMES = ("a.png", 'odd "name",\n\x1b[31m.png', "caf\udce9.png")
FOUND = tuple(Match(rank, name, 0.5 / rank) for rank, name in enumerate(NAMES, start=1))
ADDITIONS = (AddedQuery("night", None, 1.0), AddedQuery("people", None, -1.0))
ANSWERS = SearchResult(
    model=MODEL, device="cpu", precision="fp32", engine="onnx", searched=92,
    queries=(QueryMatches("a house", None, ("night",), ("people",), FOUND, 1.0, ADDITIONS),
     QueryMatches(None, "b.png", ("night",), ("people",), FOUND[:1], 1.0, ADDITIONS),
     QueryMatches("none", None, (), (), ())),
    errors=(Failure("bad.png", "an empty file"),), warnings=("a notice",),
)  # fmt: skip
GROUPS = DuplicatesResult(
    model=MODEL, min_similarity=0.94, compared=5,
    groups=(DuplicateGroup(True, (DuplicateImage("a.png", 1.0, 160, 120),
                           DuplicateImage("b.png", 1.0, 160, 120, copy_of="a.png", removable=True))),
     DuplicateGroup(False, (DuplicateImage("c.png", 1.0, 320, 200), DuplicateImage("d.png", 0.98765432, None, None)))),
    errors=(Failure("bad.png", "an empty file"),),
)  # fmt: skip


def drawn(parts: object, width: int = 100) -> list[str]:
    """What a console of that width shows, without blanks at the ends of lines."""
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in parts if isinstance(parts, (list, tuple)) else [parts]:
        console.print(part)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_the_json_of_a_search_is_the_schema() -> None:
    """Every key of `clipsim.search/1`, in its order, a key a line."""
    text = format_json(ANSWERS)
    record = json.loads(text)

    assert list(record) == [
        "schema", "model", "device", "precision", "engine", "searched", "queries", "errors", "warnings",
    ]  # fmt: skip
    assert (record["schema"], record["searched"]) == ("clipsim.search/1", 92)
    assert record["queries"][0] == {
        "text": "a house", "image": None, "plus": ["night"], "minus": ["people"], "weight": 1.0,
        "additions": [{"text": "night", "image": None, "weight": 1.0},
                      {"text": "people", "image": None, "weight": -1.0}],
        "results": [{"rank": rank, "image": name, "similarity": round(0.5 / rank, 7), "index": None,
                     "same": None, "copies": None}
                    for rank, name in enumerate(NAMES, start=1)],
    }  # fmt: skip
    assert record["errors"] == [{"path": "bad.png", "error": "an empty file", "index": None}]
    assert "\x1b" not in text
    assert text.count("\n") == 11


def test_lines_of_a_search() -> None:
    """A query a line, as in the JSON; then what failed."""
    lines = [json.loads(line) for line in format_lines(ANSWERS.queries, ANSWERS.errors)]

    assert lines == [*ANSWERS.to_dict()["queries"], {"image": "bad.png", "index": None, "error": "an empty file"}]


def test_the_csv_of_a_search() -> None:
    """A match a line, which a reader of CSV gives back."""
    rows = list(csv.reader(io.StringIO("".join(format_search_csv(ANSWERS)))))

    assert rows[0] == ["text", "query_image", "rank", "image", "similarity", "same", "copies"]
    assert rows[1:] == [
        ["a house", "", "1", NAMES[0], "0.5", "", ""], ["a house", "", "2", NAMES[1], "0.25", "", ""],
        ["a house", "", "3", NAMES[2], "0.1666667", "", ""], ["", "b.png", "1", NAMES[0], "0.5", "", ""],
    ]  # fmt: skip


def test_the_table_of_a_search() -> None:
    """A title, a table a query, and what the numbers are; names are escaped."""
    lines = drawn([*build_search_tables(ANSWERS, 100, whole_names=True)])

    assert lines[0] == "ViT-B-32 · openai · cpu · fp32 · onnx · 92 images"
    assert lines[1] == "a house + night − people"
    assert lines[2].split() == ["rank", "similarity", "image"]
    assert [line.split(maxsplit=2) for line in lines[4:7]] == [
        ["1", "0.5000", "a.png"], ["2", "0.2500", 'odd "name",\\n\\x1b[31m.png'], ["3", "0.1667", "caf\\xe9.png"],
    ]  # fmt: skip
    assert lines[7] == "b.png + night − people"
    assert lines[-2].split() == ["none"]
    assert lines[-1].startswith("The cosine similarity of each image and the query")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_long_names_are_shortened_where_they_do_not_fit(width: int) -> None:
    """And only there: no line is longer than the terminal, and none is cut that need not be."""
    name = "photos/2024/" + "a" * 80 + ".png"
    result = SearchResult(
        model=MODEL,
        device="cpu",
        precision="fp32",
        engine="torch",
        searched=1,
        queries=(QueryMatches("x", None, (), (), (Match(1, name, 0.1),)),),
    )
    lines = drawn([*build_search_tables(result, width)], width)

    assert max(map(len, lines[:-1])) <= width
    assert (name in "".join(lines)) == (width == 200)


def test_the_json_of_duplicates_is_the_schema() -> None:
    """Every key of `clipsim.duplicates/1`; of bytes alone, there is no model and no threshold."""
    record = json.loads(format_json(GROUPS))

    assert list(record) == [
        "schema", "model", "min_similarity", "compared", "groups", "pairs", "recall", "errors", "warnings",
    ]  # fmt: skip
    assert (record["schema"], record["min_similarity"]) == ("clipsim.duplicates/1", 0.94)
    assert record["groups"][1] == {
        "same_bytes": False,
        "images": [
            {
                "image": "c.png",
                "similarity": 1.0,
                "width": 320,
                "height": 200,
                "index": None,
                "copy_of": None,
                "removable": False,
            },
            {
                "image": "d.png",
                "similarity": 0.9876543,
                "width": None,
                "height": None,
                "index": None,
                "copy_of": None,
                "removable": False,
            },
        ],
    }
    bytes_alone = DuplicatesResult(model=None, min_similarity=None, compared=5, groups=GROUPS.groups)
    assert json.loads(format_json(bytes_alone))["model"] is None
    assert drawn([*build_duplicates_table(bytes_alone, 80)])[0] == "5 images · 2 groups"


def test_lines_and_csv_of_duplicates() -> None:
    """A group a line; an image a line."""
    lines = [json.loads(line) for line in format_lines(GROUPS.groups, GROUPS.errors)]
    rows = list(csv.reader(io.StringIO("".join(format_duplicates_csv(GROUPS)))))

    assert lines == [*GROUPS.to_dict()["groups"], {"image": "bad.png", "index": None, "error": "an empty file"}]
    assert rows == [
        ["group", "same_bytes", "image", "similarity", "width", "height", "copy_of", "removable"],
        ["1", "true", "a.png", "1.0", "160", "120", "", "false"],
        ["1", "true", "b.png", "1.0", "160", "120", "a.png", "true"],
        ["2", "false", "c.png", "1.0", "320", "200", "", "false"],
        ["2", "false", "d.png", "0.9876543", "", "", "", "false"],
    ]  # fmt: skip


def test_the_table_of_duplicates() -> None:
    """Groups below each other, each image with its size; nothing to show where nothing was found."""
    lines = drawn([*build_duplicates_table(GROUPS, 100)])

    assert lines[0] == "ViT-B-32 · openai · over 0.94 · 5 images · 2 groups"
    assert [line.split() for line in lines[3:8] if line and "─" not in line] == [
        ["160", "×", "120", "a.png"], ["same", "bytes", "copy", "160", "×", "120", "b.png"],
        ["320", "×", "200", "c.png"], ["0.9877", "alike", "d.png"],
    ]  # fmt: skip
    nothing = DuplicatesResult(model=MODEL, min_similarity=0.94, compared=5, groups=())
    assert drawn([*build_duplicates_table(nothing, 100)]) == ["ViT-B-32 · openai · over 0.94 · 5 images · 0 groups"]


def test_the_summary_of_an_index() -> None:
    """How it is searched and what that finds; exact searches have neither lists nor recall."""
    result = IndexResult(
        folder="vectors",
        kind="ivf",
        vectors=1_000_000,
        lists=4096,
        probes=32,
        bytes=512_000_000,
        seconds=61.25,
        recall_images=0.9712345678,
        recall_texts=None,
        milliseconds=4.25,
        exact_milliseconds=380.0,
    )
    lines = dict(line.split(maxsplit=1) for line in drawn(build_index_table(result)))

    assert lines["index"].strip() == "4,096 lists, 512.0 MB, built in 61.2 s"
    assert lines["search"].strip() == "reads 32 lists, 4.2 ms a query (exact: 380.0 ms)"
    assert lines["recall@10"].strip() == "0.971 by image, not measured by text"
    assert json.loads(format_json(result))["recall_images"] == 0.9712346
    for added, expected in ((1000, "1,000 vectors added in 61.2 s"), (0, "all vectors were in it before")):
        lines = dict(
            line.split(maxsplit=1) for line in drawn(build_index_table(dataclasses.replace(result, added=added)))
        )
        assert lines["index"].strip() == f"4,096 lists, 512.0 MB, {expected}"
    exact = IndexResult(
        folder="vectors",
        kind="exact",
        vectors=500,
        lists=None,
        probes=None,
        bytes=0,
        seconds=0.1,
        recall_images=1.0,
        recall_texts=1.0,
        milliseconds=1.5,
        exact_milliseconds=1.5,
    )
    assert list(dict(line.split(maxsplit=1) for line in drawn(build_index_table(exact)))) == [
        "folder", "vectors", "search",
    ]  # fmt: skip


@pytest.mark.parametrize("width", [60, 80])
def test_tables_are_no_wider_than_the_terminal(width: int) -> None:
    """Figures and headings are whole; names are shortened once, to what is left."""
    name = "a_folder/with_pictures/whose_names/are_longer_than_the_terminal/is_wide/000123456.png"
    many = tuple(Match(rank, name, 0.25, rank) for rank in range(1, 1201))
    found = SearchResult(
        model=MODEL,
        device="cpu",
        precision="fp32",
        engine="torch",
        searched=1,
        queries=(QueryMatches("x", None, (), (), many),),
    )
    pair = (DuplicateImage(name, 1.0, 12000, 9000), DuplicateImage(name, 0.98765, 12000, 9000))
    alike = DuplicatesResult(model=MODEL, min_similarity=0.94, compared=1, groups=(DuplicateGroup(False, pair),))

    lines = drawn([*build_search_tables(found, width)], width)
    rows = drawn([*build_duplicates_table(alike, width)], width)

    assert lines[2].split() == ["rank", "similarity", "image"]
    assert [line.split()[1] for line in lines if line.split()[:1] == ["1200"]] == ["0.2500"]
    assert rows[1].split() == ["similarity", "pixels", "image"]
    assert [line.split()[:-1] for line in rows[3:5]] == [
        ["12000", "×", "9000"],
        ["0.9877", "alike", "12000", "×", "9000"],
    ]
    assert all(line.count("…") <= 1 for line in [*lines, *rows])


def test_one_thing_is_not_many() -> None:
    """Counts are in the singular where they are one."""
    found = SearchResult(
        model=MODEL,
        device="cpu",
        precision="fp32",
        engine="torch",
        searched=1,
        queries=(QueryMatches("x", None, (), (), ()),),
    )
    alike = DuplicatesResult(model=None, min_similarity=None, compared=1, groups=())

    assert drawn([*build_search_tables(found, 80)])[0].endswith(" · 1 image")
    assert drawn([*build_duplicates_table(alike, 80)])[0] == "1 image · 0 groups"


def test_what_an_image_is_stands_beside_its_cosine() -> None:
    """The query's own file, another one of the same bytes, one of several copies; in a table of 80 columns."""
    results = (
        Match(1, "b.png", 1.0, same="file", copies=12), Match(2, "c.png", 1.0, same="bytes"),
        Match(3, f"{'long-' * 20}.png", 0.5, copies=1),
    )  # fmt: skip
    result = dataclasses.replace(ANSWERS, queries=(QueryMatches(None, "b.png", (), (), results),))
    lines = drawn(list(build_search_tables(result, 80)), 80)

    assert [line.split() for line in lines[4:6]] == [
        ["1", "1.0000", "same", "file,", "12", "copies", "b.png"], ["2", "1.0000", "same", "bytes", "c.png"],
    ]  # fmt: skip
    assert lines[6].split()[:2] == ["3", "0.5000"]
    assert "long-" in lines[6]
    assert max(map(len, lines)) <= 80
    assert len(lines) == 8
