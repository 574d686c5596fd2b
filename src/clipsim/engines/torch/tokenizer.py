"""Texts → token ids by the model's own tokenizer; a text is never cut silently."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer
from torch import Tensor

from clipsim.engines.encoder import bound_text, too_many_tokens
from clipsim.engines.onnx.tokenizer import TokenRules
from clipsim.errors import ModelError, WeightsError, first_line, install_command, printable
from clipsim.models.files import ModelFiles
from clipsim.models.transformers_config import END_OF_TEXT

_TOLD_APART = ["a", "7", "photo", "cat"]  # texts of which no tokenizer takes all for one
_OPTIONS = {"clean", "strip_sep_token", "language"}  # OpenCLIP's others are random


class Tokenizer:
    """The tokenizer that an OpenCLIP configuration names; a text that it would cut is an error.

    Raises ModelError where `transformers` is missing, WeightsError for a tokenizer that cannot be wrapper.
    """

    def __init__(self, config: dict[str, Any], files: ModelFiles) -> None:
        text = config["text_cfg"]
        self.context_length: int = text.get("context_length", DEFAULT_CONTEXT_LENGTH)
        options = dict(text.get("tokenizer_kwargs") or {})
        cleans = options.get("clean") != "none"  # "none": as transformers, which reads texts as they are
        if not cleans:
            del options["clean"]
        if unknown := options.keys() - _OPTIONS:
            raise WeightsError(f"the tokenizer option '{printable(min(unknown), 40)}' of this model is not supported")
        try:
            if files.tokenizer is None:
                self.tokenize = SimpleTokenizer(context_length=self.context_length, **options)
            else:
                self.tokenize = HFTokenizer(
                    str(files.tokenizer),
                    context_length=self.context_length,
                    tokenizer_mode=text.get("tokenizer_mode"),
                    trust_remote_code=False,
                    **options,
                )
                if not cleans:
                    self.tokenize.clean_fn = str
                    if text.get("pool_type") != "last":  # in front of a text, padding would move its positions
                        self.tokenize.tokenizer.padding_side = "right"
                        if self.tokenize.tokenizer.pad_token_id == text.get("vocab_size", 0) - 1 > END_OF_TEXT:
                            self.tokenize.tokenizer.pad_token = self.tokenize.tokenizer.eos_token  # not the greatest id
        except ImportError as error:
            need = "this model's tokenizer needs the package transformers"
            raise ModelError(need, hint=install_command("transformers")) from error
        except Exception as error:
            cause = first_line(error, 160)
            raise WeightsError(f"{printable(str(files.tokenizer))}: cannot load the tokenizer ({cause})") from error
        self.notices = self._explain(text, cleans)
        self.vocabulary = None if text.get("hf_model_name") else text.get("vocab_size")
        if files.tokenizer is not None and len({tuple(row) for row in self.tokenize(_TOLD_APART).tolist()}) == 1:
            raise WeightsError(
                f"{printable(str(files.tokenizer))}: its tokenizer gives all texts the same tokens; the folder lacks "
                "the tokenizer's files (tokenizer.json, or vocab.json and merges.txt), or they are damaged"
            )
        if files.tokenizer is None and text.get("vocab_size", self.tokenize.vocab_size) < self.tokenize.vocab_size:
            raise WeightsError(
                f"this model has a vocabulary of {text['vocab_size']} tokens and names no tokenizer; "
                f"OpenCLIP's own has {self.tokenize.vocab_size}"
            )

    def _explain(self, text: dict[str, Any], cleans: bool) -> tuple[str, ...]:
        """A notice where transformers would hide the padding of texts from a tower that was trained to see it."""
        names = getattr(getattr(self.tokenize, "tokenizer", None), "model_input_names", ())
        if cleans or text.get("pool_type") != "last" or "attention_mask" not in names:
            return ()
        return (
            "the tokenizer gives an attention mask too, which is not used, as SigLIP is trained; transformers uses it "
            "unless model_input_names in tokenizer_config.json is ['input_ids']",
        )

    @property
    def is_openclips(self) -> bool:
        """Whether it is OpenCLIP's own tokenizer, which pads with zeros, and not one that `transformers` loads."""
        return isinstance(self.tokenize, SimpleTokenizer)

    def __call__(self, texts: Sequence[str], *, truncate: bool) -> Tensor:
        """N texts → (n, context_length) int64 token ids, padded; a text that is cut keeps its end token.

        Raises TextError for a text with more tokens than the context, unless `truncate`.
        """
        tokens: Tensor = self.tokenize([self._bounded(text, truncate) for text in texts])
        if self.vocabulary is not None and texts and (most := int(tokens.max())) >= self.vocabulary:
            raise WeightsError(
                f"the tokenizer gives the id {most:,}, and the model knows {self.vocabulary:,} tokens: it is the "
                "tokenizer of another model, or tokens were added to it alone"
            )
        if not truncate:
            for text, row in zip(texts, tokens, strict=True):
                if self._may_be_cut(row) and (count := self.count(text)) > self.context_length:
                    raise too_many_tokens(text, count, self.context_length)
        return tokens

    def count_read(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """How many tokens the model reads of each text: those beyond its context are cut."""
        return [min(self.count(self._bounded(text, truncate)), self.context_length) for text in texts]

    def _bounded(self, text: str, truncate: bool) -> str:
        """The text, cut for OpenCLIP's own tokenizer, which would take too long."""
        if not self.is_openclips:
            return text
        return bound_text(text, self.tokenize.clean_fn, self.context_length, truncate)

    def _may_be_cut(self, row: Tensor) -> bool:
        # OpenCLIP's own tokenizer pads with zeros; others may pad with their end token
        return not self.is_openclips or bool(row[-1] != 0)

    def count(self, text: str) -> int:
        """How many tokens a text has, including the start and end tokens."""
        if self.is_openclips:
            return len(self.tokenize.encode(text)) + 2
        return len(self.tokenize.tokenizer(self.tokenize.clean_fn(text)).input_ids)


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
    from tokenizers import Tokenizer as Vocabulary  # of the extra `onnx`, which models in torch do without
    from tokenizers import models, pre_tokenizers

    openclips = tokenizer.tokenize
    start, end = openclips.all_special_ids[:2]
    marks = [openclips.decoder[number] for number in openclips.all_special_ids]
    model = models.BPE(vocab=openclips.encoder, merges=list(openclips.bpe_ranks), end_of_word_suffix="</w>")
    vocabulary = Vocabulary(model)
    vocabulary.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    vocabulary.add_special_tokens(marks)
    vocabulary.save(str(path), pretty=False)
    return TokenRules(True, tokenizer.context_length, _cleaning(openclips.clean_fn), start, end)


def _write(tokenizer: Tokenizer, path: Path) -> TokenRules:
    wrapper = tokenizer.tokenize
    hugging_face = wrapper.tokenizer
    if not getattr(hugging_face, "is_fast", False) or wrapper.tokenizer_mode:
        raise ModelError("this model's tokenizer needs 'transformers', so it cannot be exported")
    hugging_face.backend_tokenizer.save(str(path), pretty=False)
    return TokenRules(
        False,
        tokenizer.context_length,
        _cleaning(wrapper.clean_fn),
        pad=int(hugging_face.pad_token_id or 0),
        pad_left=hugging_face.padding_side == "left",
        dropped=int(hugging_face.sep_token_id) if wrapper.strip_sep_token else None,
    )


def _cleaning(clean: Any) -> str:
    name = _CLEANED.get(clean(_PROBE))
    if name is None:
        raise ModelError("this model's texts are cleaned in an unknown way, so it cannot be exported")
    return name
