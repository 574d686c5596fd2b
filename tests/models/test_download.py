"""Tests of `models.download` by `clipsim models pull`: once, complete, resumed, and one line where it fails."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hub_server import CLOSED_PORT, COMMIT, FakeHub, Fault, clean_environment, commit_of, run_clipsim
from PIL import Image

from clipsim.models.catalogue import CONFIG_FILE, find_model_info
from clipsim.models.files import weights_candidates

NAME = "ViT-B-32/laion2b_s34b_b79k"
REPOSITORY = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
WEIGHTS = "open_clip_model.safetensors"
TINY = "someone/tiny-clip"
TINY_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
    },
    "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub() as running:
        running.repositories[REPOSITORY] = {WEIGHTS: random.Random(1).randbytes(300_000), CONFIG_FILE: b"{}"}
        yield running


def pull(hub: FakeHub | str, home: Path, name: str = NAME, **settings: str) -> subprocess.CompletedProcess[str]:
    endpoint = hub if isinstance(hub, str) else hub.url
    return run_clipsim("models", "pull", name, "--no-export", home=home, endpoint=endpoint, **settings)


def cache(home: Path, repository: str = REPOSITORY) -> Path:
    return home / "hf" / "hub" / f"models--{repository.replace('/', '--')}"


def pulled(home: Path) -> Path:
    return cache(home) / "snapshots" / COMMIT / WEIGHTS


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that failed as it should."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("clipsim: error: ")
    return done.stderr.removeprefix("clipsim: error: ")


def test_pull_downloads_the_weights_into_the_hugging_face_cache(hub: FakeHub, tmp_path: Path) -> None:
    """The bytes are where other programs that use the cache find them, and the line names the path."""
    done = pull(hub, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"clipsim: note: {NAME} is on this machine: {pulled(tmp_path)}\n"
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]
    assert not list(tmp_path.rglob("*.incomplete"))


def test_a_second_pull_touches_no_network(hub: FakeHub, tmp_path: Path) -> None:
    """A cached file is not requested again."""
    assert pull(hub, tmp_path).returncode == 0
    asked = len(hub.requests)
    assert asked > 0
    assert pull(hub, tmp_path).returncode == 0
    assert len(hub.requests) == asked
    assert pull(CLOSED_PORT, tmp_path, HF_HUB_OFFLINE="1").returncode == 0


def test_the_cache_that_the_environment_names_is_used(hub: FakeHub, tmp_path: Path) -> None:
    """HF_HUB_CACHE moves the downloads."""
    assert pull(hub, tmp_path, HF_HUB_CACHE=str(tmp_path / "elsewhere")).returncode == 0
    assert [path.name for path in (tmp_path / "elsewhere").rglob(WEIGHTS)] == [WEIGHTS]
    assert not cache(tmp_path).exists()


def test_older_weights_are_taken_where_a_repository_has_no_safetensors(hub: FakeHub, tmp_path: Path) -> None:
    """A name that the repository does not have is no failure while another is left."""
    hub.repositories[REPOSITORY] = {"open_clip_pytorch_model.bin": b"tensors"}
    assert pull(hub, tmp_path).returncode == 0
    assert (pulled(tmp_path).parent / "open_clip_pytorch_model.bin").read_bytes() == b"tensors"


def test_the_token_goes_to_the_hub_only(hub: FakeHub, tmp_path: Path) -> None:
    """The host that large files are redirected to never sees the user's token."""
    assert pull(hub, tmp_path, HF_TOKEN="hf_secret").returncode == 0
    files = [request for request in hub.requests if "/resolve/" in request.path]
    assert {request.authorization for request in files if request.path.startswith("/store/")} == {None}
    assert {request.authorization for request in files if request not in hub.bodies()} == {"Bearer hf_secret"}


def test_a_broken_download_is_resumed_by_the_next_pull(hub: FakeHub, tmp_path: Path) -> None:
    """The second pull requests the rest only, and the file is complete; until then the part is not listed as cached."""
    body = random.Random(2).randbytes(24 << 20)  # more than the ten MiB that huggingface_hub writes at once
    hub.repositories[REPOSITORY][WEIGHTS] = body
    hub.faults[f"store/{REPOSITORY}/resolve/main/{WEIGHTS}"] = Fault(cut_after=15 << 20, reset=True, times=1)
    line = error_line(pull(hub, tmp_path))
    assert line.startswith(f"{REPOSITORY}: not on this machine, and the download failed (")
    assert line.endswith(f"when online, 'clipsim models pull {NAME}' fetches it\n")
    assert not pulled(tmp_path).exists()
    [unfinished] = cache(tmp_path).rglob("*.incomplete")
    have = unfinished.stat().st_size
    assert 0 < have < len(body)
    assert NAME not in run_clipsim("models", "--cached", "--json", home=tmp_path).stdout

    assert pull(hub, tmp_path).returncode == 0
    assert [request.range for request in hub.bodies()] == [None, f"bytes={have}-"]
    assert pulled(tmp_path).read_bytes() == body
    assert not unfinished.exists()


@pytest.mark.skipif(huggingface_hub.__version__.startswith("0."), reason="resumed by huggingface_hub from 1.0 on")
def test_a_connection_that_ends_early_is_resumed_at_once(hub: FakeHub, tmp_path: Path) -> None:
    """One interruption does not end the download."""
    hub.faults[f"store/{REPOSITORY}/resolve/main/{WEIGHTS}"] = Fault(cut_after=100_000, times=1)
    done = pull(hub, tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]


def test_an_unfinished_file_with_other_bytes_is_deleted(hub: FakeHub, tmp_path: Path) -> None:
    """The hash shows that the bytes are not the file's own, and the next pull starts from the beginning."""
    assert pull(hub, tmp_path).returncode == 0
    blob = pulled(tmp_path).resolve()
    pulled(tmp_path).unlink()
    blob.rename(blob.with_name(f"{blob.name}.incomplete")).write_bytes(b"x" * 1000)
    assert "was damaged" in error_line(pull(hub, tmp_path))
    assert not pulled(tmp_path).exists()
    assert pull(hub, tmp_path).returncode == 0
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]


def test_an_unfinished_file_that_is_too_long_is_replaced(hub: FakeHub, tmp_path: Path) -> None:
    """A download that cannot be resumed starts again."""
    assert pull(hub, tmp_path).returncode == 0
    blob = pulled(tmp_path).resolve()
    pulled(tmp_path).unlink()
    blob.rename(blob.with_name(f"{blob.name}.incomplete")).write_bytes(b"x" * 400_000)
    assert pull(hub, tmp_path).returncode == 0
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]


def test_bytes_other_than_the_hub_announced_are_never_a_model(hub: FakeHub, tmp_path: Path) -> None:
    """A download whose SHA-256 is wrong is an error, and is deleted."""
    hub.hashes[WEIGHTS] = "0" * 64
    line = error_line(pull(hub, tmp_path))
    assert line.startswith(f"{REPOSITORY}: the download was damaged")
    assert not [path for path in cache(tmp_path).rglob("*") if path.is_file() and path.stat().st_size >= 300_000]


@pytest.mark.parametrize(
    ("fault", "cause", "remedy"),
    [
        (Fault(status=404, code="RepoNotFound"), "has no such repository", "'hf auth login' gives access"),
        (Fault(status=401), "the Hub answered 401", "'hf auth login' with a token that has access"),
        (Fault(status=401, code="GatedRepo"), "access is gated", "accept the authors' terms on the Hub"),
        (Fault(status=403, code="GatedRepo"), "access is gated", "accept the authors' terms on the Hub"),
        (Fault(status=500), "the Hub answered 500", f"try again later with 'clipsim models pull {NAME}'"),
        (Fault(status=403), "the Hub answered 403", "'hf auth login' with a token that has access"),
        (Fault(status=404, code="EntryNotFound"), f"has none of {WEIGHTS}", "choose another"),
    ],
    ids=["404", "401", "gated", "gated for you", "500", "403", "no weights"],
)
def test_a_refusal_by_the_hub_is_one_line(hub: FakeHub, tmp_path: Path, fault: Fault, cause: str, remedy: str) -> None:
    """The line has the repository, the cause and the remedy; the status is 1."""
    for file in ("safetensors", "bin"):
        hub.faults[file] = fault
    line = error_line(pull(hub, tmp_path))
    assert line.startswith(f"{REPOSITORY}: ")
    assert cause in line
    assert remedy in line


def test_a_download_that_fails_while_the_body_is_sent_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """The store can refuse a file that the hub has announced."""
    hub.faults[f"store/{REPOSITORY}/resolve/main/{WEIGHTS}"] = Fault(status=503)
    assert "the Hub answered 503; try again later" in error_line(pull(hub, tmp_path))


def test_without_a_network_the_line_says_how_to_pull(tmp_path: Path) -> None:
    """A refused connection is reported, with the command that downloads later."""
    line = error_line(pull(CLOSED_PORT, tmp_path))
    assert re.sub(r"\(.*refused.*\)", "(refused)", line) == (
        f"{REPOSITORY}: not on this machine, and the download failed (refused); "
        f"when online, 'clipsim models pull {NAME}' fetches it\n"
    )


def test_a_hub_that_does_not_answer_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """A hub that does not answer within the time limit is reported like any other failure."""
    hub.faults[WEIGHTS] = Fault(delay=3)
    line = error_line(pull(hub, tmp_path, HF_HUB_ETAG_TIMEOUT="1"))
    assert line.startswith(f"{REPOSITORY}: not on this machine, and the download failed (")


def test_offline_mode_is_named_as_the_cause(hub: FakeHub, tmp_path: Path) -> None:
    """HF_HUB_OFFLINE is respected, and the line says so."""
    line = error_line(pull(hub, tmp_path, HF_HUB_OFFLINE="1"))
    assert line == (
        f"{REPOSITORY}: not on this machine, and HF_HUB_OFFLINE forbids downloads; "
        f"unset it for 'clipsim models pull {NAME}'\n"
    )
    assert hub.requests == []


def test_a_disk_without_room_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """A write that the system refuses is reported as such, not as a failure of the network."""
    resource = pytest.importorskip("resource", reason="a POSIX limit")
    done = subprocess.run(
        [sys.executable, "-m", "clipsim", "models", "pull", NAME],
        env=clean_environment(tmp_path, hub.url),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert error_line(done) == (
        f"{REPOSITORY}: cannot store the download: File too large; HF_HOME moves the cache to another disk\n"
    )


def test_a_tokenizer_that_cannot_be_downloaded_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """The parts of a model in another repository fail as clearly as the weights."""
    facts = find_model_info("roberta-ViT-B-32/laion2b_s12b_b32k")
    assert facts is not None
    assert facts.repository is not None
    assert facts.tokenizer == "roberta-base"
    hub.repositories[facts.repository] = {weights_candidates(facts)[0]: b"tensors"}
    assert error_line(pull(hub, tmp_path, facts.name)).startswith("roberta-base: the Hub has no such repository")
    assert error_line(pull(CLOSED_PORT, tmp_path, facts.name)).startswith("roberta-base: not on this machine")
    hub.repositories["roberta-base"] = {"config.json": b"{}"}
    assert error_line(pull(hub, tmp_path, facts.name)).startswith("roberta-base: has no tokenizer.json")


def test_a_tokenizer_is_pulled_with_the_weights_once(hub: FakeHub, tmp_path: Path) -> None:
    """Small text files only, no code and no weights; once they are cached, no network is used."""
    facts = find_model_info("ViT-B-16-SigLIP/webli")
    assert facts is not None
    assert facts.repository is not None
    assert facts.tokenizer is not None
    files = dict.fromkeys(("tokenizer.json", "tokenizer_config.json", "config.json", "code.py", "model.bin"), b"{}")
    hub.repositories[facts.tokenizer] = files | {weights_candidates(facts)[0]: b"tensors"}
    assert pull(hub, tmp_path, facts.name).returncode == 0
    snapshot = cache(tmp_path, facts.tokenizer) / "snapshots" / COMMIT
    assert {path.name for path in snapshot.iterdir()} >= {"tokenizer.json", "tokenizer_config.json", "config.json"}
    assert not {"code.py", "model.bin"} & {path.name for path in snapshot.iterdir()}
    asked = len(hub.requests)
    assert pull(hub, tmp_path, facts.name).returncode == 0
    assert len(hub.requests) == asked


def tiny_repository(**text: Any) -> dict[str, bytes]:
    """A repository with a random model of the smallest size."""
    import open_clip
    import torch
    from safetensors.torch import save

    torch.manual_seed(7)
    model = open_clip.CLIP(
        embed_dim=16,
        vision_cfg=TINY_CONFIG["model_cfg"]["vision_cfg"],
        text_cfg=TINY_CONFIG["model_cfg"]["text_cfg"],
    )
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    return {CONFIG_FILE: json.dumps(TINY_CONFIG).encode(), WEIGHTS: save(tensors)}


def test_a_model_of_the_hub_ranks_and_needs_the_hub_only_once(tmp_path: Path) -> None:
    """`--model hf-hub:ORG/REPO` downloads, ranks, and gives the same digits again without the hub."""
    picture = tmp_path / "wide.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    command = f"rank {picture} -t red -t cat --json --device cpu --model hf-hub:{TINY}".split()
    with FakeHub() as hub:
        hub.repositories[TINY] = tiny_repository()
        first = run_clipsim(*command, home=tmp_path, endpoint=hub.url, preloaded=["torch"])
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    assert result["model"]["embed_dim"] == 16
    assert result["model"]["image_size"] == 32
    assert [len(row) for row in result["similarity"]] == [1, 1]
    again = run_clipsim(*command, home=tmp_path, preloaded=["torch"])
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_a_model_that_asks_for_code_is_refused_before_its_weights_are_fetched(tmp_path: Path) -> None:
    """`trust_remote_code` in the configuration ends the pull, escaped or not."""
    config = json.dumps(TINY_CONFIG).replace('"context_length"', '"trust\\u005fremote_code": true, "context_length"')
    with FakeHub() as hub:
        hub.repositories[TINY] = {CONFIG_FILE: config.encode(), WEIGHTS: b"tensors"}
        done = pull(hub, tmp_path, f"hf-hub:{TINY}")
        assert "clipsim runs no code that comes with a model" in error_line(done)
        assert hub.bodies() == []


def test_a_repository_without_openclips_files_is_an_error(hub: FakeHub, tmp_path: Path) -> None:
    """The line names the file that was expected."""
    hub.repositories[TINY] = {"config.json": b"{}"}
    assert error_line(pull(hub, tmp_path, f"hf-hub:{TINY}")).startswith(f"{TINY}: has none of {CONFIG_FILE}")


@pytest.mark.parametrize("revision", ["v2.0", "refs/pr/1", "commit"])
def test_a_revision_is_downloaded_once_beside_the_main_branch(hub: FakeHub, tmp_path: Path, revision: str) -> None:
    """A tag, a branch with slashes, the hash of a commit: each has weights of its own in the cache."""
    branch = "v1" if revision == "commit" else revision
    revision = commit_of(f"{TINY}@v1") if revision == "commit" else revision
    tiny = {CONFIG_FILE: json.dumps(TINY_CONFIG).encode(), WEIGHTS: b"tensors of it"}
    hub.repositories[f"{TINY}@{branch}"] = tiny
    hub.repositories[TINY] = tiny | {WEIGHTS: b"tensors"}
    for name, content in ((f"hf-hub:{TINY}@{revision}", b"tensors of it"), (f"hf-hub:{TINY}", b"tensors")):
        done = pull(hub, tmp_path, name)
        assert done.returncode == 0, done.stderr
        assert Path(done.stderr.strip().rpartition(": ")[2]).read_bytes() == content
    asked = len(hub.requests)
    assert pull(hub, tmp_path, f"hf-hub:{TINY}@{revision}").returncode == 0
    assert len(hub.requests) == asked


def test_a_revision_that_is_not_there_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """As is one that could lead out of the cache, which is not asked for."""
    hub.repositories[TINY] = {CONFIG_FILE: json.dumps(TINY_CONFIG).encode(), WEIGHTS: b"tensors"}
    assert "not the revision" in error_line(pull(hub, tmp_path, f"hf-hub:{TINY}@v9"))
    asked = len(hub.requests)
    for revision in ("", "../main", "a/../b", "/main", "a//b", "x y", "-n"):
        line = error_line(pull(hub, tmp_path, f"hf-hub:{TINY}@{revision}"))
        assert "is a branch, a tag or the hash of a commit" in line
    assert len(hub.requests) == asked


def test_weights_in_several_files_are_downloaded_together(hub: FakeHub, tmp_path: Path) -> None:
    """Those that the index lists, once, and no file outside the repository."""
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    files = {f"model-0000{part}-of-00002.safetensors": bytes([part]) * 9 for part in (1, 2)}
    config = {CONFIG_FILE: json.dumps(TINY_CONFIG).encode()}
    name = "open_clip_model.safetensors.index.json"
    hub.repositories[TINY] = config | files | {name: json.dumps(index).encode()}
    assert pull(hub, tmp_path, f"hf-hub:{TINY}").returncode == 0
    folder = cache(tmp_path, TINY) / "snapshots" / COMMIT
    assert {path.name: path.read_bytes() for path in folder.glob("model-*")} == files

    outside = {"weight_map": {"a": "../../x.safetensors"}}
    hub.repositories["someone/else"] = config | {name: json.dumps(outside).encode()}
    assert "not a file of weights in its folder" in error_line(pull(hub, tmp_path, "hf-hub:someone/else"))


def test_a_repository_of_sentence_transformers_is_downloaded(hub: FakeHub, tmp_path: Path) -> None:
    """The files in the folder of its CLIP model, without those of its other folders and without its code."""
    config = {"model_type": "clip", "architectures": ["CLIPModel"], "text_config": {}, "vision_config": {}}
    files = {"config.json": json.dumps(config).encode(), "model.safetensors": b"tensors", "tokenizer.json": b"{}"}
    files["preprocessor_config.json"] = b"{}"  # with the tokenizer, before the first image is prepared
    inside = {f"0_CLIPModel/{name}": body for name, body in files.items()}
    hub.repositories[TINY] = inside | {"modules.json": b"[]", "code.py": b"x", "1_Dense/pytorch_model.bin": b"y"}
    done = pull(hub, tmp_path, f"hf-hub:{TINY}")
    folder = cache(tmp_path, TINY) / "snapshots" / COMMIT
    assert "no image processor" not in done.stderr
    assert done.stderr.endswith(f"{folder / '0_CLIPModel' / 'model.safetensors'}\n"), done.stderr
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} == set(inside)


def test_the_first_run_prepares_images_as_the_repository_says(hub: FakeHub, tmp_path: Path) -> None:
    """Its image processor is there before the settings are read, not only from the second run on."""
    config = {"model_type": "clip", "architectures": ["CLIPModel"], "text_config": {}, "vision_config": {}}
    odd = {"image_processor_type": "CLIPImageProcessor", "resample": 0}
    files = {"config.json": config, "tokenizer.json": {}, "preprocessor_config.json": odd}
    hub.repositories[TINY] = {name: json.dumps(body).encode() for name, body in files.items()}
    hub.repositories[TINY]["model.safetensors"] = b"tensors"
    assert "resample 0" in error_line(pull(hub, tmp_path, f"hf-hub:{TINY}"))
    assert hub.bodies() == []
