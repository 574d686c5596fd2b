"""What `clipsim models` and its commands print, keep and refuse."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
from cli.conftest import Clipsim, Ended
from rich.console import Console

from clipsim.cli.models import build_model_table
from clipsim.cli.parameters import complete_device, complete_engine, complete_model
from clipsim.models.catalogue import BUNDLED_PATH, OPENAI_NAMES, list_models
from clipsim.models.files import ModelFiles
from clipsim.models.names import ModelSpec
from clipsim.models.settings import settings_path

REPOSITORY = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
Models = Callable[..., Ended]


@pytest.fixture
def models(clipsim: Clipsim) -> Models:
    """Run `clipsim models …`."""
    return lambda *arguments: clipsim("models", *arguments)


@pytest.fixture
def downloaded(home: Path) -> Path:
    """A file of weights where the Hugging Face cache has one after a download."""
    folder = home / "hub" / f"models--{REPOSITORY.replace('/', '--')}"
    file = folder / "snapshots" / "abc" / "open_clip_model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"tensors")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    return file


@pytest.fixture
def settings(home: Path) -> Path:
    """Where the default model is settings."""
    return settings_path()


def rows(table: str) -> list[list[str]]:
    """The rows of a listing, between the rule and the caption."""
    lines = iter(table.splitlines())
    while not next(lines).startswith("──"):
        pass
    return [line.split() for line in lines if "  " in line.strip() and line.startswith(" ")]


def test_the_listing_begins_with_the_bundled_model_and_marks_the_default(models: Models) -> None:
    """Every model has a row; the default and what is on this machine are marked."""
    done = models()
    assert (done.status, done.err) == (0, "")
    listed = rows(done.out)
    assert len(listed) == len(list_models())
    assert listed[0][:2] == [">", "clipsim-mini"]
    assert listed[0][-1] == "*"
    assert "ViT-B-32/openai (ViT-B/32)" in done.out
    assert "63.3%" in done.out
    assert "OpenCLIP, docs/openclip_results.csv" in " ".join(done.out.split())
    assert sum(row[0] == ">" for row in listed) == 1
    assert sum(row[-1] == "*" for row in listed) == 1


def test_filter_keeps_the_names_that_contain_the_text(models: Models) -> None:
    """Whatever the case, and by OpenAI's names too."""
    assert [row[0] for row in rows(models("--filter", "vit-l/14@").out)] == ["ViT-L-14-336/openai"]
    names = [row[0] for row in rows(models("--filter", "SIGLIP2").out)]
    assert names == [facts.name for facts in list_models() if "siglip2" in facts.name.lower()]


def test_a_filter_that_fits_nothing_is_a_note(models: Models) -> None:
    """Standard output stays empty, and nothing has failed."""
    done = models("--filter", "qqqq")
    assert (done.status, done.out) == (0, "")
    assert done.err == "clipsim: note: no model matches; 'clipsim models' lists them all\n"
    assert models("--filter", "qqqq", "--json").out.split() == ["[]"]


def test_cached_lists_what_is_on_this_machine(models: Models, downloaded: Path) -> None:
    """The bundled model always is; a downloaded one is when its file is there."""
    here = json.loads(models("--cached", "--json").out)
    assert [record["name"] for record in here] == ["clipsim-mini", "ViT-B-32/laion2b_s34b_b79k"]
    downloaded.unlink()
    assert [row[1] for row in rows(models("--cached").out)] == ["clipsim-mini"]


def test_json_is_a_list_of_records(models: Models) -> None:
    """Every fact of every model, for other programs."""
    done = models("--json")
    assert done.status == 0
    records = json.loads(done.out)
    assert [record["name"] for record in records] == [facts.name for facts in list_models()]
    [record] = [record for record in records if record["name"] == "ViT-B-32/openai"]
    assert record == {
        "name": "ViT-B-32/openai",
        "architecture": "ViT-B-32",
        "pretrained": "openai",
        "aliases": ["ViT-B/32"],
        "parameters_millions": 151.28,
        "image_size": 224,
        "embed_dim": 512,
        "context_length": 77,
        "head": "softmax",
        "imagenet_top1": pytest.approx(0.6333, abs=0.001),
        "repository": "timm/vit_base_patch32_clip_224.openai",
        "file": None,
        "tokenizer": None,
        "text_model": None,
        "timm": False,
        "cached": False,
        "default": False,
        "needs_transformers": False,
        "download_bytes": 605_120_000,
    }


@pytest.mark.parametrize("name", ["ViT-B-32/openai", "ViT-B/32"])
def test_show_prints_the_facts_under_either_name(models: Models, name: str) -> None:
    """A line a fact, with the source of the figure."""
    done = models("show", name)
    assert (done.status, done.err) == (0, "")
    facts = dict(line.strip().split(maxsplit=1) for line in done.out.splitlines())
    assert facts["name"] == "ViT-B-32/openai"
    assert facts["aliases"] == "ViT-B/32"
    assert facts["image_size"] == "224"
    assert facts["repository"] == "timm/vit_base_patch32_clip_224.openai"
    assert facts["source"].startswith("OpenCLIP")


def test_show_json_is_the_record_of_the_listing(models: Models) -> None:
    """One form for one model and for many; exports, of which there are none here, are told of one alone."""
    record = json.loads(models("show", "RN50", "--json").out)
    assert record.pop("exports") == []
    assert [record] == json.loads(models("--filter", "RN50/openai", "--json").out)[:1]


def test_show_knows_the_bundled_model(models: Models) -> None:
    """Its facts come from its own configuration."""
    record = json.loads(models("show", "clipsim-mini", "--json").out)
    assert (record["pretrained"], record["cached"], record["repository"]) == ("bundled", True, None)
    assert 1 < record["parameters_millions"] < 20


def test_show_says_what_can_be_said_of_models_that_are_not_listed(models: Models, tmp_path: Path) -> None:
    """A folder has the facts of its configuration, a repository a kind and a place; their weights are not opened."""
    folder = tmp_path / "own model"
    folder.mkdir()
    assert models("show", str(folder)).status == 1
    assert models("use", str(folder)).status == 1
    config = {"embed_dim": 8, "vision_cfg": {"image_size": 64}, "text_cfg": {"context_length": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    (folder / "model.safetensors").touch()
    assert json.loads(models("show", str(folder), "--json").out) == {
        "name": str(folder),
        "kind": "directory",
        "repository": None,
        "path": str(folder),
        "warnings": [],
        "image_size": 64,
        "embed_dim": 8,
        "context_length": 32,
        "weights": str(folder / "model.safetensors"),
        "exports": [],
    }
    shown = models("show", "hf-hub:someone/model").out
    assert [line.split() for line in shown.splitlines()] == [
        ["name", "hf-hub:someone/model"],
        ["kind", "hub"],
        ["repository", "someone/model"],
    ]


def test_use_makes_a_model_the_default(models: Models, settings: Path) -> None:
    """The choice is kept, said, and marked in the listing; what is still to be downloaded is told."""
    done = models("use", "ViT-B/32")
    assert (done.status, done.out) == (0, "")
    assert done.err.splitlines() == [
        f"clipsim: note: the default model is now ViT-B-32/openai (kept in {settings})",
        "clipsim: note: it is downloaded when first used, or now with 'clipsim models pull ViT-B-32/openai'",
    ]
    assert json.loads(settings.read_text()) == {"model": "ViT-B-32/openai"}
    assert [row[1] for row in rows(models().out) if row[0] == ">"] == ["ViT-B-32/openai"]


@pytest.mark.usefixtures("downloaded")
def test_use_of_what_is_here_mentions_no_download(models: Models) -> None:
    """One line is enough for a model that is on this machine."""
    for name in ("clipsim-mini", "ViT-B-32/laion2b_s34b_b79k"):
        done = models("use", name, "--no-export")
        assert done.status == 0
        assert done.err.count("\n") == 1


@pytest.mark.usefixtures("downloaded")
@pytest.mark.parametrize("command", ["use", "pull"])
def test_what_is_here_is_exported_for_fast_starts(
    models: Models, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Said in one line, and not again where the export is there; what cannot be exported is a note and no error."""
    exported = []

    class Exported(str):
        facts: ClassVar = {"notices": ()}

    def export(spec: ModelSpec, files: ModelFiles, folder: Path, **_: object) -> Exported:
        exported.append(spec.name)
        return Exported("onnx, 15 MB")

    monkeypatch.setattr("clipsim.engines.choice.may_have_gpu", lambda: False)
    name = "ViT-B-32/laion2b_s34b_b79k"
    failed = models(command, name)
    monkeypatch.setattr("clipsim.engines.onnx.export.export_model", export)
    done = models(command, name)
    monkeypatch.setattr("clipsim.cli.export.find_export", lambda *_, **__: "one")
    again = models(command, name)

    assert failed.status == done.status == again.status == 0
    assert failed.err.splitlines()[1].startswith("clipsim: note: not exported, so runs start with PyTorch: ")
    assert done.err.splitlines()[1:] == [
        "clipsim: note: exported, so that runs start without PyTorch (--no-export leaves it): onnx, 15 MB"
    ]
    assert len(failed.err.splitlines()) == 2
    assert len(again.err.splitlines()) == 1
    assert exported == [name]


@pytest.mark.usefixtures("downloaded")
@pytest.mark.parametrize("reason", ["a GPU", "no extra", "an option", "not here"])
def test_no_export_where_runs_would_not_use_it(models: Models, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    """On a GPU, without the extra, where it is not wanted, and before the model is there."""
    monkeypatch.setattr("clipsim.engines.onnx.export.export_model", lambda *_, **__: pytest.fail("it was exported"))
    if reason == "a GPU":
        monkeypatch.setattr("clipsim.engines.choice.guess_device", lambda _: None)
    if reason == "no extra":
        monkeypatch.setattr("clipsim.cli.export.find_spec", lambda _: None)
    options = ["--no-export"] if reason == "an option" else []
    done = models("use", "ViT-B-32/openai" if reason == "not here" else "ViT-B-32/laion2b_s34b_b79k", *options)

    assert done.status == 0
    assert "exported" not in done.err


@pytest.mark.parametrize("command", ["show", "pull", "use"])
def test_an_unknown_name_is_one_line_and_status_one(models: Models, settings: Path, command: str) -> None:
    """The line has the nearest names and where to find the others."""
    done = models(command, "ViT-B-33/openai")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("clipsim: error: no model, file or folder is called 'ViT-B-33/openai'; did you mean ")
    assert "ViT-B-32/openai" in done.err
    assert done.err.count("\n") == 1
    assert not settings.exists()


def test_settings_that_are_damaged_or_in_the_way_are_one_line(models: Models, settings: Path) -> None:
    """What cannot be read or written is named, and `use` repairs what is damaged."""
    settings.parent.mkdir(parents=True)
    settings.write_text("{")
    done = models()
    assert done.status == 0  # the names are what a new default is chosen from
    assert "clipsim-mini" in done.out
    assert done.err.startswith(f"clipsim: warning: {settings}: cannot read the settings")
    assert models("use", "RN50").status == 0
    assert models().status == 0
    settings.unlink()
    settings.mkdir()
    done = models("use", "RN50")
    assert done.status == 1
    assert done.err.startswith(f"clipsim: error: {settings}: cannot write the settings")


def test_pull_of_a_model_that_is_here_needs_no_network(models: Models, downloaded: Path) -> None:
    """The line names the file; the same goes for the bundled model."""
    done = models("pull", "ViT-B-32/laion2b_s34b_b79k", "--no-export")
    assert done.err == f"clipsim: note: ViT-B-32/laion2b_s34b_b79k is on this machine: {downloaded}\n"
    assert models("pull", "clipsim-mini", "--no-export").status == 0


def test_a_wrong_option_is_wrong_usage(models: Models) -> None:
    """Status 2, as for every command."""
    assert models("--nonsense").status == 2
    assert models("show").status == 2
    assert models("nonsense").status == 2


def test_names_complete_whatever_the_case() -> None:
    """The shell is offered OpenAI's names first, then the others."""
    assert complete_model("vit-l/14@") == ["ViT-L/14@336px"]
    assert complete_model("clipsim") == ["clipsim-mini"]
    assert complete_model("qqqq") == []
    assert complete_model("")[: len(OPENAI_NAMES)] == list(OPENAI_NAMES)
    assert complete_device("CU") == ["cuda", "cuda:0", "cuda:1"]
    assert complete_engine("onnx") == ["onnx", "onnx-int8"]


def test_show_takes_json_before_its_name_too(models: Models) -> None:
    """`clipsim models --json show X` prints JSON as `clipsim models show X --json` does."""
    done = models("--json", "show", "RN50/openai")

    assert (done.status, done.err) == (0, "")
    assert json.loads(done.out) == json.loads(models("show", "RN50/openai", "--json").out)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [(["--json", "pull", "RN50/openai"], "--json"), (["--filter", "x", "show", "RN50/openai"], "--filter")],
)
def test_an_option_of_the_list_before_another_command_is_refused(
    models: Models, arguments: list[str], option: str
) -> None:
    """It would else be ignored."""
    done = models(*arguments)

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"clipsim: error: {option} ")


@pytest.mark.parametrize("content", ["junk", "", "\x80\x04."])
def test_use_refuses_what_is_no_model(models: Models, tmp_path: Path, settings: Path, content: str) -> None:
    """A file that cannot be loaded as a model is one line, and the default stays what it was."""
    junk = tmp_path / "junk.txt"
    junk.write_text(content, encoding="latin-1")
    done = models("use", str(junk))

    assert (done.status, done.out) == (1, "")
    assert done.err.startswith(f"clipsim: error: {junk}: ")
    assert done.err.count("\n") == 1
    assert not settings.exists()


def test_use_takes_a_folder_that_loads(models: Models, tmp_path: Path, settings: Path) -> None:
    """Its absolute path is kept."""
    folder = tmp_path / "own"
    shutil.copytree(BUNDLED_PATH, folder)

    assert models("use", os.path.relpath(folder), "--no-export").status == 0
    assert json.loads(settings.read_text()) == {"model": str(folder)}


def test_the_list_has_a_name_and_an_order(models: Models) -> None:
    """`models list` is `models`; it is ordered by figures, sizes or names when asked."""
    assert models("list").out == models().out
    names = {}
    for order in ("top1", "size", "name"):
        records = json.loads(models("list", "--sort", order, "--json").out)
        names[order] = [record["name"] for record in records]
    assert names["name"] == sorted(names["name"], key=str.lower)
    assert names["size"][0] == "clipsim-mini"
    top = [facts for facts in list_models() if facts.imagenet_top1 is not None]
    assert names["top1"][0] == max(top, key=lambda facts: facts.imagenet_top1 or 0).name


def test_rm_deletes_what_was_downloaded(models: Models, downloaded: Path) -> None:
    """The weights are gone, and a second time there is nothing to delete."""
    done = models("rm", "ViT-B-32/laion2b_s34b_b79k")
    assert (done.status, done.out) == (0, "")
    assert "removed ViT-B-32/laion2b_s34b_b79k" in done.err
    assert json.loads(models("--cached", "--json").out)[1:] == []
    again = models("rm", "ViT-B-32/laion2b_s34b_b79k")
    assert (again.status, again.err.count("\n")) == (1, 1)
    assert "is not on this machine" in again.err


def test_rm_of_what_was_not_downloaded_is_wrong_usage(models: Models) -> None:
    """The bundled model stays."""
    done = models("rm", "clipsim-mini")
    assert done.status == 2
    assert "was not downloaded" in done.err


def test_names_of_the_hub_and_parts_of_names(models: Models) -> None:
    """OpenAI's repositories stand for their models; part of a name lists the best that contain it."""
    assert json.loads(models("show", "openai/clip-vit-base-patch32", "--json").out)["name"] == "ViT-B-32/openai"
    done = models("show", "siglip")
    assert done.status == 1
    assert done.err.count("SigLIP") == 3


@pytest.mark.parametrize(("width", "spared"), [(60, ["M", "px", "dim"]), (80, ["M", "px", "dim"]), (100, [])])
def test_names_of_models_are_not_broken_within_a_word(width: int, spared: list[str]) -> None:
    """A narrow table leaves out columns, and their explanation, before it breaks a name, which it does at its slash."""
    models = list_models()
    table, legend = build_model_table(models, dict.fromkeys((info.name for info in models), False), "", width)
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(table)
    heading, _, *rows = capture.get().splitlines()

    assert not set(heading.split()) & set(spared)
    assert [mark for mark in ("M", "px", "dim") if f"{mark}: " in str(legend)] == [
        mark for mark in ("M", "px", "dim") if mark not in spared
    ]
    assert max(map(len, rows)) <= width
    words = {word for row in rows for word in row.split()}
    for info in models:
        architecture, _, tag = info.name.partition("/")
        assert info.name in words or {f"{architecture}/", tag} <= words
    assert width < 80 or {info.name for info in models} <= words
