"""`FastCommand` and `FastGroup` against Typer's own classes: the same values, or an error of the same kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import typer
from cli.conftest import Clipsim
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.main import get_command

from clipsim.cli.cache import prune_command
from clipsim.cli.doctor import doctor_command
from clipsim.cli.evaluate import evaluate_command
from clipsim.cli.export import export_command
from clipsim.cli.models import list_command, pull_command, show_command, use_command
from clipsim.cli.parsing import FastCommand, FastGroup
from clipsim.cli.rank import rank_command
from clipsim.cli.threshold import compare_command, threshold_command

COMMANDS: dict[str, Callable[..., None]] = {
    "rank": rank_command,
    "evaluate": evaluate_command,
    "threshold": threshold_command,
    "compare": compare_command,
    "doctor": doctor_command,
    "export": export_command,
    "show": show_command,
    "pull": pull_command,
    "use": use_command,
    "prune": prune_command,
}
Received = dict[str, Any]


def build(fast: bool, received: Received) -> Any:
    """The commands with the parameters that they have, which only note what they are called with."""

    def record(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def call(*arguments: Any, **values: Any) -> None:
            values.pop("context", None)
            received[command.__name__] = values

        return call

    app = typer.Typer(cls=FastGroup) if fast else typer.Typer()
    app.callback(invoke_without_command=True)(record(list_command))
    for name, command in COMMANDS.items():
        app.command(name, cls=FastCommand if fast else None)(record(command))
    return get_command(app)


RECEIVED: dict[bool, Received] = {True: {}, False: {}}
APPS = {fast: build(fast, received) for fast, received in RECEIVED.items()}


def parse(fast: bool, arguments: list[str]) -> tuple[Received, str | None]:
    """What the commands received, and the kind of the error that ended the parsing."""
    received = RECEIVED[fast]
    received.clear()
    try:
        APPS[fast].main(list(arguments), standalone_mode=False)
    except Exception as error:
        return dict(received), f"{type(error).__name__} {getattr(error, 'exit_code', None)}"
    return dict(received), None


VECTORS = [
    [],
    ["--json", "--filter", "ViT", "--cached"],
    ["rank"],
    ["rank", "a.png", "b c.png", "-t", "maze", "--text", "a cat", "-t", ""],
    ["rank", "-tmaze", "--text=cat", "--", "-t", "--top"],
    ["rank", "-", "-q", "--top", "3", "--batch-size=16", "--workers", "256"],
    ["rank", "--format", "jsonl", "--on-error", "fail", "--precision", "bf16", "--sort-by", "cat"],
    ["rank", "--template", "a {}", "--template", "b {}", "--text-file", "x", "--text-file", "-"],
    ["rank", "--json", "--exact", "--no-cache", "--truncate", "--quiet"],
    ["rank", "--device", "", "--engine", "anything", "--model", "-m", "--weights", "--json"],
    ["evaluate"],
    ["evaluate", "data", "-m", "a", "-m", "b", "--seed", "3", "--task", "pairs", "--template-set", "a={}"],
    ["compare", "a.json", "b.json", "--json"],
    ["threshold", "a cat", "dog", "--positives", "x", "--positives", "y", "-o", "t.json", "--recall", "0.9"],
    *(["evaluate", "d", "--min-similarity", number] for number in ("0.25", "1", "-0.5", "1e-3", ".5", "x", "", "5.")),
    *(["evaluate", "d", "--seed", number] for number in ("0", "-1", "x", "99999999999999999999")),
    *(["rank", "--top", number] for number in ("0", "-1", "x", "", "007", "+5", " 5", "1_0", "5.0", "٣", "1e3")),
    *(["rank", "--batch-size", number] for number in ("0", "65536", "65537", "99999999999", "9" * 5000)),
    *(["rank", "--format", word] for word in ("", "JSON", "yaml", "table ", "Format.json")),
    ["rank", "--precision", "int8"],
    ["rank", "caf\udce9.jpg", "-t", "\udcff"],
    ["rank", "--no-such-option"],
    ["rank", "--top"],
    ["rank", "--json=yes"],
    ["show"],
    ["show", "a", "b"],
    ["show", "ViT-B/32", "--json"],
    ["show", ""],
    ["use", "x"],
    ["pull"],
    ["export", "x", "--int8", "--weights", "w", "--remove"],
    ["prune", "--older-than", "3d", "--max-size", ""],
    ["doctor", "x"],
    ["nonsense"],
    ["--", "-t"],
    ["--", "nonsense"],
]


@pytest.mark.parametrize("arguments", VECTORS, ids=lambda arguments: repr(" ".join(arguments))[1:40])
def test_the_same_values_as_typer(arguments: list[str]) -> None:
    """Every value that a command receives is Typer's own, of the same type, and so is the kind of an error."""
    fast, typers = parse(True, arguments), parse(False, arguments)

    assert fast == typers
    assert str(fast) == str(typers)


WORDS = st.sampled_from(
    [
        "rank", "show", "prune", "-t", "--text", "-m", "--model", "--top", "--batch-size", "--workers", "--format",
        "--json", "--precision", "--on-error", "-0", "-q", "--", "-", "a.png", "1", "0", "-1", "16", "65537", "jsonl",
        "fp16", "skip", "fail", "table", "--filter", "--cached", "--max-size", "x",
    ]
)  # fmt: skip


@given(st.lists(WORDS | st.text(max_size=4), max_size=8))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_same_values_as_typer_for_any_words(arguments: list[str]) -> None:
    """Whatever is typed."""
    assert parse(True, ["rank", *arguments]) == parse(False, ["rank", *arguments])
    assert parse(True, arguments) == parse(False, arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "yaml"], "'yaml' is not one of table, json, jsonl, csv, html"),
        (["--precision", "int8"], "'int8' is not one of fp32, tf32, fp16, bf16"),
        (["--on-error", "stop"], "'stop' is not one of skip, fail, ignore"),
        (["--top", "x"], "'x' is not a whole number from 1"),
        (["--top", "0"], "'0' is not a whole number from 1"),
        (["--batch-size", "0"], "'0' is not a whole number from 1 to 65,536"),
        (["--workers", "1000"], "'1000' is not a whole number from 1 to 256"),
        (["--no-such-option"], "no such option: --no-such-option"),
    ],
)
def test_what_is_wrong_with_a_value_in_plain_words(clipsim: Clipsim, arguments: list[str], message: str) -> None:
    """The option, the value and what it may be; status 2, and none of pydantic's words."""
    done = clipsim("rank", "a.png", "-t", "x", *arguments)
    words = " ".join(done.err.replace("│", " ").split())

    assert (done.status, done.out) == (2, "")
    assert message in words
    assert arguments[0] in words
    assert not {"Input", "Value", "valid", "error,"} & set(words.replace("Invalid value", "").split())
