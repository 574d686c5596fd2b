"""Texts, files of texts and templates → checked texts, and the strings to encode."""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from clipsim.errors import DataError, TextError, UsageError, printable, quote_some
from clipsim.inputs.lists import as_list

PLACEHOLDER = "{}"
MAX_QUOTED = 60  # characters of a text that a message quotes


MAX_FILE_BYTES = 1_000_000_000  # of a file of results, labels or captions


def read_texts(path: str) -> list[str]:
    """The texts in a file, one a line, in order; `-` is standard input.

    The file is UTF-8. A byte-order mark, carriage returns and blank lines are dropped; `clean_texts` strips the rest.

    Raises TextError for a file that cannot be read, is not UTF-8 (naming the line), or contains no text.
    """
    label = "standard input" if path == "-" else printable(path)
    try:
        if path == "-":
            texts = _read_lines(sys.stdin.buffer, label)
        else:
            with Path(path).open("rb") as file:
                texts = _read_lines(file, label)
    except IsADirectoryError as error:
        raise TextError(f"{label}: a folder, not a file; give a file with one text a line") from error
    except OSError as error:
        raise TextError(f"{label}: cannot read the texts: {error.strerror or error}") from error
    if not texts:
        raise TextError(f"{label}: contains no text; write one a line")
    return texts


def _read_lines(file: BinaryIO, label: str) -> list[str]:
    texts = []
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise TextError(
                f"{label}: line {number} is not UTF-8 (byte {line[error.start]:#04x}); save the file as UTF-8"
            ) from error
        if text.strip():
            texts.append(text)
    return texts


def clean_texts(texts: object, name: str = "texts", *, deduplicate: bool = True) -> tuple[list[str], list[str]]:
    """One text or an iterable of texts → the texts in order, stripped at both ends; and notices of what was changed.

    With `deduplicate`, a repeated text counts once. Raises UsageError, which calls the texts `name`, for what is not a
    list, and for a text that is not a string, is empty or blank, or is not UTF-8.

    >>> clean_texts(["maze", "cat ", "maze"])
    (['maze', 'cat'], ["blanks removed around: 'cat '", "given more than once, counted once: 'maze'"])
    """
    cleaned = []
    changed = []
    for number, text in enumerate(as_list(texts, name), start=1):
        if not isinstance(text, str):
            raise UsageError(f"number {number} is {printable(repr(text), MAX_QUOTED)}, not a string", parameter=name)
        text = _as_unicode(text)
        stripped = text.strip()
        if not stripped:
            raise UsageError(f"number {number} is empty", parameter=name)
        if stripped != text:
            changed.append(text)
        cleaned.append(stripped)
    counts = Counter(cleaned) if deduplicate else Counter[str]()
    repeated = [text for text, count in counts.items() if count > 1]
    notices = [f"blanks removed around: {quote_some(changed, width=MAX_QUOTED)}"] if changed else []
    notices += [f"given more than once, counted once: {quote_some(repeated, width=MAX_QUOTED)}"] if repeated else []
    return list(counts) if deduplicate else cleaned, notices


@dataclass(frozen=True)
class Labels:
    """What images are compared with: `labels` as results name them, and the `words` that each of them stands for.

    `words` is None where every label is its own only word; `notices` are what the caller should know.
    """

    labels: tuple[str, ...]
    words: tuple[tuple[str, ...], ...] | None
    notices: tuple[str, ...]


def clean_labels(texts: object, name: str = "texts", *, deduplicate: bool = True) -> Labels:
    """One text, an iterable of texts, or a mapping of labels to the word or the words of each → the labels.

    Texts are cleaned as `clean_texts` does it. The label of a mapping is not one of its own words unless it is among
    them, and a repeated word of a label counts once.

    Raises UsageError as `clean_texts` does, and for a label twice or without words.

    >>> clean_labels({"cat": ["cat", "kitten"], "dog": "dog"}).words
    (('cat', 'kitten'), ('dog',))
    >>> clean_labels(["cat", "dog"]).words is None
    True
    """
    if not isinstance(texts, Mapping):
        labels, notices = clean_texts(texts, name, deduplicate=deduplicate)
        return Labels(tuple(labels), None, tuple(notices))
    labels, notices = clean_texts(list(texts), name, deduplicate=False)
    if repeated := [label for label, count in Counter(labels).items() if count > 1]:
        raise UsageError(f"the label {quote_some(repeated[:1], width=MAX_QUOTED)} is given twice", parameter=name)
    words = []
    for label, own in zip(labels, texts.values(), strict=True):
        quoted = printable(label, MAX_QUOTED)
        cleaned, own_notices = clean_texts(own, f"{name}['{quoted}']")
        if not cleaned:
            raise UsageError(f"the label '{quoted}' has no words", parameter=name)
        words.append(tuple(cleaned))
        notices += [f"'{quoted}': {notice}" for notice in own_notices]
    return make_labels(labels, words, notices)


def make_labels(labels: Sequence[str], words: Sequence[tuple[str, ...]], notices: Iterable[str] = ()) -> Labels:
    """Labels and their words, with a notice of the words that several labels have.

    >>> make_labels(["bird", "machine"], [("crane", "bird"), ("crane",)]).notices
    ("several labels have the word 'crane'",)
    """
    counts = Counter(word for own in words for word in own)
    several = [word for word, count in counts.items() if count > 1]
    shared = [f"several labels have the word {quote_some(several, width=MAX_QUOTED)}"] if several else []
    plain = all(own == (label,) for label, own in zip(labels, words, strict=True))
    return Labels(tuple(labels), None if plain else tuple(words), (*notices, *shared))


def _as_unicode(text: str) -> str:
    """Decode a UTF-8 argument that Python decoded in an ASCII locale. Raises UsageError for other encodings."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError as error:
        raise UsageError(f"the text '{printable(text, MAX_QUOTED)}' is not UTF-8") from error


def check_templates(templates: object) -> tuple[str, ...]:
    """One template or an iterable of them → the templates.

    Raises UsageError for what is not a list, and for one that is not a string or has no `{}` for the text.
    """
    checked = []
    for number, template in enumerate(as_list(templates, "templates"), start=1):
        if not isinstance(template, str):
            raise UsageError(
                f"number {number} is {printable(repr(template), MAX_QUOTED)}, not a string", parameter="templates"
            )
        if PLACEHOLDER not in template:
            quoted = printable(template, MAX_QUOTED)
            raise UsageError(f"'{quoted}' has no {{}}", parameter="templates", hint="write it like 'a photo of a {}.'")
        checked.append(template)
    return tuple(checked)


def fill_templates(text: str, templates: Sequence[str]) -> list[str]:
    """The text in each template; without templates, the text itself.

    >>> fill_templates("cat", ["a photo of a {}.", "a drawing of a {}."])
    ['a photo of a cat.', 'a drawing of a cat.']
    >>> fill_templates("cat", [])
    ['cat']
    """
    return [template.replace(PLACEHOLDER, text) for template in templates] or [text]


_SURROGATES = re.compile("[\ud800-\udfff]")


def read_text(path: Path) -> str:
    """The text of a UTF-8 file without a byte-order mark; bytes that are not UTF-8 become surrogates.

    Raises DataError for a file that cannot be read, is empty or has no end, as a device may.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise DataError(f"{printable(str(path))}: cannot read it: {error.strerror or error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise DataError(f"{printable(str(path))}: more than {MAX_FILE_BYTES:,} bytes, the limit of such a file")
    text = data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
    if not text.strip():
        raise DataError(f"{printable(str(path))}: the file is empty")
    return text


def parse_json(text: str, label: str) -> Any:
    """The value of a JSON text; `label` names it in errors. Raises DataError for what is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{label}: not JSON ({printable(str(error), 100)})") from error


def is_text(value: object) -> bool:
    """Whether a value is a string of valid characters: bytes that are not UTF-8 are not."""
    return isinstance(value, str) and not _SURROGATES.search(value)
