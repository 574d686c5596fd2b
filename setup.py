"""README.md → the description of the package on an index, where relative links and pictures lead nowhere."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import setup

FOLDER = Path(__file__).parent
PICTURE = re.compile(r"!\[([^\]]*)\]\((?![a-z]+:)([^)]+)\)\n*")
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:|#)([^)]+)\)")


def index_description(readme: str, repository: str | None, version: str) -> str:
    """Make relative links absolute, to the files of the version's tag.

    Without the address of a repository, pictures are left out and relative links become plain text.
    """
    if repository is None:
        return LINK.sub(r"\1", PICTURE.sub("", readme))
    readme = LINK.sub(rf"[\1]({repository}/blob/v{version}/\2)", readme)
    return PICTURE.sub(rf"![\1]({repository}/raw/v{version}/\2)\n\n", readme)


def find_value(name: str, file: str) -> str | None:
    """The value of the line `name = "value"` of a file."""
    match = re.search(rf'^{name} = "(.+)"$', (FOLDER / file).read_text(encoding="utf-8"), re.MULTILINE)
    return match and match[1]


if __name__ == "__main__":
    setup(
        long_description=index_description(
            (FOLDER / "README.md").read_text(encoding="utf-8"),
            find_value("Repository", "pyproject.toml"),  # in [project.urls]
            find_value("__version__", "src/clipsim/__init__.py") or "",
        ),
        long_description_content_type="text/markdown",
    )
