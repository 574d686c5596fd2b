"""A server and its page in the browser, for the tests of the page."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from process.programs import CLIPSIM, Program

PATIENCE = 60_000  # milliseconds after which a page that hangs fails its test


def make_png(colour: str) -> bytes:
    """A small image, wider than high."""
    file = BytesIO()
    Image.new("RGB", (60, 40), colour).save(file, "png")
    return file.getvalue()


PNGS = {f"{colour}.png": make_png(colour) for colour in ("red", "lime", "blue")}


@contextmanager
def serving_page(folder: Path, *options: str, env: dict[str, str] | None = None) -> Iterator[str]:
    """The address of a server of the folder `images` in a folder, with these options."""
    command = [*CLIPSIM, "serve", "images", "--port", "0", *options]
    environment = {"CLIPSIM_CACHE_DIR": str(folder / "cache"), **(env or {})}
    with Program(command, env=environment, cwd=folder, stderr=subprocess.PIPE) as program:
        assert program.process.stderr is not None
        lines = []
        for line in program.process.stderr:
            lines.append(line.decode())
            if (found := re.search(r"http://\S+", lines[-1])) is not None:
                yield found[0]
                return
        pytest.fail("the server ended: " + "".join(lines))


class Opened:
    """The page in the browser, and all that it asked for or ran that it should not have."""

    def __init__(self, context: Any, address: str) -> None:
        context.set_default_timeout(PATIENCE)
        self.page = context.new_page()
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", self._dismiss)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.goto(address)

    def _dismiss(self, dialog: Any) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def choose(self, images: dict[str, bytes]) -> None:
        """Choose files of these names."""
        files = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in images.items()]
        self.page.locator("#files").set_input_files(files)

    def type_texts(self, texts: Sequence[str]) -> None:
        """Add texts, each with Enter."""
        for text in texts:
            self.page.locator("#text").fill(text)
            self.page.locator("#text").press("Enter")

    def wait_for_scores(self, summary: str) -> None:
        """Wait until the line of progress says this."""
        self.page.locator("#progress-text", has_text=re.compile(f"^{re.escape(summary)}$")).wait_for()

    def matrix(self) -> dict[str, list[str]]:
        """The first number of each cell, by the name of its image, once none is waited for."""
        waiting = "() => ![...document.querySelectorAll('#scores td.score b')].some((cell) => cell.textContent === '…')"
        self.page.wait_for_function(waiting)
        rows = self.page.locator("#scores tbody tr").all()
        return {
            row.locator("th .name").text_content(): [cell.text_content() for cell in row.locator("td.score b").all()]
            for row in rows
        }
