"""The classes of labelled data, and a file or a mapping with their words → labels, the words of each, and notices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from clipsim.errors import DataError, UsageError, printable, quote_some
from clipsim.inputs.texts import Labels, clean_texts, is_text, make_labels, parse_json, read_text

LabelWords: TypeAlias = Mapping[str, Iterable[str] | str] | Mapping[int, Iterable[str] | str]


@dataclass(frozen=True)
class ClassWords:
    """The label of a class, as results show it, and the words that it stands for."""

    label: str
    words: tuple[str, ...]

    @classmethod
    def of(cls, words: Iterable[str]) -> ClassWords:
        """A class whose label is the first of its words, which count once each."""
        distinct = tuple(dict.fromkeys(word.strip() for word in words))
        return cls(distinct[0], distinct)


WORD_SEPARATOR = "|"  # in a line of a file
SPLITS = frozenset(("train", "training", "val", "valid", "validation", "dev", "test"))  # of a data set
# No run of three letters that is not merely the word for a class: "0", "n01440764", "class 12", "c3".
_ID = re.compile(r"(?:class|label|cat|category|id|cls|c|n)?[\W_]*\d[\W_\da-f]*|[0-9a-f]{8,}", re.IGNORECASE)
_HEADER = frozenset(("class", "folder", "label", "id", "name", "wnid", "synset"))


def check_label_words(labels: LabelWords) -> dict[str, ClassWords]:
    """A caller's mapping of classes to their word or words, checked; numbers of classes become texts.

    Raises UsageError for a class that is neither a string nor a number, and for words that are not strings.
    """
    checked: dict[str, ClassWords] = {}
    for name, own in labels.items():
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise UsageError(f"the class {printable(repr(name), 40)} is not a string or a number", parameter="labels")
        words, _ = clean_texts(own, f"labels[{printable(repr(name), 40)}]")
        if not words:
            raise UsageError(f"the class '{printable(str(name), 40)}' has no words", parameter="labels")
        checked[str(name)] = ClassWords.of(words)
    return checked


def find_label_words(labels: str | Mapping[str, ClassWords], needed: Sequence[str]) -> dict[str, ClassWords]:
    """The words of each class, in order: those of a mapping, or of a file at a path.

    A file is a JSON object of classes and a string or a list of strings each, or has lines of a class, a tab or comma,
    and a text. Only the first tab or comma of a line divides it, so that a text may have commas; a `|` stands between
    words. Raises DataError for a file that cannot be read, a class without words, and a needed one that is not there.
    """
    words = _read_words(Path(labels), needed) if isinstance(labels, str) else dict(labels)
    if missing := [name for name in needed if name not in words]:
        source = f"{printable(labels)}: " if isinstance(labels, str) else ""
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(f"{source}no text for the class '{printable(missing[0], 40)}'{more}")
    return words


def _read_words(path: Path, needed: Sequence[str]) -> dict[str, ClassWords]:
    label_file = printable(str(path))
    text = read_text(path)
    is_json = path.suffix.lower() == ".json"
    pairs = _object(parse_json(text, label_file), label_file) if is_json else _lines(text, label_file)
    words: dict[str, ClassWords] = {}
    for number, (name, own) in enumerate(pairs):
        if number == 0 and name.lower() in _HEADER and name not in needed:
            continue
        if not own or not all(is_text(word) and word.strip() for word in own):
            lacks = "no text" if len(own) < 2 else "an empty word"
            raise DataError(f"{label_file}: the class '{printable(name, 40)}' has {lacks}")
        words[name] = ClassWords.of(own)
    return words


def merge_labels(classes: Iterable[ClassWords]) -> Labels:
    """The labels of classes without repetition, in order; and notices of those that several classes have.

    Raises DataError for a label that has other words in another class.

    >>> merge_labels([ClassWords.of(words) for words in (["crane"], ["cat", "kitten"], ["crane"])]).notices
    ("several classes have the label 'crane', and count as one",)
    """
    words: dict[str, tuple[str, ...]] = {}
    several = dict[str, None]()
    for one in classes:
        if one.label in words:
            several[one.label] = None
        if set(words.setdefault(one.label, one.words)) != set(one.words):
            raise DataError(f"two classes have the label '{printable(one.label, 40)}' with other words")
    notice = f"several classes have the label {quote_some(list(several))}, and count as one"
    return make_labels(list(words), list(words.values()), [notice] if several else [])


def describe_labels(empty: Sequence[str], labels: Sequence[str]) -> list[str]:
    """What should be known of labels: those without images, and those that are no words."""
    notices = []
    if empty:
        notices.append(f"no image has the label {quote_some(empty)}; it can still be predicted")
    if 2 * sum(map(looks_like_id, labels)) > len(labels):
        notices.append(f"the labels look like ids: {quote_some(labels[:3])}; map them to words with labels=FILE")
    if {label.lower() for label in labels} <= SPLITS:
        notices.append("the labels look like the splits of a data set; give one of the folders instead")
    return notices


def looks_like_id(label: str) -> bool:
    """Whether a label is a number or code that says nothing to a model.

    >>> [looks_like_id(label) for label in ("n01440764", "class 3", "17", "cat", "4x4 car", "7 up")]
    [True, True, True, False, False, False]
    """
    return _ID.fullmatch(label.strip()) is not None


def _object(value: object, label_file: str) -> list[tuple[str, list[str]]]:
    if not isinstance(value, dict):
        raise DataError(f"{label_file}: expected an object of classes and texts")
    return [(name, own if isinstance(own, list) else [own]) for name, own in value.items()]


def _lines(text: str, label_file: str) -> list[tuple[str, list[str]]]:
    pairs = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            name, separator, label = line.partition("\t" if "\t" in line else ",")
            if not separator:
                raise DataError(f"{label_file}: line {number} has no tab or comma between a class and its text")
            words = label.strip().removeprefix('"').removesuffix('"').split(WORD_SEPARATOR)
            pairs.append((name.strip(), words))
    return pairs
