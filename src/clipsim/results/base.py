"""What all results share: `ModelRecord`, records with arrays compared by value, and `Result` with its forms.

A result's JSON object is read again by `decode`. Its pages and tables of HTML are made by `api.pages`, of a later room,
which is imported when one is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, Literal, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import DataError, Failure, MissingPackageError, UsageError, printable, round_significant
from clipsim.results.decode import read_fields

ResultT = TypeVar("ResultT", bound="Result")


@dataclass(frozen=True)
class ModelRecord:
    """The model that gave the numbers; `logit_scale` is the factor itself, `head` is "softmax" or "sigmoid"."""

    name: str
    pretrained: str | None
    embed_dim: int
    image_size: int
    logit_scale: float
    logit_bias: float | None
    head: str
    preprocess: tuple[tuple[str, Any], ...] = ()  # the settings of its images, as pairs of name and value

    @property
    def full_name(self) -> str:
        """The name with the tag of its weights, where it has one."""
        return join_tag(self.name, self.pretrained)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelRecord:
        """Read what `to_dict` wrote. Raises TypeError, KeyError or AttributeError for anything else."""
        settings = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values["preprocess"].items()
        }
        return cls(**{**values, "preprocess": tuple(settings.items())})

    def to_dict(self) -> dict[str, Any]:
        """The object "model" of the JSON schemas; numbers have seven significant digits."""
        bias = None if self.logit_bias is None else round_significant(self.logit_bias)
        scale = round_significant(self.logit_scale)
        return {**vars(self), "logit_scale": scale, "logit_bias": bias, "preprocess": to_plain(dict(self.preprocess))}


@dataclass(frozen=True)
class ClassifierUse:
    """The classifier that gave a result's numbers, as results name it; `scale` is the factor of the cosines."""

    method: str
    strength: float | None
    scale: float
    calibrated: bool
    examples: int


def join_tag(name: str, pretrained: str | None) -> str:
    """The full name of a model: its name and the tag of its weights.

    >>> join_tag("ViT-B-32", "openai"), join_tag("/models/own", None)
    ('ViT-B-32/openai', '/models/own')
    """
    return f"{name}/{pretrained}" if pretrained else name


class ArrayRecord:
    """A dataclass with arrays or mappings in it: compared and hashed by value; its arrays are read-only copies."""

    def __post_init__(self) -> None:
        """Copy the arrays, and make the copies read-only."""
        for part in fields(cast(Any, self)):
            value = getattr(self, part.name)
            if isinstance(value, np.ndarray):
                object.__setattr__(self, part.name, read_only(value.copy()))

    def _values(self) -> tuple[object, ...]:
        return tuple(_comparable(getattr(self, part.name)) for part in fields(cast(Any, self)) if part.compare)

    def __eq__(self, other: object) -> bool:
        """Whether the names and all numbers are equal."""
        return self._values() == other._values() if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        """A hash of the names and all numbers."""
        return hash(self._values())

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields, of which the record is made again: its arrays are read-only too."""
        return type(self), tuple(getattr(self, part.name) for part in fields(cast(Any, self)))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array itself, which can no longer be written to."""
    array.flags.writeable = False
    return array


def _comparable(value: object) -> object:
    """A value that can be hashed, and equals another when all numbers do; a NaN equals a NaN."""
    if isinstance(value, np.ndarray):
        numbers = (None if number != number else number for number in value.ravel().tolist())
        return value.shape, tuple(numbers)
    if isinstance(value, Mapping):
        return frozenset((name, _comparable(item)) for name, item in value.items())
    return value


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a command returns. `warnings` are what the caller should know of it, an escaped line each.

    `row_names` are the names in each of its rows, where it may have none.
    """

    schema: ClassVar[str]
    row_names: ClassVar[tuple[str, ...]] = ()

    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema that the class names."""
        values = self._plain_fields()
        last: dict[str, Any] = {name: values.pop(name) for name in ("errors", "warnings") if name in values}
        return {"schema": self.schema, **values, **last}

    @classmethod
    def from_dict(cls: type[ResultT], values: Mapping[str, Any]) -> ResultT:
        """The result whose `to_dict` gave these values, as they are or read from JSON.

        Numbers have the seven significant digits that `to_dict` gives, and what it leaves out (thumbnails, digests of
        files) is not there.

        Raises
        ------
        DataError
            The values are not those of such a result, or are damaged.
        """
        schema = values.get("schema") if isinstance(values, Mapping) else None
        if schema != cls.schema:
            its = f" (its schema is '{printable(schema, 40)}')" if isinstance(schema, str) else ""
            raise DataError(f"not the values of a {cls.__name__}, whose schema is '{cls.schema}'{its}")
        try:
            return cls(**cls._read_fields(values))
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(f"damaged values of a {cls.__name__} ({printable(repr(error), 80)})") from error

    def to_rows(self) -> list[dict[str, Any]]:
        """What a data frame is made of: a dictionary a row, with plain values; here one row."""
        values = {**plain_fields(self), **_describe_model(self)}
        return [{name: value for name, value in values.items() if isinstance(value, str | int | float | None)}]

    def to_frame(self, library: Literal["pandas", "polars"] | None = None) -> Any:
        """A data frame of `to_rows()`.

        Parameters
        ----------
        library
            What makes it; None for pandas, or for polars where pandas is not installed.

        Raises
        ------
        MissingPackageError
            It is not installed.
        """
        rows = self.to_rows()
        names = None if rows else list(self.row_names)
        if library not in (None, "pandas", "polars"):
            raise UsageError("not 'pandas' or 'polars'", parameter="library", value=library)
        if library != "polars":
            try:
                import pandas
            except ImportError as error:
                if library is not None:
                    raise MissingPackageError("data frames need pandas", hint="pip install pandas") from error
            else:
                return pandas.DataFrame(rows, columns=names)
        try:
            import polars
        except ImportError as error:
            needed = "polars" if library else "pandas or polars"
            hint = f"pip install {needed.partition(' ')[0]}"
            raise MissingPackageError(f"data frames need {needed}", hint=hint) from error
        return polars.DataFrame(rows, schema=names, infer_schema_length=None)

    def to_html(self, *, thumbnails: bool = True) -> str:
        """A whole page, as the command line writes it with `--format html`; where there is none, the table alone.

        Parameters
        ----------
        thumbnails
            Whether images are shown small, of those whose names are files that can be read now.
        """
        from clipsim.api.pages import format_page

        return format_page(self, thumbnails=thumbnails)

    def _repr_html_(self) -> str:
        """A small table, which notebooks show."""
        from clipsim.api.pages import format_small_table

        return format_small_table(self)

    def list_shown_rows(self) -> list[dict[str, Any]]:
        """The rows of the small table that notebooks show."""
        return self.to_rows()

    @classmethod
    def _read_fields(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of the record whose JSON object has these values."""
        return read_fields(cls, values)

    def _plain_fields(self) -> dict[str, Any]:
        return plain_fields(self)


def _describe_model(result: Any) -> dict[str, Any]:
    model = getattr(result, "model", None)
    return {"model": model.full_name} if isinstance(model, ModelRecord) else {}


@dataclass(frozen=True, kw_only=True)
class ModelResult(Result):
    """The result of one model: what computed it, and the inputs that could not be used."""

    model: ModelRecord
    device: str
    precision: str
    engine: str
    errors: tuple[Failure, ...] = ()


def plain_fields(record: Any) -> dict[str, Any]:
    """The fields of a dataclass as values that JSON has."""
    return {part.name: to_plain(getattr(record, part.name)) for part in fields(record)}


def to_plain(value: Any) -> Any:
    """A value as JSON has it: records and mappings become dictionaries, tuples and arrays lists."""
    if isinstance(value, str | float | int | None):
        return value
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if is_dataclass(value):
        return plain_fields(value)
    if isinstance(value, Mapping):
        return {name: to_plain(item) for name, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray) else [to_plain(item) for item in value]
