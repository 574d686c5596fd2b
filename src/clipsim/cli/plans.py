"""A plan for files → its table or JSON on standard output, and with `--yes` its steps carried out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from clipsim.cli.collections import end_with_failures, report_failures, report_progress
from clipsim.cli.output import NoticePrinter, ResultFile, print_message, print_table, progress_bar, write
from clipsim.cli.parameters import OUTPUT, RUN, Run, flag, option
from clipsim.errors import ImageError, UsageError, printable

if TYPE_CHECKING:
    from clipsim.results.plans import Action, PlanResult
    from clipsim.tasks.file_plans import FilePlan

CopyTo = Annotated[str | None, option("--copy-to", "DIR", OUTPUT, "Copy the images into a folder.")]
LinkTo = Annotated[str | None, option("--link-to", "DIR", OUTPUT, "Make symbolic links to the images in a folder.")]
MoveTo = Annotated[str | None, option("--move-to", "DIR", OUTPUT, "Move the images into a folder.")]
MinProbability = Annotated[
    float | None, option("--min-probability", "P", OUTPUT, "Only labels of at least this probability.")
]
Yes = Annotated[bool, flag("--yes", RUN, "Carry the plan out instead of only printing it.")]


def choose_folder(
    copy_to: str | None = None, link_to: str | None = None, move_to: str | None = None
) -> tuple[Action, str] | None:
    """What to do and where, of the options that say so; None without any. Raises UsageError for several."""
    options: dict[Action, str | None] = {"copy": copy_to, "link": link_to, "move": move_to}
    chosen = [(action, folder) for action, folder in options.items() if folder is not None]
    if len(chosen) > 1:
        raise UsageError("--copy-to, --link-to and --move-to contradict each other; give one")
    if chosen and not chosen[0][1]:
        raise UsageError(f"--{chosen[0][0]}-to needs the name of a folder")
    if chosen and os.path.lexists(chosen[0][1]) and not Path(chosen[0][1]).is_dir():
        raise UsageError(f"--{chosen[0][0]}-to: '{printable(chosen[0][1])}' exists and is not a folder")
    return chosen[0] if chosen else None


def check_yes(chosen: object, yes: bool, output: str, *, paths: bool = False) -> None:
    """Raise UsageError for `--yes` without a plan, and for a format that a plan does not have."""
    if yes and not chosen:
        raise UsageError("--yes carries a plan out, and nothing asks for one; --help lists the options that do")
    if chosen and (paths or output not in ("table", "json")):
        raise UsageError("a plan is printed as a table or as JSON; give it without --paths and with no other --format")


def finish_plan(plan: FilePlan, *, as_json: bool, yes: bool, run: Run, notices: NoticePrinter) -> None:
    """Print a plan, carry it out where the user says so, and end the run with the status that its files give."""
    result = plan.result
    notices.print(result.warnings)
    report_failures(plan.failures)
    if plan.failures and run.on_error == "fail":
        raise ImageError("an image cannot be planned for; nothing was changed")
    if not as_json:
        from clipsim.render.plans import build_plan_table

        print_table(*build_plan_table(result))
    if yes and plan.operations:
        result = _carry_out(plan, as_json, run, notices)
    print_plan_result(result, as_json=as_json)
    if result.errors:
        used = (result.done if result.applied else len(result.steps)) + len(result.left)
        end_with_failures(len(result.errors), used)


def _carry_out(plan: FilePlan, as_json: bool, run: Run, notices: NoticePrinter) -> PlanResult:
    from clipsim.tasks.file_plans import apply
    from clipsim.tasks.journals import Journal

    with Journal(plan.result.command) as journal:
        # before anything happens, so that it is known whatever ends the run
        if not as_json and not isinstance(sys.stdout, ResultFile):
            write(f"To undo: {journal.undo_command}\n")
        elif not run.quiet:
            print_message("note", f"to undo: {journal.undo_command}")
        with progress_bar(quiet=run.quiet) as bar:
            return apply(plan, journal, run.library_on_error, report_progress(bar, notices))


def print_plan_result(result: PlanResult, *, as_json: bool) -> None:
    """Print the JSON of a plan, or the line below its table."""
    if as_json:
        from clipsim.render.json import format_json

        write(format_json(result))
    else:
        from clipsim.render.plans import summarise_plan

        write(summarise_plan(result) + "\n")
