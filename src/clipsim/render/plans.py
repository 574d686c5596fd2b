"""`PlanResult` → a table for the terminal, and the line below it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from clipsim.errors import pluralise, printable
from clipsim.render.json import KEYWORD_SEPARATOR
from clipsim.results.plans import FileStep, PlanResult

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = ("action", "image", "to", "kept", "label", "probability", "similarity")
FIGURES = ("probability", "similarity")
UNCHANGED = "Nothing was changed; --yes carries it out."
_ACTIONS = {  # what is going to happen to files, and what has happened
    "copy": ("to copy", "copied"),
    "link": ("to link to", "linked to"),
    "move": ("to move", "moved"),
    "hardlink": ("to replace by hard links", "replaced by hard links"),
    "write": ("to write", "written"),
}


def build_plan_table(result: PlanResult) -> Iterator[RenderableType]:
    """Title, and a line a file; columns without a value are left out."""
    from clipsim.render.parts import FigureTable, title

    yield title(result.model, f"clipsim {result.command}", _count(result))
    rows = [_describe(step) for step in result.steps]
    columns = [name for name in COLUMNS if any(row[name] for row in rows)]
    if rows:
        names = sum(name not in FIGURES for name in columns)
        yield FigureTable(columns, ([row[name] for name in columns] for row in rows), numbers_from=names)


def _describe(step: FileStep) -> dict[str, str]:
    """The cells of a step, by their columns."""
    kept = step.keeper if step.keeper != step.target else None
    cells = {
        "action": step.action,
        "image": printable(step.source),
        "to": printable(step.target or ""),
        "kept": printable(kept or ""),
        "label": printable(KEYWORD_SEPARATOR.join(step.labels)),
        "probability": "" if step.probability is None else f"{step.probability:.1%}",
        "similarity": "" if step.similarity is None else f"{step.similarity:.4f}",
    }
    return cells | ({"similarity": ""} if step.probability is not None else {})


def summarise_plan(result: PlanResult) -> str:
    """One line below the table: what is going to happen, or has happened."""
    are = "it is" if len(result.left) == 1 else "they are"
    left = f"; {pluralise(len(result.left), 'image')} left as {are}" if result.left else ""
    if not result.steps:
        return f"Nothing to do{left}."
    if result.command == "undo":
        if result.applied:
            return f"{result.done:,} of {_count(result)} taken back."
        return f"{_count(result)} to take back. {UNCHANGED}"
    planned, done = _ACTIONS[result.steps[0].action]
    if result.applied:
        return f"{result.done:,} of {_count(result)} {done}{left}."
    return f"{_count(result)} {planned}{left}. {UNCHANGED}"


def _count(result: PlanResult) -> str:
    return pluralise(len(result.steps), "step" if result.command == "undo" else "file")
