"""Pages of `--format html` in Chromium: nothing leaves them, no name acts, and script is not needed to read them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from made_results import make_evaluation, make_result, make_run
from pages import HOSTILE_NAMES
from PIL import Image

from clipsim.errors import printable
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.render.evaluation_page import format_evaluation_page
from clipsim.render.rank_page import MATRIX_TEXTS, format_rank_page, format_top_images_page
from clipsim.render.search_page import format_duplicates_page
from clipsim.results.rank import ImageScores, RankResult
from clipsim.results.search import DuplicateGroup, DuplicateImage, DuplicatesResult

WIDTHS = (1600, 400)  # a wide screen and a telephone
PATIENCE = 120_000  # milliseconds after which a page that hangs fails its test


class Watched:
    """A page in the browser, and all that it asked for, ran or complained about."""

    def __init__(self, context: Any, path: Path) -> None:
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("dialog", self._dismiss)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(path.as_uri())

    def _dismiss(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def names(self) -> list[str]:
        """The names of the rows or images that are shown, in order, in sight or not."""
        names: list[str] = self.page.locator(
            "#scores tbody .image .name, .gallery > li:not([hidden]) > .name"
        ).all_text_contents()
        return names


Open = Callable[..., Watched]


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open the pieces of a page from a file; options are those of a context of the browser."""
    contexts = []

    def open_pieces(pieces: Iterator[str], **options: Any) -> Watched:
        path = tmp_path / "page.html"
        path.write_text("".join(pieces), encoding="utf-8")
        contexts.append(browser.new_context(**options))
        return Watched(contexts[-1], path)

    yield open_pieces
    for context in contexts:
        context.close()


def with_thumbnails(result: RankResult) -> RankResult:
    """The result with a thumbnail for each image."""
    thumbnail = make_thumbnail(Image.new("RGB", (60, 40), "red"), ThumbnailRules())
    scores = (ImageScores(i.image, i.similarity, i.probabilities, i.best, thumbnail) for i in result.scores)
    return RankResult(**{**vars(result), "scores": tuple(scores)})


HOSTILE = with_thumbnails(make_result(HOSTILE_NAMES, [*HOSTILE_NAMES[:3], "maze"]))
LONG = [f"text {number}" for number in range(MATRIX_TEXTS + 8)]
MAKERS: list[Callable[[RankResult], Iterator[str]]] = [
    format_rank_page,
    lambda result: format_rank_page(result, 2),
    lambda result: format_top_images_page(result, 100),
]


@pytest.mark.parametrize("make", MAKERS)
def test_no_request_leaves_and_no_name_acts(open_page: Open, make: Callable[[RankResult], Iterator[str]]) -> None:
    """The page asks for itself and its own images; nothing runs or complains; the text of every name is there."""
    watched = open_page(make(HOSTILE))
    shown = watched.names()

    assert {url for url in watched.requests if not url.startswith("data:image/webp;")} == {watched.page.url}
    assert watched.complaints == []
    assert {printable(name) for name in HOSTILE_NAMES} <= set(shown)
    assert watched.page.locator("#tools").is_visible()
    assert watched.page.evaluate("[...document.images].slice(0, 3).map(image => image.naturalWidth)") == [60, 60, 60]


def test_the_policy_holds(open_page: Open) -> None:
    """Even markup that came into the page somehow runs no script and loads nothing."""
    watched = open_page(format_rank_page(HOSTILE))
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.5)
        watched.page.evaluate(
            """(address) => document.body.insertAdjacentHTML("beforeend", `
            <img src="${address}/x.png"><link rel="stylesheet" href="${address}/x.css">
            <img src="data:image/png," onerror="document.title = 'acted'">
            <a id="act" href="javascript:document.title = 'acted'">x</a>`)""",
            f"http://127.0.0.1:{server.getsockname()[1]}",
        )
        watched.page.locator("#act").click()
        with pytest.raises(TimeoutError):
            server.accept()

    assert watched.page.title() != "acted"
    assert len(watched.complaints) >= 4  # the browser says what it has refused


@pytest.mark.parametrize("texts", [["maze", "cat"], LONG], ids=["heat map", "lists"])
def test_without_javascript_all_scores_are_readable(open_page: Open, texts: list[str]) -> None:
    """Those that are folded away can be unfolded; what needs script is not shown."""
    result = with_thumbnails(make_result(["a.png", "b.png", "c.png"], texts))
    watched = open_page(format_rank_page(result), java_script_enabled=False)
    for folded in watched.page.locator("#scores summary").all():
        folded.click()

    expected = sorted(f"{value:.4f}" for value in result.similarity.flatten())
    assert sorted(watched.page.locator("#scores b:visible").all_inner_texts()) == expected
    assert watched.page.locator("#scores .share:visible").count() == len(expected)
    assert watched.page.locator("#tools").is_hidden()


@pytest.mark.parametrize("make", MAKERS)
def test_nothing_is_wider_than_the_screen(open_page: Open, make: Callable[[RankResult], Iterator[str]]) -> None:
    """On a telephone and on a wide screen."""
    for texts in (["maze", "cat"], LONG[:MATRIX_TEXTS]):
        result = with_thumbnails(make_result([*HOSTILE_NAMES, "long" * 60 + ".png"], texts))
        watched = open_page(make(result))
        for width in WIDTHS:
            watched.page.set_viewport_size({"width": width, "height": 900})
            assert watched.page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_score_on_a_telephone_says_what_it_is_for(open_page: Open) -> None:
    """The heading of a column cannot be seen there."""
    watched = open_page(format_rank_page(HOSTILE), viewport={"width": 400, "height": 900})
    cell = watched.page.locator("#scores td").nth(3)

    assert cell.evaluate("cell => getComputedStyle(cell, '::before').content") == '"maze"'


def test_a_page_of_an_evaluation(open_page: Open) -> None:
    """Asks for nothing, complains of nothing, is as wide as the screen; its tables scroll by keyboard."""
    labels = [*HOSTILE_NAMES, *(f"label {number}" for number in range(40))]
    run = make_run(labels, range(len(labels)), [*range(1, len(labels)), 0], name=HOSTILE_NAMES[0])
    thumbnail = make_thumbnail(Image.new("RGB", (60, 40), "red"), ThumbnailRules())
    thumbnails = {found.image: thumbnail for found in run.contradicted}
    watched = open_page(format_evaluation_page(make_evaluation(run), thumbnails))

    assert {url for url in watched.requests if not url.startswith("data:image/webp;")} == {watched.page.url}
    assert watched.complaints == []
    for width in WIDTHS:
        watched.page.set_viewport_size({"width": width, "height": 900})
        assert watched.page.evaluate("document.documentElement.scrollWidth") <= width
    region = watched.page.get_by_role("region", name="Confusion matrix")
    region.focus()
    watched.page.keyboard.press("End")
    assert region.evaluate("element => element === document.activeElement")
    assert watched.page.locator(".confusion td").count() == len(labels) ** 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_scores_can_be_read_on_their_colours(open_page: Open, scheme: str) -> None:
    """Text on the strongest colour has a contrast of at least 4.5 : 1 (WCAG 2.2, 1.4.3)."""
    watched = open_page(format_rank_page(HOSTILE), color_scheme=scheme)
    ratio = watched.page.evaluate(
        """() => {
          const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
          const light = (...layers) => {
            for (const layer of layers) { paint.fillStyle = layer; paint.fillRect(0, 0, 1, 1); }
            const [r, g, b] = [...paint.getImageData(0, 0, 1, 1).data].map(v => v / 255)
              .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const cell = document.querySelector("td.h20");
          const ground = light(getComputedStyle(document.body).backgroundColor, getComputedStyle(cell).backgroundColor);
          const ink = light(getComputedStyle(cell).color);
          return (Math.max(ground, ink) + 0.05) / (Math.min(ground, ink) + 0.05);
        }"""
    )

    assert ratio > 4.5


def test_the_table_is_sorted_by_keyboard(open_page: Open) -> None:
    """A heading that is reached and pressed sorts by its text, once more the other way round, and says so."""
    result = make_result([f"{number}.png" for number in (10, 9, 8, 7)], ["maze", "cat"])
    watched = open_page(format_rank_page(result))
    heading = watched.page.locator("#scores thead th").nth(1)
    by_score = [image.image for image in sorted(result.scores, key=lambda image: -image.similarity[0])]

    heading.locator("button").focus()
    watched.page.keyboard.press("Enter")
    assert watched.names() == by_score
    assert heading.get_attribute("aria-sort") == "descending"
    watched.page.keyboard.press("Enter")
    assert watched.names() == by_score[::-1]
    assert heading.get_attribute("aria-sort") == "ascending"
    watched.page.locator("#order").select_option("name")
    watched.page.locator("#reverse").uncheck()
    assert watched.names() == ["7.png", "8.png", "9.png", "10.png"]


@pytest.mark.parametrize("texts", [["maze", "cat"], LONG], ids=["heat map", "lists"])
def test_lists_are_sorted_by_any_text(open_page: Open, texts: list[str]) -> None:
    """By the score of that text, wherever it stands in a row."""
    result = make_result([f"{number}.png" for number in range(120)], texts)
    watched = open_page(format_rank_page(result))
    watched.page.locator("#order").select_option("1")

    scores = {image.image: round(float(image.similarity[1]), 4) for image in result.scores}
    assert watched.names() == sorted(scores, key=lambda name: -scores[name])
    watched.page.locator("#order").select_option("given")
    assert watched.names() == list(result.images)


def test_images_are_filtered(open_page: Open) -> None:
    """By words of their names, which "/" begins and Escape ends, and by their best text; the number is announced."""
    watched = open_page(format_rank_page(make_result(["a/Cat 1.png", "a/dog.png", "b/cat 2.png"], ["maze", "cat"])))
    count = watched.page.locator("#count")
    assert count.inner_text() == "3 images"

    watched.page.keyboard.press("/")
    watched.page.keyboard.type("cat a/")
    assert watched.names() == ["a/Cat 1.png"]
    assert count.inner_text() == "1 of 3 images"
    watched.page.keyboard.press("Escape")
    assert len(watched.names()) == 3
    watched.page.locator("#bests button", has_text="cat").click()
    assert watched.names() == ["a/dog.png"]
    watched.page.locator("#bests button", has_text="cat").click()
    assert len(watched.names()) == 3


def test_groups_are_filtered(open_page: Open) -> None:
    """A group without an image that fits is left out."""
    result = make_result(["one.png", "two.png"], ["maze", "cat"])
    watched = open_page(format_top_images_page(result, 1))
    watched.page.locator("#filter").fill("two")

    assert watched.names() == ["two.png"]
    assert watched.page.locator(".group:visible h2").all_inner_texts() == ["cat"]


def test_paper_shows_everything(open_page: Open) -> None:
    """Without the tools, with what is folded away."""
    watched = open_page(format_rank_page(make_result(["a.png", "b.png"], LONG)))
    watched.page.emulate_media(media="print")

    assert watched.page.locator("#tools").is_hidden()
    heights = watched.page.evaluate(
        "[...document.querySelectorAll('#scores li')].map(li => li.getBoundingClientRect().height)"
    )
    assert len(heights) == 2 * len(LONG)
    assert min(heights) > 5


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """The paths of three images and of a file that no browser shows, beside the page."""
    paths = []
    for name in ("100% a#b?.png", "caf\udce9.png", "it's.png"):
        paths.append(str(tmp_path / name))
        Image.new("RGB", (300, 200), "red").save(paths[-1])
    paths.append(str(tmp_path / "scan.tiff"))
    Image.new("RGB", (30, 20), "red").save(paths[-1])
    return paths


@pytest.mark.parametrize("beside", [True, False], ids=["relative", "whole"])
def test_a_thumbnail_opens_its_file(open_page: Open, photos: list[str], tmp_path: Path, beside: bool) -> None:
    """By click and by keyboard, at full size, within the page's policy; the arrow keys go on, Escape ends it."""
    result = with_thumbnails(make_result(photos, ["maze", "cat"]))
    watched = open_page(format_rank_page(result, page_folder=tmp_path if beside else None))
    page = watched.page
    large = page.locator("dialog img")
    page.locator("a.file").first.click()
    large.wait_for()
    assert large.evaluate("image => image.naturalWidth") == 300
    for _ in photos[1:3]:
        page.keyboard.press("ArrowRight")
        large.wait_for()
        assert large.evaluate("image => image.decode().then(() => image.naturalWidth)") == 300
    assert page.locator("dialog .name").inner_text() == photos[2]
    page.keyboard.press("ArrowRight")
    page.get_by_text("The browser cannot show this file.").wait_for()

    page.keyboard.press("Escape")
    page.locator("dialog").wait_for(state="hidden")
    page.locator("a.file[aria-label$='scan.tiff']:focus").wait_for()
    assert watched.complaints == []
    assert {url for url in watched.requests if not url.startswith(("data:", "file:"))} == set()


def test_without_javascript_a_thumbnail_is_a_link(open_page: Open, photos: list[str], tmp_path: Path) -> None:
    """To the file itself."""
    result = with_thumbnails(make_result(photos, ["maze", "cat"]))
    watched = open_page(format_rank_page(result, page_folder=tmp_path), java_script_enabled=False)
    watched.page.locator("a.file").first.click()
    watched.page.wait_for_url("**/100%25%20a%23b%3F.png")


def make_groups(photos: list[str]) -> DuplicatesResult:
    """Two groups that share their best image; the second image of the first is a copy."""
    best, copy, alike, _ = photos
    groups = (
        DuplicateGroup(True, (DuplicateImage(best, 1.0, 3, 2), DuplicateImage(copy, 1.0, 3, 2, None, best, True))),
        DuplicateGroup(False, (DuplicateImage(best, 1.0, 3, 2), DuplicateImage(alike, 0.9, 3, 2))),
    )
    return DuplicatesResult(model=None, min_similarity=0.9, compared=4, groups=groups)


def test_images_to_remove_are_ticked(open_page: Open, photos: list[str]) -> None:
    """The list quotes their paths; one image of a group stays, also where two groups share an image."""
    watched = open_page(format_duplicates_page(make_groups(photos), {}))
    page = watched.page
    paths, message = page.locator("#removal-list"), page.locator("#removal-message")
    best, copy, again, alike = page.locator(".pick input").all()
    folder = Path(photos[0]).parent
    assert page.locator("#removal").is_visible()
    assert paths.input_value() == ""

    page.locator("#removal-copies").click()
    assert [box.is_checked() for box in (best, copy, again, alike)] == [False, True, False, False]
    assert paths.input_value() == rf"$'{folder}/caf\351.png'"
    again.click()  # would leave nothing of the first group
    assert not best.is_checked()
    assert not again.is_checked()
    assert "one image of “1. The same bytes” has to stay" in message.inner_text()
    alike.check()
    assert message.inner_text() == ""
    assert paths.input_value().split(" \\\n") == [
        rf"$'{folder}/caf\351.png'",
        "'" + f"{folder}/it's.png".replace("'", "'\"'\"'") + "'",
    ]
    assert page.locator("#removal-count").inner_text() == "2 images"
    page.locator("#removal-none").click()
    assert paths.input_value() == ""
    assert watched.complaints == []


def test_without_files_or_javascript_nothing_can_be_ticked(open_page: Open, photos: list[str]) -> None:
    """The page is whole without it."""
    gone = open_page(format_duplicates_page(make_groups([f"{name}.gone" for name in photos]), {}))
    assert gone.page.locator("#removal").is_hidden()
    assert gone.complaints == []
    plain = open_page(format_duplicates_page(make_groups(photos), {}), java_script_enabled=False)
    assert plain.page.locator("#removal").is_hidden()
    assert plain.page.locator(".pick").count() == 0
    assert len(plain.names()) == 4
