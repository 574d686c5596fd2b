"""An export that is interrupted: through the installed command, while the towers are being written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def test_an_interrupted_export_leaves_nothing(tmp_path: Path) -> None:
    """A signal in the middle of the work ends the process by itself, with one line, and removes what was written."""
    environment = {**os.environ, "CLIPSIM_CACHE_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [Path(sys.executable).parent / "clipsim", "models", "export", "clipsim-mini"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    exports = tmp_path / "exports"
    while process.poll() is None and not any(exports.glob(".unfinished-*/*.onnx")):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    assert process.returncode == -signal.SIGINT
    assert said == b"clipsim: error: interrupted\n"
    assert list(exports.iterdir()) == []
