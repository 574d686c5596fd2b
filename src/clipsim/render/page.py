"""A template of this package and its values → one HTML page that loads nothing by itself, in pieces.

Every string that a template shows passes `printable` and is escaped for HTML. The policy of the page allows its own
style and script by their hashes, images from `data:` URIs and from files of this machine, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from clipsim import __version__
from clipsim.errors import pluralise, printable
from clipsim.results.base import ModelRecord

if TYPE_CHECKING:
    from jinja2 import Environment


HEAT_LEVELS = 20  # steps of the colour scale
SCRIPTS = ("page.js", "enlarge.js", "picks.js")
PIECE = 256  # fragments of a template that are joined before they are given


def render_page(template: str, **values: Any) -> Iterator[str]:
    """The page of a template in pieces, in memory that does not grow with the number of rows."""
    environment = _environment()
    style = environment.get_template("page.css").render(levels=HEAT_LEVELS)
    script = "".join(environment.get_template(name).render() for name in SCRIPTS)
    stream = environment.get_template(template).stream(
        style=style,
        script=script,
        policy=_policy(style, script),
        version=__version__,
        **values,
    )
    stream.enable_buffering(PIECE)
    yield from stream


def render_fragment(template: str, **values: Any) -> str:
    """The text of a template that is a part of another program's page, with neither style nor script."""
    return _environment().get_template(template).render(**values)


def data_uri(thumbnail: bytes | None) -> str | None:
    """A WebP file as the address of an image; None for none.

    >>> data_uri(b"RIFF")
    'data:image/webp;base64,UklGRg=='
    """
    return None if thumbnail is None else "data:image/webp;base64," + base64.b64encode(thumbnail).decode("ascii")


def heat_level(value: float, low: float, high: float) -> int:
    """The step of the colour scale for a value between the lowest and the highest of a page.

    >>> [heat_level(value, 0.1, 0.3) for value in (0.1, 0.2, 0.3)], heat_level(0.2, 0.2, 0.2)
    ([0, 10, 20], 20)
    """
    return HEAT_LEVELS if high <= low else round(HEAT_LEVELS * min(1.0, max(0.0, (value - low) / (high - low))))


def split_name(name: str) -> tuple[str, str]:
    """The folder of a path, up to its last separator, and the rest.

    >>> split_name("holiday/2024/a.png"), split_name("image 1")
    (('holiday/2024/', 'a.png'), ('', 'image 1'))
    """
    tail = os.path.basename(name)  # noqa: PTH119 (also of addresses)
    return name[: len(name) - len(tail)], tail


def list_run_facts(model: ModelRecord, device: str, precision: str, engine: str) -> list[tuple[str, str]]:
    """What a result was computed with, as names and values."""
    facts = [("model", model.name), ("weights", model.pretrained), ("device", device)]
    facts += [("precision", precision), ("engine", engine)]
    return [(name, value) for name, value in facts if value]


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("clipsim.render"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_make_safe,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pluralise"] = pluralise
    return environment


def _make_safe(value: Any) -> Any:
    """Text from outside without characters that act on what is around it; Jinja escapes it for HTML after this."""
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _policy(*inline: str) -> str:
    style, script = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") for text in inline)
    return (
        f"default-src 'none'; img-src data: file:; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def format_routes_page(schema: dict[str, Any]) -> str:
    """The page of an OpenAPI schema; each route with what it answers and the fields of its body."""
    routes = []
    for path, methods in schema["paths"].items():
        for method, facts in methods.items():
            content = facts.get("requestBody", {}).get("content", {})
            fields = content.get("application/json", {}).get("schema", {}).get("properties", {})
            routes.append((method.upper(), path, facts.get("description", ""), list(content), list(fields.items())))
    return _environment().get_template("routes.html").render(**schema["info"], routes=routes)
