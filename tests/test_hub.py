"""What pulling a model promises: once, whole, resumed, and one clear line when it cannot be."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import CLOSED_PORT, COMMIT, FakeHub, Fault, clean_environment, run_clipsim
from PIL import Image

from clipsim.errors import WeightsError
from clipsim.models.files import find_files, find_weights, read_config, weights_candidates
from clipsim.models.catalogue import CONFIG_FILE, find_facts
from clipsim.models.names import ModelSpec

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
    return run_clipsim("models", "pull", name, home=home, endpoint=endpoint, **settings)


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
    """The bytes lie where every other program that uses the cache finds them, and the line names the place."""
    done = pull(hub, tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"clipsim: note: {NAME} is on this machine: {pulled(tmp_path)}\n"
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]
    assert not list(tmp_path.rglob("*.incomplete"))


def test_a_second_pull_touches_no_network(hub: FakeHub, tmp_path: Path) -> None:
    """What is here is not asked for again."""
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


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub: FakeHub, tmp_path: Path) -> None:
    """The host that large files are redirected to never sees the user's token."""
    assert pull(hub, tmp_path, HF_TOKEN="hf_secret").returncode == 0
    files = [request for request in hub.requests if "/resolve/" in request.path]
    assert {request.authorization for request in files if request.path.startswith("/store/")} == {None}
    assert {request.authorization for request in files if request not in hub.bodies()} == {"Bearer hf_secret"}


def test_a_broken_download_is_resumed_by_the_next_pull(hub: FakeHub, tmp_path: Path) -> None:
    """The second pull asks for the rest only, and the file is whole; until then nothing takes the part for a model."""
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


def test_a_connection_that_ends_early_is_taken_up_again_at_once(hub: FakeHub, tmp_path: Path) -> None:
    """A single interruption costs a second, not the download."""
    hub.faults[f"store/{REPOSITORY}/resolve/main/{WEIGHTS}"] = Fault(cut_after=100_000, times=1)
    done = pull(hub, tmp_path)
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]


def test_a_remainder_that_does_not_fit_is_thrown_away(hub: FakeHub, tmp_path: Path) -> None:
    """Bytes that are not the file's own are noticed by the hash, and the pull after that starts anew."""
    assert pull(hub, tmp_path).returncode == 0
    blob = pulled(tmp_path).resolve()
    pulled(tmp_path).unlink()
    blob.rename(blob.with_name(f"{blob.name}.incomplete")).write_bytes(b"x" * 1000)
    assert "is damaged" in error_line(pull(hub, tmp_path))
    assert not pulled(tmp_path).exists()
    assert pull(hub, tmp_path).returncode == 0
    assert pulled(tmp_path).read_bytes() == hub.repositories[REPOSITORY][WEIGHTS]


def test_an_unfinished_file_that_is_too_long_is_replaced(hub: FakeHub, tmp_path: Path) -> None:
    """Nobody is left with a download that can neither go on nor begin."""
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
    assert line.startswith(f"{REPOSITORY}: the download is damaged")
    assert not [path for path in cache(tmp_path).rglob("*") if path.is_file() and path.stat().st_size >= 300_000]


@pytest.mark.parametrize(
    ("fault", "cause", "remedy"),
    [
        (Fault(status=404, code="RepoNotFound"), "has no such repository", "'hf auth login' if it is private"),
        (Fault(status=401), "the Hub answered 401", "'hf auth login' with a token that may read it"),
        (Fault(status=401, code="GatedRepo"), "ask for consent to terms", "accept them on the Hub"),
        (Fault(status=403, code="GatedRepo"), "ask for consent to terms", "accept them on the Hub"),
        (Fault(status=500), "the Hub answered 500", f"try again later with 'clipsim models pull {NAME}'"),
        (Fault(status=403), "the Hub answered 403", "'hf auth login' with a token that may read it"),
        (Fault(status=404, code="EntryNotFound"), f"has none of {WEIGHTS}", "choose another"),
    ],
    ids=["404", "401", "gated", "gated for you", "500", "403", "no weights"],
)
def test_what_the_hub_refuses_is_one_line(hub: FakeHub, tmp_path: Path, fault: Fault, cause: str, remedy: str) -> None:
    """Repository, cause and remedy stand in the line; the status is 1."""
    for file in ("safetensors", "bin"):
        hub.faults[file] = fault
    line = error_line(pull(hub, tmp_path))
    assert line.startswith(f"{REPOSITORY}: ")
    assert cause in line
    assert remedy in line


def test_a_download_that_fails_while_the_body_is_sent_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """The other host can refuse what the hub has promised."""
    hub.faults[f"store/{REPOSITORY}/resolve/main/{WEIGHTS}"] = Fault(status=503)
    assert "the Hub answered 503; try again later" in error_line(pull(hub, tmp_path))


def test_without_a_network_the_line_says_how_to_pull(tmp_path: Path) -> None:
    """A closed port is told at once, not after half a minute of retries."""
    line = error_line(pull(CLOSED_PORT, tmp_path))
    assert re.sub(r"\(.*refused.*\)", "(refused)", line) == (
        f"{REPOSITORY}: not on this machine, and the download failed (refused); "
        f"when online, 'clipsim models pull {NAME}' fetches it\n"
    )


def test_a_slow_hub_is_given_up_in_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """A hub that does not answer within the time that the user allows is a failure like another."""
    hub.faults[WEIGHTS] = Fault(delay=3)
    line = error_line(pull(hub, tmp_path, HF_HUB_ETAG_TIMEOUT="1"))
    assert line.startswith(f"{REPOSITORY}: not on this machine, and the download failed (")


def test_offline_mode_is_named_as_the_cause(hub: FakeHub, tmp_path: Path) -> None:
    """HF_HUB_OFFLINE is obeyed, and the line says that it was."""
    line = error_line(pull(hub, tmp_path, HF_HUB_OFFLINE="1"))
    assert line == (
        f"{REPOSITORY}: not on this machine, and HF_HUB_OFFLINE forbids to download it; "
        f"unset it for 'clipsim models pull {NAME}'\n"
    )
    assert hub.requests == []


def test_a_disk_without_room_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """A write that the system refuses is told as such, not as a failure of the network."""
    resource = pytest.importorskip("resource", reason="limits of a process are a matter of POSIX")
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


def test_a_tokenizer_that_cannot_be_had_is_one_line(hub: FakeHub, tmp_path: Path) -> None:
    """The parts of a model that lie in another repository fail as clearly as the weights."""
    facts = find_facts("roberta-ViT-B-32/laion2b_s12b_b32k")
    assert facts is not None
    assert facts.repository is not None
    assert facts.tokenizer == "roberta-base"
    hub.repositories[facts.repository] = {weights_candidates(facts)[0]: b"tensors"}
    assert error_line(pull(hub, tmp_path, facts.name)).startswith("roberta-base: the Hub has no such repository")
    assert error_line(pull(CLOSED_PORT, tmp_path, facts.name)).startswith("roberta-base: not on this machine")
    hub.repositories["roberta-base"] = {"config.json": b"{}"}
    assert error_line(pull(hub, tmp_path, facts.name)).startswith("roberta-base: has no tokenizer.json")


def test_a_tokenizer_is_pulled_with_the_weights_once(hub: FakeHub, tmp_path: Path) -> None:
    """Small text files only: no code, no second set of weights; and no network when they are here."""
    facts = find_facts("ViT-B-16-SigLIP/webli")
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
    """`--model hf-hub:ORG/REPO` downloads, ranks, and ranks again to the same digits with the hub switched off."""
    picture = tmp_path / "wide.png"
    Image.new("RGB", (60, 40), "red").save(picture)
    command = f"rank {picture} -t red -t cat --json --device cpu --model hf-hub:{TINY}".split()
    with FakeHub() as hub:
        hub.repositories[TINY] = tiny_repository()
        first = run_clipsim(*command, home=tmp_path, endpoint=hub.url)
    assert first.returncode == 0, first.stderr
    result = json.loads(first.stdout)
    assert result["model"]["embed_dim"] == 16
    assert result["model"]["image_size"] == 32
    assert [len(row) for row in result["similarity"]] == [1, 1]
    again = run_clipsim(*command, home=tmp_path)
    assert (again.returncode, again.stdout) == (0, first.stdout)


def test_a_model_that_asks_for_code_is_refused_before_its_weights_are_fetched(tmp_path: Path) -> None:
    """`trust_remote_code` in the configuration ends the pull, however it is spelt."""
    config = json.dumps(TINY_CONFIG).replace('"context_length"', '"trust\\u005fremote_code": true, "context_length"')
    with FakeHub() as hub:
        hub.repositories[TINY] = {CONFIG_FILE: config.encode(), WEIGHTS: b"tensors"}
        done = pull(hub, tmp_path, f"hf-hub:{TINY}")
        assert "clipsim runs no code that comes with a model" in error_line(done)
        assert hub.bodies() == []


def test_a_repository_that_is_not_of_openclip_is_an_error(hub: FakeHub, tmp_path: Path) -> None:
    """The line names the file that was expected."""
    hub.repositories[TINY] = {"config.json": b"{}"}
    assert error_line(pull(hub, tmp_path, f"hf-hub:{TINY}")).startswith(f"{TINY}: has none of {CONFIG_FILE}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"model_cfg": 3}',
        '{"model_cfg": {"embed_dim": 16}}',
        '{"model_cfg": {"embed_dim": 16, "vision_cfg": [], "text_cfg": {}}}',
        '{"model_cfg": {"embed_dim": 16, "vision_cfg": {}, "text_cfg": null}}',
        '{"model_cfg": {"embed_dim": "16", "vision_cfg": {}, "text_cfg": {}}}',
        '{"model_cfg": {"embed_dim": 16, "vision_cfg": {}, "text_cfg": {"hf_model_name": {"a": 1}}}}',
        '{"a":' * 100_000,
        "\udcff",
    ],
)
def test_a_damaged_configuration_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    """Whatever stands in the file, it is a WeightsError and never another exception."""
    config = tmp_path / CONFIG_FILE
    config.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(WeightsError, match=CONFIG_FILE):
        read_config(config)


def test_a_configuration_that_asks_for_code_is_refused(tmp_path: Path) -> None:
    """Code that comes with a model is never run, nor is the wish for it hidden by an escape."""
    config = tmp_path / CONFIG_FILE
    for spelling in ("trust_remote_code", "trust\\u005fremote_code"):
        config.write_text(json.dumps(TINY_CONFIG | {"x": 0}).replace('"x": 0', f'"x": {{"{spelling}": true}}'))
        with pytest.raises(WeightsError, match="runs no code"):
            read_config(config)
    config.write_text(json.dumps(TINY_CONFIG))
    assert read_config(config) == TINY_CONFIG


def test_a_folder_without_configuration_or_weights_is_an_error(tmp_path: Path) -> None:
    """Nothing is made up for what is missing: neither an architecture nor random weights."""
    spec = ModelSpec(str(tmp_path), "directory", path=tmp_path)
    with pytest.raises(WeightsError, match=f"no {CONFIG_FILE} in this folder"):
        find_files(spec)
    (tmp_path / CONFIG_FILE).write_text(json.dumps(TINY_CONFIG))
    with pytest.raises(WeightsError, match=f"no weights in this folder; expected {WEIGHTS}"):
        find_files(spec)
    (tmp_path / WEIGHTS).write_bytes(b"tensors")
    assert find_files(spec).weights == tmp_path / WEIGHTS


def test_the_bundled_model_is_always_on_this_machine() -> None:
    """It comes with the package."""
    facts = find_facts("clipsim-mini")
    assert facts is not None
    assert find_weights(facts) is not None
