"""A result with many pictures → how long its HTML page takes to be written, and a browser to open, sort and filter it.

`python -m benchmarks.pages [--pictures N] [--texts M] [--runs R] [--keep FILE]`. The pictures cost what photographs do,
and are all different. Needs Chromium and `clipsim[dev]`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.render.rank_page import format_rank_page
from clipsim.results.base import ModelRecord
from clipsim.results.rank import ImageScores, RankResult

MODEL = ModelRecord("ViT-B-32", "random", 512, 224, 100.0, None, "softmax")
NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"


def make_pictured_result(pictures: int, texts: int) -> RankResult:
    """Made-up scores, and thumbnails of smooth fields with grain, 3 kB each."""
    rng = np.random.default_rng(0)
    similarity = rng.uniform(0.1, 0.3, (pictures, texts)).astype(np.float32)
    similarity[np.arange(pictures), rng.integers(0, texts, pictures)] += 0.05
    shares = np.exp(100 * similarity.astype(np.float64))
    shares /= shares.sum(axis=1, keepdims=True)
    scores = []
    for number in range(pictures):
        fields = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize(
            (96, 72), Image.Resampling.BICUBIC
        )
        grain = np.asarray(fields, np.float32) + rng.normal(0, 9, (72, 96, 1))
        small = Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))
        scores.append(
            ImageScores(
                f"photos/2024/holiday/IMG_{number:05d}.jpg",
                similarity[number],
                shares[number],
                int(similarity[number].argmax()),
                make_thumbnail(small, ThumbnailRules()),
            )
        )
    names = tuple(f"a photo of thing number {number}" for number in range(texts))
    return RankResult(
        model=MODEL, device="cpu", precision="fp32", engine="torch", templates=(), texts=names, scores=tuple(scores)
    )


def time_page(page: Page, address: str) -> dict[str, float]:
    """Seconds until the page is loaded and drawn, sorted by its second text and drawn, filtered and drawn."""
    seconds = {}

    def measure(step: str, act: Any) -> None:
        begun = time.perf_counter()
        act()
        page.evaluate(NEXT_FRAME)
        seconds[step] = time.perf_counter() - begun

    measure("open", lambda: page.goto(address, wait_until="load"))
    measure("sort", lambda: page.locator("#order").select_option("1"))
    measure("filter", lambda: page.locator("#filter").fill("99"))
    return seconds


def main() -> None:
    """Write the page, open it in fresh browsers, and print the medians."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--texts", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="where to leave the page")
    options = parser.parse_args()
    result = make_pictured_result(options.pictures, options.texts)
    with tempfile.TemporaryDirectory() as folder:
        path = (options.keep or Path(folder) / "page.html").resolve()
        begun = time.perf_counter()
        with path.open("w", encoding="utf-8") as file:
            file.writelines(format_rank_page(result))
        written = time.perf_counter() - begun
        runs = []
        with sync_playwright() as driver:
            for _ in range(options.runs):
                browser = driver.chromium.launch(
                    executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
                    args=["--no-sandbox"] if os.geteuid() == 0 else [],
                )
                runs.append(time_page(browser.new_page(viewport={"width": 1600, "height": 1000}), path.as_uri()))
                browser.close()
        print(f"{options.pictures:,} pictures, {options.texts} texts: {path.stat().st_size / 1e6:.1f} MB")
    print(f"write   {written:.2f} s")
    for step in runs[0]:
        print(f"{step:7} {statistics.median(run[step] for run in runs):.2f} s")


if __name__ == "__main__":
    main()
