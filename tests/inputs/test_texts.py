"""Tests of `inputs.texts`: texts, prompt files and templates."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from skips import needs_devices

from clipsim.errors import DataError, TextError, UsageError
from clipsim.inputs.texts import check_templates, clean_labels, clean_texts, fill_templates, read_text, read_texts

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip() != "")


def test_a_prompt_file_as_editors_write_it(tmp_path: Path) -> None:
    """The byte-order mark, carriage returns and blank lines are dropped; other characters are kept."""
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"\xef\xbb\xbfa maze\r\n\r\n  \n a cat \nh\xc3\xa9l\xc3\xa8ne\xe2\x80\xa8x")

    assert read_texts(str(file)) == ["a maze", " a cat ", "hélène\u2028x"]


def test_a_prompt_file_in_another_encoding(tmp_path: Path) -> None:
    """Latin-1 is an error that names the line."""
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"maze\ncaf\xe9\n")

    with pytest.raises(TextError, match=r"prompts\.txt: line 2 is not UTF-8 \(byte 0xe9\)"):
        read_texts(str(file))


@pytest.mark.parametrize("content", [b"", b"\n \r\n\t\n", b"\xef\xbb\xbf"])
def test_a_prompt_file_without_prompts(tmp_path: Path, content: bytes) -> None:
    """A file of blank lines is an error."""
    file = tmp_path / "empty.txt"
    file.write_bytes(content)

    with pytest.raises(TextError, match=r"empty\.txt: contains no text; write one a line"):
        read_texts(str(file))


def test_a_missing_prompt_file(tmp_path: Path) -> None:
    """The error names the file and the system's reason."""
    with pytest.raises(TextError, match=r"nope\.txt: cannot read the texts: No such file"):
        read_texts(str(tmp_path / "nope.txt"))


def test_prompts_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input, which an error names."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"maze\ncat\n")))
    assert read_texts("-") == ["maze", "cat"]

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    with pytest.raises(TextError, match=r"^standard input: contains no text"):
        read_texts("-")


def test_repeated_prompts_count_once() -> None:
    """The first place is kept, and a notice names the repeated ones."""
    assert clean_texts(["a", "b", "a", "c", "a", "b"]) == (
        ["a", "b", "c"],
        ["given more than once, counted once: 'a', 'b'"],
    )


def test_prompts_are_stripped_at_both_ends() -> None:
    """`cat` and ` cat ` are one text, since they would be two labels at 50 % each; blanks inside are kept."""
    assert clean_texts(["cat", " cat\t", "a  maze", "dog\u00a0"]) == (
        ["cat", "a  maze", "dog"],
        ["blanks removed around: ' cat\\t', 'dog\u00a0'", "given more than once, counted once: 'cat'"],
    )


def test_the_prompts_of_a_file_are_stripped_too(tmp_path: Path) -> None:
    """A line's blanks count no more than those of an argument, and the notice is the same."""
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"maze\n  cat  \n\tmaze\n")

    assert clean_texts(read_texts(str(file))) == clean_texts(["maze", "  cat  ", "\tmaze"])
    assert clean_texts(read_texts(str(file)))[0] == ["maze", "cat"]


def test_a_notice_quotes_three_prompts_at_most() -> None:
    """A thousand prompts with a blank are one line."""
    _, (notice,) = clean_texts([f"prompt {number} " for number in range(1000)])

    assert notice == "blanks removed around: 'prompt 0 ', 'prompt 1 ', 'prompt 2 ' and 997 more"


@pytest.mark.parametrize("prompt", [1, None, b"maze", ["maze"]])
def test_a_prompt_that_is_not_a_string_is_wrong_usage(prompt: object) -> None:
    """The error names the place and the value."""
    with pytest.raises(UsageError) as caught:
        clean_texts(["maze", prompt])
    assert str(caught.value) == f"texts: number 2 is {prompt!r}, not a string"


def test_a_prompt_that_an_ascii_locale_has_decoded() -> None:
    """The bytes of an argument are UTF-8 again; other encodings are an error."""
    assert clean_texts([b"h\xc3\xa9l\xc3\xa8ne".decode("ascii", "surrogateescape")]) == (["hélène"], [])
    with pytest.raises(UsageError, match=r"the text 'caf\\xe9' is not UTF-8"):
        clean_texts([b"caf\xe9".decode("ascii", "surrogateescape")])


@pytest.mark.parametrize("prompt", ["", "  ", "\t\n"])
def test_an_empty_prompt_is_wrong_usage(prompt: str) -> None:
    """The error names the place, since the text cannot be shown."""
    with pytest.raises(UsageError, match=r"^texts: number 2 is empty$"):
        clean_texts(["maze", prompt])


def test_templates_take_the_prompt_literally() -> None:
    """Braces in a prompt are braces, and every place in a template is filled."""
    assert fill_templates("a {0} {x}", ["{} and {}", "photo: {}"]) == ["a {0} {x} and a {0} {x}", "photo: a {0} {x}"]


def test_a_template_needs_a_place_for_the_prompt() -> None:
    """A template without `{}`, and what is not a string, are refused."""
    with pytest.raises(UsageError, match=r"'a photo' has no \{\}"):
        check_templates(["a photo of {}", "a photo"])
    with pytest.raises(UsageError, match=r"^templates: number 2 is 3, not a string$"):
        check_templates(["a photo of {}", 3])


@given(st.lists(st.tuples(st.sampled_from(["", " ", "\n\t", "\u3000"]), TEXTS, st.sampled_from(["", "  ", "\r"]))))
def test_clean_prompts_are_distinct_and_lose_none(given_prompts: list[tuple[str, str, str]]) -> None:
    """Every prompt is among them once, stripped, in its first place; the notices name what was changed."""
    prompts = ["".join(parts) for parts in given_prompts]
    clean, notices = clean_texts(prompts)

    stripped = [prompt.strip() for prompt in prompts]
    assert clean == list(dict.fromkeys(stripped))
    expected = {"blanks removed around": stripped != prompts, "given more than once": len(clean) < len(prompts)}
    assert [notice.split(",")[0].split(":")[0] for notice in notices] == [name for name in expected if expected[name]]


@given(TEXTS, st.text(st.characters(codec="utf-8")))
def test_a_template_holds_the_prompt_unchanged(prompt: str, around: str) -> None:
    """Whatever characters either has."""
    assume("{}" not in around and not around.endswith("{"))

    assert fill_templates(prompt, [around + "{}"]) == [around + prompt]


@given(st.lists(TEXTS.filter(lambda text: not set(text) & set("\r\n") and text[0] != "\ufeff"), min_size=1))
def test_a_prompt_file_gives_its_lines(prompts: list[str]) -> None:
    """The prompts are those that were written, one a line."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "prompts"
        file.write_bytes("\n".join(prompts).encode())
        assert read_texts(str(file)) == prompts


def test_a_mapping_gives_each_label_its_words() -> None:
    """The label is one of them only where it is written there; one word may stand without a list."""
    given = clean_labels({"cat ": ["cat", "kitten", "cat"], "pet": "dog", "猫": ("猫",)})

    assert given.labels == ("cat", "pet", "猫")
    assert given.words == (("cat", "kitten"), ("dog",), ("猫",))
    assert given.notices == ("blanks removed around: 'cat '", "'cat': given more than once, counted once: 'cat'")
    assert clean_labels({"cat": ["cat"], "dog": "dog"}).words is None


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"cat": [], "dog": "dog"}, "texts: the label 'cat' has no words"),
        ({"cat": ["a", " "]}, "texts['cat']: number 2 is empty"),
        ({"cat": 0.5}, "texts['cat']: not a string or a list of strings, but float"),
        ({"cat": {"a": "b"}}, "texts['cat']: a mapping (dict), not a list; pass one of its values, such as"),
        ({3: "cat"}, "texts: number 1 is 3, not a string"),
        ({"": "cat"}, "texts: number 1 is empty"),
        ({"cat": "a", " cat": "b"}, "texts: the label 'cat' is given twice"),
    ],
)
def test_mappings_that_are_refused(texts: object, message: str) -> None:
    """With the label that is wrong."""
    with pytest.raises(UsageError) as caught:
        clean_labels(texts)
    assert str(caught.value).startswith(message)


@needs_devices
def test_a_file_without_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A device is read as far as the limit."""
    monkeypatch.setattr("clipsim.inputs.texts.MAX_FILE_BYTES", 5)
    with pytest.raises(DataError, match="/dev/zero: more than 5 bytes"):
        read_text(Path("/dev/zero"))
    (tmp_path / "a").write_text("abcde")
    assert read_text(tmp_path / "a") == "abcde"
