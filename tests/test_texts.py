"""Tests of `texts`."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsim.errors import PromptError, UsageError
from clipsim.inputs.prompts import check_templates, distinct_prompts, fill_templates, read_prompts


def test_prompt_file_with_everything_editors_do(tmp_path: Path) -> None:
    """The byte-order mark, carriage returns and blank lines go; the rest stays as typed."""
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"\xef\xbb\xbfa maze\r\n\r\n  \n a cat \nh\xc3\xa9l\xc3\xa8ne\xe2\x80\xa8x")

    assert read_prompts(str(file)) == ["a maze", " a cat ", "hélène\u2028x"]


def test_prompt_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    """Latin-1 is an error with its line number, not mojibake."""
    file = tmp_path / "prompts.txt"
    file.write_bytes(b"maze\ncaf\xe9\n")

    with pytest.raises(PromptError, match=r"prompts\.txt: line 2 is not UTF-8 \(byte 0xe9\)"):
        read_prompts(str(file))


@pytest.mark.parametrize("content", [b"", b"\n \r\n\t\n", b"\xef\xbb\xbf"])
def test_prompt_file_without_prompts(tmp_path: Path, content: bytes) -> None:
    """A file of blank lines is said to be one."""
    file = tmp_path / "empty.txt"
    file.write_bytes(content)

    with pytest.raises(PromptError, match="no prompt in it"):
        read_prompts(str(file))


def test_missing_prompt_file(tmp_path: Path) -> None:
    """The error names the file and the system's reason."""
    with pytest.raises(PromptError, match=r"nope\.txt: cannot read the prompts: No such file"):
        read_prompts(str(tmp_path / "nope.txt"))


def test_repeated_prompts_count_once() -> None:
    """The first place is kept, and the repeated ones are told."""
    assert distinct_prompts(["a", "b", "a", "c", "a", "b"]) == (["a", "b", "c"], ["a", "b"])


@pytest.mark.parametrize("prompt", ["", "  ", "\t\n"])
def test_an_empty_prompt_is_wrong_usage(prompt: str) -> None:
    """A prompt of nothing says nothing."""
    with pytest.raises(UsageError, match="empty"):
        distinct_prompts(["maze", prompt])


def test_templates_take_the_prompt_literally() -> None:
    """Braces in a prompt are braces, and every place in a template is filled."""
    assert fill_templates("a {0} {x}", ["{} and {}", "photo: {}"]) == ["a {0} {x} and a {0} {x}", "photo: a {0} {x}"]


def test_a_template_needs_a_place() -> None:
    """A template that would drop the prompt is refused."""
    with pytest.raises(UsageError, match=r"'a photo' has no \{\}"):
        check_templates(["a photo of {}", "a photo"])
