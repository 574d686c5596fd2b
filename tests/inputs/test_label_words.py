"""The words of classes: files and mappings of every form, and what is wrong with each, in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clipsim.errors import DataError, UsageError
from clipsim.inputs.label_words import ClassWords, check_label_words, find_label_words, merge_labels


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", 'class,label\nn01,tench|Tinca tinca\nn02,"shark|great, white shark"\nn03,猫\n'),
        ("l.tsv", "n01\ttench | Tinca tinca\nn02\tshark|great, white shark\nn03\t猫\n"),
        ("l.json", json.dumps({"n01": ["tench", " Tinca tinca"], "n02": ["shark", "great, white shark"], "n03": "猫"})),
    ],
)
def test_a_file_with_several_words_a_class(tmp_path: Path, name: str, content: str) -> None:
    """In the lines of a table a bar stands between them, in JSON they are a list."""
    (tmp_path / name).write_text(content, encoding="utf-8-sig")
    words = find_label_words(str(tmp_path / name), ["n01", "n02", "n03"])

    assert words == {
        "n01": ClassWords("tench", ("tench", "Tinca tinca")),
        "n02": ClassWords("shark", ("shark", "great, white shark")),
        "n03": ClassWords("猫", ("猫",)),
    }
    assert find_label_words(words, ["n03"]) == words


def test_a_bar_is_part_of_a_text_in_json(tmp_path: Path) -> None:
    """The way to write a label that has one."""
    (tmp_path / "l.json").write_text('{"pipe": "a | b", "or": ["x|y", "z"]}')

    words = find_label_words(str(tmp_path / "l.json"), [])
    assert {name: own.words for name, own in words.items()} == {"pipe": ("a | b",), "or": ("x|y", "z")}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.csv", "cat,cat|\n", "l.csv: the class 'cat' has an empty word"),
        ("l.csv", "cat,|\n", "l.csv: the class 'cat' has an empty word"),
        ("l.csv", "cat,\n", "l.csv: the class 'cat' has no text"),
        ("l.json", '{"cat": []}', "l.json: the class 'cat' has no text"),
        ("l.json", '{"cat": [3]}', "l.json: the class 'cat' has no text"),
        ("l.json", '{"cat": ["kitten", " "]}', "l.json: the class 'cat' has an empty word"),
        ("l.json", '{"dog": ["dog"]}', "l.json: no text for the class 'cat'"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    """Nothing is guessed."""
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as caught:
        find_label_words(str(tmp_path / name), ["cat"])
    assert message in str(caught.value)


def test_a_mapping_of_python() -> None:
    """Numbers are the names of classes too, as data sets have them; a repeated word counts once."""
    labels: Any = {0: "cat", "dog": ["dog ", "puppy", "dog"]}

    words = check_label_words(labels)
    assert {name: own.words for name, own in words.items()} == {"0": ("cat",), "dog": ("dog", "puppy")}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"cat": []}, "labels: the class 'cat' has no words"),
        ({"cat": None}, "labels['cat']: not a string or a list of strings, but None"),
        ({"cat": ["kitten", ""]}, "labels['cat']: number 2 is empty"),
        ({None: "cat"}, "labels: the class None is not a string or a number"),
    ],
)
def test_mappings_that_are_refused(labels: Any, message: str) -> None:
    """With the name of the class."""
    with pytest.raises(UsageError) as caught:
        check_label_words(labels)
    assert str(caught.value) == message


def test_classes_with_one_label_have_the_same_words() -> None:
    """In any order; with others it would not be clear what the label stands for."""
    cat, crane = ClassWords.of(["cat", "kitten"]), ClassWords.of(["crane", "bird"])
    assert merge_labels([cat, ClassWords("cat", ("kitten", "cat"))]).words == (("cat", "kitten"),)
    with pytest.raises(DataError, match="two classes have the label 'crane' with other words"):
        merge_labels([crane, ClassWords.of(["crane", "machine"])])


def test_a_word_of_several_labels_is_told() -> None:
    """It speaks for each of them."""
    classes = [ClassWords.of(["bird", "crane"]), ClassWords.of(["machine", "crane"])]
    assert merge_labels(classes).notices == ("several labels have the word 'crane'",)
