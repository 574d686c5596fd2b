"""Labels of a data set → the texts that a model reads: from a file, merged where they are equal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from clipsim.errors import DataError, printable
from clipsim.inputs.text_files import is_text, parse_json, read_text

# No run of three letters that is not merely the word for a class: "0", "n01440764", "class 12", "c3".
_ID = re.compile(r"(?:class|label|cat|category|id|cls|c|n)?[\W_]*\d[\W_\da-f]*|[0-9a-f]{8,}", re.IGNORECASE)
_HEADER = frozenset(("class", "folder", "label", "id", "name", "wnid", "synset"))


def read_label_texts(path: Path, needed: Sequence[str]) -> dict[str, str]:
    """A file's text for each class, in the file's order: a JSON object, or lines of a class, a tab or comma, a text.

    Only the first tab or comma of a line divides it, so that a text may have commas. Raises DataError for a file that
    cannot be read, and for one without the text of a class that is needed.
    """
    shown = printable(str(path))
    text = read_text(path)
    pairs = _object(parse_json(text, shown), shown) if path.suffix.lower() == ".json" else _lines(text, shown)
    found: dict[str, str] = {}
    for number, (name, label) in enumerate(pairs):
        if number == 0 and name.lower() in _HEADER and name not in needed:
            continue
        if not is_text(label) or not label.strip():
            raise DataError(f"{shown}: the class '{printable(name, 40)}' has no text")
        found[name] = label.strip()
    if missing := [name for name in needed if name not in found]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{shown}: no text for the class '{printable(missing[0], 40)}'{more}")
    return found


def merge_labels(labels: Iterable[str]) -> tuple[list[str], list[str]]:
    """The labels without repetition, in order; and a notice of those that several classes have.

    >>> merge_labels(["crane", "cat", "crane"])
    (['crane', 'cat'], ["several classes have the label 'crane', and count as one"])
    """
    counts = Counter(label.strip() for label in labels)
    several = [label for label, count in counts.items() if count > 1]
    shown = ", ".join(f"'{printable(label, 40)}'" for label in several[:3])
    more = f" and {len(several) - 3} more" if len(several) > 3 else ""
    return list(counts), [f"several classes have the label {shown}{more}, and count as one"] if several else []


def looks_like_id(label: str) -> bool:
    """Whether a label is a number or code that says nothing to a model.

    >>> [looks_like_id(label) for label in ("n01440764", "class 3", "17", "cat", "4x4 car", "7 up")]
    [True, True, True, False, False, False]
    """
    return _ID.fullmatch(label.strip()) is not None


def _object(value: object, shown: str) -> list[tuple[str, str]]:
    if not isinstance(value, dict):
        raise DataError(f"{shown}: expected an object of classes and texts")
    return list(value.items())


def _lines(text: str, shown: str) -> list[tuple[str, str]]:
    pairs = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            name, separator, label = line.partition("\t" if "\t" in line else ",")
            if not separator:
                raise DataError(f"{shown}: line {number} has no tab or comma between a class and its text")
            pairs.append((name.strip(), label.strip().removeprefix('"').removesuffix('"')))
    return pairs
