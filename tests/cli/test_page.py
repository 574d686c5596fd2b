"""Tests of `rank --format html`: one page on standard output, for a browser."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli.conftest import Clipsim
from fake_encoder import FakeEncoder
from pages import parse_page
from PIL import Image

from clipsim.cli import preview as page
from clipsim.cli.preview import check_page
from clipsim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from clipsim.images.thumbnails import ThumbnailRules
    from clipsim.inputs.sources import Source

pytestmark = pytest.mark.usefixtures("colour_model")
TEXTS = ("-t", "red", "-t", "blue")


@pytest.fixture(autouse=True)
def in_colours(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in the folder of coloured pictures."""
    monkeypatch.chdir(colours)


def test_the_page_shows_every_image_with_its_picture(clipsim: Clipsim) -> None:
    """Names, scores and thumbnails belong together."""
    done = clipsim("rank", ".", *TEXTS, "--format", "html")
    rows = parse_page([done.out]).find("table", id="scores")[0].find("tr")[1:]

    assert done.status == 0
    assert [row.find("bdi")[0].text for row in rows] == ["./blue.png", "./green.png", "./red.png"]
    assert [cell.find("b")[0].text for cell in rows[2].find("td")] == ["1.0000", "0.0099"]
    for row, channel in zip(rows, (2, 1, 0), strict=True):
        source = row.find("img")[0].attributes["src"].removeprefix("data:image/webp;base64,")
        picture = Image.open(io.BytesIO(base64.b64decode(source)))
        pixel = picture.convert("RGB").getpixel((9, 9))
        assert picture.size == (40, 24)
        assert isinstance(pixel, tuple)
        assert pixel.index(max(pixel)) == channel


def test_options_for_what_is_shown(clipsim: Clipsim) -> None:
    """--sort-by orders the rows, --top keeps the best texts, --top-images makes groups."""
    ordered = parse_page([clipsim("rank", ".", *TEXTS, "--format", "html", "--sort-by", "red").out])
    assert ordered.find("tbody")[0].find("bdi")[0].text == "./red.png"
    assert ordered.find("select", id="order")[0].find("option")[0].text == "best for: red"
    few = parse_page([clipsim("rank", ".", *TEXTS, "--format", "html", "--top", "1").out])
    assert [len(row.find("li")) for row in few.find("tbody")[0].find("tr")] == [1, 1, 1]
    groups = parse_page([clipsim("rank", ".", *TEXTS, "--format", "html", "--top-images", "1").out])
    assert [group.find("li")[0].find("bdi")[0].text for group in groups.find("section", class_="group")] == [
        "./red.png", "./blue.png",
    ]  # fmt: skip


def test_what_failed_is_in_the_page_too(clipsim: Clipsim) -> None:
    """And the exit status says so."""
    Path("broken.png").write_bytes(b"GIF89a")
    done = clipsim("rank", ".", *TEXTS, "--format", "html")

    assert done.status == 3
    assert "./broken.png: " in parse_page([done.out]).find("details", class_="errors")[0].text


def test_without_an_image_there_is_no_page(clipsim: Clipsim) -> None:
    """Only the reasons, on standard error; a missing file is known before a model is loaded."""
    Path("broken.png").write_bytes(b"GIF89a")
    for name in ("broken.png", "nope.png"):
        done = clipsim("rank", name, *TEXTS, "--format", "html")
        assert (done.status, done.out) == (1, "")
        assert f"skipped: {name}: " in done.err


def test_more_pictures_than_a_page_holds(clipsim: Clipsim, colour_model: FakeEncoder) -> None:
    """Are refused before anything is computed, unless they are allowed."""
    done = clipsim("rank", ".", *TEXTS, "--format", "html", "--max-images", "2")

    assert (done.status, done.out) == (2, "")
    assert "3 images are more than the 2 that a page holds; --max-images 3 allows it" in done.err
    assert colour_model.text_batches == []
    assert clipsim("rank", ".", *TEXTS, "--format", "html", "--max-images", "3").status == 0
    assert clipsim("rank", ".", *TEXTS, "--format", "csv", "--max-images", "2").status == 0


def test_more_scores_than_a_page_holds(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says which --top fits."""
    monkeypatch.setattr(page, "MAX_SCORES", 5)
    done = clipsim("rank", ".", *TEXTS, "--format", "html")

    assert done.status == 2
    assert "3 images with 2 scores each are more than the 5 scores that a page holds; --top 1 or less" in done.err
    assert clipsim("rank", ".", *TEXTS, "--format", "html", "--top", "1").status == 0


def test_the_usual_limits() -> None:
    """10,000 pictures, and a million scores."""
    check_page(10_000, 100, page.MAX_PAGE_IMAGES)
    with pytest.raises(UsageError, match="--max-images 10001"):
        check_page(10_001, 2, page.MAX_PAGE_IMAGES)
    with pytest.raises(UsageError, match="--top 100 or less"):
        check_page(10_000, 101, page.MAX_PAGE_IMAGES)


def test_a_page_is_not_written_to_a_terminal(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads it there."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    done = clipsim("rank", ".", *TEXTS, "--format", "html")

    assert (done.status, done.out) == (2, "")
    assert "-o page.html, or --open" in done.err


def test_the_cache_is_no_reason_for_a_page_without_pictures(clipsim: Clipsim) -> None:
    """A second page is the same as the first."""
    first = clipsim("rank", ".", *TEXTS, "--format", "html", "-q")

    assert first.out.count("data:image/webp") == 3
    assert clipsim("rank", ".", *TEXTS, "--format", "html", "-q") == first


def test_a_page_of_an_evaluation(clipsim: Clipsim, tmp_path: Path) -> None:
    """With the picture of the image whose label is contradicted."""
    for name, label in (("red", "red"), ("green", "red"), ("blue", "blue")):
        (tmp_path / "data" / label).mkdir(parents=True, exist_ok=True)
        Path(f"{name}.png").rename(tmp_path / "data" / label / f"{name}.png")
    done = clipsim("evaluate", tmp_path / "data", "-q", "--format", "html")
    tree = parse_page([done.out])

    assert done.status == 0
    assert len(tree.find("table", class_="confusion")) == 1
    (entry,) = tree.find("ol", class_="gallery")[0].find("li")
    assert entry.find("bdi")[0].text == str(tmp_path / "data" / "red" / "green.png")
    assert len(entry.find("img")) == 1


def test_a_page_of_a_search(clipsim: Clipsim) -> None:
    """With the pictures that were found, and that of the query; those that were not found are not decoded."""
    done = clipsim("search", ".", "-t", "red", "--image", "blue.png", "--top", "1", "-q", "--format", "html")
    groups = parse_page([done.out]).find("section", class_="group")

    assert done.status == 0
    assert [group.find("h2")[0].text for group in groups] == ["red", "blue.png"]
    assert [len(group.find("img")) for group in groups] == [1, 2]
    assert groups[0].find("li")[0].find("bdi")[0].text == "./red.png"
    refused = clipsim("search", ".", "-t", "red", "-t", "blue", "--format", "html", "--max-images", "10")
    assert refused.status == 2
    assert "20 images are more than the 10 that a page holds" in refused.err


def test_a_page_of_duplicates(clipsim: Clipsim) -> None:
    """With their pictures; groups that do not fit are left out, with a note."""
    for name in ("red", "blue"):
        Path(f"{name}-copy.png").write_bytes(Path(f"{name}.png").read_bytes())
    done = clipsim("duplicates", ".", "-q", "--format", "html")
    groups = parse_page([done.out]).find("section", class_="group")

    assert done.status == 0
    assert [[name.text for name in group.find("li")[0].find("bdi")[:1]] for group in groups] == [
        ["./blue.png"], ["./red.png"],
    ]  # fmt: skip
    assert [len(group.find("img")) for group in groups] == [2, 2]
    few = clipsim("duplicates", ".", "--format", "html", "--max-images", "3")
    assert len(parse_page([few.out]).find("section", class_="group")) == 1
    assert "the page shows 1 of 2 groups" in few.err


def test_a_page_of_duplicates_shows_what_was_compared(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files of the same bytes, whose pixels are not compared, are decoded again for their thumbnails."""
    Image.open("red.png").save("red.bmp")
    Path("blue-copy.png").write_bytes(Path("blue.png").read_bytes())
    again: list[str] = []

    def read(sources: Iterable[Source], rules: ThumbnailRules) -> dict[str, bytes]:
        again.extend(source.name for source in sources)
        return {}

    monkeypatch.setattr("clipsim.tasks.search.read_thumbnails", read)
    done = clipsim("duplicates", ".", "-q", "--format", "html")
    groups = parse_page([done.out]).find("section", class_="group")

    assert sorted(again) == ["./blue-copy.png", "./blue.png"]
    assert [len(group.find("img")) for group in groups] == [0, 2]


def test_a_picture_that_is_gone_has_an_empty_place(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of vectors whose files have been moved is a page all the same."""
    assert clipsim("embed", ".", "-o", "vectors", "-q").status == 0
    Path("red.png").unlink()
    done = clipsim("search", "vectors", "-t", "red", "--top", "2", "-q", "--format", "html")
    (group,) = parse_page([done.out]).find("section", class_="group")

    assert done.status == 0
    assert [len(entry.find("img")) for entry in group.find("li")] == [0, 1]
