"""What all results share: `ModelRecord`, records with arrays compared by value, and `Result` with its JSON object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import Failure, round_significant


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
    """What a command returns. `warnings` are what the caller should know of it, an escaped line each."""

    schema: ClassVar[str]

    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The JSON object of the schema that the class names."""
        values = self._plain_fields()
        last: dict[str, Any] = {name: values.pop(name) for name in ("errors", "warnings") if name in values}
        return {"schema": self.schema, **values, **last}

    def _plain_fields(self) -> dict[str, Any]:
        return plain_fields(self)


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
