"""OpenAI's `clip.simple_tokenizer`: a text → ids of CLIP's byte-pair vocabulary, and back."""

from __future__ import annotations

import regex
from open_clip import tokenizer
from open_clip.tokenizer import basic_clean, bytes_to_unicode, default_bpe, get_pairs, whitespace_clean

from clipsim.errors import ClipsimError

__all__ = ["SimpleTokenizer", "basic_clean", "bytes_to_unicode", "default_bpe", "get_pairs", "whitespace_clean"]

_OPENCLIPS_MARKERS = ("<start_of_text>", "<end_of_text>")
_OPENAIS_MARKERS = ("<|startoftext|>", "<|endoftext|>")


class SimpleTokenizer(tokenizer.SimpleTokenizer):  # type: ignore[misc]  # of OpenCLIP, which has no types
    """OpenCLIP's byte-pair tokenizer with OpenAI's spelling of the two markers, which it reads inside a text too.

    Its `encode` takes a text and gives a list of ids without markers, `decode` takes ids and gives a text. Raises
    ClipsimError where OpenCLIP's pattern does not have its own spelling in the expected place.
    """

    def __init__(self, bpe_path: str | None = None) -> None:
        super().__init__(default_bpe() if bpe_path is None else bpe_path)
        for openclips, openais in zip(_OPENCLIPS_MARKERS, _OPENAIS_MARKERS, strict=True):
            number = self.encoder.pop(openclips)
            self.encoder[openais], self.decoder[number] = number, openais
        self.cache = {marker: marker for marker in _OPENAIS_MARKERS}
        original: str = self.pat.pattern  # type: ignore[has-type]
        pattern = original.replace("|".join(_OPENCLIPS_MARKERS), "|".join(map(regex.escape, _OPENAIS_MARKERS)))
        if pattern == original:
            raise ClipsimError(
                "the installed open_clip splits texts by a pattern that clipsim does not know; install open_clip_torch "
                "3.3"
            )
        self.pat = regex.compile(pattern, regex.IGNORECASE)
