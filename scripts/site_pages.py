"""Markdown of the repository → pages of the site, and links between them: the hooks of mkdocs.yml.

The pages are those of docs/, those elsewhere that the navigation names, and the files that these link to: Markdown, and
Python as code. A page keeps its path in the repository, without `docs/`; a linked file of another kind is copied.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"(?<=\]\()(?P<path>[^)#:\s]+)(?P<anchor>#[^)\s]*)?(?=\))")
API_NAME = re.compile(r"<code>((?:clipsim\.)?(\w+(?:\.\w+)?))</code>")
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def repository_path(site_path: str) -> str:
    """Where the source of a page or file of the site is in the repository.

    >>> repository_path("rank.md"), repository_path("benchmarks/README.md")
    ('docs/rank.md', 'benchmarks/README.md')
    """
    return f"docs/{site_path}" if (ROOT / "docs" / site_path).exists() else site_path


def site_path(repository_path: str) -> str:
    """Where a file of the repository is in the site; the front page stands for the README.

    >>> site_path("docs/rank.md"), site_path("benchmarks/README.md"), site_path("README.md"), site_path("a/b.py")
    ('rank.md', 'benchmarks/README.md', 'index.md', 'a/b.md')
    """
    if repository_path == "README.md":
        return "index.md"
    return re.sub(r"\.py$", ".md", repository_path.removeprefix("docs/"))


def link_target(page: str, path: str) -> str:
    """The path in the repository that a link of a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), path))


def relink(page: str, text: str) -> str:
    """The text of a page, with its links as they are in the site.

    >>> relink("docs/html.md", "[seconds](../benchmarks/README.md#pages), [rank](rank.md)")
    '[seconds](benchmarks/README.md#pages), [rank](rank.md)'
    >>> relink("benchmarks/README.md", "[embed](../docs/embed.md)")
    '[embed](../embed.md)'
    """
    folder = posixpath.dirname(site_path(page)) or "."

    def new_link(link: re.Match[str]) -> str:
        target = site_path(link_target(page, link["path"]))
        return posixpath.relpath(target, folder) + (link["anchor"] or "")

    return LINK.sub(new_link, text)


def linked_files(page: str) -> Iterator[str]:
    """The files that a page of the repository links to, by their paths in it."""
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for link in LINK.finditer(text):
        target = link_target(page, link["path"])
        if (ROOT / target).is_file():
            yield target


def nav_pages(nav: Any) -> Iterator[str]:
    """The pages of a navigation, by their paths in the site."""
    if isinstance(nav, str):
        yield nav
    elif nav:
        for part in nav.values() if isinstance(nav, dict) else nav:
            yield from nav_pages(part)


def make_file(path: str, config: MkDocsConfig) -> File:
    """The file of the site for a file of the repository outside docs/."""
    source: dict[str, Any] = {"abs_src_path": str(ROOT / path)}
    if path.endswith(".py"):
        code = (ROOT / path).read_text(encoding="utf-8")
        source = {"content": f"# {posixpath.basename(path)}\n\n```python\n{code}```\n"}
    return File.generated(config, site_path(path), inclusion=InclusionLevel.NOT_IN_NAV, **source)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside docs/ that the navigation names and pages link to."""
    pending = [repository_path(path) for path in nav_pages(config.nav)]
    pending += [repository_path(file.src_uri) for file in files.documentation_pages()]
    known = set(pending)
    while pending:
        path = pending.pop()
        if site_path(path) not in files.src_uris:
            files.append(make_file(path, config))
        if path.endswith(".md"):
            new = set(linked_files(path)) - known
            known |= new
            pending += new
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Make a page's links those of the site."""
    return relink(repository_path(page.file.src_uri), markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Link what docstrings call `Session.rank` or `clipsim.open` to where the page describes it."""
    described = set(re.findall(r'id="clipsim\.([\w.]+)"', html))

    def link(code: re.Match[str]) -> str:
        text, name = code[1], code[2]
        if name not in described or not text.startswith(("clipsim.", "Session")):
            return code[0]
        return f'<a href="#clipsim.{name}">{code[0]}</a>'

    return API_NAME.sub(link, html)
