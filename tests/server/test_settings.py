"""What a server may be told to allow."""

from __future__ import annotations

import pytest

from clipsim.errors import UsageError
from clipsim.server.settings import ServerSettings


@pytest.mark.parametrize(
    "values",
    [
        {"host": "0.0.0.0"},
        {"host": "example.org"},
        {"tokens": ("",)},
        {"tokens": ("é",)},
        {"port": 70_000},
        {"queue": 0},
        {"request_seconds": 0.0},
        {"request_seconds": float("nan")},
        {"drain_seconds": -1.0},
        {"drain_seconds": float("inf")},
        {"root_path": "clip"},
        {"root_path": "/clip/"},
        {"root_path": "//example.org"},
        {"root_path": "/../clip"},
        {"root_path": "/clip\n"},
    ],
    ids=str,
)
def test_unsafe_settings_are_refused(values: dict[str, object]) -> None:
    """Before anything listens."""
    with pytest.raises(UsageError):
        ServerSettings(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "[::1]:8080", "clip.lan"])
def test_its_own_names_are_known(host: str) -> None:
    """With a port or without."""
    assert ServerSettings(hosts=("clip.lan",)).is_known_host(host)


@pytest.mark.parametrize("host", ["", "example.org", "localhost.example.org", "127.0.0.1.nip.io:80", "localhost:x"])
def test_other_names_are_not(host: str) -> None:
    """A name that another site could lead here."""
    assert not ServerSettings(hosts=("clip.lan",)).is_known_host(host)
