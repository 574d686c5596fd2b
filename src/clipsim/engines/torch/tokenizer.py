"""Texts → token ids by the model's own tokenizer; a text is never cut silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from open_clip.tokenizer import DEFAULT_CONTEXT_LENGTH, HFTokenizer, SimpleTokenizer
from torch import Tensor

from clipsim.engines.text_limits import bound_text, too_many_tokens
from clipsim.errors import ModelError, WeightsError, printable
from clipsim.models.files import ModelFiles

_OPTIONS = {"clean", "strip_sep_token", "language"}  # OpenCLIP's others are random


class Tokenizer:
    """The tokenizer that an OpenCLIP configuration names; a text that it would cut is an error.

    Raises ModelError where `transformers` is missing, WeightsError for a tokenizer that cannot be loaded.
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
        except ImportError as error:
            raise ModelError(
                "this model's tokenizer needs 'transformers': pip install 'clipsim[transformers]'"
            ) from error
        except Exception as error:
            said = printable(str(error).strip().split("\n")[0] or type(error).__name__, 160)
            raise WeightsError(f"{printable(str(files.tokenizer))}: cannot load the tokenizer ({said})") from error
        if files.tokenizer is None and text.get("vocab_size", self.tokenize.vocab_size) < self.tokenize.vocab_size:
            raise WeightsError(
                f"this model has a vocabulary of {text['vocab_size']} tokens and names no tokenizer; "
                f"OpenCLIP's own has {self.tokenize.vocab_size}"
            )

    @property
    def is_openclips(self) -> bool:
        """Whether it is OpenCLIP's own tokenizer, which pads with zeros, and not one that `transformers` loads."""
        return isinstance(self.tokenize, SimpleTokenizer)

    def __call__(self, texts: Sequence[str], *, truncate: bool) -> Tensor:
        """N texts → (n, context_length) int64 token ids, padded; a text that is cut keeps its end token.

        Raises PromptError for a text with more tokens than the context, unless `truncate`.
        """
        tokens: Tensor = self.tokenize([self._bounded(text, truncate) for text in texts])
        if not truncate:
            for text, row in zip(texts, tokens, strict=True):
                if self._may_be_cut(row) and (count := self.count(text)) > self.context_length:
                    raise too_many_tokens(text, count, self.context_length)
        return tokens

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
