"""The page of `clipsim serve` in Chromium, on one server whose token the tests know."""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from process.served_page import PNGS, Opened, make_png, serving_page

pytest.importorskip("starlette", reason="needs clipsim[serve]")
TOKEN = "open-sesame"
HOSTILE = ["<img src=x onerror=alert(1)>.png", "</script><script>alert(2)</script>.png", "{{ 7 * 7 }}&lt;b&gt;.png"]
TEXTS = ["red", "green", "blue"]


@dataclass
class Server:
    """Where a server answers, and the folder that it serves."""

    address: str
    folder: Path

    def rank(self, images: Sequence[bytes], texts: Sequence[str]) -> dict[str, Any]:
        """Its own answer to a request without the page."""
        uris = ["data:image/png;base64," + base64.b64encode(image).decode() for image in images]
        body = json.dumps({"images": uris, "texts": list(texts)}).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
        with urllib.request.urlopen(urllib.request.Request(self.address + "v1/rank", body, headers)) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the bundled model, of three images, that asks for a token."""
    folder = tmp_path_factory.mktemp("serve")
    (folder / "images").mkdir()
    for name, image in PNGS.items():
        (folder / "images" / name).write_bytes(image)
    (folder / "token").write_text(TOKEN + "\n")
    with serving_page(folder, "-m", "clipsim-mini", "--token-file", "token") as address:
        yield Server(address, folder / "images")


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Any, server: Server) -> Iterator[Open]:
    """Open the page in a fresh context; `token` is one that was given before."""
    contexts = []

    def open_in_context(view: str = "#rank", token: str | None = TOKEN, **options: Any) -> Opened:
        context = browser.new_context(**options)
        contexts.append(context)
        if token is not None:
            context.add_init_script(f"sessionStorage.setItem('clipsim-token', {json.dumps(token)})")
        return Opened(context, server.address + view)

    yield open_in_context
    for context in contexts:
        context.close()


def test_dropped_images_are_ranked(open_page: Open, server: Server) -> None:
    """The numbers in the cells are those of `/v1/rank`, and the best text of each image is marked."""
    opened = open_page()
    opened.type_texts(TEXTS)
    files = [[name, base64.b64encode(data).decode()] for name, data in PNGS.items()]
    opened.page.evaluate(
        """(files) => {
          const dataTransfer = new DataTransfer();
          for (const [name, data] of files) {
            dataTransfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name));
          }
          document.getElementById("drop").dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        files,
    )
    opened.wait_for_scores("3 images ranked")

    record = server.rank(list(PNGS.values()), TEXTS)
    columns = [[f"{value:.4f}" for value in column] for column in zip(*record["similarity"], strict=True)]
    assert opened.matrix() == dict(zip(PNGS, columns, strict=True))
    marked = [cell.get_attribute("data-label") for cell in opened.page.locator("#scores td.best").all()]
    assert marked == [TEXTS[best] for best in record["best"]]

    opened.page.locator("[name=shown][value=probability]").check()
    shares = [[f"{100 * value:.1f}%" for value in column] for column in zip(*record["probabilities"], strict=True)]
    opened.page.locator("#scores td.score b", has_text="%").first.wait_for()
    assert opened.matrix() == dict(zip(PNGS, shares, strict=True))


def test_images_wait_for_what_the_server_says_of_itself(open_page: Open) -> None:
    """They are sent once, to the chosen model, within its limits, with the texts of the address and those typed."""
    held: list[Any] = []
    opened = open_page("#rank?text=cat")

    def hold(route: Any) -> None:
        held.append(route)

    opened.page.route("**/v1/models", hold)
    with opened.page.expect_request("**/v1/models"):
        opened.page.reload()
    opened.choose(PNGS)
    opened.type_texts(TEXTS)
    opened.page.locator("#progress-text", has_text="0 of 3 images ranked").wait_for()
    before = sum(url.endswith("/v1/rank") for url in opened.requests)
    for route in held:
        route.continue_()
    opened.wait_for_scores("3 images ranked")

    assert before == 0
    assert opened.page.locator("#texts .name").all_text_contents() == ["cat", *TEXTS]
    assert sum(url.endswith("/v1/rank") for url in opened.requests) == 1


@pytest.mark.parametrize("first", ["retry", "images", "texts"])
def test_a_page_that_could_not_begin_begins_later(open_page: Open, first: str) -> None:
    """With whatever is done next; nothing of it is lost."""
    opened = open_page()
    failures = [502]

    def fail_once(route: Any) -> None:
        if failures:
            route.fulfill(status=failures.pop(), body="no gateway")
        else:
            route.continue_()

    opened.page.route("**/v1/models", fail_once)
    opened.page.reload()
    opened.page.locator("#retry").wait_for()
    if first == "retry":
        opened.page.locator("#retry").click()
    if first == "images":
        opened.choose(PNGS)
    opened.type_texts(TEXTS)
    if first != "images":
        opened.choose(PNGS)
    opened.wait_for_scores("3 images ranked")

    assert opened.page.locator("#problem").is_hidden()


def test_names_are_text_and_nothing_leaves_the_server(open_page: Open, server: Server) -> None:
    """Names of images, texts and errors act nowhere; only the server is asked for anything."""
    opened = open_page()
    opened.choose({**dict.fromkeys(HOSTILE, PNGS["red.png"]), "</td>broken.png": b"not an image"})
    opened.type_texts(HOSTILE)
    opened.wait_for_scores("3 images ranked, 1 not readable")

    assert list(opened.matrix()) == [*HOSTILE, "</td>broken.png"]
    assert opened.page.locator("#scores thead button").all_text_contents() == ["image", *HOSTILE]
    assert opened.page.locator("#texts .name").all_text_contents() == HOSTILE
    assert opened.page.locator(".failure").count() == 1
    assert opened.faults == []
    assert {url for url in opened.requests if not url.startswith((server.address, "blob:", "data:"))} == set()


def test_a_server_without_room_is_asked_again(open_page: Open) -> None:
    """The page waits as long as `Retry-After` says, and loses no image."""
    opened = open_page()
    answers = [429]

    def refuse(route: Any) -> None:
        if answers:
            error = {"error": {"type": "busy", "message": "the queue is full"}}
            route.fulfill(status=answers.pop(), headers={"Retry-After": "1"}, body=json.dumps(error))
        else:
            route.continue_()

    opened.page.route("**/v1/rank", refuse)
    opened.choose(PNGS)
    opened.type_texts(["red"])
    opened.page.locator("#wait", has_text="busy").wait_for()
    opened.wait_for_scores("3 images ranked")
    assert answers == []


def test_the_page_is_used_by_keyboard(open_page: Open) -> None:
    """Pictures are chosen, texts are added and removed, and columns are sorted without a mouse."""
    opened = open_page()
    page = opened.page

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        pytest.fail(f"{selector} is not reached")

    page.on("filechooser", lambda _: None)  # from now on, choosers are reported: the browser needs a moment for that
    page.locator("#model option").first.wait_for(state="attached")
    tab_to("#files")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files([{"name": n, "mimeType": "image/png", "buffer": data} for n, data in PNGS.items()])
    tab_to("#text")
    for text in (*TEXTS, "grey"):
        page.keyboard.type(text)
        page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("#texts .name").all_text_contents() == TEXTS
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Remove blue"
    opened.wait_for_scores("3 images ranked")

    tab_to("#scores thead th:nth-child(4) button")
    page.keyboard.press("Enter")
    page.locator("#scores th[aria-sort=descending]").wait_for()
    column = [float(row[2]) for row in opened.matrix().values()]
    assert column == sorted(column, reverse=True)
    page.keyboard.press("Enter")
    page.locator("#scores th[aria-sort=ascending]").wait_for()
    assert [float(row[2]) for row in opened.matrix().values()] == sorted(column)


def test_nothing_is_wider_than_the_screen(open_page: Open) -> None:
    """On a wide screen and on a telephone, with long names and many texts, in both views."""
    opened = open_page()

    def check() -> None:
        for width in (1600, 400):
            opened.page.set_viewport_size({"width": width, "height": 900})
            assert opened.page.evaluate("document.documentElement.scrollWidth") <= width

    opened.choose({"long" * 40 + ".png": PNGS["red.png"], "broken" * 30 + ".png": b"?"})
    opened.type_texts([*(f"text {number}" for number in range(24)), "word" * 10])
    opened.wait_for_scores("1 image ranked, 1 not readable")
    check()

    opened.page.get_by_role("link", name="Search the folder").click()
    opened.page.locator("#query").fill("red")
    opened.page.keyboard.press("Enter")
    opened.page.locator(".gallery li").first.wait_for()
    check()


def test_the_folder_is_searched(open_page: Open) -> None:
    """The images of the folder come best first, each with its thumbnail."""
    opened = open_page("#search")
    opened.page.locator("#query").fill("red")
    opened.page.keyboard.press("Enter")
    opened.page.locator(".gallery img").nth(2).wait_for()

    names = opened.page.locator(".gallery .name").all_text_contents()
    assert sorted(Path(name).name for name in names) == sorted(PNGS)
    values = [float(text) for text in opened.page.locator(".gallery b").all_text_contents()]
    assert values == sorted(values, reverse=True)
    ready = (
        "Promise.all([...document.querySelectorAll('.gallery img')].map((i) => i.decode().then(() => i.naturalWidth)))"
    )
    assert min(opened.page.evaluate(ready)) > 0
    assert opened.faults == []


def test_a_token_is_asked_for(open_page: Open) -> None:
    """A wrong one is refused; with the right one the page goes on, and keeps it for the tab alone."""
    opened = open_page(token=None)
    field = opened.page.locator("#token")
    field.wait_for()
    field.fill("wrong")
    field.press("Enter")
    opened.page.get_by_text("The server refuses this token.").wait_for()
    field.fill(TOKEN)
    field.press("Enter")
    opened.page.locator("#model option").first.wait_for(state="attached")

    assert not field.is_visible()
    assert opened.page.evaluate("localStorage.length") == 0
    assert TOKEN not in opened.page.url


def search(opened: Opened, text: str) -> None:
    """Type a text to search for, and wait for its results."""
    opened.page.locator("#query").fill(text)
    opened.page.keyboard.press("Enter")
    opened.page.locator("#search-status", has_text="The best").wait_for()
    opened.page.locator(".gallery img").nth(2).wait_for()


def found_names(opened: Opened) -> list[str]:
    """The images that were found, best first."""
    names: list[str] = opened.page.locator(".gallery .name").all_text_contents()
    return names


def test_the_page_begins_with_the_search(open_page: Open) -> None:
    """Where there is a folder; a link that names a view decides otherwise."""
    opened = open_page("")
    opened.page.locator("#search-heading", has_text="Search 3 images").wait_for()
    assert opened.page.locator("#search").is_visible()
    assert opened.page.locator("#rank").is_hidden()
    opened.page.get_by_role("link", name="Rank images").click()
    opened.page.locator("#rank").wait_for()
    assert opened.page.locator("#search").is_hidden()


def test_the_address_keeps_the_search(open_page: Open, server: Server) -> None:
    """A reload, the way back and another browser show the same query with the same results."""
    opened = open_page("#search")
    page = opened.page
    search(opened, "red & 100% #1?")
    page.locator("#refine summary").click()
    page.locator("#top").fill("2")
    page.locator("#minus").fill("blue\nlime")
    page.locator("#query").fill("blue")
    page.keyboard.press("Enter")
    page.locator("#search-status", has_text="The best 2 of 3 images").wait_for()
    names, address = found_names(opened), page.url
    assert len(names) == 2

    page.reload()
    page.locator("#search-status", has_text="The best 2 of 3 images").wait_for()
    assert (found_names(opened), page.url) == (names, address)
    page.go_back()
    page.locator("#search-status", has_text="The best 3 of 3 images").wait_for()
    assert page.locator("#query").input_value() == "red & 100% #1?"
    assert (page.locator("#top").input_value(), page.locator("#minus").input_value()) == ("12", "")
    page.go_forward()
    page.locator("#search-status", has_text="The best 2 of 3 images").wait_for()

    other = open_page(address.removeprefix(server.address))
    other.page.locator("#search-status", has_text="The best 2 of 3 images").wait_for()
    assert found_names(other) == names
    assert other.page.locator("#minus").input_value() == "blue\nlime"
    assert not any("blue" in url for url in other.requests)
    assert other.faults == opened.faults == []


def test_the_address_keeps_the_texts(open_page: Open) -> None:
    """Of a ranking, with its template."""
    opened = open_page()
    opened.page.locator("#model option").first.wait_for(state="attached")
    opened.page.locator("summary", has_text="Template").click()
    opened.page.locator("#template").fill("a photo of a {}.")
    opened.type_texts([*TEXTS, HOSTILE[0]])
    opened.page.wait_for_function(
        "() => location.hash.split('text=').length === 5 && location.hash.includes('template=')"
    )
    opened.page.reload()
    opened.page.locator("#texts .name").nth(3).wait_for()
    assert opened.page.locator("#texts .name").all_text_contents() == [*TEXTS, HOSTILE[0]]
    assert opened.page.locator("#template").input_value() == "a photo of a {}."
    assert opened.faults == []


def test_an_image_opens_at_full_size(open_page: Open) -> None:
    """By click and by keyboard; the arrow keys go on, Escape gives the focus back."""
    opened = open_page("#search")
    search(opened, "red")
    page, names = opened.page, found_names(opened)
    large = page.locator("#large-image")
    page.locator(".gallery .open").first.click()
    large.wait_for()
    assert large.evaluate("image => image.decode().then(() => [image.naturalWidth, image.naturalHeight])") == [60, 40]
    assert page.locator("#large-name").inner_text() == names[0]
    page.keyboard.press("ArrowRight")
    page.locator("#large-name", has_text=names[1]).wait_for()
    large.wait_for()
    page.keyboard.press("Escape")
    page.locator("#large").wait_for(state="hidden")
    page.locator(f".open[aria-label='Open {names[0]}']:focus").wait_for()
    page.keyboard.press("Enter")
    large.wait_for()
    assert opened.faults == []


@pytest.mark.parametrize("allowed", [True, False], ids=["clipboard", "selection"])
def test_a_path_is_copied(open_page: Open, server: Server, allowed: bool) -> None:
    """As the server names it; also where the browser has no clipboard for the page."""
    opened = open_page("#search", permissions=["clipboard-read", "clipboard-write"])
    page = opened.page
    if not allowed:
        page.evaluate("void (navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')))")
    search(opened, "red")
    page.locator(".gallery li").first.get_by_role("button", name="copy path").click()
    page.get_by_text("copied", exact=True).wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == found_names(opened)[0]


def test_a_new_image_is_found(open_page: Open, server: Server) -> None:
    """Without a restart; the page says how many are searched."""
    opened = open_page("#search")
    search(opened, "red")

    def search_until(heading: str) -> list[str]:
        while heading not in opened.page.locator("#search-heading").inner_text():
            opened.page.locator("#search-form button", has_text="Search").click()
            opened.page.locator("#search-status", has_text="The best").wait_for()
        return found_names(opened)

    new = server.folder / "new one.png"
    try:
        new.write_bytes(make_png("red"))
        assert "new one.png" in search_until("Search 4 images")
    finally:
        new.unlink()
    assert "new one.png" not in search_until("Search 3 images")
