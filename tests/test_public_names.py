"""Every public name of `clipsim`: its type hints can be read, and what its calls return is a frozen value."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import multiprocessing
import pickle
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from conftest import Machine
from PIL import Image

import clipsim
import clipsim.errors
from clipsim.errors import Failure
from clipsim.options import ModelOptions, RunOptions
from clipsim.tasks.evaluate_request import EvaluationRequest

ALIASES = {"ImageInput", "ImageInputs", "ProgressCallback", "TextInputs", "__version__"}
# methods of a session, and functions
CALLS = ("rank", "search", "duplicates", "overview", "embed", "evaluate", "threshold")
ARRAY_CALLS = ("encode_images", "encode_texts", "score_pairs")


def callables_of(kind: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The functions, methods and properties of a class and of its bases that are clipsim's."""
    for base in kind.__mro__:
        if base.__module__.startswith("clipsim"):
            for name, member in vars(base).items():
                found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if inspect.isfunction(found):
                    yield f"{base.__qualname__}.{name}", found


def public_objects() -> dict[str, Any]:
    """Functions and classes, and the methods of the classes."""
    found: dict[str, Any] = {name: getattr(clipsim, name) for name in clipsim.__all__ if name not in ALIASES}
    for value in list(found.values()):
        if inspect.isclass(value):
            found |= dict(callables_of(value))
    return found


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_type_hints_can_be_read(name: str) -> None:
    """By whatever reads them when the program runs; the names of types are not left as text."""
    found = public_objects()[name]
    hints = typing.get_type_hints(found)

    assert not any(isinstance(hint, str | typing.ForwardRef) for hint in hints.values())
    if inspect.isfunction(found) and not name.endswith("__"):  # what dataclasses write has no hints
        assert set(hints) >= set(inspect.signature(found).parameters) - {"self", "cls"}


def test_the_records_of_all_calls_are_public() -> None:
    """What a call returns can be named in a program's own type hints."""
    calls = [getattr(owner, name) for owner in (clipsim.Session, clipsim) for name in CALLS]
    for call in (*calls, clipsim.compare):
        returned = typing.get_type_hints(call)["return"]
        assert getattr(clipsim, returned.__name__) is returned


def parameters_of(call: Callable[..., Any], without: set[str]) -> list[tuple[str, Any, Any]]:
    """Name, default and type of each parameter of a function, but for some."""
    hints, parameters = typing.get_type_hints(call), inspect.signature(call).parameters.values()
    return [(one.name, one.default, hints[one.name]) for one in parameters if one.name not in {"self", *without}]


@pytest.mark.parametrize("name", [*CALLS, *ARRAY_CALLS])
def test_a_function_takes_what_its_method_and_open_take(name: str) -> None:
    """In their order, with their types and defaults; all of them named in its signature."""
    own = {"models"} if name == "evaluate" else set()  # in place of the model that is opened
    function, method = getattr(clipsim, name), getattr(clipsim.Session, name)
    opened = parameters_of(clipsim.open, {"model"} if own else set())
    if name in ARRAY_CALLS:  # which have a row for every image: none is skipped
        rule = ("on_error", "raise", Literal["raise", "nan"])
        opened = [rule if one[0] == "on_error" else one for one in opened]

    assert parameters_of(function, own) == [*parameters_of(method, {"on_error"}), *opened]


def test_the_options_of_open_are_those_of_the_records() -> None:
    """In their order, with the same defaults."""
    fields = [*dataclasses.fields(ModelOptions), *dataclasses.fields(RunOptions)]

    assert [(field.name, field.default) for field in fields] == [
        (name, default) for name, default, _ in parameters_of(clipsim.open, set())
    ]


def test_a_method_evaluates_what_a_request_checks() -> None:
    """The names of an evaluation are the same ones wherever they are written."""
    assert parameters_of(clipsim.Session.evaluate, {"progress"}) == parameters_of(EvaluationRequest.check, set())


def test_all_calls_report_their_progress() -> None:
    """To a function that takes the same record."""
    for name in (*CALLS, *ARRAY_CALLS, "rank_batches"):
        for owner in (clipsim.Session, clipsim):
            if call := getattr(owner, name, None):
                assert typing.get_type_hints(call)["progress"] == clipsim.ProgressCallback | None, name


def test_public_names_are_listed_once() -> None:
    """In `__all__`, in what `dir` shows, in what is imported on first access, and in what type checkers read."""
    source = Path(clipsim.__file__).read_text(encoding="utf-8")
    stubs = dict(re.findall(r"^    from clipsim[\w.]* import (\w+) as (\w+)$", source, re.MULTILINE))

    assert clipsim.__all__ == sorted(clipsim.__all__) == dir(clipsim)
    assert list(stubs) == list(stubs.values())
    assert {*stubs, "__version__"} == set(clipsim.__all__)
    for name in clipsim.__all__:
        assert getattr(clipsim, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        clipsim.nothing  # noqa: B018


def test_every_error_is_public() -> None:
    """What a call may raise can be caught by its name in `clipsim`."""
    errors = {name: kind for name, kind in vars(clipsim.errors).items() if inspect.isclass(kind)}
    raised = {name for name, kind in errors.items() if issubclass(kind, clipsim.ClipsimError | clipsim.ClipsimWarning)}

    assert raised <= set(clipsim.__all__)
    assert all(getattr(clipsim, name) is errors[name] for name in raised)


@pytest.fixture
def results(machine: Machine, tmp_path: Path) -> dict[str, Any]:
    """A result of every call, with failures and rows of NaN where there can be any."""
    pytest.importorskip("pyarrow")
    for label in ("red", "blue"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (40 + number, 24), label).save(tmp_path / "photos" / label / f"{number}.png")
    (tmp_path / "photos" / "red" / "broken.png").write_bytes(b"no picture")
    photos = tmp_path / "photos"
    with clipsim.open("clipsim-mini") as session:
        found: dict[str, Any] = {
            "rank": session.rank(photos, ["red", "blue"]),
            "rank nan": session.rank(photos, ["red", "blue"], on_error="nan"),
            "rank one": session.rank(photos, "red"),
            "search": session.search(photos, ["red", "blue"]),
            "duplicates": session.duplicates(photos),
            "overview": session.overview(photos, texts=["red", "blue"]),
            "embed": session.embed(photos, tmp_path / "vectors"),
            "evaluate": session.evaluate(photos, none="blue", min_similarity=0.5),
            "evaluate plainly": session.evaluate(photos),
            "threshold": session.threshold("red", photos / "red", recall=0.5),
        }
    found["compare"] = clipsim.compare(found["rank"], found["rank nan"])
    found["compare runs"] = clipsim.compare(found["evaluate plainly"], found["evaluate plainly"])
    return found


def arrays_of(value: object) -> Iterator[np.ndarray[Any, Any]]:
    """All arrays in a record, in its records and in their containers."""
    if isinstance(value, np.ndarray):
        yield value
    elif dataclasses.is_dataclass(value):
        for part in dataclasses.fields(value):
            yield from arrays_of(getattr(value, part.name))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from arrays_of(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from arrays_of(item)


def spoil(value: object) -> None:
    """Change everything in plain values that can be changed."""
    if isinstance(value, dict):
        for item in value.values():
            spoil(item)
        value["spoilt"] = value.pop(next(iter(value)), None)
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")


def test_results_are_frozen_values(results: dict[str, Any]) -> None:
    """They equal their copies, hash equally, and nothing that is done to what they give changes them."""
    for name, result in results.items():
        restored = pickle.loads(pickle.dumps(result))
        assert (restored == result, hash(restored) == hash(result), repr(restored) == repr(result)) == (True,) * 3, name
        assert copy.deepcopy(result) == result, name
        assert all(not array.flags.writeable for found in (result, restored) for array in arrays_of(found)), name

        spoil(result.to_dict())
        assert result == restored, name
        assert result.to_dict() == restored.to_dict(), name
        assert "spoilt" not in repr(result.to_dict()), name
        with pytest.raises(dataclasses.FrozenInstanceError):
            result.warnings = ()

    kinds = list(results)
    assert all((results[a] == results[b]) == (a == b) for a in kinds for b in kinds)


def test_a_failure_is_a_value_of_its_own(results: dict[str, Any]) -> None:
    """The list of errors of a JSON object is not made of the records themselves."""
    for name in ("rank", "search", "duplicates", "overview", "evaluate", "threshold"):
        (failure,) = results[name].errors
        results[name].to_dict()["errors"][0]["path"] = "another"
        assert isinstance(failure, Failure)
        assert Path(failure.image).name == "broken.png", name


def test_preprocessing_pickles(tmp_path: Path) -> None:
    """OpenCLIP's and transformers': the workers of a data loader may be started by spawn."""
    import torch

    from clipsim.engines.preprocessing import Preprocessing
    from clipsim.engines.torch.build import make_transform

    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70, 3), dtype=np.uint8))
    _, preprocess = clipsim.load("clipsim-mini", device="cpu")
    as_transformers = make_transform(Preprocessing.of(32, {"backend": "torchvision"}))
    for transform in (preprocess, as_transformers):
        assert torch.equal(pickle.loads(pickle.dumps(transform))(picture), transform(picture))


def count_images(session: clipsim.Session, folder: str) -> tuple[int, str]:
    """What a process does with the session that it is given."""
    with session:
        result = session.rank(folder, ["maze", "cat"])
        return len(result.images), result.model.name


def test_a_session_is_given_to_a_process_that_is_spawned(colours: Path) -> None:
    """By its options: the model is opened anew there."""
    with clipsim.open("clipsim-mini", cache=False) as session:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.apply(count_images, (session, str(colours))) == (3, "clipsim-mini")
        assert count_images(session, str(colours)) == (3, "clipsim-mini")
