"""Tests of `clipsim rank`: the options with an encoder that knows colours, the streams and statuses for real."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Run
from fake_encoder import FakeEncoder
from PIL import Image

import clipsim.cli.run
from clipsim.cli import main

Rank = Callable[..., "tuple[int, str, str]"]


@pytest.fixture
def rank(
    encoder: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> Rank:
    """Run `clipsim rank …` in this process with the colour encoder: exit status, standard output, standard error."""
    monkeypatch.setattr(clipsim.cli.run, "open_cached", lambda *_, **__: (encoder, None))
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("CLIPSIM_MODEL", raising=False)
    monkeypatch.setenv("HOME", str(colours.parent))
    monkeypatch.chdir(colours)

    def run_rank(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["clipsim", "rank", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out.decode(), err.decode()

    return run_rank


def test_a_table_of_colours(rank: Rank) -> None:
    """The default output is the table, and the notice about the bundled model goes to standard error."""
    status, out, err = rank("red.png", "blue.png", "-t", "red", "--text", "blue")

    assert status == 0
    assert out.splitlines()[0].startswith("fake · cpu · fp32")
    assert "* 1.0000 100.0%" in out
    assert err.count("\n") == 1
    assert "using clipsim-mini" in err
    assert "clipsim models use" in err


def test_quiet_says_nothing(rank: Rank) -> None:
    """No notice is left with -q."""
    assert rank("red.png", "-t", "red", "-t", "red", "-q")[2] == ""


def test_json_is_the_record(rank: Rank) -> None:
    """The object of the contract, with the notices in it."""
    status, out, _ = rank(".", "-t", "red", "-t", "blue", "-t", "red", "--json")
    record = json.loads(out)

    assert status == 0
    assert list(record) == [
        "schema", "model", "device", "precision", "engine", "templates", "texts", "images", "similarity",
        "probabilities", "best", "errors", "warnings",
    ]  # fmt: skip
    assert record["images"] == ["./blue.png", "./green.png", "./red.png"]
    assert record["texts"] == ["red", "blue"]
    assert any("counted once: 'red'" in warning for warning in record["warnings"])


def test_json_lines_in_the_order_of_the_inputs(rank: Rank) -> None:
    """One line an input, a failed one in its place."""
    status, out, err = rank("red.png", "nope.png", "blue.png", "-t", "red", "-t", "blue", "--format", "jsonl", "-q")
    lines = [json.loads(line) for line in out.splitlines()]

    assert status == 3
    assert [line["image"] for line in lines] == ["red.png", "nope.png", "blue.png"]
    assert lines[1]["error"] == "no such file"
    assert lines[2]["best"] == "blue"
    assert [score["text"] for score in lines[2]["scores"]] == ["blue", "red"]
    assert "skipped: nope.png: no such file" in err


def test_csv_has_a_row_a_pair(rank: Rank) -> None:
    """Header and rows, images outside, texts inside."""
    _, out, _ = rank("red.png", "blue.png", "-t", "red", "-t", "blue", "--format", "csv")
    rows = list(csv.reader(io.StringIO(out)))

    assert rows[0] == ["image", "text", "similarity", "probability"]
    assert [row[:2] for row in rows[1:]] == [
        ["red.png", "red"], ["red.png", "blue"], ["blue.png", "red"], ["blue.png", "blue"],
    ]  # fmt: skip


def test_top_and_sort_by(rank: Rank) -> None:
    """The K best texts of each image; the images by their likeness to one text."""
    arguments = ["red.png", "green.png", "blue.png", "-t", "red", "-t", "blue", "-t", "lime"]
    _, out, _ = rank(*arguments, "--top", "1", "--sort-by", "blue", "--format", "csv")
    assert out.splitlines()[1].split(",")[:2] == ["blue.png", "blue"]
    assert len(out.splitlines()) == 4

    _, out, _ = rank(*arguments, "--sort-by", "blue", "--format", "jsonl")
    assert json.loads(out.splitlines()[0])["image"] == "blue.png"

    _, out, _ = rank(*arguments, "--top", "2")
    assert "The best 2 of 3 texts" in out

    _, out, err = rank(*arguments, "--top", "2", "--json")
    assert len(json.loads(out)["similarity"]) == 3
    assert "--top does not apply" in err


def test_templates_keep_the_label(rank: Rank) -> None:
    """The label shown is the prompt as typed."""
    _, out, _ = rank("red.png", "-t", "red", "-t", "blue", "--template", "a {} thing", "--template", "{}.", "--json")
    record = json.loads(out)

    assert record["texts"] == ["red", "blue"]
    assert record["templates"] == ["a {} thing", "{}."]
    assert record["similarity"][0][0] == pytest.approx(1, abs=1e-4)


def test_prompts_and_paths_from_files(rank: Rank, colours: Path) -> None:
    """--text-file adds to --text; --from-file adds to the images."""
    (colours / "prompts.txt").write_text("blue\nlime\n")
    (colours / "list.bin").write_bytes(b"green.png\0blue.png\0")
    _, out, _ = rank(
        "red.png", "-t", "red", "--text-file", "prompts.txt", "--from-file", "list.bin", "-0", "--json", "-q"
    )

    assert json.loads(out)["texts"] == ["red", "blue", "lime"]
    assert json.loads(out)["images"] == ["red.png", "green.png", "blue.png"]


def test_a_single_text_is_explained(rank: Rank) -> None:
    """The probability is null, and a notice says why."""
    _, out, err = rank("red.png", "-t", "red", "--format", "jsonl")

    assert json.loads(out)["scores"][0]["probability"] is None
    assert "there is no probability" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["red.png"], "no texts to compare with"),
        (["-t", "red"], "no images to rank"),
        (["red.png", "-t", ""], "a prompt is empty"),
        (["red.png", "-t", "red", "--sort-by", "blue"], "'blue' is none of the texts"),
        (["red.png", "-t", "red", "--template", "x"], "has no {}"),
        (["red.png", "-t", "red", "--format", "csv", "--json"], "contradict"),
        (["-", "-t", "red", "--text-file", "-"], "only once"),
        (["red.png", "-t", "red", "--weights", "x.pt"], "--weights needs --model"),
        (["red.png", "-t", "red", "--top", "0"], "--top"),
        (["red.png", "-t", "red", "--precision", "int8"], "--precision"),
        (["red.png", "-t", "red", "--no-such-option"], "--no-such-option"),
    ],
)
def test_wrong_usage_is_status_2(rank: Rank, arguments: list[str], message: str) -> None:
    """Each contradiction says what it is, and prints nothing on standard output."""
    status, out, err = rank(*arguments)

    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.png", "nope2.png", "-t", "red"], "none of the inputs could be used"),
        (["prompts.txt", "-t", "red"], "none of the inputs could be used"),
        (["red.png", "-t", "red", "--text-file", "nope.txt"], "nope.txt: cannot read the prompts"),
        (["red.png", "-t", "red", "--model", "no-such-model"], "no model, file or folder is called 'no-such-model'"),
        (["red.png", "-t", "one two three four five six"], "has 6 words"),
        (["red.png", "nope.png", "-t", "red", "--on-error", "fail"], "nope.png: no such file"),
        (["red.png", "-t", "red", "--from-file", "nope"], "nope: cannot read the list"),
        (["--from-file", "/dev/null", "-t", "red"], "the list of paths is empty"),
        (["x" * 300, "-t", "red"], "none of the inputs could be used"),
    ],
)
def test_nothing_done_is_status_1(rank: Rank, colours: Path, arguments: list[str], message: str) -> None:
    """One clear line says what and why; standard output stays empty."""
    (colours / "prompts.txt").write_text("no image")
    status, out, err = rank(*arguments, "-q")

    assert (status, out) == (1, "")
    assert message in err
    assert "Traceback" not in err


def test_some_skipped_is_status_3(rank: Rank, colours: Path) -> None:
    """The good ones are ranked, the broken ones named and counted."""
    (colours / "broken.png").write_bytes((colours / "red.png").read_bytes()[:60])
    status, out, err = rank(".", "-t", "red", "-t", "blue", "-q")

    assert status == 3
    assert "red.png" in out
    assert "broken.png" not in out
    assert "skipped: ./broken.png: " in err
    assert "1 of 4 inputs skipped" in err


def test_names_cannot_act_on_the_terminal(rank: Rank, colours: Path) -> None:
    """Escapes in a file's name reach neither stream."""
    Image.new("RGB", (9, 5), "red").save(colours / "a\x1b[31m.png")
    (colours / "b\x1b]0;x\x07.png").touch()
    _, out, err = rank(".", "-t", "red", "-t", "blue", "-q")

    assert "\x1b" not in out + err
    assert "\\x1b[31m" in out
    assert "\\x1b]0;x\\x07" in err


def test_a_bug_keeps_its_traceback(rank: Rank, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not the user's doing is not dressed up as it."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(clipsim.cli.run, "open_cached", broken)
    monkeypatch.setattr(sys, "argv", ["clipsim", "rank", "red.png", "-t", "red"])
    with pytest.raises(ZeroDivisionError):
        main()


def test_the_bundled_model_end_to_end(run: Run, tmp_path: Path) -> None:
    """The installed program, in an empty home and offline: paths from a pipe, JSON on standard output."""
    images = Path(__file__).parents[1] / "images"
    names = b"\0".join(os.fsencode(path) for path in sorted(images.glob("[cm]a[tz]*.jpeg")))
    done = run("rank", "-", "-0", "-t", "maze", "-t", "cat", "--json", input=names, cwd=tmp_path)
    record = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert len(record["images"]) >= 4
    for image, best in zip(record["images"], record["best"], strict=True):
        assert Path(image).name.startswith(record["texts"][best])


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_a_closed_pipe_and_a_full_disk(run: Run, colours: Path, form: str) -> None:
    """A reader that has had enough ends the run quietly; a disk that is full is one line and status 1."""
    for target, status in (("closed", 0), ("/dev/full", 1)):
        read, write = os.pipe()
        os.close(read)
        stream = write if target == "closed" else os.open(target, os.O_WRONLY)
        command = [
            sys.executable,
            "-m",
            "clipsim",
            "rank",
            str(colours),
            "-t",
            "red",
            "-t",
            "blue",
            "-q",
            "--format",
            form,
        ]
        done = subprocess.run(command, stdout=stream, stderr=subprocess.PIPE, timeout=300)
        os.close(write)

        assert done.returncode == status
        assert done.stderr.count(b"\n") == status
        assert b"Traceback" not in done.stderr


def test_an_interrupt_is_status_130(colours: Path, tmp_path: Path) -> None:
    """Ctrl-C ends with one line, without a traceback, and leaves valid lines behind."""
    arguments = ["rank", *([str(colours)] * 3000), "-t", "red", "-t", "blue", "-q", "--format", "jsonl"]
    written = tmp_path / "scores.jsonl"
    with written.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", "clipsim", *arguments], stdout=file, stderr=subprocess.PIPE)
    while process.poll() is None and not written.stat().st_size:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert err.decode() == "clipsim: error: interrupted\n"
    assert all(json.loads(line)["best"] for line in written.read_text().splitlines())
