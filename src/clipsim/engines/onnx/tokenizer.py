"""Texts → token ids without torch: a vocabulary that `tokenizers` reads, cleaned and cut as OpenCLIP does."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.engines.encoder import bound_text, too_many_tokens

Tokens = NDArray[np.int64]
# The words of OpenCLIP's own tokenizer: a marker, the end of a contraction, letters, a digit, anything else.
WORD = r"<start_of_text>|<end_of_text>|'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class TokenRules:
    """How a model's texts become rows of token ids.

    `own` is whether the tokenizer is OpenCLIP's, which splits into words first and puts `start` and `end` around the
    ids; others bring their own marks. `clean` is "lower", "whitespace", "canonicalize" or "none". Rows are filled
    with `pad`, at the left if `pad_left`; `dropped`, where there is one, is an id that becomes 0.
    """

    own: bool
    context_length: int
    clean: str
    start: int = 0
    end: int = 0
    pad: int = 0
    pad_left: bool = False
    dropped: int | None = None


class PlainTokenizer:
    """A tokenizer file and its rules; gives the same ids as `engines.torch.tokenizer.Tokenizer`."""

    def __init__(self, path: Path, rules: TokenRules) -> None:
        from tokenizers import Tokenizer

        self.rules = rules
        self.vocabulary: Any = Tokenizer.from_file(str(path))
        self.vocabulary.no_padding()
        self.vocabulary.no_truncation()

    def __call__(self, texts: Sequence[str], *, truncate: bool) -> Tokens:
        """N texts → (n, context_length) token ids, padded; a text that is cut keeps its end token.

        Raises TextError for a text with more tokens than the context, unless `truncate`.
        """
        rules = self.rules
        rows = self._encode_all(texts, truncate)
        if not truncate:
            for text, row in zip(texts, rows, strict=True):
                if len(row) > rules.context_length:
                    raise too_many_tokens(text, len(row), rules.context_length)
        elif any(len(row) > rules.context_length for row in rows):
            rows = self._cut(texts, rows)
        tokens = np.full((len(rows), rules.context_length), rules.pad, np.int64)
        for target, row in zip(tokens, rows, strict=True):
            target[slice(-len(row), None) if rules.pad_left else slice(len(row))] = row
        if rules.dropped is not None:
            tokens[tokens == rules.dropped] = 0
        return tokens

    def clean(self, text: str) -> str:
        """The text, cleaned for the model's tokenizer."""
        return clean_text(text, self.rules.clean)

    def count_read(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """How many tokens the model reads of each text: those beyond its context are cut."""
        return [min(len(row), self.rules.context_length) for row in self._encode_all(texts, truncate)]

    def _encode_all(self, texts: Sequence[str], truncate: bool) -> list[list[int]]:
        if self.rules.own:
            return self._encode_own(texts, truncate)
        return self._encode([self.clean(text) for text in texts])

    def _encode_own(self, texts: Sequence[str], truncate: bool) -> list[list[int]]:
        bounded = [bound_text(text, self.clean, self.rules.context_length, truncate) for text in texts]
        words = [_word_pattern().findall(self.clean(text)) for text in bounded]
        encodings = self.vocabulary.encode_batch(words, is_pretokenized=True)
        return [[self.rules.start, *encoding.ids, self.rules.end] for encoding in encodings]

    def _encode(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self.vocabulary.encode_batch(list(texts))]

    def _cut(self, texts: Sequence[str], rows: Sequence[list[int]]) -> list[list[int]]:
        limit = self.rules.context_length
        if self.rules.own:
            return [row if len(row) <= limit else [*row[: limit - 1], self.rules.end] for row in rows]
        self.vocabulary.enable_truncation(limit)
        try:
            return self._encode([self.clean(text) for text in texts])
        finally:
            self.vocabulary.no_truncation()


def clean_text(text: str, how: str) -> str:
    r"""Repair the encoding, resolve HTML entities and collapse white space, as OpenCLIP does before it tokenizes.

    `how` is "whitespace" for that, "lower" to lower the case too, "canonicalize" to drop punctuation as well,
    "none" to leave the text as it is.

    >>> clean_text("  A  Caf&eacute;\n", "lower")
    'a café'
    >>> clean_text("Snake_case, isn't it?", "canonicalize")
    'snake case isnt it'
    """
    if how == "none":
        return text
    if not (text.isascii() and text.isprintable() and "&" not in text):  # else there is nothing to mend
        import html

        import ftfy  # takes 0.1 s

        text = html.unescape(html.unescape(ftfy.fix_text(text)))
    if how == "canonicalize":
        text = text.strip().replace("_", " ").translate(_NO_PUNCTUATION)
    return " ".join(text.split()) if how == "whitespace" else " ".join(text.lower().split())


@cache
def _word_pattern() -> Any:
    import regex

    return regex.compile(WORD, regex.IGNORECASE)
