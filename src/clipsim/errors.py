"""Text from outside → one safe line; and everything clipsim raises or warns of on purpose.

ClipsimError (a RuntimeError)
├── UsageError          the request is contradictory or empty
├── ImageError          an image cannot be used
│   ├── TransientError  an image cannot be read now, and may be later
│   └── NoInputError    none of the inputs can be used
├── DataError           labelled data, or a file of earlier results, cannot be used
├── TextError           a text, a template or a file of texts cannot be used
├── SettingsError       the user's settings cannot be read or written
├── DeviceError         the requested device or precision is not available
│   └── DeviceLostError a GPU has failed, and the process cannot use it any more
├── DatasetError        a data set of vectors cannot be read or written
│   └── ClusterLostError    the Ray cluster that was making a data set no longer answers
├── ServerError         a server cannot listen
├── MissingPackageError a package of an extra is not installed
├── PluginError         an engine or output format that another package adds fails
└── ModelError          a model cannot be used
    ├── UnknownModelError   no model has that name
    ├── WeightsError        the weights are missing, damaged, unsafe or of another architecture
    └── DownloadError       the weights are not on this machine and could not be downloaded

ClipsimWarning (a UserWarning)  what a caller should know of a result: an assumption, a fallback, a setting not chosen

An error is a record: the `message`, the `parameter` and `value` that it is about, and a `hint`. `str(error)` words it
for Python in one line, and `worded` for whoever names parameters in another way. Text from outside is escaped with
`printable`, so a line can be written to a terminal unchanged.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

MAX_VALUE = 80  # characters of a value in a message
# The kinds of failures that may pass; "bad_image" and "not_found" are final.
TRANSIENT_KINDS = frozenset(("denied", "throttled", "timed_out", "unavailable"))
FAILURE_KINDS = TRANSIENT_KINDS | {"bad_image", "not_found", "unknown"}  # unknown: recorded by an earlier version


@dataclass(frozen=True)
class Setting:
    """A parameter and a value for it, as a message names them; a value of None names the parameter alone."""

    name: str
    value: object = True

    def __str__(self) -> str:
        """As Python writes it."""
        if self.value is None:
            return self.name
        quote = "'" if isinstance(self.value, str) else ""
        return f"{self.name}={quote}{self.escaped}{quote}"

    @property
    def escaped(self) -> str:
        """The value, shortened and safe to print."""
        return printable(self.value if isinstance(self.value, str) else repr(self.value), MAX_VALUE)


Hint = str | Setting | tuple[str | Setting, ...]


@dataclass(frozen=True)
class Failure:
    """One input that could not be used, and why (one escaped line).

    `image` is what the input is called. `index` is its position among the inputs, from 0, with folders and patterns
    expanded; None where it is not known. `kind` is that of its ImageError.
    """

    image: str
    error: str
    index: int | None = field(default=None, compare=False)
    kind: str = field(default="bad_image", compare=False)

    @property
    def final(self) -> bool:
        """Whether the input will not be usable later either, unless it changes."""
        return self.kind not in TRANSIENT_KINDS

    def to_dict(self) -> dict[str, object]:
        """The fields that JSON shows."""
        return {"path": self.image, "error": self.error, "index": self.index}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Failure:
        """Read what `to_dict` wrote. Raises TypeError or KeyError for anything else."""
        return cls(values["path"], values["error"], values["index"])


class ClipsimError(RuntimeError):
    """The base of everything that clipsim raises on purpose.

    Parameters
    ----------
    message
        The cause, and the input where there is one; with `parameter`, what is wrong with it.
    parameter
        The parameter of the Python function that the error is about.
    value
        Its value, where the message names it.
    hint
        What to do: text, a `Setting` to try, or a tuple of both, whose parts are joined.

    Examples
    --------
    >>> print(DeviceError("no CUDA GPU can be used", parameter="device", value="cuda", hint=Setting("device", "cpu")))
    device='cuda': no CUDA GPU can be used; try device='cpu'
    """

    def __init__(
        self, message: str, *, parameter: str | None = None, value: object = None, hint: Hint | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.parameter, self.hint = message, parameter, hint
        plain = isinstance(value, str | bool | int | float | None)
        self.value = value if plain else _Repr(repr(value)[: 4 * MAX_VALUE])

    def __str__(self) -> str:
        """The error in one line, as Python names parameters."""
        return self.worded(str)

    def worded(self, word: Callable[[Setting], str | None]) -> str:
        """The error in one line, with each parameter as `word` writes it.

        `word` returns None for a parameter that the reader cannot set: it is not named, and no hint is given with it.
        """
        about = None if self.parameter is None else word(Setting(self.parameter, self.value))
        hint = ("try ", self.hint) if isinstance(self.hint, Setting) else self.hint or ()
        parts = [
            word(part) if isinstance(part, Setting) else part for part in ((hint,) if isinstance(hint, str) else hint)
        ]
        remedy = "".join(part for part in parts if part is not None) if None not in parts else ""
        return "; ".join(filter(None, (f"{about}: {self.message}" if about else self.message, remedy)))


@dataclass(frozen=True)
class _Repr:
    """What stands for a value that is not kept itself: it may be large, or not picklable."""

    text: str

    def __repr__(self) -> str:
        """The text alone."""
        return self.text


class ClipsimWarning(UserWarning):
    """What a caller should know of a result: an assumption, a fallback, a setting that was not chosen."""


def issue_warnings(notices: Iterable[str]) -> None:
    """Issue each notice as a ClipsimWarning, at the line that called this package."""
    import warnings

    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "clipsim":
        level, frame = level + 1, frame.f_back
    for notice in notices:
        warnings.warn(notice, ClipsimWarning, stacklevel=level)


class UsageError(ClipsimError):
    """The request is contradictory or empty."""


class ImageError(ClipsimError):
    """An image cannot be used.

    `kind` is "bad_image" where the image itself is at fault, "not_found", "denied" (no permission, expired
    credentials), "throttled", "timed_out", or "unavailable" (a server is down, too many files are open).
    """

    def __init__(self, message: str, *, kind: str = "bad_image", hint: Hint | None = None) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind


class TransientError(ImageError):
    """An image cannot be read now, and may be later: too many open files, a server that is down, stalls or refuses."""

    def __init__(self, message: str, *, kind: str = "unavailable", hint: Hint | None = None) -> None:
        super().__init__(message, kind=kind, hint=hint)


class NoInputError(ImageError):
    """None of the inputs can be used; `failures` holds the record of each."""

    def __init__(self, message: str, failures: tuple[object, ...] = (), *, hint: Hint | None = None) -> None:
        super().__init__(message, hint=hint)
        self.failures = failures


class DataError(ClipsimError):
    """Labelled data, or a file of earlier results, cannot be used."""


class TextError(ClipsimError):
    """A text, a template or a file of texts cannot be used."""


class SettingsError(ClipsimError):
    """The user's settings cannot be read or written."""


class DeviceError(ClipsimError):
    """The requested device or precision is not available."""


class DeviceLostError(DeviceError):
    """A GPU has failed, and the process cannot use it any more: a new process can."""


class DatasetError(ClipsimError):
    """A data set of vectors cannot be read or written."""


class ClusterLostError(DatasetError):
    """The Ray cluster that was making a data set no longer answers; what is there stays."""


class ServerError(ClipsimError):
    """A server cannot listen on its address."""


class MissingPackageError(ClipsimError):
    """A package of an extra is not installed."""


class PluginError(ClipsimError):
    """An engine or output format that another package adds fails; the message names the package."""


class ModelError(ClipsimError):
    """A model cannot be used."""


def join_words(words: Iterable[str]) -> str:
    """Words as one line that a shell of this system splits into them again, safe to print.

    Windows' shells, of which cmd.exe knows no single quotes, take double ones.

    >>> join_words(["clipsim", "search", "a cat"])
    "clipsim search 'a cat'"
    """
    if sys.platform == "win32":
        import subprocess

        return printable(subprocess.list2cmdline(words))
    import shlex

    return printable(shlex.join(words))


def install_command(extra: str) -> str:
    """The command that installs the packages of an extra, as a hint.

    >>> install_command("onnx")
    "pip install 'clipsim[onnx]'"
    """
    return join_words(["pip", "install", f"clipsim[{extra}]"])


@contextmanager
def requires(extra: str, need: str) -> Iterator[None]:
    """Around an import: raise MissingPackageError where it fails, with `need` as the message and the extra as the hint.

    >>> with requires("embed", "Parquet tables need pyarrow"):
    ...     import no_such_package
    Traceback (most recent call last):
    ...
    clipsim.errors.MissingPackageError: Parquet tables need pyarrow; pip install 'clipsim[embed]'
    """
    try:
        yield
    except ImportError as error:
        raise MissingPackageError(need, hint=install_command(extra)) from error


class UnknownModelError(ModelError):
    """No model has that name."""


class WeightsError(ModelError):
    """The weights are missing, damaged, unsafe or of another architecture."""


class DownloadError(ModelError):
    """The weights are not on this machine and could not be downloaded."""


# C0 and C1 controls, line and paragraph separators, directional marks and overrides, the byte-order mark, and lone
# surrogates (how Python carries the bytes of a file name that is not UTF-8).
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return match.group().encode("unicode_escape", "surrogatepass").decode("ascii")


def printable(text: str, limit: int | None = None) -> str:
    r"""Escape everything that could move a cursor, colour a terminal or change the direction of a line.

    With `limit`, a longer result keeps its beginning and its end around an ellipsis.

    >>> printable("a\x1b[31m\n.jpg")
    'a\\x1b[31m\\n.jpg'
    >>> printable("caf\udce9.jpg")
    'caf\\xe9.jpg'
    >>> printable("a very long name.jpeg", limit=12)
    'a very….jpeg'
    """
    if limit is not None and len(text) > 4 * limit:  # never escape a megabyte to show a line of it
        text = text[: 2 * limit] + text[-2 * limit :]
    text = UNSAFE.sub(_escape, text)
    if limit is None or len(text) <= limit:
        return text
    tail = (limit - 1) // 2
    return f"{text[: limit - 1 - tail]}…{text[len(text) - tail :]}"


def first_line(error: BaseException, limit: int = 120) -> str:
    r"""What another library's error says, as part of a message: its first line, escaped; its type where it is empty.

    >>> first_line(ValueError("bad magic number\nat byte 0")), first_line(EOFError())
    ('bad magic number', 'EOFError')
    """
    return printable(str(error).strip().split("\n")[0] or type(error).__name__, limit)


def system_cause(error: BaseException) -> str:
    """What the system says of a file that cannot be opened, read or written, without its path.

    Versions of Python word it in several ways when a path contains a NUL character; here it is one.

    >>> system_cause(OSError(28, "No space left on device", "a.png")), system_cause(ValueError("embedded null byte"))
    ('No space left on device', 'the path contains a NUL character')
    """
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "the path contains a NUL character"
    return str(getattr(error, "strerror", None) or error)


def pluralise(number: int, noun: str, plural: str | None = None) -> str:
    """A number and what it counts, as messages and results say it.

    >>> pluralise(1, "image"), pluralise(12345, "text"), pluralise(2, "query", "queries")
    ('1 image', '12,345 texts', '2 queries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def quote_some(names: Sequence[str], most: int = 3, width: int = 40) -> str:
    """The first few names in quotes, escaped and shortened, and the number of the others.

    >>> quote_some(["cat", "dog"]), quote_some("abcde", most=2)
    ("'cat', 'dog'", "'a', 'b' and 3 more")
    """
    quoted = ", ".join(f"'{printable(name, width)}'" for name in names[:most])
    return quoted + (f" and {len(names) - most} more" if len(names) > most else "")


def round_significant(value: float) -> float:
    """The number to seven significant digits, which is what float32 holds.

    >>> round_significant(0.29314836859703064)
    0.2931484
    """
    return float(f"{value:.7g}")


def plain_number(value: float) -> float | None:
    """As `round_significant`, for JSON: None for NaN.

    >>> plain_number(0.25), plain_number(float("nan"))
    (0.25, None)
    """
    return round_significant(value) if value == value else None
