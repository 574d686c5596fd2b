"""`-o FILE` and `--open` of a command → its standard output in a file, in the format of its suffix; a page opened."""

from __future__ import annotations

import inspect
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from clipsim.cli.output import ResultFile, mark_write_errors, print_message
from clipsim.cli.parameters import FORMATS, OUTPUT, flag, option, panel_of
from clipsim.cli.signals import clean_up_at_signal
from clipsim.errors import UsageError, printable, system_cause
from clipsim.files import rename_over

_STANDARD_OUTPUT = ("-", "/dev/stdout")
_FORMATS = {
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".html": "html",
    ".htm": "html",
    ".png": "png",
}

OutputFile = Annotated[
    str | None,
    option("--output -o", "FILE", OUTPUT, "Write to this file; its suffix (.json, .csv, …) sets the format."),
]
OpenPage = Annotated[bool, flag("--open", OUTPUT, "Show the HTML page in the browser.")]


def with_output_file(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `-o FILE`, and `--open` where it can print a page.

    The command has a parameter `as_json`, and one `output` where it knows more formats than a table and JSON.
    """
    signature = inspect.signature(command, eval_str=True)
    formats: tuple[str, ...] = ("table", "json")
    if "output" in signature.parameters:
        formats = get_args(get_args(signature.parameters["output"].annotation)[0]) or FORMATS
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter("output_file", keyword, default=None, annotation=OutputFile)]
    if "html" in formats:
        added.append(inspect.Parameter("open_page", keyword, default=False, annotation=OpenPage))

    @wraps(command)
    def call(*, output_file: str | None = None, open_page: bool = False, **values: Any) -> None:
        _choose_format(values, output_file, open_page, formats)
        with _redirected(output_file, open_page):
            command(**values)

    own = [parameter.replace(kind=keyword) for parameter in signature.parameters.values()]
    parameters = sorted((*own, *added), key=panel_of)
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def _choose_format(values: dict[str, Any], name: str | None, open_page: bool, formats: tuple[str, ...]) -> None:
    """Set the format that a suffix and `--open` ask for, where none is given. Raises UsageError for one that is not."""
    suffix = os.path.splitext(name or "")[1].lower()  # noqa: PTH122 (a Path raises for names that are too long)
    chosen = "html" if open_page else _FORMATS.get(suffix)
    current = "json" if values.get("as_json") else values.get("output", "table")
    if open_page and (values.get("paths") or current not in ("table", "html")):
        raise UsageError("--open shows a page; give it without another format")
    if open_page and _FORMATS.get(suffix, "html") != "html":
        raise UsageError("--open shows a page, whose name ends in .html", parameter="output", value=name)
    if name == "":
        raise UsageError("--output: the name of the file is empty")
    if chosen is None or values.get("paths") or current != "table":
        return
    if chosen not in formats:
        known = f"{', '.join(formats[:-1])} or {formats[-1]}"
        raise UsageError(f"this command prints {known}, not {chosen}", parameter="output", value=name)
    if "output" in values:
        values["output"] = chosen
    else:
        values["as_json"] = chosen == "json"


@contextmanager
def _redirected(name: str | None, open_page: bool) -> Iterator[None]:
    """Let standard output be a file while a command runs: written beside it, and renamed where the command ends well.

    Nothing is left of a run that ends by an error; an earlier file of that name stays then.
    """
    named = name not in (None, *_STANDARD_OUTPUT)
    if not named and not open_page:
        yield
        return
    path = os.path.realpath(str(name) if named else os.path.join(tempfile.mkdtemp(prefix="clipsim-"), "page.html"))  # noqa: PTH118
    draft, stream = _open_draft(path)
    if named:
        stream.page_folder = Path(path).parent

    def remove_draft() -> None:
        if draft != path:
            with suppress(OSError):
                os.unlink(draft)  # noqa: PTH108

    stdout, sys.stdout = sys.stdout, stream
    with clean_up_at_signal(remove_draft):
        try:
            try:
                yield
            except typer.Exit:
                if stream.tell():
                    _finish(stream, draft, path)
                raise
            _finish(stream, draft, path)
        finally:
            sys.stdout = stdout
            with suppress(OSError):
                stream.close()
            remove_draft()
    if open_page:
        _show(path, named=named)


def _open_draft(path: str) -> tuple[str, ResultFile]:
    """A file beside the one that is written, or a pipe or device itself. Raises UsageError."""
    folder, base = os.path.split(path)
    try:
        mode = os.stat(path).st_mode if os.path.lexists(path) else stat.S_IFREG  # noqa: PTH116
        draft = os.path.join(folder, f".{base}.{os.getpid()}.tmp") if stat.S_ISREG(mode) else path  # noqa: PTH118
        return draft, ResultFile(Path(draft).open("wb"), "utf-8", sys.getfilesystemencodeerrors(), newline="\n")
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot write it: {system_cause(error)}", parameter="output", value=path) from error


def _finish(stream: ResultFile, draft: str, path: str) -> None:
    """Give the file its name. Raises WriteError."""
    with mark_write_errors():
        stream.close()  # Windows renames no open file
        if draft != path:
            rename_over(draft, path)


def _show(path: str, *, named: bool) -> None:
    """Open a page in the browser, and name it where the user has not, or has no browser."""
    import webbrowser

    opened = webbrowser.open(Path(path).as_uri())
    if not opened or not named:
        print_message(
            "note", f"{'the page is' if opened else 'no browser could be opened; the page is'} {printable(path)}"
        )
