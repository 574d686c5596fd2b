"""Pages of clipsim in Chromium → pictures of them in docs/.

Run `python scripts/make_screenshots.py report` after a change to a page or to the bundled model; without a name, it
makes all of them. Needs Chromium (`apt-get install chromium`).
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
REPORT_TEXTS = ("cat", "dog", "maze", "house", "butterfly", "bar chart")
DESKTOP, TELEPHONE = (1180, 860), (400, 860)
COLOURS = 256  # of a picture in docs/


def make_report() -> Path:
    """A page of `clipsim rank images --format html` on a wide screen, and beside it, dark, on a telephone."""
    texts = [part for text in REPORT_TEXTS for part in ("-t", text)]
    command = [sys.executable, "-m", "clipsim", "rank", "images", *texts, "-m", "clipsim-mini", "--format", "html"]
    with tempfile.TemporaryDirectory() as folder:
        home = os.environ | {"HOME": folder, "CLIPSIM_CACHE_DIR": folder, "HF_HUB_OFFLINE": "1"}
        page = Path(folder) / "report.html"
        with page.open("wb") as file:
            subprocess.run(command, stdout=file, cwd=ROOT, env=home, check=True)
        wide = photograph(page.as_uri(), DESKTOP, "light")
        narrow = photograph(page.as_uri(), TELEPHONE, "dark", first="#tools")
    both = Image.new("RGB", (wide.width + 20 + narrow.width, wide.height), "white")
    both.paste(wide, (0, 0))
    both.paste(narrow, (wide.width + 20, 0))
    return save(both, "report.png")


def photograph(address: str, size: tuple[int, int], scheme: str, *, first: str | None = None) -> Image.Image:
    """What a browser window of that size shows, in "light" or "dark"; scrolled to the element `first`."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
        )
        page.goto(address)
        if first is not None:
            page.locator(first).evaluate("element => element.scrollIntoView()")
        picture = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(picture)).convert("RGB")


def save(picture: Image.Image, name: str) -> Path:
    """Write a picture to docs/, in few colours so that the repository stays small."""
    path = DOCS / name
    picture.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    return path


MAKERS: dict[str, Callable[[], Path]] = {"report": make_report}


def main() -> None:
    """Make the pictures that were named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="*", metavar="NAME", help="which pictures; all unless given")
    for name in parser.parse_args().name or MAKERS:
        path = MAKERS[name]()
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
