"""What a Python caller may pass to a task: images, texts and vectors, alone, in lists, and with weights."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeAlias, Union, cast

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import UsageError, printable
from clipsim.inputs.arguments import is_float_array, read_vectors
from clipsim.inputs.lists import keep_iterator
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import MAX_QUOTED
from clipsim.vectors.similarity import Vectors, unit_rows

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    Image = object  # a PIL image, in whose place type hints have any object: Pillow is not imported for them


class Tensor(Protocol):
    """A tensor of PyTorch, by the methods that are called."""

    @property
    def ndim(self) -> int:
        """The number of its dimensions."""
        ...

    def detach(self) -> Any:
        """Without what computes its gradient."""
        ...

    def cpu(self) -> Any:
        """In the memory of the processor."""
        ...


ImageInput: TypeAlias = Union[  # noqa: UP007 (which evaluates where one of them is `object`)
    str, os.PathLike[str], bytes, BinaryIO, NDArray[np.uint8], NDArray[np.floating[Any]], Tensor, Image, Source,
    Mapping[str, object],
]  # fmt: skip
VectorInput: TypeAlias = NDArray[np.floating[Any]] | Tensor
VectorInputs: TypeAlias = VectorInput | Iterable[VectorInput] | Mapping[str, VectorInput]
ImageInputs: TypeAlias = Iterable[ImageInput] | ImageInput | Mapping[str, VectorInput]
TextInputs: TypeAlias = Iterable[str] | Mapping[str, Iterable[str] | str] | str | VectorInputs
WordInputs: TypeAlias = Iterable[str] | Mapping[str, Iterable[str] | str] | str
QueryTexts: TypeAlias = Iterable[str] | str | VectorInputs


class Frame(Protocol):
    """A table in memory whose columns have names: a data frame, a table of Arrow, a data set of Hugging Face."""

    def __getitem__(self, name: Any, /) -> Any:
        """One of its columns."""
        ...

    def __len__(self) -> int:
        """The number of its rows."""
        ...


EvaluationData: TypeAlias = str | os.PathLike[str] | Sequence[Mapping[str, object]] | Frame
OneLabel: TypeAlias = str | int
ImageLabels: TypeAlias = Iterable[OneLabel | Iterable[OneLabel]]
ImageCaptions: TypeAlias = Iterable[str | Iterable[str]]
WeightedTexts: TypeAlias = Iterable[str] | Mapping[str, float] | str
WeightedImages: TypeAlias = ImageInputs | Mapping[str, float]


def split_vectors(texts: object, templates: object, thresholds: object) -> tuple[Any, Vectors | None]:
    """Texts, or vectors in their place → the texts, and (m, d) unit vectors or None.

    Vectors are an array of (m, d) floats, a list of (d,) ones, or a mapping of texts to these; what has no text of its
    own is called "text n" by its position n, from 1.

    Raises UsageError for vectors of several lengths, without direction, and with what is for words: templates and
    thresholds.
    """
    texts = keep_iterator(texts)
    named = read_vectors(texts)
    if named is None and is_list_of_vectors(texts):
        rows = [read_vectors(row) for row in cast("Iterable[object]", texts)]
        if any(row is None or len(row.rows) != 1 for row in rows):
            raise UsageError("vectors and something else", parameter="texts", hint="pass texts, or vectors")
        names, vectors = None, [row.rows[0] for row in rows if row is not None]
    elif named is None:
        if getattr(texts, "ndim", 1) > 1:
            got = f"got {tuple(cast('Any', texts).shape)}, {cast('Any', texts).dtype}"
            raise UsageError(f"vectors of texts are an (m, d) array of floats; {got}", parameter="texts")
        return texts, None
    else:
        names, vectors = named.names, named.rows
    if thresholds is not None or not (isinstance(templates, list | tuple) and not templates):
        what = "thresholds" if thresholds is not None else "templates"
        raise UsageError("texts are vectors, and these are for words", parameter=what)
    if len({len(vector) for vector in vectors}) > 1:
        raise UsageError("vectors of several lengths", parameter="texts")
    names = names or tuple(f"text {number}" for number in range(1, len(vectors) + 1))
    matrix = np.asarray(vectors)
    with np.errstate(invalid="ignore", over="ignore"):
        unit = unit_rows(matrix) if len(matrix) else np.zeros((0, 0), np.float32)
    for name, vector in zip(names, unit, strict=True):
        if not np.abs(vector).max(initial=0) > 0:
            raise UsageError(f"'{printable(name, MAX_QUOTED)}' is not finite, or of length zero", parameter="texts")
    return names, unit


def is_list_of_vectors(values: object) -> bool:
    """Whether the first of several values is an array of floats."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable) or getattr(values, "ndim", 1) == 0:
        return False
    first = next(iter(values), None)
    return is_float_array(first) and cast("Any", first).ndim == 1
