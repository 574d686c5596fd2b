"""A JSON value and the type of a field → a value of that type, checked; what `to_dict` wrote becomes records again."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def read_record(kind: Any, values: Any) -> Any:
    """An object → a record of a dataclass, by the types of its fields; those that are absent have their defaults.

    Raises TypeError, ValueError or LookupError for what is not such an object.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"{values!r} is not an object")
    return kind(**read_fields(kind, values))


def read_fields(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass that an object has, by their names. Raises as `read_record`."""
    hints = _hints(kind)
    return {part.name: read_value(hints[part.name], values[part.name]) for part in fields(kind) if part.name in values}


def read_value(kind: Any, value: Any) -> Any:
    """A value of a field: a record, a tuple of values, a mapping, a number, a text or None. Raises as `read_record`.

    >>> read_value(tuple[int | None, ...], [1, None]), read_value(dict[str, float], {"a": 1})
    ((1, None), {'a': 1.0})
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _read_one_of([one for one in arguments if one is not type(None)], value)
    if origin is tuple:
        return tuple(read_value(arguments[0], item) for item in _check(value, list | tuple))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: read_value(arguments[1], item) for name, item in _check(value, Mapping).items()}
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is not one of {arguments}")
        return value
    if is_dataclass(kind):
        return kind.from_dict(value) if hasattr(kind, "from_dict") else read_record(kind, value)
    if kind is float:
        return float(_check(value, int | float))
    return _check(value, kind)


def _read_one_of(kinds: list[Any], value: Any) -> Any:
    """A value of the first type that it is a value of."""
    for kind in kinds[:-1]:
        try:
            return read_value(kind, value)
        except (TypeError, ValueError, LookupError):
            continue
    return read_value(kinds[-1], value)


def _check(value: Any, kind: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{value!r} is not of the type {kind}")
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
