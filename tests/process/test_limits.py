"""Runs with little: few file descriptors, no home, and memory that does not grow with the number of pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
from PIL import Image
from process.programs import Program, make_names, rank

resource = pytest.importorskip("resource", reason="needs the limits of POSIX")


def test_few_file_descriptors_and_no_home(colours: Path, tmp_path: Path) -> None:
    """64 descriptors are enough for any number of pictures, and a home that is not there is no reason to fail."""
    done = subprocess.run(
        rank("-", "-q", "--format", "csv", "--no-cache"),
        input=b"".join(os.fsencode(path) + b"\n" for path in make_names([*colours.iterdir()], tmp_path / "names", 120)),
        capture_output=True,
        timeout=300,
        env={**os.environ, "HOME": "/proc/nowhere", "XDG_CONFIG_HOME": ""},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)),
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == 241


def resident_megabytes(process: int) -> float:
    """The memory that a process has now."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Between the 200th and the 1,000th picture, all of them computed, memory grows by less than their pixels take.

    The prepared pixels of 800 pictures are 10 MB, the decoded pictures 61 MB. Batches are small, since torch keeps
    something for each size of a batch, and from a pipe sizes differ.
    """
    rng = np.random.default_rng(0)
    for number in range(100):
        picture = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((160, 160))
        picture.save(tmp_path / f"{number}.jpg")
    paths = make_names([tmp_path / f"{number}.jpg" for number in range(100)], tmp_path / "names", 1000)
    command = rank("-", "-q", "--format", "jsonl", "--no-cache", "--batch-size", "4")
    with Program(command, stdin=PIPE, stdout=PIPE) as program:
        sizes = []
        for start in range(0, 1000, 100):
            program.write(paths[start : start + 100])
            assert len(program.lines(100)) == 100
            sizes.append(resident_megabytes(program.process.pid))

    assert sizes[-1] < sizes[1] + 6
