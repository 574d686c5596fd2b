"""Typer's commands, without pydantic, which Typer imports to convert values: plain values are converted here."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from clipsim.cli.output import mark_write_errors


class FastCommand(TyperCommand):
    """As `TyperCommand`, but text, words and whole numbers are converted without pydantic."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, the help option included, with the fast conversion."""
        return _speed_up(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help. Raises WriteError."""
        with mark_write_errors():
            super().format_help(ctx, formatter)


class FastGroup(TyperGroup):
    """As `TyperGroup`, likewise."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, the help option included, with the fast conversion."""
        return _speed_up(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help. Raises WriteError."""
        with mark_write_errors():
            super().format_help(ctx, formatter)


def _speed_up(parameters: Any) -> Any:
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            parameter.process_value = _fast_conversion(parameter)
    return parameters


def _fast_conversion(parameter: Any) -> Callable[[Any, Any], Any]:
    """`process_value` of one parameter: by its type, or by Typer's own conversion where a value is not plain."""
    convert = parameter.process_value
    annotation = parameter.type_descriptor.annotation

    def process_value(context: Any, value: Any) -> Any:
        found, converted = _convert(annotation, value, parameter)
        if not found:
            try:
                return convert(context, value)
            except typer.BadParameter as error:
                raise typer.BadParameter(_explain(annotation, value, parameter, error), context, parameter) from error
        if parameter.required and parameter.value_is_missing(converted):
            return convert(context, value)  # which says what is missing
        return converted if parameter.callback is None else parameter.callback(context, parameter, converted)

    return process_value


def _convert(annotation: Any, value: Any, parameter: Any) -> tuple[bool, Any]:
    """Whether a value is plain, and what Typer makes of it."""
    several = getattr(parameter, "multiple", False) or parameter.nargs == -1
    if value is None:
        return True, () if several else None
    if several:
        plain = get_args(annotation) == (str,) and not isinstance(value, str)
        return plain and all(isinstance(item, str) for item in value), list(value) if plain else None
    if annotation is str:
        return isinstance(value, str), value
    if annotation is bool:
        return isinstance(value, bool), value
    if annotation is int and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        number, low, high = int(value), parameter.type_descriptor.parameter_info.min, None
        high = parameter.type_descriptor.parameter_info.max
        return (low is None or number >= low) and (high is None or number <= high), number
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        if isinstance(value, annotation):
            return True, value
        words = {member.value: member for member in annotation}
        return value in words, words.get(value)
    return False, None


def _explain(annotation: Any, value: Any, parameter: Any, error: typer.BadParameter) -> str:
    """What is wrong with a value, in plain words."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f"{value!r} is not one of {', '.join(member.value for member in annotation)}."
    if annotation is int:
        info = parameter.type_descriptor.parameter_info
        low = "" if info.min is None else f" from {info.min:,}"
        high = "" if info.max is None else f" to {info.max:,}"
        return f"{value!r} is not a whole number{low}{high}."
    return error.message
