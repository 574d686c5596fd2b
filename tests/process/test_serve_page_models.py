"""The page of `clipsim serve` with several models, large images, unknown files, and for screen readers."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageCms
from process.programs import COLOURS
from process.served_page import PNGS, Opened, serving_page
from vocabularies import write_siglip

pytest.importorskip("starlette", reason="needs clipsim[serve]")
MODELS = ("clipsim-mini", "./siglip")
LIMIT = 3_000_000  # bytes of a body
# Every image that is sent, by its size in bytes.
RECORDER = """
window.sent = [];
const send = window.fetch;
window.fetch = (path, options) => {
  if (options?.body instanceof FormData) window.sent.push(...options.body.getAll("images").map((file) => file.size));
  return send(path, options);
};
"""
# A file → the copy that is sent of it, in base64, with its width and height; null where it goes as it is.
REDUCE = """async ([data, side, room]) => {
  const { reduce } = await import("./reduce.js");
  const file = new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], "image");
  const copy = await reduce(file, side, room);
  if (copy === null) return null;
  const bytes = new Uint8Array(await copy.blob.arrayBuffer());
  return [btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join("")), copy.width, copy.height];
}"""


def make_file(image: Image.Image, kind: str, **options: Any) -> bytes:
    """An image file of more than a megabyte: zeros that no decoder reads are put behind it."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue().ljust(1_200_000, b"\0")


def make_large(size: tuple[int, int] = (4000, 3000)) -> Image.Image:
    """Red above, blue below."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (0, size[1] // 2, *size))
    return image


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of two models, which know colours, without a token."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "images").mkdir()
    for name, image in PNGS.items():
        (folder / "images" / name).write_bytes(image)
    write_siglip(folder / "siglip")
    with serving_page(folder, "-m", "clipsim-mini", "-m", "./siglip", "--max-body", str(LIMIT), env=COLOURS) as found:
        yield found


Open = Callable[..., Opened]


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Open]:
    """Open the page in a fresh context; `change` alters what the server says of its models."""
    contexts = []

    def open_in_context(
        view: str = "#rank", change: Callable[[dict[str, Any]], None] | None = None, **options: Any
    ) -> Opened:
        context = browser.new_context(**options)
        contexts.append(context)
        context.add_init_script(RECORDER)
        if change is not None:

            def answer(route: Any) -> None:
                facts = route.fetch().json()
                change(facts)
                route.fulfill(json=facts)

            context.route("**/v1/models", answer)
        opened = Opened(context, address + view)
        opened.page.locator("#model option").nth(1).wait_for(state="attached")
        return opened

    yield open_in_context
    for context in contexts:
        context.close()


def reduce(opened: Opened, data: bytes, side: int = 8, room: int = LIMIT) -> Image.Image | None:
    """The copy that the page sends of a file."""
    found = opened.page.evaluate(REDUCE, [base64.b64encode(data).decode(), side, room])
    if found is None:
        return None
    image = Image.open(BytesIO(base64.b64decode(found[0])))
    assert list(image.size) == found[1:]
    return image


def near(pixel: Any, colour: tuple[int, int, int]) -> bool:
    """Whether a pixel has a colour, but for the noise of JPEG."""
    return all(abs(a - b) < 8 for a, b in zip(pixel, colour, strict=True))


def test_a_model_is_chosen_and_kept_in_the_address(open_page: Open) -> None:
    """Ranking and search ask the chosen one; a reload keeps it, with its own notices."""
    notice = "a licence for research alone"

    def change(facts: dict[str, Any]) -> None:
        facts["data"][1]["warnings"] = [notice]

    opened = open_page("#rank", change)
    page = opened.page
    assert page.locator("#warnings").is_hidden()
    opened.choose(PNGS)
    opened.type_texts(["red"])
    opened.wait_for_scores("3 images ranked")
    with page.expect_response("**/v1/rank") as answer:
        page.locator("#model").select_option(MODELS[1])
    assert answer.value.json()["model"]["name"] == MODELS[1]
    page.locator("#warnings", has_text=notice).wait_for()

    page.get_by_role("link", name="Search the folder").click()
    page.locator("#query").fill("red")
    with page.expect_response("**/v1/search") as answer:
        page.keyboard.press("Enter")
    assert answer.value.json()["model"]["name"] == MODELS[1]
    page.locator(".gallery li").first.wait_for()
    page.reload()
    page.locator("#search-status", has_text=MODELS[1]).wait_for()
    assert page.locator("#model").input_value() == MODELS[1]
    assert page.locator("#warnings").inner_text() == notice
    with page.expect_response("**/v1/search") as answer:
        page.locator("#model").select_option(MODELS[0])
    assert answer.value.json()["model"]["name"] == "clipsim-mini"
    page.locator("#warnings").wait_for(state="hidden")
    assert opened.faults == []


def test_models_that_cannot_be_used_are_named(open_page: Open) -> None:
    """One of the address that there is not, and one that does not search."""

    def change(facts: dict[str, Any]) -> None:
        facts["data"][1]["search"] = False

    opened = open_page("#rank?model=RN50/openai", change)
    notices = opened.page.locator("#warnings")
    notices.get_by_text(f"This server has no model RN50/openai; {MODELS[0]} is used.").wait_for()
    opened.page.get_by_role("link", name="Search the folder").click()
    opened.page.locator("#model").select_option(MODELS[1])
    notices.get_by_text(f"{MODELS[1]} cannot search these images; {MODELS[0]} does.").wait_for()
    assert "no model" not in notices.inner_text()


def test_a_large_image_is_made_small(open_page: Open) -> None:
    """Before it is sent, unless the original is asked for; a small one goes byte by byte."""
    opened = open_page()
    page, large = opened.page, make_file(make_large(), "jpeg")
    opened.type_texts(["red", "blue"])
    opened.choose({"large.jpg": large, "red.png": PNGS["red.png"]})
    opened.wait_for_scores("2 images ranked")
    copy, small = page.evaluate("window.sent")
    assert copy < 100_000
    assert small == len(PNGS["red.png"])
    assert page.locator("#images-count").inner_text() == "2 images, 1 made small"
    assert page.locator("th .sent").all_text_contents()[0].startswith("sent at ")

    page.get_by_label("send originals").check()
    opened.wait_for_scores("2 images ranked")
    assert page.evaluate("window.sent")[2:] == [len(large), small]
    assert page.locator("#images-count").inner_text() == "2 images"
    assert page.locator("th .sent").all_text_contents() == ["", ""]


def test_a_query_is_made_small(open_page: Open) -> None:
    """The image of a search, too."""
    opened = open_page("#search")
    file = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": make_file(make_large(), "jpeg")}
    opened.page.locator("#query-file").set_input_files(file)
    with opened.page.expect_request("**/v1/search") as request:
        opened.page.locator("#search-form button", has_text="Search").click()
    assert len(request.value.post_data) < 100_000
    opened.page.locator("#query-sent", has_text="sent at").wait_for()


def test_the_largest_body_is_respected(open_page: Open) -> None:
    """What is too large is made small, also where it has few pixels; an original that is too large is not sent."""
    opened = open_page()
    noise = make_file(Image.effect_noise((1800, 1800), 100), "png").ljust(LIMIT + 1, b"\0")
    opened.type_texts(["grey"])
    opened.choose({"noise.png": noise})
    opened.wait_for_scores("1 image ranked")
    opened.page.get_by_label("send originals").check()
    opened.wait_for_scores("0 images ranked, 1 not readable")
    assert "which this server takes at most" in opened.page.locator(".failure").inner_text()
    assert len(opened.page.evaluate("window.sent")) == 1


def test_images_that_do_not_fit_together_are_sent_apart(open_page: Open) -> None:
    """None is lost, and no request is larger than the server takes."""
    opened = open_page()
    statuses: list[int] = []
    opened.page.on("response", lambda answer: statuses.append(answer.status) if "/v1/rank" in answer.url else None)
    opened.type_texts(["red", "blue"])
    opened.choose({f"{number}.png": make_file(Image.new("RGB", (60, 40), "red"), "png") for number in range(5)})
    opened.wait_for_scores("5 images ranked")
    assert statuses == [200, 200, 200]
    assert opened.page.evaluate("window.sent") == [1_200_000] * 5


@pytest.mark.parametrize("orientation", range(1, 9))
def test_copies_are_upright(open_page: Open, orientation: int) -> None:
    """As EXIF says, in each of its eight ways."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = make_large()
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)  # what undoes it, of Image.Transpose
    stored = image if turn is None else image.transpose(Image.Transpose(turn))
    copy = reduce(open_page(), make_file(stored, "jpeg", exif=exif))
    assert copy is not None
    assert copy.width > copy.height
    assert near(copy.getpixel((copy.width // 2, 2)), (254, 0, 0))
    assert near(copy.getpixel((copy.width // 2, copy.height - 3)), (0, 0, 254))


def test_copies_have_the_colours_that_the_server_reads(open_page: Open) -> None:
    """White behind what is transparent, half of it where it is half; a colour profile is not applied."""
    opened = open_page()
    image = Image.new("RGBA", (3000, 2000), (255, 0, 0, 128))
    image.paste((0, 0, 0, 0), (0, 0, 1500, 2000))
    copy = reduce(opened, make_file(image, "png"))
    assert copy is not None
    assert near(copy.getpixel((2, 5)), (255, 255, 255))
    assert near(copy.getpixel((copy.width - 3, 5)), (255, 127, 127))

    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in (b"rXYZ", b"gXYZ"):  # red and green are exchanged: whoever applies it sees green
        assert profile.count(tag) == 1
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    copy = reduce(opened, make_file(Image.new("RGB", (3000, 2000), "red"), "jpeg", icc_profile=bytes(profile)))
    assert copy is not None
    assert near(copy.getpixel((5, 5)), (254, 0, 0))


def test_what_goes_as_it_is(open_page: Open) -> None:
    """Small files, long ones, colours of printing, and what the browser cannot read."""
    opened = open_page()
    small = BytesIO()
    make_large().save(small, "jpeg")
    assert len(small.getvalue()) < 1_000_000
    assert reduce(opened, small.getvalue()) is None
    assert reduce(opened, make_file(make_large((1000, 1000)), "jpeg")) is None
    assert reduce(opened, make_file(make_large((60_000, 100)), "jpeg"), side=224) is None
    assert reduce(opened, make_file(make_large(), "jpeg"), side=384) is None
    assert reduce(opened, make_file(make_large().convert("CMYK"), "jpeg")) is None
    assert reduce(opened, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic".ljust(1_200_000, b"\0")) is None


def test_heic_is_sent_as_it_is(open_page: Open) -> None:
    """The page says that this browser does not show it, and why the server does not read it."""
    opened = open_page()
    hint = "a HEIC image, which needs pillow-heif; pip install 'clipsim[heic]'"
    error = {"error": {"type": "bad_image", "message": f"IMG.HEIC: {hint}", "index": 0}}
    opened.page.route("**/v1/rank", lambda route: route.fulfill(status=422, body=json.dumps(error)))
    opened.type_texts(["red"])
    opened.choose({"IMG.HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"})
    opened.page.locator(".failure", has_text=hint).wait_for()
    opened.page.locator(".unshown", has_text="not shown by this browser, sent as it is").wait_for()
    accepted = opened.page.locator("#files").get_attribute("accept").split(",")
    assert {".heic", ".nef", ".dng", ".tga", "image/*"} <= set(accepted)


def test_a_heic_image_is_ranked(open_page: Open) -> None:
    """By a server that has the extra, though the browser does not show it."""
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs clipsim[heic]")
    file = BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), "red")).save(file)
    opened = open_page()
    opened.type_texts(["red", "blue"])
    opened.choose({"IMG.HEIC": file.getvalue()})
    opened.wait_for_scores("1 image ranked")
    assert opened.page.evaluate("window.sent") == [len(file.getvalue())]
    opened.page.locator(".unshown", has_text="sent as it is").wait_for()


def test_files_that_are_no_images_are_named_once(open_page: Open) -> None:
    """Images and files without a suffix that were dropped with them are sent."""
    opened = open_page()
    opened.type_texts(["red", "blue"])
    opened.page.evaluate(
        """(data) => {
          const dataTransfer = new DataTransfer();
          const image = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          for (const name of ["notes.txt", "red.png", "table.csv", "IMG_1"]) {
            dataTransfer.items.add(new File([image], name));
          }
          document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
        }""",
        base64.b64encode(PNGS["red.png"]).decode(),
    )
    opened.wait_for_scores("2 images ranked")
    assert list(opened.matrix()) == ["red.png", "IMG_1"]
    notice = "notes.txt and 1 other file: not sent, no image by name; the server reads JPEG, PNG, WebP, HEIC"
    assert opened.page.locator("#warnings li").all_text_contents() == [notice + ", RAW files and more."]
    opened.choose({"blue.png": PNGS["blue.png"]})
    opened.page.locator("#warnings").wait_for(state="hidden")


def rank_images(opened: Opened) -> None:
    """Three images and one that is broken, for two texts."""
    opened.choose({**PNGS, "broken.png": b"?"})
    opened.type_texts(["red", "blue"])
    opened.wait_for_scores("3 images ranked, 1 not readable")


def search_images(opened: Opened) -> None:
    """All images of the folder."""
    opened.page.get_by_role("link", name="Search the folder").click()
    opened.page.locator("#query").fill("red")
    opened.page.keyboard.press("Enter")
    opened.page.locator(".gallery img").nth(2).wait_for()


def test_controls_and_results_have_roles_and_names(open_page: Open) -> None:
    """Each control by its label, the scores as a table with headers, the results as a list."""
    opened = open_page()
    page = opened.page
    rank_images(opened)
    for role, name in [
        ("combobox", "Model"), ("textbox", "A text to add"), ("button", "Add"), ("button", "Remove red"),
        ("checkbox", "send originals"), ("combobox", "Order"), ("checkbox", "reversed"), ("radio", "similarity"),
        ("radio", "probability"), ("button", "Remove red.png"), ("button", "remove all"), ("link", "Rank images"),
        ("region", "Scores"), ("region", "Notices"), ("table", "Scores of each image for each text"),
    ]:  # fmt: skip
        assert page.get_by_role(role, name=name, exact=True).count() == 1, (role, name)
    assert page.get_by_role("columnheader").count() == 3
    assert page.get_by_role("row").count() == 5
    assert page.locator("thead th:not([scope=col]), tbody th:not([scope=row])").count() == 0
    assert page.get_by_role("rowheader", name="red.png").count() == 1
    page.get_by_role("status").get_by_text("3 images ranked, 1 not readable").wait_for(state="attached")

    search_images(opened)
    assert page.title() == "Search · clipsim"
    search = page.get_by_role("search", name="Search 3 images")
    assert search.get_by_role("textbox", name="What the images show").count() == 1
    results = page.get_by_role("list", name="Results, best first").get_by_role("listitem")
    assert results.count() == 3
    first = results.first
    name = first.locator(".name").inner_text()
    assert first.get_by_role("button").all_text_contents() == ["", f"copy path of {name}"]
    assert first.get_by_role("button", name=f"Open {name}", exact=True).count() == 1
    assert first.locator(".score").text_content().startswith("rank 1similarity ")
    first.get_by_role("button", name=f"Open {name}").click()
    dialog = page.get_by_role("dialog", name=name)
    dialog.get_by_role("status").get_by_text("Image 1 of 3, similarity").wait_for()
    whole = dialog.get_by_role("button", name="full size")
    whole.press("Enter")
    assert whole.get_attribute("aria-pressed") == "true"
    assert page.locator("#large-image.whole").count() == 1
    assert opened.faults == []


def test_the_focus_is_seen_on_a_telephone(open_page: Open) -> None:
    """The headings of columns, which are hidden there, are shown while one of them has the focus."""
    opened = open_page(viewport={"width": 400, "height": 900})
    rank_images(opened)
    heading = opened.page.locator("#scores thead button").nth(1)
    assert opened.page.locator("#scores thead").bounding_box()["height"] < 5
    heading.focus()
    assert opened.page.locator("#scores thead").bounding_box()["height"] > 20
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 400


# The least contrast of numbers on their heat, which axe-core does not compute, as WCAG defines it.
CONTRAST = """() => {
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const ground = parse(getComputedStyle(document.body).backgroundColor);
  const over = ([r, g, b, a = 1], under) => [r, g, b].map((value, i) => a * value + (1 - a) * under[i]);
  const light = (colour) => {
    const linear = (v) => (v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((value) => linear(value / 255));
    return .2126 * r + .7152 * g + .0722 * b + .05;
  };
  const ratios = [...document.querySelectorAll(".score b, .score .share, .score .rank")].map((text) => {
    const style = getComputedStyle(text);
    const behind = over(parse(getComputedStyle(text.closest(".score")).backgroundColor), ground);
    const ink = over([...parse(style.color).slice(0, 3), Number(style.opacity)], behind);
    const [low, high] = [light(behind), light(ink)].sort((a, b) => a - b);
    return high / low;
  });
  return [ratios.length, Math.min(...ratios)];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_are_seen_on_their_colours(open_page: Open, scheme: str) -> None:
    """At 4.5 to 1 or more on the strongest, in the table and in the results of a search."""
    opened = open_page(color_scheme=scheme, reduced_motion="reduce")
    rank_images(opened)
    count, least = opened.page.evaluate(CONTRAST)
    assert count >= 12
    assert least >= 4.5
    search_images(opened)
    assert opened.page.evaluate(CONTRAST)[1] >= 4.5


AXE = os.environ.get("CLIPSIM_AXE")


@pytest.mark.skipif(AXE is None, reason="needs CLIPSIM_AXE, the path of axe.min.js of the npm package axe-core")
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_axe_has_nothing_to_say(open_page: Open, scheme: str, width: int) -> None:
    """In every state of the page."""
    opened = open_page(
        "#rank?model=unknown", viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = opened.page
    assert AXE is not None
    page.evaluate(Path(AXE).read_text())

    def check(state: str) -> None:
        violations = page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then((r) => r.violations)")
        found = [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in violations]
        assert found == [], state

    check("empty, with a notice")
    rank_images(opened)
    check("ranked, with an image that cannot be read")
    opened.type_texts([f"a text of number {number}" for number in range(20)])
    opened.wait_for_scores("3 images ranked, 1 not readable")
    check("a table that scrolls")
    search_images(opened)
    page.locator("#refine summary").click()
    check("searched")
    page.locator(".gallery .open").first.click()
    page.locator("#large-image").wait_for()
    check("an image at full size")
    page.keyboard.press("Escape")
    page.route("**/v1/search", lambda route: route.fulfill(status=500, body='{"error": {"message": "no"}}'))
    page.locator("#query").press("Enter")
    page.locator("#problem").wait_for()
    check("an error")
    page.evaluate("document.dispatchEvent(new CustomEvent('token-needed', { detail: { refused: true } }))")
    check("a token that is refused")
