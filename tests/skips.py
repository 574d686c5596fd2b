"""Marks for tests that need what some systems lack: such a test is skipped there, and the reason says what it is."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest
from forked_processes import FORKS

needs_fork = pytest.mark.skipif(not FORKS, reason="processes are not forked on this system")
needs_fifos = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
needs_devices = pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no /dev/zero")
needs_unix_sockets = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="this system has no Unix sockets")
needs_modes = pytest.mark.skipif(os.name != "posix", reason="files have no POSIX modes on this system")
needs_signals = pytest.mark.skipif(os.name != "posix", reason="programs cannot be sent signals on this system")
needs_bash = pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="needs bash")
