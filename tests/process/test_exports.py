"""Exports by the installed command line: made, shown, used without torch, and removed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from checkpoints import draw_pictures, write_folder
from conftest import Run

# What a run has imported when it ends.
WATCHED = """
import atexit, sys
atexit.register(lambda: print("IMPORTED", *sys.modules, file=sys.stderr))
sys.argv = ["clipsim", *sys.argv[1:]]
from clipsim.cli import main
main()
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small random ViT."""
    return write_folder(tmp_path_factory.mktemp("model") / "vit", "vit")


def test_an_export_is_made_shown_used_and_removed(
    model: Path, run_model: Run, tmp_path: Path, cache_folder: Path
) -> None:
    """Notes go to standard error, and none of the libraries' messages; a run on the export imports no torch.

    The export itself imports what this model needs of OpenCLIP.
    """
    env = {"CLIPSIM_CACHE_DIR": str(cache_folder)}
    picture = tmp_path / "picture.png"
    draw_pictures()[1].save(picture)
    done = subprocess.run([sys.executable, "-c", WATCHED, "models", "export", model], capture_output=True, timeout=300)
    said, _, imported = done.stderr.decode().partition("IMPORTED")
    assert (done.returncode, done.stdout) == (0, b"")
    assert said.count("\n") == 1
    assert set(imported.split()) & {"timm", "transformers", "torch._dynamo"} == set()
    assert "onnx, 15 MB, mean cosine to torch: images 1.00000 (least 1.00000, centred 1.0000), texts 1.00000" in said

    shown = json.loads(run_model("models", "show", model, "--json", env=env).stdout)["exports"]
    assert [export["engine"] for export in shown] == ["onnx"]
    assert shown[0]["images"]["least"] > 0.9999
    assert b"mean cosine to torch" in run_model("models", "show", model, env=env).stdout

    options: list[str | Path] = ["rank", picture, "-t", "caf\u00e9 &amp; bar", "-t", "red", "-m", model]
    options += ["--engine", "onnx"]
    ranked = subprocess.run([sys.executable, "-c", WATCHED, *options], capture_output=True, timeout=120)
    used = set(ranked.stderr.decode().split("IMPORTED")[1].split())
    assert ranked.returncode == 0
    assert "cpu · fp32 · onnx" in ranked.stdout.decode()
    assert "onnxruntime" in used
    assert used & {"torch", "open_clip", "torchvision", "timm", "onnx", "transformers"} == set()

    assert b"there is no such export" in run_model("models", "export", model, "--int8", "--remove", env=env).stderr
    assert run_model("models", "export", model, "--remove", env=env).returncode == 0
    assert json.loads(run_model("models", "show", model, "--json", env=env).stdout)["exports"] == []
    asked = run_model("rank", picture, "-t", "x", "-m", model, "--engine", "onnx", env=env)
    assert asked.returncode == 1
    assert b"'clipsim models export" in asked.stderr


def test_damaged_records_are_notices_in_every_command(
    model: Path, run_model: Run, tmp_path: Path, cache_folder: Path
) -> None:
    """Torch runs the model, and the commands that list exports leave the damaged ones out."""
    env = {"CLIPSIM_CACHE_DIR": str(cache_folder)}
    for number, damage in enumerate(('{"source": null}', "[")):
        folder = cache_folder / "exports" / f"{str(number) * 64}-onnx"
        folder.mkdir(parents=True)
        (folder / "export.json").write_text(damage)
    picture = tmp_path / "picture.png"
    draw_pictures()[1].save(picture)

    shown = run_model("models", "show", model, "--json", env=env)
    assert json.loads(shown.stdout)["exports"] == []
    assert b"there is no such export" in run_model("models", "export", model, "--remove", env=env).stderr
    ranked = run_model("rank", picture, "-t", "x", "-t", "y", "-m", model, "--device", "cpu", "--json", env=env)
    assert ranked.returncode == 0
    assert json.loads(ranked.stdout)["engine"] == "torch"
    assert ranked.stderr.count(b"\n") == ranked.stderr.count(b"is not used: ") == 2
