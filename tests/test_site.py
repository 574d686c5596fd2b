"""The site of the documentation has every page and every public name, and builds without a warning."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import clipsim

ROOT = Path(__file__).parents[1]
CONFIGURATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
NAVIGATION = re.findall(r"([\w/.-]+\.md)$", CONFIGURATION.partition("\nnav:\n")[2], re.MULTILINE)


def test_every_page_is_in_the_navigation_once() -> None:
    """And what the navigation names is in docs/ or elsewhere in the repository."""
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}

    assert len(NAVIGATION) == len(set(NAVIGATION))
    assert pages <= set(NAVIGATION)
    assert [name for name in set(NAVIGATION) - pages if not (ROOT / name).is_file()] == []


def test_the_reference_has_every_public_name() -> None:
    """Each once, and no other."""
    assert sorted(re.findall(r"^::: clipsim\.(\w+)$", REFERENCE, re.MULTILINE)) == sorted(
        set(clipsim.__all__) - {"__version__"}
    )


def test_the_reference_has_every_method_of_a_session() -> None:
    """But for `embedder`, which is clipsim's own."""
    public = {name for name in dir(clipsim.Session) if not name.startswith("_")}

    assert set(re.findall(r"^ {8}- (\w+)$", REFERENCE, re.MULTILINE)) == public - {"embedder"}


def test_the_site_loads_nothing_from_elsewhere() -> None:
    """The theme's fonts would come from a server; neither the configuration nor the style names one."""
    style = (ROOT / "docs" / "site.css").read_text(encoding="utf-8")

    assert re.search(r"^  font: false\b", CONFIGURATION, re.MULTILINE)
    assert "//" not in CONFIGURATION + style


@pytest.mark.parametrize("name", ["table.svg", "report.png", "serve.png"])
def test_the_pictures_of_the_front_page_are_small(name: str) -> None:
    """At most 150 kB each."""
    assert f"]({name})" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert (ROOT / "docs" / name).stat().st_size <= 150_000


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    for package in ("mkdocs", "material", "mkdocstrings"):
        pytest.importorskip(package, reason="needs clipsim[docs]")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_can_be_reached_from_the_front_page(site: Path) -> None:
    """By the navigation, those outside docs/ too."""
    front = (site / "index.html").read_text(encoding="utf-8")
    for name in set(NAVIGATION) - {"index.md"}:
        address = f"{re.sub('(/README)?[.]md$', '', name)}/"
        assert f'<a href="{address}"' in front
        assert (site / address / "index.html").is_file()


def test_pages_of_the_repository_are_linked_in_the_site(site: Path) -> None:
    """A link that leaves docs/ leads to a page of the site, and back."""
    page = (site / "html" / "index.html").read_text(encoding="utf-8")
    card = (site / "models-and-exports" / "index.html").read_text(encoding="utf-8")

    assert 'href="../benchmarks/"' in page
    assert 'href="../src/clipsim/mini/model/"' in card
    assert "<h1" in (site / "benchmarks" / "index.html").read_text(encoding="utf-8")
    assert (site / "src" / "clipsim" / "mini" / "model" / "index.html").exists()


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    """Styles, scripts, fonts and images are files of the site."""
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"""<(?:script|img|iframe|link)\b[^>]*(?:src|href)=["']?(?:https?:)?//[^>]*>""", text) == []


def test_the_reference_says_what_docstrings_say(site: Path) -> None:
    """Parameters that share a description are one entry, and every method has its anchor."""
    text = (site / "api" / "index.html").read_text(encoding="utf-8")

    assert 'id="clipsim.Session.rank"' in text
    entry = re.search(r"<dt><code>model</code></dt>\s*(?:<dt><code>\w+</code></dt>\s*)+<dd><p>As for", text)
    assert entry is not None
    assert re.findall(r"<code>(\w+)</code>", entry[0])[:2] == ["model", "weights"]
    assert 'id="clipsim.DataError"' in text
    assert 'id="clipsim.DataError.worded"' not in text
    assert re.search(r"<dd>\s*</dd>", text) is None


def test_docstrings_link_what_they_name(site: Path) -> None:
    """`Session.rank` and `clipsim.open`, where the reference describes them."""
    text = (site / "api" / "index.html").read_text(encoding="utf-8")

    assert '<a href="#clipsim.Session.rank"><code>Session.rank</code></a>' in text
    assert "<code>Session.rank</code>" not in text.replace('"><code>Session.rank</code></a>', "")


def test_the_search_finds_words_of_the_pages(site: Path) -> None:
    """The index that the page of the site reads has the text of each page."""
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")

    assert "zero-shot" in index
    assert '"location":"rank/#options"' in index
