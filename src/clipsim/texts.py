"""Options and prompt files → the prompts to encode, and the templates they are put into."""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from clipsim.errors import PromptError, UsageError
from clipsim.names import printable

PLACE = "{}"
LONGEST_SHOWN = 60


def read_prompts(path: str) -> list[str]:
    """The prompts of a text file, one a line, in order; `-` is standard input.

    The file is UTF-8; a byte-order mark and carriage returns are dropped, and so are blank lines. White space inside
    a line stays as it is.

    Raises PromptError for a file that cannot be read, is not UTF-8 (naming the line), or holds no prompt.
    """
    shown = "standard input" if path == "-" else printable(path)
    try:
        if path == "-":
            prompts = _read_lines(sys.stdin.buffer, shown)
        else:
            with Path(path).open("rb") as file:
                prompts = _read_lines(file, shown)
    except OSError as error:
        raise PromptError(f"{shown}: cannot read the prompts: {error.strerror or error}") from error
    if not prompts:
        raise PromptError(f"{shown}: no prompt in it; write one a line")
    return prompts


def _read_lines(file: BinaryIO, shown: str) -> list[str]:
    prompts = []
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            prompt = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise PromptError(
                f"{shown}: line {number} is not UTF-8 (byte {line[error.start]:#04x}); save the file as UTF-8"
            ) from error
        if prompt.strip():
            prompts.append(prompt)
    return prompts


def distinct_prompts(prompts: Iterable[str]) -> tuple[list[str], list[str]]:
    """The prompts without repetition, in order, and those that had been repeated.

    Raises UsageError for a prompt that is empty or blank, or is not UTF-8.

    >>> distinct_prompts(["maze", "cat", "maze"])
    (['maze', 'cat'], ['maze'])
    """
    seen: dict[str, int] = {}
    for prompt in prompts:
        prompt = _as_unicode(prompt)
        if not prompt.strip():
            raise UsageError("a prompt is empty: give --text some words")
        seen[prompt] = seen.get(prompt, 0) + 1
    return list(seen), [prompt for prompt, count in seen.items() if count > 1]


def _as_unicode(prompt: str) -> str:
    """Mend what an ASCII locale made of an argument in UTF-8; refuse what is in no encoding known."""
    try:
        return prompt.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise UsageError(f"the prompt '{printable(prompt, LONGEST_SHOWN)}' is not UTF-8") from error


def check_templates(templates: Sequence[str]) -> None:
    """Raise UsageError for a template without a place for the prompt."""
    for template in templates:
        if PLACE not in template:
            shown = printable(template, LONGEST_SHOWN)
            raise UsageError(f"the template '{shown}' has no {PLACE}; write it like 'a photo of a {PLACE}.'")


def fill_templates(prompt: str, templates: Sequence[str]) -> list[str]:
    """The prompt put into each template; without templates, the prompt as it is.

    >>> fill_templates("cat", ["a photo of a {}.", "a drawing of a {}."])
    ['a photo of a cat.', 'a drawing of a cat.']
    >>> fill_templates("cat", [])
    ['cat']
    """
    return [template.replace(PLACE, prompt) for template in templates] or [prompt]
