"""What all results share: the order and the values of their JSON, and what makes records equal."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from clipsim.errors import Failure
from clipsim.results.base import ArrayRecord, ModelRecord, ModelResult, to_plain

MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.00000762939453, None, "softmax", (("mean", (0.5, 0.5, 0.5)),))


@dataclass(frozen=True, eq=False)
class Pair(ArrayRecord):
    """Two cosines and their names."""

    names: tuple[str, ...]
    cosines: np.ndarray[Any, Any]


@dataclass(frozen=True, kw_only=True)
class PairResult(ModelResult):
    """The result of a command."""

    schema: ClassVar[str] = "clipsim.pair/1"

    pairs: tuple[Pair, ...]


def make_pair() -> Pair:
    """A pair with a cosine that is not a number."""
    return Pair(("a", "b"), np.array([0.25, np.nan]))


def test_the_json_of_a_result_begins_with_its_schema_and_ends_with_what_went_wrong() -> None:
    """Records within it become dictionaries, tuples and arrays lists; a failure has its published names."""
    result = PairResult(
        model=MODEL, device="cpu", precision="fp32", engine="torch", pairs=(make_pair(),),
        errors=(Failure("x.png", "no such file", 3),), warnings=("a notice",),
    )  # fmt: skip
    value = result.to_dict()

    assert list(value) == ["schema", "model", "device", "precision", "engine", "pairs", "errors", "warnings"]
    assert value["schema"] == "clipsim.pair/1"
    assert value["model"]["logit_scale"] == 100.0
    assert value["pairs"][0]["names"] == ["a", "b"]
    assert value["errors"] == [{"path": "x.png", "error": "no such file", "index": 3}]
    assert json.loads(json.dumps(value))["warnings"] == ["a notice"]


def test_a_model_is_read_back_from_its_json() -> None:
    """With its settings as they were."""
    assert ModelRecord.from_dict(json.loads(json.dumps(MODEL.to_dict()))).preprocess == MODEL.preprocess


def test_records_with_arrays_are_equal_by_value() -> None:
    """Nothing that is no number included; also after a round trip through pickle, and none can be written to."""
    copy = pickle.loads(pickle.dumps(make_pair()))

    assert make_pair() == copy
    assert hash(make_pair()) == hash(copy)
    assert make_pair() != Pair(("a", "b"), np.array([0.25, 0.5]))
    assert not copy.cosines.flags.writeable


def test_plain_values_have_no_arrays_or_tuples() -> None:
    """At any depth."""
    assert to_plain({"a": (1, {"b": np.array([[1.5]])}), "c": None}) == {"a": [1, {"b": [[1.5]]}], "c": None}
