"""Tokens, request ids and clients; the lines of the log."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from typing import Any

import pytest

from clipsim.errors import UsageError

pytest.importorskip("starlette")

from starlette.datastructures import Headers

from clipsim.server.access import (
    MAX_WAITING_LINES,
    AccessLog,
    Entry,
    Pace,
    Tokens,
    find_client,
    format_entry,
    parse_tokens,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


def entry_of(*ids: str, method: str = "GET") -> Entry:
    """The entry of a request with these X-Request-Id."""
    headers = Headers(raw=[(b"x-request-id", value.encode("latin-1")) for value in ids])
    return Entry.of(method, ("10.0.0.1", 1), headers, "/health")


@pytest.mark.parametrize("sent", ["a", "0af7651916cd43dd8448eb211c80319c", "req:1/2+3=4@5.6-7_8", "x" * 128])
def test_a_sane_request_id_is_taken(sent: str) -> None:
    """From the proxy or the client."""
    assert entry_of(sent).request_id == sent


@pytest.mark.parametrize(
    "sent",
    [[], [""], ["x" * 129], ["a b"], ["a\tb"], ['a"b'], ["a\\n"], ["é"], ["a\r\nX: y"], ["a%0a"], ["a", "b"], ["a,b"]],
    ids=repr,
)
def test_another_request_id_is_replaced(sent: list[str]) -> None:
    """So that it can stand in a header and in a log; two are none."""
    assert entry_of(*sent).request_id not in sent
    assert len(entry_of(*sent).request_id) == 32


@pytest.mark.parametrize("method", ["get", "X" * 17, "A-B", ""])
def test_an_odd_method_is_not_repeated(method: str) -> None:
    """HTTP lets anything through."""
    assert entry_of(method=method).method == "other"


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", ["10.0.0.1"], "10.0.0.1"),
        ("127.0.0.1", ["10.0.0.1", "10.0.0.2, 10.0.0.3"], "10.0.0.3"),
        (None, ["2001:DB8::1"], "2001:db8::1"),
        (None, [], "unix"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["10.0.0.1, "], "127.0.0.1"),
        ("127.0.0.1", ['fe80::1%" status=200'], "127.0.0.1"),
        ("10.0.0.9", ["10.0.0.1"], "10.0.0.9"),
    ],
)
def test_a_proxy_on_this_machine_names_the_client(peer: str | None, forwarded: list[str], client: str) -> None:
    """The address that it has added last, if it is one; what others say does not count."""
    headers = Headers(raw=[(b"x-forwarded-for", value.encode()) for value in forwarded])

    assert find_client(None if peer is None else (peer, 1), headers) == client


def test_a_line_says_what_is_known() -> None:
    """As text, and as JSON of the same names."""
    entry = Entry("id", "10.0.0.1", "POST", "/v1/rank", 200, 100, 50, "my model\n", 2, 3, 1, seconds=0.25)

    assert format_entry(entry, "text", NOON) == (
        "2026-01-02T12:00:00.000Z 10.0.0.1 POST /v1/rank 200 0.2500s received=100 bytes=50 request_id=id "
        'model="my model\\\\n" images=2 texts=3 token=1\n'
    )
    line = format_entry(entry, "json", NOON)
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "time": "2026-01-02T12:00:00.000Z", "request_id": "id", "client": "10.0.0.1", "method": "POST",
        "route": "/v1/rank", "status": 200, "received": 100, "bytes": 50, "seconds": 0.25, "model": "my model\n",
        "images": 2, "texts": 3, "token": 1, "error": None,
    }  # fmt: skip


def test_a_log_that_is_not_read_loses_lines_and_stops_nothing() -> None:
    """Those beyond a bound; the others are written once it is read, in order."""
    written: list[str] = []
    stalled, go = threading.Event(), threading.Event()

    def write(text: str) -> None:
        stalled.set()
        go.wait(20)
        written.append(text)

    log = AccessLog("text", write)
    assert log.add(Entry("first"))
    assert stalled.wait(20)
    added = [log.add(Entry(f"number-{number}")) for number in range(MAX_WAITING_LINES + 5)]
    go.set()
    log.close()
    ids = [part for part in "".join(written).split() if part.startswith("request_id=")]

    assert added == [True] * MAX_WAITING_LINES + [False] * 5
    assert ids == ["request_id=first", *(f"request_id=number-{number}" for number in range(MAX_WAITING_LINES))]


def test_a_log_that_cannot_be_written_stops_nothing() -> None:
    """A full disk, say; what comes later is written again."""
    written: list[str] = []
    failed = threading.Event()

    def write(text: str) -> None:
        if not failed.is_set():
            failed.set()
            raise OSError(28, "No space left on device")
        written.append(text)

    log = AccessLog("text", write)
    log.add(Entry("lost"))
    assert failed.wait(20)
    log.add(Entry("kept"))
    log.close()

    assert "request_id=kept" in "".join(written)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("secret\n", ("secret",)),
        ("\ufefffirst\r\n\r\n  second\t\n\n", ("first", "second")),
        ("with a blank", ("with a blank",)),
    ],
)
def test_tokens_stand_one_a_line(text: str, tokens: tuple[str, ...]) -> None:
    """A BOM, empty lines and blanks at the ends do not count."""
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize(("text", "named"), [("good\nsécret", "line 2"), ("a\0b", "line 1"), (" \n\ufeff", "line 2")])
def test_an_unusable_token_is_named_by_its_line(text: str, named: str) -> None:
    """Never by its text."""
    with pytest.raises(UsageError, match=named) as caught:
        parse_tokens(text)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n \n", "\ufeff"])
def test_a_file_without_tokens_is_refused(text: str) -> None:
    """It would let nobody in, or everybody."""
    with pytest.raises(UsageError):
        parse_tokens(text)


def test_a_token_is_known_by_its_number() -> None:
    """And not by a part of it."""
    tokens = Tokens(["first", "second"])
    expected: dict[str, Any] = {"first": 1, "second": 2, "secon": None, "second ": None, "": None, "\udcff": None}

    assert {token: tokens.find(token) for token in expected} == expected


def test_a_queue_takes_as_long_as_answers_took() -> None:
    """Those that end together count as one; pauses without requests do not count."""
    pace = Pace()
    pace.note(0.0, 2.0)
    for _ in range(500):  # a batch of requests after a pause, of which each adds no time but the first
        pace.note(1_000.0, 1_004.0)

    assert pace.seconds_for(256) == 1
    pace = Pace()
    for end in (1.0, 2.0, 3.0):
        pace.note(0.0, end)
    assert pace.seconds_for(20) == 20
