"""Texts, prompt files and templates → checked prompts, and the strings to encode."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from clipsim.errors import DataError, TextError, UsageError, printable
from clipsim.inputs.lists import as_list

PLACE = "{}"
MAX_QUOTED = 60  # characters of a prompt that a message quotes


def read_texts(path: str) -> list[str]:
    """The prompts in a text file, one a line, in order; `-` is standard input.

    The file is UTF-8. A byte-order mark, carriage returns and blank lines are dropped; `clean_texts` strips the rest.

    Raises TextError for a file that cannot be read, is not UTF-8 (naming the line), or contains no prompt.
    """
    shown = "standard input" if path == "-" else printable(path)
    try:
        if path == "-":
            prompts = _read_lines(sys.stdin.buffer, shown)
        else:
            with Path(path).open("rb") as file:
                prompts = _read_lines(file, shown)
    except IsADirectoryError as error:
        raise TextError(f"{shown}: a folder, not a text file; give a file with one prompt a line") from error
    except OSError as error:
        raise TextError(f"{shown}: cannot read the prompts: {error.strerror or error}") from error
    if not prompts:
        raise TextError(f"{shown}: contains no prompt; write one a line")
    return prompts


def _read_lines(file: BinaryIO, shown: str) -> list[str]:
    prompts = []
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            prompt = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise TextError(
                f"{shown}: line {number} is not UTF-8 (byte {line[error.start]:#04x}); save the file as UTF-8"
            ) from error
        if prompt.strip():
            prompts.append(prompt)
    return prompts


def clean_texts(prompts: object, name: str = "texts", *, deduplicate: bool = True) -> tuple[list[str], list[str]]:
    """One prompt or an iterable of them → the prompts in order, stripped at both ends; and notices of what was changed.

    With `deduplicate`, a repeated prompt counts once. Raises UsageError, which calls the prompts `name`, for what is
    not a list, and for a prompt that is not a string, is empty or blank, or is not UTF-8.

    >>> clean_texts(["maze", "cat ", "maze"])
    (['maze', 'cat'], ["blanks removed around: 'cat '", "given more than once, counted once: 'maze'"])
    """
    cleaned = []
    stripped = []
    for place, given in enumerate(as_list(prompts, name), start=1):
        if not isinstance(given, str):
            raise UsageError(f"number {place} is {printable(repr(given), MAX_QUOTED)}, not a string", parameter=name)
        given = _as_unicode(given)
        prompt = given.strip()
        if not prompt:
            raise UsageError(f"number {place} is empty", parameter=name)
        if prompt != given:
            stripped.append(given)
        cleaned.append(prompt)
    counts = Counter(cleaned) if deduplicate else Counter[str]()
    repeated = [prompt for prompt, count in counts.items() if count > 1]
    notices = [f"blanks removed around: {_quote(stripped)}"] if stripped else []
    notices += [f"given more than once, counted once: {_quote(repeated)}"] if repeated else []
    return list(counts) if deduplicate else cleaned, notices


def _quote(prompts: Sequence[str]) -> str:
    """The first three prompts, and the number of the others."""
    shown = ", ".join(f"'{printable(prompt, MAX_QUOTED)}'" for prompt in prompts[:3])
    return shown + (f" and {len(prompts) - 3} more" if len(prompts) > 3 else "")


def _as_unicode(prompt: str) -> str:
    """Decode a UTF-8 argument that Python decoded in an ASCII locale. Raises UsageError for other encodings."""
    try:
        return prompt.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise UsageError(f"the prompt '{printable(prompt, MAX_QUOTED)}' is not UTF-8") from error


def check_templates(templates: object) -> tuple[str, ...]:
    """One template or an iterable of them → the templates.

    Raises UsageError for what is not a list, and for one that is not a string or has no `{}` for the prompt.
    """
    checked = []
    for place, template in enumerate(as_list(templates, "templates"), start=1):
        if not isinstance(template, str):
            raise UsageError(
                f"number {place} is {printable(repr(template), MAX_QUOTED)}, not a string", parameter="templates"
            )
        if PLACE not in template:
            shown = printable(template, MAX_QUOTED)
            raise UsageError(
                f"'{shown}' has no {PLACE}", parameter="templates", hint=f"write it like 'a photo of a {PLACE}.'"
            )
        checked.append(template)
    return tuple(checked)


def fill_templates(prompt: str, templates: Sequence[str]) -> list[str]:
    """The prompt in each template; without templates, the prompt itself.

    >>> fill_templates("cat", ["a photo of a {}.", "a drawing of a {}."])
    ['a photo of a cat.', 'a drawing of a cat.']
    >>> fill_templates("cat", [])
    ['cat']
    """
    return [template.replace(PLACE, prompt) for template in templates] or [prompt]


_SURROGATES = re.compile("[\ud800-\udfff]")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file without a byte-order mark; bytes that are not UTF-8 become surrogates.

    Raises DataError for a file that cannot be read or is empty.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{printable(str(path))}: cannot read it: {error.strerror or error}") from error
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    if not text.strip():
        raise DataError(f"{printable(str(path))}: the file is empty")
    return text


def parse_json(text: str, shown: str) -> Any:
    """The value of a JSON text; `shown` names it in errors, escaped. Raises DataError for what is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{shown}: not JSON ({printable(str(error), 100)})") from error


def is_text(value: object) -> bool:
    """Whether a value is a string of valid characters: bytes that are not UTF-8 are not."""
    return isinstance(value, str) and not _SURROGATES.search(value)
