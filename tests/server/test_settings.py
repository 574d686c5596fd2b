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
        {"hosts": ("clip.lan:8443",)},
        {"hosts": ("https://clip.lan",)},
        {"hosts": ("[clip.lan]",)},
        {"hosts": ("",)},
        {"origins": ("https://clip.lan/page",)},
        {"origins": ("clip.lan",)},
        {"origins": ("null",)},
        {"origins": ("*",)},
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


@pytest.mark.parametrize("name", ["fd00::1", "[fd00::1]", "FD00::1", "fd00:0::1"])
def test_an_address_of_version_6_needs_no_brackets(name: str) -> None:
    """A Host has them, an address of a machine has not."""
    settings = ServerSettings(hosts=(name,))

    assert settings.is_known_host("[fd00::1]:8080")
    assert settings.is_known_host("[fd00::1]")
    assert not settings.is_known_host("[fd00::2]:8080")


@pytest.mark.parametrize("origin", ["https://clip.lan:8443", "https://Clip.lan:8443", "https://clip.lan:8443/"])
def test_an_origin_is_known_however_it_is_written(origin: str) -> None:
    """Browsers send it in small letters and without a path."""
    settings = ServerSettings(origins=(origin,))

    assert settings.is_known_origin("https://clip.lan:8443", "127.0.0.1:8080")
    assert not settings.is_known_origin("https://clip.lan", "127.0.0.1:8080")
