"""A prompt → a prompt of bounded length, or the PromptError that says that it is too long for the model."""

from __future__ import annotations

from collections.abc import Callable

from clipsim.errors import PromptError, printable

MAX_SHOWN = 60  # characters of a prompt that an error quotes
MAX_TOKEN_BYTES = 33  # the longest token of OpenCLIP's vocabulary, and a space


def bound_text(text: str, clean: Callable[[str], str], context_length: int, truncate: bool) -> str:
    """The text, cut at a length that always exceeds the context: tokenizing takes time quadratic in a word's length.

    Raises PromptError for a text that is certainly too long, unless `truncate`.
    """
    most = context_length * MAX_TOKEN_BYTES
    if len(text) <= most:
        return text
    text = clean(text)
    if len(text) > most and not truncate:
        raise PromptError(
            f"the prompt '{printable(text, MAX_SHOWN)}' has {len(text):,} characters, more than the "
            f"{context_length} tokens that this model reads; shorten it, or give truncate=True to cut it"
        )
    return text[:most]


def too_many_tokens(text: str, count: int, context_length: int) -> PromptError:
    """The error for a text with more tokens than the model reads."""
    return PromptError(
        f"the prompt '{printable(text, MAX_SHOWN)}' has {count} tokens and this model reads {context_length}; "
        "shorten it, or give truncate=True to cut it"
    )
