"""Pages of clipsim in Chromium → pictures of them in docs/.

Run `python scripts/make_screenshots.py report` after a change to a page or to the bundled model; without a name, it
makes all of them. Needs Chromium (`apt-get install chromium`).
"""

from __future__ import annotations

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

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
    return save(beside(wide, narrow), "report.png")


def make_serve() -> Path:
    """The page of `clipsim serve images`: the matrix on a wide screen, and a search, dark, on a telephone."""

    def rank(page: Page) -> None:
        page.locator("#files").set_input_files(sorted((ROOT / "images").glob("*.jpeg")))
        for text in REPORT_TEXTS:
            page.locator("#text").fill(text)
            page.keyboard.press("Enter")
        page.locator("#scores tr:last-child td.best").wait_for(state="attached")
        page.locator("#progress").wait_for(state="hidden")

    def search(page: Page) -> None:
        page.get_by_role("link", name="Search the folder").click()
        page.locator("#query").fill("cat")
        page.keyboard.press("Enter")
        page.locator(".gallery img").nth(5).wait_for()

    with serving() as address:
        wide = photograph(f"{address}#rank", DESKTOP, "light", act=rank)
        narrow = photograph(address, TELEPHONE, "dark", act=search)
    return save(beside(wide, narrow), "serve.png")


@contextmanager
def serving() -> Iterator[str]:
    """The address of a `clipsim serve images` that runs until the end."""
    command = [sys.executable, "-m", "clipsim", "serve", "images", "--port", "0", "-m", "clipsim-mini"]
    with tempfile.TemporaryDirectory() as folder:
        home = os.environ | {"HOME": folder, "CLIPSIM_CACHE_DIR": folder, "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=home) as server:
            try:
                assert server.stderr is not None
                for line in server.stderr:
                    if (found := re.search(r"http://\S+", line)) is not None:
                        yield found[0]
                        break
                else:
                    raise SystemExit("clipsim serve ended before it was ready")
            finally:
                server.terminate()


def beside(wide: Image.Image, narrow: Image.Image) -> Image.Image:
    """One picture of both."""
    both = Image.new("RGB", (wide.width + 20 + narrow.width, wide.height), "white")
    both.paste(wide, (0, 0))
    both.paste(narrow, (wide.width + 20, 0))
    return both


def photograph(
    address: str,
    size: tuple[int, int],
    scheme: str,
    *,
    first: str | None = None,
    act: Callable[[Page], None] | None = None,
) -> Image.Image:
    """What a browser window of that size shows, in "light" or "dark"; after `act`, scrolled to the element `first`."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = driver.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
        )
        page.goto(address)
        if act is not None:
            act(page)
            page.wait_for_timeout(600)  # colours change within a quarter of a second
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


MAKERS: dict[str, Callable[[], Path]] = {"report": make_report, "serve": make_serve}


def main() -> None:
    """Make the pictures that were named, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", nargs="*", metavar="NAME", help="which pictures; all unless given")
    for name in parser.parse_args().name or MAKERS:
        path = MAKERS[name]()
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
