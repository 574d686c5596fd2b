"""A model's tokenizer → the file and rules with which `onnx.tokenizer` gives the same ids without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Vocabulary
from tokenizers import models, pre_tokenizers

from clipsim.engines.onnx.tokenizer import TokenRules
from clipsim.engines.torch.tokenizer import Tokenizer
from clipsim.errors import ModelError

# Each way of cleaning leaves something else of this text.
_PROBE = "Ab  c_d!"
_CLEANED = {"ab c_d!": "lower", "Ab c_d!": "whitespace", "ab c d": "canonicalize", _PROBE: "none"}
TOKENIZER_CHECK_TEXTS = (
    "a photo of a cat", "Don't we'll THEY'RE I've it's", "123 4,567.89 \u00bd \u00b2", "naïve café ÀÉÎ Straße İstanbul",
    "cafe\u0301 \u1e9b\u0323 \ufb01ne \ufb00", "猫と犬の写真", "고양이 사진", "кошка и собака", "قطة وكلب", "बिल्ली",
    "\U0001f600\U0001f3fd\U0001f469\u200d\U0001f469\u200d\U0001f467\U0001f1eb\U0001f1f7 ok",
    "a &amp; b &lt;br&gt; &amp;eacute; &#x41; &nbsp;x", "<start_of_text> a <end_of_text>", "<START_OF_TEXT>x",
    "tab\there\nnew\r\nline\x0bvt\x0cff", "\x00\x07bell\x7f\x9b", "\u200bzero\u200dwidth\ufeff",
    "\u2018quoted\u2019 \u201cx\u201d", "schÃ¶n mojibake â\x80\x9chiâ\x80\x9d", "snake_case-and-kebab/with.dots",
    "!!! ??? --- ...", "!", "a" * 40, "ab1cd2" * 9, "antidisestablishmentarianism floccinaucinihilipilification",
    "\u01c5 ß \u017f \u212a \ufb06", "  spaces   inside  ", "x\u3000y\u00a0z", "\u2177 \u2460 \u00be \u0663 \u0e53",
    "e\u0301\u0323\u0307", "\U0001d4d0\U0001d4d1", "\ud7ff\ue000\ufffd", "R&D R&amp;D AT&T;", "''s 's'S 'LL",
)  # fmt: skip


def write_vocabulary(tokenizer: Tokenizer, path: Path) -> TokenRules:
    """Write the tokenizer file and return the rules that go with it.

    Raises ModelError for a tokenizer that cannot be used without `transformers`.
    """
    return _write_own(tokenizer, path) if tokenizer.is_openclips else _write(tokenizer, path)


def _write_own(tokenizer: Tokenizer, path: Path) -> TokenRules:
    own = tokenizer.tokenize
    start, end = own.all_special_ids[:2]
    marks = [own.decoder[number] for number in own.all_special_ids]
    model = models.BPE(vocab=own.encoder, merges=list(own.bpe_ranks), end_of_word_suffix="</w>")
    vocabulary = Vocabulary(model)
    vocabulary.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary.add_special_tokens(marks)
    vocabulary.save(str(path), pretty=False)
    return TokenRules(True, tokenizer.context_length, _cleaning(own.clean_fn), start, end)


def _write(tokenizer: Tokenizer, path: Path) -> TokenRules:
    given = tokenizer.tokenize
    theirs = given.tokenizer
    if not getattr(theirs, "is_fast", False) or given.tokenizer_mode:
        raise ModelError("this model's tokenizer needs 'transformers', so it cannot be exported")
    theirs.backend_tokenizer.save(str(path), pretty=False)
    return TokenRules(
        False,
        tokenizer.context_length,
        _cleaning(given.clean_fn),
        pad=int(theirs.pad_token_id or 0),
        pad_left=theirs.padding_side == "left",
        dropped=int(theirs.sep_token_id) if given.strip_sep_token else None,
    )


def _cleaning(clean: Any) -> str:
    name = _CLEANED.get(clean(_PROBE))
    if name is None:
        raise ModelError("this model's texts are cleaned in an unknown way, so it cannot be exported")
    return name
