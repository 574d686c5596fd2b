"""An export that is interrupted: through the installed command, at several stages of the work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from skips import needs_signals


@needs_signals
@pytest.mark.parametrize(
    ("number", "stage", "word"),
    [
        (signal.SIGINT, "*", b"interrupted"),  # nothing is written yet, and torch may still be loading the model
        (signal.SIGTERM, "*/raw-image.onnx", b"terminated"),  # standard error is redirected while torch exports
        (signal.SIGINT, "*/text.onnx.data", b"interrupted"),  # all is written, and compared with torch
    ],
)
def test_an_interrupted_export_leaves_nothing(tmp_path: Path, number: signal.Signals, stage: str, word: bytes) -> None:
    """The process ends by the signal itself, with one line, and removes what it has written."""
    environment = {**os.environ, "CLIPSIM_CACHE_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [Path(sys.executable).parent / "clipsim", "models", "export", "clipsim-mini"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    exports = tmp_path / "exports"
    while process.poll() is None and not any(exports.glob(f".unfinished-{stage}")):
        time.sleep(0.005)
    process.send_signal(number)
    assert process.stderr is not None
    line = process.stderr.readline()
    process.send_signal(number)  # an impatient user's second Ctrl-C does not keep the folder from being removed
    _, rest = process.communicate(timeout=60)

    assert process.returncode == -number
    assert (line, rest) == (b"clipsim: error: " + word + b"\n", b"")
    assert list(exports.iterdir()) == []
