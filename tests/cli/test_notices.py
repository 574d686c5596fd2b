"""What a model has to say reaches every command, format, record and call, with and without vectors in the cache."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from checkpoints import random_model, state_of
from fake_encoder import FakeEncoder
from PIL import Image
from safetensors.torch import save_file

import clipsim
from clipsim import ClipsimWarning

if TYPE_CHECKING:
    from cli.conftest import Clipsim

    from clipsim.session import Session

ASSUMED = "the checkpoint does not say which model it is"
DEFAULT = "using clipsim-mini, the small bundled model"
COLOURS = ("red", "green", "blue", "gold", "navy", "olive", "teal", "plum", "tan", "pink", "grey", "black")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of OpenCLIP's own, alone, whose tensors are laid out as OpenAI's are."""
    path = tmp_path_factory.mktemp("model") / "mine.safetensors"
    save_file(state_of(random_model("vit")), path)
    return path


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: twelve pictures in two folders, which are their labels."""
    for number, colour in enumerate(COLOURS):
        folder = tmp_path / "pictures" / ("warm" if number % 2 else "cold")
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 24), colour).save(folder / f"{colour}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "pictures"


COMMANDS = {
    "rank": "rank pictures -t red -t blue --format table",
    "rank csv": "rank pictures -t red -t blue --format csv",
    "rank jsonl": "rank pictures -t red -t blue --format jsonl",
    "rank sorted jsonl": "rank pictures -t red -t blue --format jsonl --sort-by red",
    "rank html": "rank pictures -t red -t blue --format html",
    "rank json": "rank pictures -t red -t blue --json",
    "search": "search pictures -t red",
    "search csv": "search pictures -t red --format csv",
    "search jsonl": "search pictures -t red --format jsonl",
    "search html": "search pictures -t red --format html",
    "search paths": "search pictures -t red -l",
    "search json": "search pictures -t red --json",
    "rank plan json": "rank pictures -t red -t blue --copy-to copies --json",
    "search plan json": "search pictures -t red --link-to links --json",
    "sort json": "sort pictures -t red -t blue --move-to sorted --json",
    "sort": "sort pictures -t red -t blue --move-to sorted",
    "tag json": "tag pictures -t red -t blue --xmp --json",
    "tag exiftool": "tag pictures -t red -t blue --format exiftool",
    "duplicates plan json": "duplicates pictures --move-to copies --json",
    "duplicates": "duplicates pictures",
    "duplicates csv": "duplicates pictures --format csv",
    "duplicates jsonl": "duplicates pictures --format jsonl",
    "duplicates html": "duplicates pictures --format html",
    "duplicates paths": "duplicates pictures -l",
    "duplicates json": "duplicates pictures --json",
    "evaluate": "evaluate pictures",
    "evaluate html": "evaluate pictures --format html",
    "evaluate json": "evaluate pictures --json",
    "threshold": "threshold red --positives pictures --recall 0.9",
    "threshold json": "threshold red --positives pictures --recall 0.9 --json",
    "embed": "embed pictures -o vectors --overwrite",
    "embed json": "embed pictures -o vectors --overwrite --json",
    "embed again": "embed pictures -o vectors --json",
}


@pytest.mark.usefixtures("pictures")
def test_every_command_says_what_is_assumed(clipsim: Clipsim, weights: Path) -> None:
    """Once on standard error in each format, and in each JSON, with an empty cache and with a full one."""
    pytest.importorskip("pyarrow")
    for run in ("cold", "warm"):
        for name, line in COMMANDS.items():
            extra = ["--no-cache"] if run == "cold" else []
            done = clipsim(*line.split(), "-m", weights, *extra)

            assert done.status == 0, (run, name, done.err)
            assert done.err.count(ASSUMED) == 1, (run, name, done.err)
            if "json" in name.split():
                assert [ASSUMED in warning for warning in json.loads(done.out)["warnings"]].count(True) == 1, (
                    run,
                    name,
                )
            if "html" in name.split():
                assert ASSUMED in done.out, (run, name)


def test_models_show_says_what_is_assumed(clipsim: Clipsim, weights: Path) -> None:
    """Of a checkpoint file, once on standard error, and in its JSON."""
    shown, record = clipsim("models", "show", weights), clipsim("models", "show", weights, "--json")

    assert (shown.err.count(ASSUMED), record.err.count(ASSUMED)) == (1, 1)
    assert [ASSUMED in warning for warning in json.loads(record.out)["warnings"]] == [True]


@pytest.mark.usefixtures("pictures")
def test_quiet_hides_notices_from_the_terminal_alone(clipsim: Clipsim, weights: Path) -> None:
    """The JSON is the same with -q."""
    pytest.importorskip("pyarrow")
    for name, line in COMMANDS.items():
        done = clipsim(*line.split(), "-m", weights, "-q")

        assert done.err == "", name
        if "json" in name.split():
            assert any(ASSUMED in warning for warning in json.loads(done.out)["warnings"]), name


@pytest.mark.usefixtures("pictures")
def test_every_command_says_that_nothing_was_chosen(clipsim: Clipsim) -> None:
    """The bundled model is named once on standard error, and in each JSON."""
    pytest.importorskip("pyarrow")
    for name, line in COMMANDS.items():
        done = clipsim(*line.split())

        assert done.err.count(DEFAULT) == 1, (name, done.err)
        if "json" in name.split():
            assert any(warning.startswith(DEFAULT) for warning in json.loads(done.out)["warnings"]), name


def test_a_data_set_repeats_what_its_vectors_rest_on(clipsim: Clipsim, weights: Path, pictures: Path) -> None:
    """clipsim.json holds it, and a search says it once; that no model was chosen is not of the vectors."""
    pytest.importorskip("pyarrow")
    clipsim("embed", "pictures", "-o", "vectors", "-m", weights)
    assert [ASSUMED in line for line in json.loads(Path("vectors/clipsim.json").read_text())["warnings"]] == [True]

    for command in (["search", "vectors", "-t", "red"], ["duplicates", "vectors"]):
        done = clipsim(*command, "-m", weights, "--json")
        assert [ASSUMED in warning for warning in json.loads(done.out)["warnings"]].count(True) == 1
        assert done.err.count(ASSUMED) == 1

    clipsim("embed", "pictures", "-o", "mini")
    assert json.loads(Path("mini/clipsim.json").read_text())["warnings"] == []


def test_the_results_of_several_models_have_their_own(clipsim: Clipsim, weights: Path, pictures: Path) -> None:
    """Each run has what its model says, and the whole names the model; a comparison repeats it."""
    done = clipsim("evaluate", "pictures", "-m", weights, "-m", "clipsim-mini", "--json")
    record = json.loads(done.out)

    assert [[ASSUMED in line for line in run["warnings"]] for run in record["results"]] == [[True], []]
    assert [line.startswith(f"{weights}: {ASSUMED}") for line in record["warnings"]].count(True) == 1
    assert done.err.count(ASSUMED) == 1

    Path("a.json").write_text(clipsim("rank", "pictures", "-t", "red", "-t", "blue", "-m", weights, "--json").out)
    Path("b.json").write_text(clipsim("rank", "pictures", "-t", "red", "-t", "blue", "--json").out)
    done = clipsim("compare", "a.json", "b.json", "--json")
    said = json.loads(done.out)["warnings"]
    assert [line.partition(": ")[0] for line in said if ASSUMED in line or DEFAULT in line] == ["a.json", "b.json"]
    assert done.err.count(ASSUMED) == done.err.count(DEFAULT) == 1
    done = clipsim("compare", "a.json", "a.json")
    assert done.err.count(ASSUMED) == 1


def test_copies_of_a_file_and_other_settings_share_no_notice(
    clipsim: Clipsim, weights: Path, pictures: Path, tmp_path: Path
) -> None:
    """What is kept in the cache belongs to the content: it names no file, and nothing that a user has chosen."""
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(weights.read_bytes())
    line = ["rank", "pictures", "-t", "red", "-t", "blue", "--json"]
    first, second = (json.loads(clipsim(*line, "-m", path).out)["warnings"] for path in (weights, copy))
    assert first == second
    assert weights.name not in "".join(second)


CALLS: dict[str, Callable[[Session, Path], Any]] = {
    "rank": lambda session, pictures: session.rank(pictures, ["red", "blue"]),
    "search": lambda session, pictures: session.search(pictures, "red"),
    "duplicates": lambda session, pictures: session.duplicates(pictures),
    "evaluate": lambda session, pictures: session.evaluate(pictures),
    "threshold": lambda session, pictures: session.threshold("red", pictures, recall=0.9),
    "embed": lambda session, pictures: session.embed(pictures, pictures.parent / "vectors"),
}


@pytest.fixture
def issued() -> Iterator[Callable[[], list[warnings.WarningMessage]]]:
    """The ClipsimWarnings since the last call."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        def take() -> list[warnings.WarningMessage]:
            found = [one for one in caught if one.category is ClipsimWarning]
            caught.clear()
            return found

        yield take


Issued = Callable[[], "list[warnings.WarningMessage]"]


@pytest.mark.parametrize("cache", [False, True])
def test_every_call_of_a_session_warns(weights: Path, pictures: Path, issued: Issued, cache: bool) -> None:
    """Once a call, at the caller's line, by the model that runs and, with the cache, by one that need not."""
    pytest.importorskip("pyarrow")
    with clipsim.open(weights, cache=cache) as session:
        issued()
        for name, call in CALLS.items():
            for _ in range(2):
                result = call(session, pictures)
                said = [one for one in issued() if ASSUMED in str(one.message)]

                assert len(said) == 1, name
                assert said[0].filename == __file__, name
                assert any(ASSUMED in warning for warning in result.warnings), name

    with clipsim.open(weights) as session:
        opened = [one.filename for one in issued() if ASSUMED in str(one.message)]
        assert opened == ([__file__] if cache else [])  # known without loading it, if it is known


def test_calls_at_the_top_level_warn_once(weights: Path, pictures: Path, issued: Issued, tmp_path: Path) -> None:
    """Also of the model that is used where none was chosen, and `load` of what it assumes."""
    pytest.importorskip("pyarrow")
    calls: dict[str, Callable[..., Any]] = {
        "rank": lambda **options: clipsim.rank(pictures, ["red", "blue"], **options),
        "search": lambda **options: clipsim.search(pictures, "red", **options),
        "duplicates": lambda **options: clipsim.duplicates(pictures, **options),
        "embed": lambda **options: clipsim.embed(pictures, tmp_path / "vectors", overwrite=True, **options),
        "threshold": lambda **options: clipsim.threshold("red", pictures, recall=0.9, **options),
    }
    for name, call in calls.items():
        for options, text in (({"model": weights}, ASSUMED), ({}, DEFAULT)):
            call(**options)
            assert [one.filename for one in issued() if text in str(one.message)] == [__file__], name

    result = clipsim.evaluate(pictures, models=[weights, None])
    assert [one.filename for one in issued()] == [__file__] * len(result.warnings)
    assert any(ASSUMED in warning for warning in result.warnings)
    assert any(DEFAULT in warning for warning in result.warnings)

    clipsim.load(str(weights), device="cpu")
    assert [(one.filename, ASSUMED in str(one.message)) for one in issued()] == [(__file__, True)]
    clipsim.open().close()
    assert [(one.filename, str(one.message).startswith(DEFAULT)) for one in issued()] == [(__file__, True)]

    ranked = clipsim.rank(pictures, ["red", "blue"], model=weights)
    issued()
    clipsim.compare(ranked, ranked)
    assert [(one.filename, ASSUMED in str(one.message)) for one in issued()] == [(__file__, True)]


def test_an_export_says_what_its_model_was_taken_for(clipsim: Clipsim, weights: Path, pictures: Path) -> None:
    """ONNX Runtime runs it without torch, and the notice comes from the export's record or the cache."""
    for package in ("onnx", "onnxruntime", "tokenizers"):
        pytest.importorskip(package)
    done = clipsim("models", "export", weights)
    assert done.status == 0, done.err
    assert done.err.count(ASSUMED) == 1
    for _ in ("cold", "warm"):
        for line in (COMMANDS["rank json"], COMMANDS["search json"], COMMANDS["duplicates json"]):
            done = clipsim(*line.split(), "-m", weights, "--engine", "onnx")
            assert [ASSUMED in warning for warning in json.loads(done.out)["warnings"]].count(True) == 1
            assert done.err.count(ASSUMED) == 1


def test_the_preprocessing_of_a_users_weights_is_said_as_it_was_chosen(
    clipsim: Clipsim, colour_model: FakeEncoder, pictures: Path
) -> None:
    """Runs that choose OpenCLIP's default share the cache with runs that choose nothing, but not the notice."""
    Path("mine.pt").write_bytes(b"weights")
    line = ["rank", "pictures", "-t", "red", "-t", "blue", "-m", "ViT-L-14", "--weights", "mine.pt", "--json"]
    for extra, said in (([], 1), (["--preprocess", "default"], 0), ([], 1)):
        done = clipsim(*line, *extra)
        warnings = json.loads(done.out)["warnings"]
        assert ["preprocessed in 2 ways" in warning for warning in warnings].count(True) == said
        assert done.err.count("preprocessed in 2 ways") == said
    assert len(colour_model.text_batches) == 1
