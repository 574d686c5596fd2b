"""What was typed so far → values that the shell can complete it to, whatever their case."""

from __future__ import annotations

from collections.abc import Iterable

from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.options import ENGINES


def complete_model(incomplete: str) -> list[str]:
    """Names of models."""
    return _matching([*OPENAI_NAMES, *(facts.name for facts in list_models())], incomplete)


def complete_device(incomplete: str) -> list[str]:
    """Names of devices."""
    return _matching(("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"), incomplete)


def complete_engine(incomplete: str) -> list[str]:
    """Names of engines."""
    return _matching(ENGINES, incomplete)


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.lower().startswith(incomplete.lower())]
