"""The principal commands as on Windows and macOS: without what these lack, in their folders, with files that are open.

Linux is made to look like the other system for clipsim's own modules (see `simulated/sitecustomize.py`); other packages
and the file system stay Linux's.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="simulates the others on Linux, which forks")

HERE = Path(__file__).parent
PHOTOS = {"red.png": "red", "green.png": "green", "blue.png": "blue", "sub/Blue Sky.png": "#3060ff"}


def environment(home: Path, system: str) -> dict[str, str]:
    """That of a user of the system, whose clipsim sees nothing of Linux."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CLIPSIM_", "HF_", "XDG_"))}
    return clean | {
        "HOME": str(home),
        "APPDATA": str(home / "Roaming"),
        "LOCALAPPDATA": str(home / "Local"),
        "HF_HUB_OFFLINE": "1",
        "COLUMNS": "100",
        "PYTHONPATH": str(HERE / "simulated"),
        "PYTHONWARNDEFAULTENCODING": "1",
        "SIMULATED_SYSTEM": system,
        "REFUSALS": str(home / "refusals.txt"),
    }


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    status: int
    out: bytes
    err: bytes

    @property
    def json(self) -> Any:
        """Its result."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Session:
    """What a user has done on a system: the folder of it all, the commands by their names, and what was refused."""

    system: str
    folder: Path
    ran: dict[str, Ran]
    refusals: str


def list_commands(folder: Path, system: str) -> dict[str, dict[str, Any]]:
    """The commands, in order."""
    photos, labelled = str(folder / "photos"), str(folder / "labelled")
    texts, colours = ["-t", "red", "-t", "blue"], ["-t", "red", "-t", "café", "-t", "猫"]
    lists = f"{photos}/red.png\r\n\r\n{photos}/blue.png\r\n"
    arguments: dict[str, list[str]] = {
        "models": ["models", "--filter", "mini", "--json"],
        "use": ["models", "use", "clipsim-mini"],
        "doctor": ["doctor", "--json"],
        "rank": ["rank", photos, *texts, "--json"],
        "rank to a file": ["rank", photos, *texts, "-o", str(folder / "table.csv")],
        "rank a list": ["rank", "-", *texts, "--format", "jsonl"],
        "rank some": ["rank", photos, *texts, "--include", "SUB/*.png", "-l"],
        "cp1252": ["rank", photos, *colours],
        "utf-16": ["rank", photos, *colours],
        "page": ["search", photos, "red", "-o", str(folder / "page.html")],
        "search": ["search", photos, "red", "-l", "-0"],
        "embed": ["embed", photos, "-o", str(folder / "vectors"), "--json"],
        "embed again": ["embed", photos, "-o", str(folder / "vectors"), "--overwrite", "--json"],
        "search vectors": ["search", str(folder / "vectors"), "-t", "blue", "--json"],
        "duplicates": ["duplicates", photos, "--json"],
        "hard links": ["duplicates", photos, "--link", "--yes", "--json"],
        "undo hard links": ["undo", "@journal", "--yes", "--json"],
        "sort": ["sort", photos, *texts, "-t", "con", "--copy-to", str(folder / "sorted"), "--yes", "--json"],
        "undo sort": ["undo", "@journal", "--yes", "--json"],
        "move": ["sort", photos, *texts, "--move-to", str(folder / "moved"), "--yes"],
        "undo move": ["undo", "@journal", "--yes", "--json"],
        "tag": ["tag", photos, *texts, "--xmp", "--yes", "--json"],
        "undo tag": ["undo", "@journal", "--yes", "--json"],
        "evaluate": ["evaluate", f"{labelled}/", "--per-image", str(folder / "lines.jsonl"), "--json"],
        "explain": ["explain", f"{photos}/red.png", "-t", "red", "-o", str(folder / "heat.png")],
        "overview": ["overview", photos, "--json"],
        "fit": ["fit", labelled, "-o", str(folder / "classifier.json")],
        "missing": ["rank", f"{photos}/nothing.png", *texts],
        "slip": ["serch", photos, "a cat"],
        "cache": ["cache", "info", "--json"],
        "clear": ["cache", "clear"],
    }
    if system == "win32":  # elsewhere it would serve
        arguments["socket"] = ["serve", photos, "--unix-socket", str(folder / "socket")]
    more = {"rank a list": {"input": lists}, "cp1252": {"encoding": "cp1252"}, "utf-16": {"encoding": "utf-16"}}
    quiet = {"sort", "move", "tag", "embed", "fit", "explain", "page", "hard links"}
    return {
        name: {"arguments": [*words, *(["-q"] if name in quiet else [])], **more.get(name, {})}
        for name, words in arguments.items()
    }


@pytest.fixture(scope="module", params=["win32", "darwin"])
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The commands of a session, on one of the systems."""
    folder = tmp_path_factory.mktemp(request.param)
    for name, colour in PHOTOS.items():
        path = folder / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 24), colour).save(path)
    shutil.copy(folder / "photos" / "red.png", folder / "photos" / "red copy.png")
    for number, colour in enumerate(("red", "blue", "red", "blue", "red", "blue")):
        (folder / "labelled" / colour).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30 + number, 20), colour).save(folder / "labelled" / colour / f"{number}.png")
    commands = list_commands(folder, request.param)
    done = subprocess.run(
        [sys.executable, str(HERE / "run_commands.py")],
        env=environment(folder, request.param),
        input=json.dumps(list(commands.values())).encode(),
        capture_output=True,
        timeout=1800,
        check=True,
    )
    ran = [json.loads(line) for line in done.stdout.splitlines()]
    results = [Ran(one["status"], one["out"].encode("latin-1"), one["err"].encode("latin-1")) for one in ran]
    refusals = folder / "refusals.txt"
    text = refusals.read_text(encoding="utf-8") if refusals.exists() else ""
    return Session(request.param, folder, dict(zip(commands, results, strict=True)), text)


def test_no_command_fails_or_shows_a_traceback(session: Session) -> None:
    """But those that are mistakes, with the status of one; what some systems lack is no reason to."""
    failed = {name: (ran.status, ran.err) for name, ran in session.ran.items() if ran.status}

    assert all(b"Traceback" not in ran.err for ran in session.ran.values()), failed
    expected = {"missing": 1, "slip": 2} | ({"socket": 1} if session.system == "win32" else {})
    assert {name: status for name, (status, _) in failed.items()} == expected, failed


def test_no_file_is_renamed_or_removed_while_it_is_open(session: Session) -> None:
    """Windows would refuse it, to the same process as to others."""
    assert session.refusals == ""


def test_settings_and_journals_are_in_the_folders_of_the_system(session: Session) -> None:
    """As `clipsim doctor` names them."""
    home = session.folder
    base, cache = home / "Library" / "Application Support" / "clipsim", home / "Library" / "Caches" / "clipsim"
    if session.system == "win32":
        base, cache = home / "Roaming" / "clipsim", home / "Local" / "clipsim" / "cache"
    folders = session.ran["doctor"].json["folders"]

    assert session.ran["doctor"].json["passed"]
    assert folders["settings"] == str(base / "settings.json")
    assert folders["vectors"] == str(cache)
    assert (base / "settings.json").read_bytes() == b'{\n "model": "clipsim-mini"\n}\n'
    assert len(list((base / "journals").iterdir())) == 4
    assert all(b"\r" not in path.read_bytes() for path in (base / "journals").iterdir())


def test_results_for_programs_have_line_feeds_and_utf_8(session: Session) -> None:
    """Though the stream would write line ends of two characters."""
    for name in ("models", "rank", "rank a list", "rank some", "search", "duplicates", "evaluate", "cache"):
        assert b"\r" not in session.ran[name].out, name
    for name in ("table.csv", "page.html", "lines.jsonl", "classifier.json"):
        assert b"\r" not in (session.folder / name).read_bytes(), name
    assert len(session.ran["rank a list"].out.splitlines()) == 2


def test_patterns_and_lists_of_names(session: Session) -> None:
    """A pattern in other capitals; names ended by NUL."""
    sky = os.fsencode(session.folder / "photos" / "sub" / "Blue Sky.png")

    assert session.ran["rank some"].out == sky + b"\n"
    assert sky in session.ran["search"].out.split(b"\0")


def test_tables_in_code_pages(session: Session) -> None:
    """What cp1252 lacks is escaped or drawn otherwise; UTF-16 shows all."""
    narrow, wide = (session.ran[name].out.decode(name) for name in ("cp1252", "utf-16"))

    assert "café" in narrow
    assert r"\u732b" in narrow
    assert "café" in wide
    assert "猫" in wide


def test_plans_are_carried_out_and_taken_back(session: Session) -> None:
    """Copies, moves, hard links and sidecars; nothing of them is left, and the images are as they were."""
    photos = {
        path.relative_to(session.folder / "photos").as_posix(): Image.open(path).convert("RGB").getpixel((0, 0))
        for path in (session.folder / "photos").rglob("*")
        if path.is_file()
    }
    assert photos == {
        "red.png": (255, 0, 0), "red copy.png": (255, 0, 0), "green.png": (0, 128, 0), "blue.png": (0, 0, 255),
        "sub/Blue Sky.png": (48, 96, 255),
    }  # fmt: skip
    for name in ("undo hard links", "undo sort", "undo move", "undo tag"):
        steps = session.ran[name].json["steps"]
        assert steps
        assert all(step["done"] for step in steps), name
    assert not (session.folder / "moved").exists()
    assert not (session.folder / "sorted").exists()
    assert len({path.stat().st_ino for path in (session.folder / "photos").glob("red*.png")}) == 2


def test_a_suggestion_is_quoted_for_the_shell(session: Session) -> None:
    """Of the system."""
    quote = b'"' if session.system == "win32" else b"'"

    assert b"search " in session.ran["slip"].err
    assert quote + b"a cat" + quote in session.ran["slip"].err


def test_the_folder_of_vectors_is_complete(session: Session) -> None:
    """Also when it was written over, and nothing half done is left."""
    assert session.ran["embed"].json["images"] == session.ran["embed again"].json["images"]
    assert [path for path in (session.folder / "vectors").rglob("*") if "tmp" in path.name] == []
    assert session.ran["search vectors"].json["queries"][0]["results"]


def test_a_socket_of_unix_is_refused_where_there_are_none(session: Session) -> None:
    """In a line, unless the packages of the server are not installed, which is said first."""
    if session.system == "win32" and b"needs" not in session.ran["socket"].err:
        assert b"there are no Unix sockets on this system" in session.ran["socket"].err


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_a_server_starts_answers_and_stops_by_ctrl_c(system: str, tmp_path: Path) -> None:
    """It answers what was begun, and ends with status 0."""
    for package in ("uvicorn", "starlette"):
        pytest.importorskip(package, reason="needs clipsim[serve]")
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (40, 24), "red").save(tmp_path / "photos" / "red.png")
    command = [sys.executable, "-m", "clipsim", "serve", str(tmp_path / "photos"), "--port", "0", "-q"]
    pipe = subprocess.PIPE
    server = subprocess.Popen(command, env=environment(tmp_path, system), stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        assert server.stderr is not None
        line = server.stderr.readline().decode()
        assert line.startswith("clipsim serve: http://127.0.0.1:"), line
        address = line.split()[-1]
        with urllib.request.urlopen(f"{address}health", timeout=300) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"{address}v1/models", timeout=300) as answer:
            assert b"clipsim-mini" in answer.read()
        server.send_signal(signal.SIGINT)
        _, rest = server.communicate(timeout=300)
    finally:
        server.kill()
        server.communicate()

    assert server.returncode == 0, rest
    assert b"Traceback" not in rest
    assert not (tmp_path / "refusals.txt").exists()
