"""Tests of `simple_tokenizer`: OpenAI's tokenizer."""

from __future__ import annotations

from typing import Any

import pytest
import regex
from open_clip import tokenizer as openclips

import clipsim
from clipsim.errors import ClipsimError
from clipsim.simple_tokenizer import SimpleTokenizer, bytes_to_unicode, default_bpe


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """One for all tests."""
    return SimpleTokenizer()


def test_texts_become_ids_and_back(tokenizer: Any) -> None:
    """Without the markers of a row; letters become lower case, and blanks are simplified."""
    assert tokenizer.encode("A  diagram\n") == [320, 22697]
    assert tokenizer.decode([320, 22697]) == "a diagram "
    text = "naïve café, 2 dogs &amp; it's 猫"
    assert tokenizer.decode(tokenizer.encode(text)).split() == [
        "naïve",
        "café",
        ",",
        "2",
        "dogs",
        "&",
        "it",
        "'s",
        "猫",
    ]


def test_the_markers_are_spelt_as_openai_spells_them(tokenizer: Any) -> None:
    """In the vocabulary and within a text; OpenCLIP's spelling is a text like any other."""
    assert len(tokenizer.encoder) == len(tokenizer.decoder) == 49408
    assert (tokenizer.encoder["<|startoftext|>"], tokenizer.encoder["<|endoftext|>"]) == (49406, 49407)
    assert (tokenizer.decoder[49406], tokenizer.decoder[49407]) == ("<|startoftext|>", "<|endoftext|>")
    assert tokenizer.encode("<|startoftext|> a <|endoftext|>") == [49406, 320, 49407]
    assert not {49406, 49407} & set(tokenizer.encode("<start_of_text> a <end_of_text>"))


def test_bytes_have_their_letters(tokenizer: Any) -> None:
    """The tables that scripts read: all bytes, both ways."""
    assert tokenizer.byte_encoder == bytes_to_unicode()
    assert sorted(tokenizer.byte_encoder) == list(range(256))
    assert {tokenizer.byte_decoder[letter]: letter for letter in tokenizer.byte_decoder} == tokenizer.byte_encoder
    assert tokenizer.bpe("diagram") == "diagram</w>"


def test_another_vocabulary_can_be_named(tokenizer: Any) -> None:
    """By the path of its merges."""
    assert SimpleTokenizer(default_bpe()).encoder == tokenizer.encoder


def test_an_open_clip_that_splits_texts_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markers would silently become other tokens; the error says which version reads them."""

    def build(self: Any, bpe_path: str) -> None:
        original(self, bpe_path)
        self.pat = regex.compile("<start>|<end>|[a-z]+")

    original = openclips.SimpleTokenizer.__init__
    monkeypatch.setattr(openclips.SimpleTokenizer, "__init__", build)
    with pytest.raises(ClipsimError, match="install open_clip_torch"):
        SimpleTokenizer()


def test_rows_of_tokens_are_made_by_it(tokenizer: Any) -> None:
    """`tokenize` adds the markers."""
    ids = clipsim.tokenize("two dogs, <|endoftext|>")[0].tolist()
    assert ids[: ids.index(0)] == [49406, *tokenizer.encode("two dogs, <|endoftext|>"), 49407]
