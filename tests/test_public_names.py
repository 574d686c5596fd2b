"""Every public name of `clipsim`: its type hints can be read, and what its calls return is a frozen value."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import json
import multiprocessing
import os
import pickle
import re
import shutil
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import client_script
import numpy as np
import pytest
from conftest import Machine
from PIL import Image

import clipsim
import clipsim.errors
from clipsim.errors import Failure
from clipsim.options import ModelOptions, RunOptions
from clipsim.tasks.evaluate_request import EvaluationRequest

ALIASES = {"ImageInput", "ImageInputs", "ProgressCallback", "QueryTexts", "VectorInputs", "TextInputs", "__version__"}
# methods of a session, and functions
CALLS = ("rank", "explain", "search", "duplicates", "overview", "embed", "evaluate", "fit", "threshold")
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
    for call in (*calls, clipsim.compare, clipsim.export_vectors):
        returned = typing.get_type_hints(call)["return"]
        assert getattr(clipsim, returned.__name__) is returned


def parameters_of(call: Callable[..., Any], without: set[str]) -> list[tuple[str, Any, Any]]:
    """Name, default and type of each parameter of a function, but for some."""
    hints, parameters = typing.get_type_hints(call), inspect.signature(call).parameters.values()
    return [(one.name, one.default, hints[one.name]) for one in parameters if one.name not in {"self", *without}]


def opened_by_name(without: set[str]) -> list[tuple[str, Any, Any]]:
    """What `open` takes for the name of a model; a module in hand is opened by `open` alone."""
    path = str | os.PathLike[str] | None
    return [
        (name, default, path if name in ("model", "preprocess") else hint)
        for name, default, hint in parameters_of(clipsim.open, {"tokenizer", *without})
    ]


@pytest.mark.parametrize("name", [*CALLS, *ARRAY_CALLS])
def test_a_function_takes_what_its_method_and_open_take(name: str) -> None:
    """In their order, with their types and defaults; all of them named in its signature."""
    own = {"models"} if name == "evaluate" else set()  # in place of the model that is opened
    function, method = getattr(clipsim, name), getattr(clipsim.Session, name)
    opened = opened_by_name({"model"} if own else set())
    if name in ARRAY_CALLS:  # which have a row for every image: none is skipped
        rule = ("on_error", "raise", Literal["raise", "nan"])
        opened = [rule if one[0] == "on_error" else one for one in opened]

    assert parameters_of(function, own) == [*parameters_of(method, {"on_error"}), *opened]


def test_the_options_of_open_are_those_of_the_records() -> None:
    """In their order, with the same defaults."""
    fields = [*dataclasses.fields(ModelOptions), *dataclasses.fields(RunOptions)]

    assert [(field.name, field.default) for field in fields] == [
        (name, default) for name, default, _ in opened_by_name(set())
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


def write_table(photos: Path, column: str) -> Path:
    """A table of the images with their colour and another word."""
    rows = [f"{path},{path.parent.name}|{number % 3}" for number, path in enumerate(photos.rglob("?.png"))]
    (photos.parent / f"{column}.csv").write_text("\n".join([f"image,{column}", *rows]), encoding="utf-8")
    return photos.parent / f"{column}.csv"


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
            "explain": session.explain(photos / "red" / "0.png", ["red", "blue"]),
            "embed": session.embed(photos, tmp_path / "vectors"),
            "evaluate": session.evaluate(photos, none="blue", min_similarity=0.5),
            "evaluate plainly": session.evaluate(photos),
            "evaluate several labels": session.evaluate(write_table(photos, "label"), task="multilabel"),
            "fit": session.fit(photos),
            "evaluate captions": session.evaluate(write_table(photos, "caption"), task="retrieve"),
            "evaluate pairs": session.evaluate(write_table(photos, "caption"), task="pairs"),
            "threshold of words": session.threshold(
                {"warm": ["red", "orange"]}, photos / "red", photos / "blue", false_alarms=0.3
            ),
            "threshold": session.threshold("red", photos / "red", recall=0.5),
        }
    found["compare"] = clipsim.compare(found["rank"], found["rank nan"])
    found["compare captions"] = clipsim.compare(found["evaluate captions"], found["evaluate captions"])
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
        value["spoilt"] = value.pop(next(iter(value), None), None)
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


def damage(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of a result with one of them gone, or of another type."""
    for name in values:
        yield {key: value for key, value in values.items() if key != name}
        for wrong in (None, 3, "x", [["x"]], {"x": 1}):
            yield values | {name: wrong}


def test_results_are_read_again(results: dict[str, Any]) -> None:
    """From the values that `to_dict` gives, through JSON; what is damaged is refused, or says the same."""
    for name, result in results.items():
        values = json.loads(json.dumps(result.to_dict()))
        restored = type(result).from_dict(values)
        assert restored.to_dict() == result.to_dict(), name
        assert repr(restored) == repr(result), name
        assert restored == type(result).from_dict(values) == pickle.loads(pickle.dumps(restored)), name
        assert hash(restored) == hash(type(result).from_dict(values)), name
        for damaged in damage(values):
            with suppress(clipsim.DataError):  # and no other error
                type(result).from_dict(damaged)
        with pytest.raises(
            clipsim.DataError, match=r"whose schema is 'clipsim\.\w+/1' \(its schema is 'clipsim.other/1'\)"
        ):
            type(result).from_dict(values | {"schema": "clipsim.other/1"})
        with pytest.raises(clipsim.DataError):
            type(result).from_dict([])


def test_a_result_that_was_read_again_is_a_result(results: dict[str, Any]) -> None:
    """It has the cosines, and is taken where one is."""
    rank = clipsim.RankResult.from_dict(results["rank nan"].to_dict())
    assert np.allclose(rank.similarity, results["rank nan"].similarity, atol=1e-6, equal_nan=True)
    assert (rank.best, rank.indices) == (results["rank nan"].best, results["rank nan"].indices)
    assert clipsim.compare(rank, results["rank"]) == clipsim.compare(results["rank nan"], results["rank"])
    threshold = clipsim.ThresholdResult.from_dict(results["threshold"].to_dict())
    assert threshold == results["threshold"]


def test_results_are_rows(results: dict[str, Any]) -> None:
    """Of plain values, with the same names in each; a data frame holds them."""
    pandas = pytest.importorskip("pandas")
    for name, result in results.items():
        rows = result.to_rows()
        assert all(isinstance(value, str | int | float | None) for row in rows for value in row.values()), name
        assert all(list(row) == list(rows[0]) for row in rows), name
        frame = result.to_frame()
        assert isinstance(frame, pandas.DataFrame)
        assert len(frame) == len(rows), name
        assert not rows or not result.row_names or tuple(rows[0]) == result.row_names, name
    nothing = dataclasses.replace(results["duplicates"], groups=())
    assert list(nothing.to_frame().columns) == list(nothing.row_names)
    assert len(results["rank"].to_rows()) == 40
    assert results["search"].to_rows()[0]["query"] == "red"
    assert results["evaluate"].to_rows()[0]["metric"] == "top1"


def test_data_frames_need_a_package(results: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names it."""
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(clipsim.MissingPackageError, match="data frames need polars; pip install polars"):
        results["rank"].to_frame("polars")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(clipsim.MissingPackageError, match="data frames need pandas; pip install pandas"):
        results["rank"].to_frame("pandas")
    with pytest.raises(clipsim.MissingPackageError, match="data frames need pandas or polars; pip install pandas"):
        results["rank"].to_frame()
    with pytest.raises(clipsim.UsageError, match="library='arrow': not 'pandas' or 'polars'"):
        results["rank"].to_frame("arrow")


def test_results_are_shown_in_a_notebook(results: dict[str, Any]) -> None:
    """A small table, and a whole page; names are escaped in both."""
    pytest.importorskip("jinja2")
    for name, result in results.items():
        table, page = result._repr_html_(), result.to_html()
        assert table.startswith("<div>"), name
        assert len(table) < 20_000, name
        assert page.startswith("<!DOCTYPE html>"), name
        assert page.rstrip().endswith("</html>"), name
    assert 'src="data:image/webp' in results["rank"].to_html()
    assert 'src="data:image/webp' not in results["rank"].to_html(thumbnails=False)
    named = dataclasses.replace(
        results["rank"], scores=(dataclasses.replace(results["rank"].scores[0], image="<script>\x1b.png"),)
    )
    for text in (named._repr_html_(), named.to_html()):
        assert "&lt;script&gt;\\x1b.png" in text
    assert "and 20 more rows" not in results["rank"]._repr_html_()
    assert "and 1 more row<" not in results["rank"]._repr_html_()


def test_a_failure_is_a_value_of_its_own(results: dict[str, Any]) -> None:
    """The list of errors of a JSON object is not made of the records themselves."""
    for name in ("rank", "search", "duplicates", "overview", "evaluate", "threshold"):
        (failure,) = results[name].errors
        results[name].to_dict()["errors"][0]["path"] = "another"
        assert isinstance(failure, Failure)
        assert Path(failure.image).name == "broken.png", name


@pytest.mark.slow
def test_a_client_has_types(tmp_path: Path) -> None:
    """A program that uses all of the API is without errors to a strict type checker, where clipsim is installed."""
    from mypy import api

    script = shutil.copy(Path(client_script.__file__), tmp_path / "client.py")
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
    cache = Path(__file__).parents[1] / ".mypy_cache" / "client"
    options = ["--config-file", str(tmp_path / "mypy.ini"), "--cache-dir", str(cache)]
    printed, errors, status = api.run([*options, "--python-executable", sys.executable, str(script)])
    assert (printed, errors, status) == ("Success: no issues found in 1 source file\n", "", 0)

    (tmp_path / "client.py").write_text("import clipsim\nclipsim.rank('a.png', 3)\nclipsim.rank.nothing\n")
    printed, _, status = api.run([*options, str(script)])
    assert status == 1
    assert "[arg-type]" in printed
    assert "[attr-defined]" in printed


def test_a_client_runs(machine: Machine, tmp_path: Path) -> None:
    """The same program."""
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    for label in ("red", "blue"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (40 + number, 24), label).save(tmp_path / "photos" / label / f"{number}.png")

    numbers = client_script.main(tmp_path / "photos", tmp_path / "vectors")

    assert numbers[:8] == [20, 20, 3, 3, 20, 20, 20, 20]


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
