"""An argument of a Python caller that stands for a list → its elements; mappings and tables are refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from clipsim.errors import UsageError, printable

MAX_COLUMNS = 5  # that a message names


def as_list(values: object, name: str) -> Iterable[object]:
    """One string or an iterable of values → an iterable of values; `name` is the parameter's, for messages.

    Raises UsageError for bytes, for a mapping or a table (see `check_list`), and for what cannot be iterated.

    >>> list(as_list("cat", "texts")), list(as_list(("cat", "maze"), "texts"))
    (['cat'], ['cat', 'maze'])
    """
    if isinstance(values, str):
        return [values]
    check_list(values, name)
    if isinstance(values, bytes | bytearray | memoryview) or not isinstance(values, Iterable):
        raise UsageError(f"not a string or a list of strings, but {_kind(values)}", parameter=name)
    if getattr(values, "ndim", 1) == 0:  # an array of NumPy that holds a single value
        return [cast("Any", values).item()]
    return values


def keep_iterator(values: Any) -> Any:
    """The values; of an iterator, which can be read only once, a list."""
    return list(values) if isinstance(values, Iterator) else values


def check_list(values: object, name: str) -> None:
    """Refuse a mapping, and a table whose iteration gives the names of its columns. Raises UsageError with a hint.

    Tables are known by their parts, so that no package needs to be there: a data frame of pandas or polars, a table of
    Arrow, a data set of Hugging Face.
    """
    if isinstance(values, Mapping):
        keys = list(values)[:MAX_COLUMNS]
        hint = f"pass one of its values, such as {name}[{printable(repr(keys[0]), 40)}], or " if keys else "pass "
        raise UsageError(
            f"a mapping ({_kind(values)}), not a list", parameter=name, hint=f"{hint}list({name}.values())"
        )
    columns = getattr(values, "column_names", None)
    if columns is None and hasattr(values, "shape"):
        columns = getattr(values, "columns", None)
    if columns is None or isinstance(columns, str) or callable(columns) or not isinstance(columns, Iterable):
        return
    names = [printable(repr(column), 40) for column in columns]
    listed = ", ".join(names[:MAX_COLUMNS]) + (" and others" if len(names) > MAX_COLUMNS else "")
    hint = f"pass one of its columns, such as {name}[{names[0]}]; it has {listed}" if names else "it has no columns"
    raise UsageError(f"a table ({_kind(values)}), not a list", parameter=name, hint=hint)


def _kind(value: object) -> str:
    return "None" if value is None else printable(type(value).__name__, 40)
