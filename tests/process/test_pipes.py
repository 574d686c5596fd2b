"""Lists of paths that come slowly, readers that go away, disks that are full, streams that are closed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from conftest import Run
from PIL import Image
from process.programs import CLIPSIM, COLOURS, Program, make_names, rank

FULL = b"clipsim: error: cannot write the results: No space left on device\n"
# Runs the command line and counts in a file how often files of a folder were opened.
COUNT_OPENED = """
import os, sys
log, folder, *rest = sys.argv[1:]
written = os.open(log, os.O_WRONLY | os.O_CREAT)
sys.addaudithook(lambda event, facts: event == "open" and str(facts[0]).startswith(folder) and os.write(written, b"."))
sys.argv = ["clipsim", *rest]
from clipsim.cli import main
main()
"""


def names_in(lines: list[bytes]) -> list[str]:
    """The images of lines of JSON, by their names."""
    return [Path(json.loads(line)["image"]).name for line in lines]


@pytest.mark.parametrize("batch_size", [[], ["--batch-size", "32"]], ids=["default", "32"])
def test_results_do_not_wait_for_a_slow_list(warm: Path, tmp_path: Path, batch_size: list[str]) -> None:
    """What is known of 63 paths is printed while the 64th has not come, though it would fill the second batch."""
    paths = make_names(sorted(warm.iterdir()), tmp_path / "names", 65)
    with Program(rank("-", "--format", "jsonl", "-q", *batch_size), stdin=PIPE, stdout=PIPE) as program:
        program.write(paths[:63])
        assert names_in(program.lines(63)) == [path.name for path in paths[:63]]
        program.write(paths[63:])
        assert names_in(program.lines(2)) == [path.name for path in paths[63:]]
        status, rest, _ = program.finish()

    assert (status, rest) == (0, b"")


def test_a_name_is_used_when_its_line_has_ended(warm: Path) -> None:
    """Half a line is not a path yet."""
    red, blue = warm / "red.png", warm / "blue.png"
    with Program(rank("-", "--format", "jsonl", "-q"), stdin=PIPE, stdout=PIPE) as program:
        assert program.process.stdin is not None
        program.process.stdin.write(os.fsencode(red) + b"\n" + os.fsencode(blue)[:-4])
        program.process.stdin.flush()
        assert names_in(program.lines(1)) == ["red.png"]
        program.process.stdin.write(os.fsencode(blue)[-4:])
        status, rest, _ = program.finish()

    assert status == 0
    assert names_in(rest.splitlines()) == ["blue.png"]


def test_a_list_without_end_ends_with_its_reader(warm: Path, tmp_path: Path) -> None:
    """`| head -1` ends the run, quietly and with status 0, however many paths are still to come."""
    command = " ".join(rank("-", "--format", "jsonl", "-q"))
    names = f"for ((i = 0; ; i++)); do ln '{warm / 'red.png'}' $i.png; echo $i.png; done"
    line = f"({names}) 2>&- | {command} | head -1; echo ${{PIPESTATUS[1]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, timeout=300)
    printed, status = done.stdout.splitlines()

    assert names_in([printed]) == ["0.png"]
    assert status == b"0"
    assert done.stderr == b""


def test_a_closed_pipe_ends_decoding(tmp_path: Path) -> None:
    """The pictures that stand in the queue are not decoded for a reader that has gone."""
    rng = np.random.default_rng(0)
    picture = tmp_path / "costly.png"
    Image.fromarray(rng.integers(0, 256, (800, 800, 3), np.uint8)).save(picture, compress_level=1)
    names = make_names([picture], tmp_path / "names", 96)
    read, write = os.pipe()
    os.close(read)
    arguments = ["rank", *map(str, names), "-t", "red", "-t", "blue", "--format", "jsonl", "-q", "--no-cache"]
    arguments += ["--batch-size", "16", "--workers", "1"]
    command = [sys.executable, "-c", COUNT_OPENED, str(tmp_path / "log"), str(names[0].parent), *arguments]
    done = subprocess.run(command, env=os.environ | COLOURS, stdout=write, stderr=PIPE, timeout=300)
    os.close(write)

    assert (done.returncode, done.stderr) == (0, b"")
    opened = len((tmp_path / "log").read_bytes())
    assert 1 <= opened < 48  # the first batch and, on a busy machine, some of the two that are prepared ahead


@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv"])
def test_a_closed_pipe_and_a_full_disk(warm: Path, form: str) -> None:
    """A reader that has had enough ends the run quietly; a disk that is full is one line and status 1."""
    for target, status in (("closed", 0), ("/dev/full", 1)):
        read, write = os.pipe()
        os.close(read)
        stream = write if target == "closed" else os.open(target, os.O_WRONLY)
        done = subprocess.run(rank(warm, "-q", "--format", form), stdout=stream, stderr=PIPE, timeout=300)
        os.close(write)

        assert done.returncode == status
        assert done.stderr == (
            b"clipsim: error: cannot write the results: No space left on device\n" if status else b""
        )


@pytest.mark.parametrize("arguments", ["--help", "rank --help", "--version", "models"])
def test_help_into_closed_pipes_and_full_disks(arguments: str) -> None:
    """A reader that has had enough is no failure; a full disk is one line, and neither is a traceback."""
    command = f"{' '.join(CLIPSIM)} {arguments}"
    pipe = ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"]
    closed = subprocess.run(pipe, capture_output=True, timeout=60)
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, timeout=60)

    assert closed.stdout == b"0\n"
    assert closed.stderr == b""
    assert full.returncode == 1
    assert b"Traceback" not in full.stderr


def test_streams_that_are_closed(warm: Path) -> None:
    """A run with closed streams works on the others."""
    command = " ".join(rank(warm, "--format", "csv"))
    no_error = subprocess.run(["bash", "-c", f"{command} 2>&-"], capture_output=True, timeout=60)
    no_output = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, timeout=60)
    no_input = subprocess.run(["bash", "-c", f"{command} - <&-"], capture_output=True, timeout=60)

    assert (no_error.returncode, no_error.stdout.count(b"\n")) == (0, 7)
    assert b"Traceback" not in no_output.stderr
    assert (no_input.returncode, no_input.stdout.count(b"\n")) == (0, 7)


def test_the_bundled_model_end_to_end(run: Run, tmp_path: Path) -> None:
    """In an empty home and offline: paths from a pipe, JSON on standard output."""
    images = Path(__file__).parents[2] / "images"
    names = b"\0".join(os.fsencode(path) for path in sorted(images.glob("[cm]a[tz]*.jpeg")))
    done = run("rank", "-", "-t", "maze", "-t", "cat", "--json", input=names, cwd=tmp_path)
    record = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert len(record["images"]) >= 4
    for image, best in zip(record["images"], record["best"], strict=True):
        assert Path(image).name.startswith(record["texts"][best])


def test_an_ascii_locale(run: Run, warm: Path, tmp_path: Path) -> None:
    """The table is drawn in ASCII, prompts in UTF-8 are understood, and JSON is UTF-8 all the same."""
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env |= {"CLIPSIM_CACHE_DIR": os.environ["CLIPSIM_CACHE_DIR"]}
    shutil.copytree(warm, tmp_path / "cölours")

    table = run("rank", tmp_path / "cölours", "-t", "café", "-t", "blue", "-q", env=env)
    assert table.returncode == 0, table.stderr
    assert table.stdout.isascii()

    record = run("rank", tmp_path / "cölours", "-t", "café", "-t", "blue", "-q", "--json", env=env)
    assert json.loads(record.stdout.decode("utf-8"))["texts"] == ["café", "blue"]
