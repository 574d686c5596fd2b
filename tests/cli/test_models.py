"""What `clipsim models` and its commands print, keep and refuse, at a real command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import clean_environment, run_clipsim

from clipsim.cli.completion import complete_model
from clipsim.models.catalogue import OPENAI_NAMES, list_models

REPOSITORY = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"


def models(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run_clipsim("models", *arguments, home=home, **settings)


def put_in_cache(home: Path, repository: str = REPOSITORY) -> Path:
    """Lay out a downloaded file as the Hugging Face cache does."""
    folder = home / "hf" / "hub" / f"models--{repository.replace('/', '--')}"
    file = folder / "snapshots" / "abc" / "open_clip_model.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"tensors")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    return file


def rows(table: str) -> list[list[str]]:
    """The rows of a listing, between the rule and the caption."""
    lines = iter(table.splitlines())
    while not next(lines).startswith("──"):
        pass
    return [line.split() for line in lines if "  " in line.strip() and line.startswith(" ")]


def test_the_listing_begins_with_the_bundled_model_and_marks_the_default(tmp_path: Path) -> None:
    """Every model has a row; the default and what is on this machine are marked."""
    done = models(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    listed = rows(done.stdout)
    assert len(listed) == len(list_models())
    assert listed[0][:2] == [">", "clipsim-mini"]
    assert listed[0][-1] == "*"
    assert "ViT-B-32/openai (ViT-B/32)" in done.stdout
    assert "63.3%" in done.stdout
    assert "OpenCLIP, docs/openclip_results.csv" in " ".join(done.stdout.split())
    assert sum(row[0] == ">" for row in listed) == 1
    assert sum(row[-1] == "*" for row in listed) == 1


def test_filter_keeps_the_names_that_contain_the_text(tmp_path: Path) -> None:
    """Whatever the case, and by OpenAI's names too."""
    assert [row[0] for row in rows(models(tmp_path, "--filter", "vit-l/14@").stdout)] == ["ViT-L-14-336/openai"]
    names = [row[0] for row in rows(models(tmp_path, "--filter", "SIGLIP2").stdout)]
    assert names == [facts.name for facts in list_models() if "siglip2" in facts.name.lower()]


def test_a_filter_that_fits_nothing_is_a_note(tmp_path: Path) -> None:
    """Standard output stays empty, and nothing has failed."""
    done = models(tmp_path, "--filter", "qqqq")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "clipsim: note: no model fits; 'clipsim models' lists them all\n"
    assert models(tmp_path, "--filter", "qqqq", "--json").stdout.split() == ["[]"]


def test_cached_lists_what_is_on_this_machine(tmp_path: Path) -> None:
    """The bundled model always is; a downloaded one is when its file is there."""
    assert [row[1] for row in rows(models(tmp_path, "--cached").stdout)] == ["clipsim-mini"]
    file = put_in_cache(tmp_path)
    here = json.loads(models(tmp_path, "--cached", "--json").stdout)
    assert [record["name"] for record in here] == ["clipsim-mini", "ViT-B-32/laion2b_s34b_b79k"]
    file.unlink()
    assert len(json.loads(models(tmp_path, "--cached", "--json").stdout)) == 1


def test_json_is_a_list_of_records(tmp_path: Path) -> None:
    """Every fact of every model, for other programs."""
    done = models(tmp_path, "--json")
    assert done.returncode == 0
    records = json.loads(done.stdout)
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
    }


@pytest.mark.parametrize("name", ["ViT-B-32/openai", "ViT-B/32"])
def test_show_prints_the_facts_under_either_name(tmp_path: Path, name: str) -> None:
    """A line a fact, with the source of the figure."""
    done = models(tmp_path, "show", name)
    assert (done.returncode, done.stderr) == (0, "")
    facts = dict(line.strip().split(maxsplit=1) for line in done.stdout.splitlines())
    assert facts["name"] == "ViT-B-32/openai"
    assert facts["aliases"] == "ViT-B/32"
    assert facts["image_size"] == "224"
    assert facts["repository"] == "timm/vit_base_patch32_clip_224.openai"
    assert facts["source"].startswith("OpenCLIP")


def test_show_json_is_the_record_of_the_listing(tmp_path: Path) -> None:
    """One form for one model and for many; exports, of which there are none here, are told of one alone."""
    record = json.loads(models(tmp_path, "show", "RN50", "--json").stdout)
    assert record.pop("exports") == []
    assert [record] == json.loads(models(tmp_path, "--filter", "RN50/openai", "--json").stdout)[:1]


def test_show_knows_the_bundled_model(tmp_path: Path) -> None:
    """Its facts come from its own configuration."""
    record = json.loads(models(tmp_path, "show", "clipsim-mini", "--json").stdout)
    assert (record["pretrained"], record["cached"], record["repository"]) == ("bundled", True, None)
    assert 1 < record["parameters_millions"] < 20


def test_show_says_what_can_be_said_of_models_that_are_not_listed(tmp_path: Path) -> None:
    """A folder has the facts of its configuration, a repository a kind and a place; their weights are not opened."""
    folder = tmp_path / "own model"
    folder.mkdir()
    assert models(tmp_path, "show", str(folder)).returncode == 1
    assert models(tmp_path, "use", str(folder)).returncode == 1
    config = {"embed_dim": 8, "vision_cfg": {"image_size": 64}, "text_cfg": {"context_length": 32}}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    (folder / "model.safetensors").touch()
    assert json.loads(models(tmp_path, "show", str(folder), "--json").stdout) == {
        "name": str(folder),
        "kind": "directory",
        "repository": None,
        "path": str(folder),
        "image_size": 64,
        "embed_dim": 8,
        "context_length": 32,
        "weights": str(folder / "model.safetensors"),
        "exports": [],
    }
    shown = models(tmp_path, "show", "hf-hub:someone/model").stdout
    assert [line.split() for line in shown.splitlines()] == [
        ["name", "hf-hub:someone/model"],
        ["kind", "hub"],
        ["repository", "someone/model"],
    ]


def test_use_makes_a_model_the_default(tmp_path: Path) -> None:
    """The choice is kept, said, and marked in the listing; what is still to be downloaded is told."""
    done = models(tmp_path, "use", "ViT-B/32")
    kept = tmp_path / "config" / "clipsim" / "settings.json"
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.splitlines() == [
        f"clipsim: note: the default model is now ViT-B-32/openai (kept in {kept})",
        "clipsim: note: it is downloaded when first used, or now with 'clipsim models pull ViT-B-32/openai'",
    ]
    assert json.loads(kept.read_text()) == {"model": "ViT-B-32/openai"}
    assert [row[1] for row in rows(models(tmp_path).stdout) if row[0] == ">"] == ["ViT-B-32/openai"]


def test_use_of_what_is_here_speaks_of_no_download(tmp_path: Path) -> None:
    """One line is enough for a model that is on this machine."""
    put_in_cache(tmp_path)
    for name in ("clipsim-mini", "ViT-B-32/laion2b_s34b_b79k"):
        done = models(tmp_path, "use", name)
        assert done.returncode == 0
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["show", "pull", "use"])
def test_an_unknown_name_is_one_line_and_status_one(tmp_path: Path, command: str) -> None:
    """The line has the nearest names and where to find the others."""
    done = models(tmp_path, command, "ViT-B-33/openai")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("clipsim: error: no model, file or folder is called 'ViT-B-33/openai'; did you mean ")
    assert "ViT-B-32/openai" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "config").exists()


def test_settings_that_are_damaged_or_in_the_way_are_one_line(tmp_path: Path) -> None:
    """What cannot be read or written is named, and `use` mends what is damaged."""
    kept = tmp_path / "config" / "clipsim" / "settings.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{")
    done = models(tmp_path)
    assert done.returncode == 0  # the names are what a new default is chosen from
    assert "clipsim-mini" in done.stdout
    assert done.stderr.startswith(f"clipsim: warning: {kept}: cannot read the settings")
    assert models(tmp_path, "use", "RN50").returncode == 0
    assert models(tmp_path).returncode == 0
    kept.unlink()
    kept.mkdir()
    done = models(tmp_path, "use", "RN50")
    assert done.returncode == 1
    assert done.stderr.startswith(f"clipsim: error: {kept}: cannot write the settings")


def test_pull_of_a_model_that_is_here_needs_no_network(tmp_path: Path) -> None:
    """The line names the file; the same goes for the bundled model."""
    file = put_in_cache(tmp_path)
    done = models(tmp_path, "pull", "ViT-B-32/laion2b_s34b_b79k")
    assert done.stderr == f"clipsim: note: ViT-B-32/laion2b_s34b_b79k is on this machine: {file}\n"
    assert models(tmp_path, "pull", "clipsim-mini").returncode == 0


def test_a_wrong_option_is_wrong_usage(tmp_path: Path) -> None:
    """Status 2, as for every command."""
    assert models(tmp_path, "--nonsense").returncode == 2
    assert models(tmp_path, "show").returncode == 2
    assert models(tmp_path, "nonsense").returncode == 2


def test_the_listing_needs_neither_torch_nor_open_clip(tmp_path: Path) -> None:
    """Looking up a name is a matter of a moment."""
    done = models(tmp_path, "--cached", PYTHONVERBOSE="1")
    imported = {line.split("'")[1].split(".")[0] for line in done.stderr.splitlines() if line.startswith("import '")}
    assert "clipsim" in imported
    assert not imported & {"torch", "open_clip", "numpy", "PIL", "transformers"}


def test_names_complete_whatever_the_case() -> None:
    """The shell is offered OpenAI's names first, then the others."""
    assert complete_model("vit-l/14@") == ["ViT-L/14@336px"]
    assert complete_model("clipsim") == ["clipsim-mini"]
    assert complete_model("qqqq") == []
    assert complete_model("")[: len(OPENAI_NAMES)] == list(OPENAI_NAMES)


def test_the_shell_completes_names(tmp_path: Path) -> None:
    """What a shell asks for after `clipsim models show clips`, it gets."""
    asked = {"_CLIPSIM_COMPLETE": "complete_bash", "COMP_WORDS": "clipsim models show clips", "COMP_CWORD": "3"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['clipsim']; from clipsim.cli import main; main()"],
        env=clean_environment(tmp_path, **asked),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["clipsim-mini"]


def test_help_shows_an_example_for_every_command(tmp_path: Path) -> None:
    """A user who forgot the form finds it."""
    for command in ([], ["show"], ["pull"], ["use"]):
        done = models(tmp_path, *command, "--help")
        assert done.returncode == 0
        assert "Example: clipsim models" in done.stdout
