"""Typer commands that start quickly: what needs no conversion does without Typer's, which imports pydantic."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

from typer.core import TyperCommand, TyperGroup

from clipsim.cli.options import Format, OnError, Precision

# Parameters whose values are text, and those that are one of a few words.
TEXTS = frozenset(
    (
        "images",
        "text",
        "text_file",
        "template",
        "model",
        "weights",
        "device",
        "engine",
        "from_file",
        "sort_by",
        "name",
        "older_than",
        "max_size",
    )
)
CHOICES: dict[str, type[Enum]] = {"output": Format, "precision": Precision, "on_error": OnError}


class QuickCommand(TyperCommand):
    """As `TyperCommand`; only what is wrong, or a number, goes through Typer's conversion."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, the one for help included, shortened."""
        return _shorten(super().get_params(ctx))


class QuickGroup(TyperGroup):
    """As `TyperGroup`, likewise."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, the one for help included, shortened."""
        return _shorten(super().get_params(ctx))


def _shorten(parameters: Any) -> Any:
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            parameter.process_value = _shortened(parameter)
    return parameters


def _shortened(parameter: Any) -> Callable[[Any, Any], Any]:
    convert = parameter.process_value

    def process_value(context: Any, value: Any) -> Any:
        several = getattr(parameter, "multiple", False) or parameter.nargs == -1
        choice = CHOICES.get(parameter.name)
        if value is None and not parameter.required:
            value = () if several else None
        elif parameter.name in TEXTS and value and (isinstance(value, str) or all(isinstance(v, str) for v in value)):
            pass
        elif choice is not None and isinstance(value, str) and value in {member.value for member in choice}:
            value = choice(value)
        elif not isinstance(value, bool | Enum):
            return convert(context, value)
        return value if parameter.callback is None else parameter.callback(context, parameter, value)

    return process_value
