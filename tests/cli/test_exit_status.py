"""Errors of the library, in one line of the command line's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.conftest import Clipsim

from clipsim.cli.exit_status import word_option
from clipsim.errors import ClipsimError, DeviceError, Setting, UsageError


@pytest.mark.parametrize(
    ("error", "python", "command_line"),
    [
        (ClipsimError("no images"), "no images", "no images"),
        (
            DeviceError("no CUDA GPU", parameter="device", value="cuda", hint=Setting("device", "cpu")),
            "device='cuda': no CUDA GPU; try device='cpu'",
            "--device cuda: no CUDA GPU; try --device cpu",
        ),
        (
            UsageError("too long", hint=("cut it with ", Setting("truncate"), " or not")),
            "too long; cut it with truncate=True or not",
            "too long; cut it with --truncate or not",
        ),
        (
            UsageError("not one of the texts", parameter="sort_by", value="light blue"),
            "sort_by='light blue': not one of the texts",
            "--sort-by 'light blue': not one of the texts",
        ),
        (
            UsageError("number 2 is empty", parameter="texts"),
            "texts: number 2 is empty",
            "--text: number 2 is empty",
        ),
        (
            UsageError("no such file", parameter="weights", value="\x1b[31m.pt"),
            "weights='\\x1b[31m.pt': no such file",
            "--weights '\\x1b[31m.pt': no such file",
        ),
        (
            UsageError("goes with one model", parameter="cache", value=False),
            "cache=False: goes with one model",
            "--no-cache: goes with one model",
        ),
        (ClipsimError("device='x'.png: damaged"), "device='x'.png: damaged", "device='x'.png: damaged"),
    ],
)
def test_an_error_is_worded_for_python_and_for_the_command_line(
    error: ClipsimError, python: str, command_line: str
) -> None:
    """The message is the same; parameters are named as each side has them."""
    assert str(error) == python
    assert error.worded(word_option) == command_line


@pytest.mark.usefixtures("colour_model")
def test_a_name_that_looks_like_a_parameter_is_shown_as_it_is(clipsim: Clipsim, colours: Path) -> None:
    """Nothing in a user's own words is rewritten."""
    (colours / "device='x'.png").write_text("not an image")

    ended = clipsim("rank", colours / "red.png", colours / "device='x'.png", "-t", "red", "-t", "truncate=True")
    assert "device='x'.png: " in ended.err
    assert "--device" not in ended.err
    assert "truncate=True" in ended.out


@pytest.mark.usefixtures("colour_model")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--device", "cuda:x"), "--device cuda:x: unknown device; choose auto, cpu, cuda, cuda:N or mps"),
        (("--engine", "onnx", "--device", "cuda"), "--engine onnx: runs on the CPU only; leave out --device cuda"),
        (("--weights", "w.pt"), "--weights w.pt: needs an architecture; give --model ARCHITECTURE"),
        (("--preprocess", "gone.json", "-m", "ViT-B-32", "--weights", "w.pt"), "--weights w.pt: no such file"),
        (("--template", "x"), "--template: 'x' has no {}; write it like 'a photo of a {}.'"),
        (("-t", " "), "--text: number 2 is empty"),
    ],
)
def test_the_command_line_names_its_options(
    clipsim: Clipsim, colours: Path, arguments: tuple[str, ...], message: str
) -> None:
    """One line on standard error, in the words that were typed."""
    ended = clipsim("rank", colours / "red.png", "-t", "red", *arguments)

    assert ended.err.startswith(f"clipsim: error: {message}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize("arguments", [(), ("search", "--nothing"), ("models", "nothing"), ("rank", "--top")])
def test_what_typer_cannot_read_is_one_line(clipsim: Clipsim, arguments: tuple[str, ...]) -> None:
    """Wrong usage, in the form of all errors; a group without a command prints its help."""
    ended = clipsim(*arguments)

    assert ended.status == 2
    assert "Usage" in ended.out + ended.err if not arguments else ended.err.startswith("clipsim: error: ")
    assert "Traceback" not in ended.err


@pytest.mark.usefixtures("colour_model")
def test_ignored_inputs_are_named_once(clipsim: Clipsim, colours: Path) -> None:
    """They do not change the status; an earlier run has named them, until they change; skipping names them always."""
    (colours / "broken.png").write_bytes(b"x")
    asked = ("search", colours, "-t", "red", "--on-error")
    skipping, first, second = (clipsim(*asked, mode, "-q") for mode in ("skip", "ignore", "ignore"))
    uncached = clipsim(*asked, "ignore", "-q", "--no-cache")
    (colours / "broken.png").write_bytes(b"xx")
    changed = clipsim("rank", colours, "-t", "red", "-t", "blue", "--on-error", "ignore", "--format", "jsonl", "-q")
    again = clipsim(*asked, "skip", "-q")
    named, counted = f"clipsim: skipped: {colours / 'broken.png'}: ", "clipsim: warning: 1 of 4 inputs skipped\n"

    assert [ended.status for ended in (skipping, first, second, uncached, changed, again)] == [3, 0, 0, 0, 0, 3]
    assert [ended.err.count(named) for ended in (skipping, first, second, uncached, changed, again)] == [
        1,
        1,
        0,
        1,
        1,
        1,
    ]
    assert second.err == counted
    assert first.out == second.out == skipping.out


@pytest.mark.usefixtures("colour_model")
def test_where_all_is_ignored_nothing_is_done(clipsim: Clipsim, tmp_path: Path) -> None:
    """Status 1, with a line of why there may be none above."""
    (tmp_path / "broken.png").write_bytes(b"x")
    first, second = (clipsim("duplicates", tmp_path, "--on-error", "ignore", "-q") for _ in range(2))

    assert (first.status, second.status) == (1, 1)
    assert "broken.png: " in first.err
    assert "an earlier run has named 1 input of these; --on-error skip names all of them" in second.err
