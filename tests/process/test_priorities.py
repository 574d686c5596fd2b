"""What a pipeline changes of its process: priorities and Pillow's limits, in the command line's own process alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOWEST = 19
# Prints the niceness of the main thread and of those that decode, and Pillow's limit before and after.
PIPELINE = """
import os, sys, threading
from PIL import Image
sys.path.insert(0, sys.argv[1])
from fake_encoder import FakeEncoder
from clipsim.embedding.pipeline import Pipeline
from clipsim.images.limits import DecodingRules
from clipsim.inputs.arguments import make_sources

class Watched(FakeEncoder):
    def prepare_image(self, image):
        decoding.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super().prepare_image(image)

decoding, before = set(), Image.MAX_IMAGE_PIXELS
own = sys.argv[3] == "own"
pipeline = Pipeline(
    Watched(), make_sources(sys.argv[2]), rules=DecodingRules(), batch_size=2, workers=2, own_process=own
)
assert len([item for item in pipeline if item.pixels is not None]) == 3
print(os.getpriority(os.PRIO_PROCESS, 0), *decoding, Image.MAX_IMAGE_PIXELS == before)
"""


def run_pipeline(colours: Path, niceness: int, process: str) -> list[str]:
    """Decode in a process that was started with a lower priority."""
    command = ["nice", "-n", str(niceness), sys.executable, "-c", PIPELINE, str(Path(__file__).parents[1])]
    done = subprocess.run([*command, str(colours), process], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
@pytest.mark.parametrize("niceness", [0, 5, 19])
def test_no_thread_has_a_priority_of_its_own(colours: Path, niceness: int) -> None:
    """Whatever priority the process was started with: beside other busy processes, a lower one starves the model."""
    main = min(LOWEST, os.getpriority(os.PRIO_PROCESS, 0) + niceness)

    assert run_pipeline(colours, niceness, "own") == [str(main), str(main), "False"]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux alone")
def test_a_library_changes_nothing_of_its_process(colours: Path) -> None:
    """The calling program may have threads and limits of its own."""
    main = str(min(LOWEST, os.getpriority(os.PRIO_PROCESS, 0) + 5))

    assert run_pipeline(colours, 5, "library") == [main, main, "True"]
