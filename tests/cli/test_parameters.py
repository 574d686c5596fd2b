"""The options that commands share: the same words everywhere, in the same groups."""

from __future__ import annotations

import pytest
from cli.conftest import Clipsim

from clipsim.cli.app import command_line
from clipsim.cli.parameters import (
    PANELS,
    Run,
    check_standard_input,
    choose_format,
    parse_age,
    parse_size,
)
from clipsim.errors import UsageError

COMMANDS = command_line().commands
WITH_A_MODEL = ("rank", "search", "embed", "duplicates", "overview", "explain", "evaluate", "threshold", "serve")


@pytest.mark.parametrize("name", WITH_A_MODEL)
def test_groups_of_help(clipsim: Clipsim, name: str) -> None:
    """They come in one order, and every option is in one of them."""
    out = clipsim(name, "--help").out
    shown = [panel for panel in PANELS if f"─ {panel} ─" in out]

    assert [out.index(f"─ {panel} ─") for panel in shown] == sorted(out.index(f"─ {panel} ─") for panel in shown)
    assert {"Model", "Run"} <= set(shown)


@pytest.mark.parametrize(
    ("option", "commands"),
    [
        ("--preprocess", WITH_A_MODEL),
        ("--quiet", WITH_A_MODEL),
        ("--include", ("rank", "search", "embed", "duplicates", "overview", "threshold", "evaluate")),
        ("--exclude", ("rank", "search", "embed", "duplicates", "overview", "threshold", "evaluate")),
        ("--from-file", ("rank", "search", "embed", "duplicates", "overview", "threshold")),
        ("--min-similarity", ("search", "duplicates", "evaluate")),
        ("--thresholds", ("rank", "search")),
        ("--preview", ("rank", "search", "duplicates", "overview", "explain", "evaluate")),
        ("--paths", ("rank", "search", "duplicates", "overview")),
        ("-l", ("rank", "search", "duplicates", "overview")),
        ("-0", ("rank", "search", "duplicates", "overview")),
    ],
)
def test_the_same_word_in_every_command(option: str, commands: tuple[str, ...]) -> None:
    """An option that goes with all images is there wherever images are."""
    assert [name for name in commands if not any(option in one.opts for one in COMMANDS[name].params)] == []


def test_what_was_chosen_becomes_the_records() -> None:
    """One place makes them."""
    run = Run(model="a", device="cpu", precision="fp32", batch_size=4, on_error="fail", no_cache=True)

    models, options = run.options("a", "b")
    assert [(model.model, model.precision) for model in models] == [("a", "fp32"), ("b", "fp32")]
    assert (options.batch_size, options.on_error, options.cache) == (4, "fail", False)


def test_formats_that_contradict() -> None:
    """Each pair is named."""
    assert choose_format("table", as_json=True) == "json"
    for as_json, paths in ((True, False), (False, True)):
        with pytest.raises(UsageError, match="--"):
            choose_format("csv", as_json, paths)
    with pytest.raises(UsageError, match="--null"):
        choose_format("table", False, False, True)


def test_standard_input_is_read_once() -> None:
    """Two readers of one stream would each get a part."""
    check_standard_input("-", "a", None)
    with pytest.raises(UsageError, match="only once: for images or for texts"):
        check_standard_input("-", "-", what="for images or for texts")


def test_sizes_and_ages() -> None:
    """As a user writes them."""
    assert (parse_size("2GB"), parse_age("30d")) == (2_000_000_000, 2_592_000.0)
    for parse, text in ((parse_size, "large"), (parse_age, "3 months")):
        with pytest.raises(UsageError, match="is written like"):
            parse(text)
