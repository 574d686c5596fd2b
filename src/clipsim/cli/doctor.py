"""`clipsim doctor`: the report of `diagnosis` → a table or JSON, and an exit status."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import NOTHING_DONE, exit_status
from clipsim.cli.output import print_message, print_table, write
from clipsim.cli.progress import progress_bar
from clipsim.errors import printable
from clipsim.render.safe_json import to_json

if TYPE_CHECKING:
    from rich.table import Table

    from clipsim.cli.diagnosis import Report


def doctor_command(as_json: shared.AsJson = False) -> None:
    """Report what clipsim runs on, and check the bundled model against known answers.

    Example: `clipsim doctor` (its output is what a bug report needs)
    """
    with exit_status():
        with progress_bar(quiet=False) as bar:
            bar.step("checking")
            from clipsim.cli.diagnosis import examine  # imports torch

            report = examine()
        if as_json:
            write(to_json(report.to_dict()) + "\n")
        else:
            print_table(_draw(report))
        if not report.passed:
            print_message("error", "a check failed; the report above says which")
            raise typer.Exit(NOTHING_DONE)


def _draw(report: Report) -> Table:
    from rich.table import Table
    from rich.text import Text

    chosen = "chosen by you" if report.default_chosen else "the bundled one, as none was chosen"
    table = Table.grid(padding=(0, 2))
    _section(table, "system", report.system.items())
    _section(table, "packages", ((name, found or "not installed") for name, found in report.packages.items()))
    runs = {
        "device": report.device,
        "precision": report.precision,
        "default model": f"{report.default_model} ({chosen})",
    }
    _section(table, "runs on", runs.items())
    _section(table, "folders", report.folders.items())
    _section(table, "environment", report.environment.items())
    _section(table, "models here", ((model.name, f"{model.bytes / 1e6:,.1f} MB") for model in report.models))
    table.add_row(Text("checks", style="bold"), "")
    for check in report.checks:
        found = check.error or f"within {check.difference:.0e} of the known cosines"
        mark = Text("ok  " if check.passed else "FAILED  ", style="green" if check.passed else "bold red")
        table.add_row(Text(f"  {check.device} {check.precision}"), mark.append(printable(found, 200), style="default"))
    for problem in report.problems:
        table.add_row(Text("  problem", style="bold red"), Text(problem))
    return table


def _section(table: Table, title: str, rows: Iterable[tuple[str, str]]) -> None:
    from rich.text import Text

    table.add_row(Text(title, style="bold"), "")
    for name, value in rows:
        table.add_row(Text(f"  {name}"), Text(printable(value)))
