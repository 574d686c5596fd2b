"""Typer's commands, without pydantic, which Typer imports to convert values: plain values are converted here."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from clipsim.cli.output import mark_write_errors
from clipsim.errors import join_words

_NUMBER = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


class _Fast:
    """What is faster, or reported otherwise, in both classes below."""

    def get_params(self, ctx: Any) -> Any:
        """The parameters, the help option included, with the fast conversion."""
        return _speed_up(super().get_params(ctx))  # type: ignore[misc]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Print the help. Raises WriteError."""
        with mark_write_errors():
            super().format_help(ctx, formatter)  # type: ignore[misc]

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the arguments; the error for an option that does not exist has the command that was meant as `hint`."""
        arguments = list(args)
        try:
            return super().parse_args(ctx, args)  # type: ignore[misc]
        except typer.TyperException as raised:
            error: Any = raised
            if hasattr(error, "possibilities"):
                from clipsim.cli.first_words import suggest_option

                names = [name for parameter in self.get_params(ctx) for name in parameter.opts if name.startswith("-")]
                error.possibilities = None
                error.hint = suggest_option(ctx.command_path, arguments, error.option_name, names)
            raise


class FastCommand(_Fast, TyperCommand):
    """As `TyperCommand`, but text, words and whole numbers are converted without pydantic."""


class EmbedCommand(FastCommand):
    """As `FastCommand`; `--retry-failed` may have a value."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the arguments: `--retry-failed` alone is `--retry-failed transient`."""
        for position, word in enumerate(args):
            if word == "--":
                break
            if word == "--retry-failed" and args[position + 1 : position + 2] not in (["transient"], ["all"]):
                args = [*args[:position], "--retry-failed=transient", *args[position + 1 :]]
        return super().parse_args(ctx, args)


class FastGroup(_Fast, TyperGroup):
    """As `TyperGroup`, likewise; the outermost one knows `help` and `version` too."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read the arguments: `help COMMAND` is `COMMAND --help`."""
        if ctx.parent is None and args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        elif ctx.parent is None and args == ["version"]:
            args = ["--version"]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that is named; the error for one that does not exist has the one that was meant as `hint`."""
        word, *rest = args  # which the attempt to read them consumes
        try:
            return super().resolve_command(ctx, args)
        except typer.TyperException as raised:
            error: Any = raised
            if hasattr(error, "possibilities"):
                raise
            error.message = f"no command is called {word!r}"
            if ctx.parent is None:
                from clipsim.cli.first_words import suggest_command

                error.hint = suggest_command([word, *rest], self.commands)
            elif near := get_close_matches(word.lower(), self.commands, 1, 0.6):
                error.hint = f"{ctx.command_path} {join_words([*near, *rest])}"
            raise


def _speed_up(parameters: Any) -> Any:
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            parameter.process_value = _fast_conversion(parameter)
            if parameter.param_type_name == "argument":
                parameter.display_type_rich = _show_no_type
            elif parameter.type_descriptor.annotation is bool:
                parameter.metavar = ""  # a flag takes no value, and its help shows no type
    return parameters


def _show_no_type(ctx: Any) -> None:
    """The type that help shows beside an argument: its name says enough."""


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
        number, info = int(value), parameter.type_descriptor.parameter_info
        return (info.min is None or number >= info.min) and (info.max is None or number <= info.max), number
    if annotation in (int, float) and type(value) is annotation:  # a default
        return True, value
    if annotation is float and isinstance(value, str) and _NUMBER.fullmatch(value):
        return True, float(value)
    if get_origin(annotation) is Literal:
        return value in get_args(annotation), value
    return False, None


def _explain(annotation: Any, value: Any, parameter: Any, error: typer.BadParameter) -> str:
    """What is wrong with a value, in plain words."""
    if get_origin(annotation) is Literal:
        return f"{value!r} is not one of {', '.join(get_args(annotation))}."
    if annotation is int:
        info = parameter.type_descriptor.parameter_info
        low = "" if info.min is None else f" from {info.min:,}"
        high = "" if info.max is None else f" to {info.max:,}"
        return f"{value!r} is not a whole number{low}{high}."
    if annotation is float:
        return f"{value!r} is not a number."
    return error.message
