"""Tests of `-o FILE` and `--open`: the format of the suffix, whole files or none, and the page that is shown."""

from __future__ import annotations

import json
import shlex
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest
from fake_encoder import FakeEncoder

if TYPE_CHECKING:
    from cli.conftest import Clipsim


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The pages that were shown, in a browser that only notes their addresses."""
    pages: list[Path] = []

    def show(url: str) -> bool:
        pages.append(Path(unquote(urlsplit(url).path)))
        return True

    monkeypatch.setattr(webbrowser, "open", show)
    return pages


@pytest.mark.parametrize(
    ("suffix", "start"),
    [
        (".json", "{\n"), (".JSON", "{\n"), (".jsonl", '{"image": '), (".ndjson", '{"image": '),
        (".csv", "image,text,"),
        (".html", "<!DOCTYPE html>"), (".htm", "<!DOCTYPE html>"), (".txt", "clipsim-mini"), ("", "clipsim-mini"),
    ],
)  # fmt: skip
def test_the_suffix_sets_the_format(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, suffix: str, start: str
) -> None:
    """Nothing is printed; the file is what standard output would be, and nothing is left beside it."""
    target = tmp_path / "new" / f"result{suffix}"
    target.parent.mkdir()
    asked = ("rank", colours, "-t", "red", "-t", "blue", "-q")
    ended = clipsim(*asked, "-o", target)
    name = {"jsonl": "jsonl", "ndjson": "jsonl", "htm": "html", "txt": "table", "": "table"}
    wanted = clipsim(*asked, "--format", name.get(suffix[1:].lower(), suffix[1:].lower()))

    assert (ended.status, ended.out, ended.err) == (0, "", "")
    assert target.read_text().startswith(start)
    assert target.read_text() == wanted.out
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize(
    ("arguments", "name", "start"),
    [
        (["search", "{colours}", "-t", "red"], "a.csv", "text,query_image"),
        (["search", "{colours}", "-t", "red", "-l"], "a.json", "/"),
        (["search", "{colours}", "-t", "red", "--format", "csv"], "a.json", "text,"),
        (["duplicates", "{colours}"], "a.json", "{"),
        (["models", "list"], "a.json", "["),
        (["models"], "a.json", "["),
        (["models", "show", "clipsim-mini"], "a.json", "{"),
        (["cache", "info"], "a.json", "{"),
    ],
)
def test_every_command_has_it(
    clipsim: Clipsim,
    colour_model: FakeEncoder,
    colours: Path,
    tmp_path: Path,
    arguments: list[str],
    name: str,
    start: str,
) -> None:
    """What was asked for otherwise goes before the suffix."""
    ended = clipsim(*(argument.format(colours=colours) for argument in arguments), "-o", tmp_path / name)

    assert (ended.status, ended.out) == (0, "")
    assert (tmp_path / name).read_text().startswith(start)


def test_a_run_that_fails_leaves_the_earlier_file(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path
) -> None:
    """Also a link to it stays a link; with some inputs skipped, what could be done is written."""
    target, link = tmp_path / "kept.json", tmp_path / "link.json"
    target.write_text("earlier")
    link.symlink_to(target)
    failed = clipsim("rank", colours, "-t", "one two three four five six", "-q", "-o", link)
    nothing = clipsim("search", tmp_path / "none.png", "-t", "red", "-q", "-o", link)

    assert (failed.status, nothing.status, target.read_text()) == (1, 1, "earlier")
    assert not list(tmp_path.glob(".*"))

    (colours / "broken.png").write_bytes(b"x")
    some = clipsim("rank", colours, "-t", "red", "-t", "blue", "-q", "-o", link)
    assert some.status == 3
    assert json.loads(target.read_text())["errors"][0]["path"].endswith("broken.png")
    assert link.is_symlink()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["overview", "{colours}", "-o", "x.csv"], "this command prints table, json or html, not csv"),
        (["models", "list", "-o", "x.csv"], "--output x.csv: this command prints table or json, not csv"),
        (["search", "{colours}", "-t", "red", "-o", "none/x.json"], "none/x.json: cannot write it: No such file"),
        (["search", "{colours}", "-t", "red", "-o", "{colours}"], "cannot write it: Is a directory"),
        (
            ["search", "{colours}", "-t", "red", "--json", "--open"],
            "--open shows a page; give it without another",
        ),
        (["search", "{colours}", "-t", "red", "-l", "--open"], "--open shows a page"),
        (
            ["search", "{colours}", "-t", "red", "-o", "x.json", "--open"],
            "--output x.json: --open shows a page, whose name ends in .html",
        ),
        (["search", "{colours}", "-t", "red", "-o", ""], "--output: the name of the file is empty"),
    ],
)
def test_what_cannot_be_written(
    clipsim: Clipsim, colours: Path, opened: list[Path], arguments: list[str], message: str
) -> None:
    """It is known before anything is computed."""
    ended = clipsim(*(argument.format(colours=colours) for argument in arguments))

    assert (ended.status, ended.out) == (2, "")
    assert message in ended.err
    assert opened == []


def test_a_page_is_shown(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, opened: list[Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The file that was named, else a temporary one, whose name is printed."""
    named = clipsim("search", colours, "-t", "red", "-q", "--open", "-o", tmp_path / "ä page.html")
    unnamed = clipsim("rank", colours, "-t", "red", "-t", "blue", "-q", "--open")

    assert (named.status, named.out, named.err) == (0, "", "")
    assert opened[0] == tmp_path / "ä page.html"
    assert (unnamed.status, unnamed.out, unnamed.err) == (0, "", f"clipsim: note: the page is {opened[1]}\n")
    for page in opened:
        assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    none = clipsim("search", colours, "-t", "red", "-q", "--open", "-o", tmp_path / "x.html")
    assert none.err == f"clipsim: note: no browser could be opened; the page is {tmp_path / 'x.html'}\n"


def test_standard_output_by_name(clipsim: Clipsim, colour_model: FakeEncoder, colours: Path) -> None:
    """`-` is where results go anyway."""
    asked = ("search", colours, "-t", "red", "-q", "--json")

    assert clipsim(*asked, "-o", "-").out == clipsim(*asked).out


def test_a_plan_is_written_and_carried_out(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path
) -> None:
    """The command that undoes it is said on standard error; undo and the keywords for ExifTool take -o, too."""
    sorting = ("sort", colours, "-t", "red", "-t", "blue", "--copy-to", tmp_path / "sorted", "--yes")
    ended = clipsim(*sorting, "-o", tmp_path / "plan.txt")
    undo = ended.err.split("to undo: clipsim ")[1].split("\n")[0]
    taken_back = clipsim(*shlex.split(undo), "-o", tmp_path / "undo.json", "-q")
    keywords = clipsim("tag", colours, "-t", "red", "--format", "exiftool", "-o", tmp_path / "keywords.csv", "-q")

    assert (
        (ended.status, ended.out) == (taken_back.status, taken_back.out) == (keywords.status, keywords.out) == (0, "")
    )
    assert (tmp_path / "plan.txt").read_text().endswith("files copied.\n")
    assert json.loads((tmp_path / "undo.json").read_text())["applied"] is True
    assert (tmp_path / "keywords.csv").read_text().startswith("SourceFile,")
