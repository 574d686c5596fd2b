"""The output of `clipsim rank` on a terminal → docs/table.svg, the picture at the top of the README.

Run it with `python scripts/make_picture.py` after a change to the table or to the bundled model. The picture loads
nothing: rich's template asks for a web font, which is taken out.
"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "table.svg"
COMMAND = "clipsim rank images/*.jpeg -t maze -t cat"
COLUMNS = 78
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def run_on_terminal(command: str, columns: int) -> str:
    """What a command writes to a terminal of that width, escape sequences included, in an empty home and offline.

    Raises CalledProcessError where the command fails.
    """
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLIPSIM_", "HF_", "XDG_"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as home:
        clean |= {"HOME": home, "PATH": path, "HF_HUB_OFFLINE": "1", "COLUMNS": str(columns), "TERM": "xterm-256color"}
        controller, terminal = pty.openpty()
        with subprocess.Popen(
            ["bash", "-c", command], stdout=terminal, stderr=subprocess.DEVNULL, cwd=ROOT, env=clean
        ) as running:
            os.close(terminal)
            chunks = []
            with suppress(OSError):  # how Linux reports that nobody has the terminal open any more
                while chunk := os.read(controller, 1 << 16):
                    chunks.append(chunk)
            os.close(controller)
        if running.returncode:
            raise subprocess.CalledProcessError(running.returncode, command)
    return b"".join(chunks).decode("utf-8").replace("\r\n", "\n")


def draw_terminal(command: str, output: str, columns: int) -> str:
    """A terminal window with the command and its output, as SVG that needs no other file."""
    console = Console(record=True, width=columns, file=io.StringIO(), highlight=False)
    console.print(Text.assemble(("$ ", "green"), (command, "bold")))
    for line in output.splitlines():
        console.print(Text.from_ansi(line))
    template = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    template = template.replace("Fira Code, monospace", FONTS).replace("font-family: arial", "font-family: sans-serif")
    svg = console.export_svg(title="clipsim", code_format=template, unique_id="clipsim")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).strip() + "\n"


def main() -> None:
    """Run the command and write the picture."""
    TARGET.write_text(draw_terminal(COMMAND, run_on_terminal(COMMAND, COLUMNS), COLUMNS), encoding="utf-8")
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    main()
