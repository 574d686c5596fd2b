"""Consoles and pipes of Windows: code pages, UTF-16, no colours, closed readers, Ctrl-C and Ctrl-Break."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.table import Table

from clipsim.cli.output import WriteError, mark_write_errors, print_table, write

Windows = Callable[..., None]
SIMULATED = Path(__file__).parent / "simulated"


class Console(io.TextIOWrapper):
    """A stream as Windows gives it, of a code page and with its line ends; a terminal, if it is one."""

    def __init__(self, encoding: str, *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding, "backslashreplace", newline="\r\n")  # `run` sets how it replaces
        self._terminal = terminal

    def isatty(self) -> bool:
        """Whether it shows what is written."""
        return self._terminal

    @property
    def shown(self) -> str:
        """What was written as text, line by line."""
        self.flush()
        return self.content.decode(self.encoding).replace("\r\n", "\n")

    @property
    def content(self) -> bytes:
        """What was written."""
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


def build_table() -> Table:
    """A table with a name in Latin letters and one that no code page of the West has."""
    table = Table("image", "café")
    table.add_row("猫.jpg", "0.25")
    return table


@pytest.mark.parametrize(
    ("encoding", "lines", "name"),
    [
        ("cp1252", "+-|", r"\u732b.jpg"),
        ("cp850", "+-|", r"\u732b.jpg"),
        ("utf-16", "┃━│", "猫.jpg"),
        ("utf-8", "┃━│", "猫.jpg"),
    ],
)
def test_tables_in_the_encoding_of_the_console(
    monkeypatch: pytest.MonkeyPatch, encoding: str, lines: str, name: str
) -> None:
    """Without the lines that a code page has not; a name that it cannot show is escaped, and nothing fails."""
    console = Console(encoding)
    monkeypatch.setattr(sys, "stdout", console)
    print_table(build_table())

    assert name in console.shown
    assert "café" in console.shown
    assert all(line in console.shown for line in lines)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_results_for_programs_are_utf_8_on_any_console(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """With line feeds, which the stream would make two characters of."""
    console = Console(encoding)
    monkeypatch.setattr(sys, "stdout", console)
    write('{"image": "猫.jpg"}\n')

    assert console.content == '{"image": "猫.jpg"}\n'.encode()


@pytest.mark.parametrize("old", [True, False])
def test_a_console_without_escapes_gets_no_colours(monkeypatch: pytest.MonkeyPatch, old: bool) -> None:
    """Which it would show as characters."""
    monkeypatch.setattr("rich.console.detect_legacy_windows", lambda: old)
    for name in ("NO_COLOR", "TERM", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    console = Console("utf-8", terminal=True)
    monkeypatch.setattr(sys, "stdout", console)
    table = Table("image")
    table.add_row("[bold red]a.jpg[/]")
    print_table(table)

    assert "a.jpg" in console.shown
    assert ("\x1b" in console.shown) is not old


@pytest.mark.parametrize("system", ["linux", "win32"])
def test_a_closed_pipe_ends_quietly(windows: Windows, system: str) -> None:
    """Windows says of one that an argument is invalid; elsewhere that is a failure of the disk."""
    if system == "win32":
        windows("clipsim.cli.output")
    expected = BrokenPipeError if system == "win32" else WriteError
    with pytest.raises(expected), mark_write_errors():
        raise OSError(errno.EINVAL, "Invalid argument")
    with pytest.raises(WriteError), mark_write_errors():
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.skipif(sys.platform == "win32", reason="simulates Windows, and sends a signal of POSIX")
@pytest.mark.parametrize("sent", [signal.SIGINT, 21], ids=["Ctrl-C", "Ctrl-Break"])
def test_ctrl_c_ends_with_the_status_of_windows(sent: int, tmp_path: Path) -> None:
    """0xC000013A, of which a POSIX parent sees the last byte; `os.kill` would give the status of wrong usage."""
    program = (
        "import os, sys; from clipsim.cli.signals import catch_signals; catch_signals(); print('ready', flush=True); "
        "sys.stdin.read()"
    )
    environment = os.environ | {
        "PYTHONPATH": str(SIMULATED), "SIMULATED_SYSTEM": "win32", "REFUSALS": str(tmp_path / "refusals")
    }  # fmt: skip
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(sent)
        _, errors = process.communicate(timeout=300)

    assert (process.returncode, errors) == (0x3A, b"clipsim: error: interrupted\n")


def test_patterns_are_left_to_clipsim(monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows Typer would replace `--include *.jpg`, and a text that ends in a question mark, by names of files."""
    from clipsim.cli import app

    calls: list[dict[str, object]] = []
    monkeypatch.setattr(app, "command_line", lambda: lambda **options: calls.append(options))
    monkeypatch.setattr(sys, "stdout", Console("utf-8"))
    monkeypatch.setattr(sys, "stderr", Console("utf-8"))
    with pytest.raises(SystemExit):
        app.run()

    assert calls == [{"prog_name": "clipsim", "standalone_mode": False, "windows_expand_args": False}]


def test_names_are_written_as_the_system_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are not UTF-8 as these bytes; half a pair of UTF-16, which Windows' names may have, as Python does."""
    console = Console("utf-8")
    monkeypatch.setattr(sys, "stdout", console)
    write("caf\udce9\n")
    monkeypatch.setattr(sys, "getfilesystemencodeerrors", lambda: "surrogatepass")
    write("\ud83d\n")

    assert console.content == b"caf\xe9\n\xed\xa0\xbd\n"
