"""Files, directories, globs and lists of paths → one path an image, in order."""

from __future__ import annotations

import codecs
import glob
import os
import re
import select
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, cast

from clipsim.errors import ImageError, TransientError, UsageError, printable, system_cause
from clipsim.inputs.lists import as_list
from clipsim.inputs.raw import RAW_SUFFIXES, can_open_raw, has_raw_suffix
from clipsim.inputs.sources import reading_error

# The files that a directory is searched for; a file that the user names is opened whatever its suffix.
SUFFIXES = frozenset(
    (
        ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".dib", ".tif", ".tiff",
        ".pgm", ".ppm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".jpf", ".jpx", ".avif", ".avifs", ".ico", ".icns",
        ".tga", ".qoi", ".mpo", ".pcx", ".sgi", ".dds", ".heic", ".heif",
    )
)  # fmt: skip
# Folders of systems and programs, in lower case, that are searched only if they are named themselves.
SYSTEM_FOLDERS = frozenset(
    (
        "@eadir", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "$recycle.bin",
        "system volume information", "lost+found", "node_modules", "__macosx", "__pycache__",
    )
)  # fmt: skip
STANDARD_INPUT = "-"
JUNCTION = 0xA0000003  # Windows' IO_REPARSE_TAG_MOUNT_POINT
CHUNK_BYTES = 1 << 16
MAX_BRACES = 1000  # patterns that one with braces may stand for
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def find_images(inputs: Iterable[str], unopened: list[str] | None = None) -> Iterator[str]:
    """Expand the inputs into the paths to open, lazily and in the order given.

    A directory is walked recursively: files with an image suffix, sorted by name, without hidden ones, without the
    `SYSTEM_FOLDERS` in it, and without following links to directories. A name that does not exist and contains `*`,
    `?` or `[` is a pattern (`**` matches any directories, likewise) and gives the matching files, sorted. Any other
    name is returned unchanged, so that opening it reports the error; so are a directory without images, one that cannot
    be read, and a pattern without a match.

    RAW files that are not named themselves are left out where they cannot be opened here, and added to `unopened`.
    """
    unopened = [] if unopened is None else unopened
    for name in inputs:
        if _is_folder(name):
            yield from _or_itself(_walk(name, unopened), name, unopened)
        elif glob.has_magic(name) and not os.path.lexists(name):
            matches = sorted({match for match in _expand(name) if not _is_folder(match)})
            yield from _or_itself(_leave_out_raw(matches, unopened), name, unopened)
        else:
            yield name


def find_listed_images(names: Iterable[str], unopened: list[str] | None = None) -> Iterator[str]:
    """As `find_images`, for the names in a list: directories are walked, but no name is a pattern."""
    unopened = [] if unopened is None else unopened
    for name in names:
        yield from _or_itself(_walk(name, unopened), name, unopened) if _is_folder(name) else (name,)


def _leave_out_raw(names: Iterable[str], unopened: list[str]) -> Iterator[str]:
    for name in names:
        if has_raw_suffix(name) and not can_open_raw():
            unopened.append(name)
        else:
            yield name


def _is_folder(name: str) -> bool:
    return os.path.isdir(name)  # noqa: PTH112 (a Path raises for names that are too long or not accessible)


def _expand(pattern: str) -> Iterator[str]:
    """The matches of a pattern; `**` is expanded here, because glob.glob follows links into endless loops."""
    parts = Path(pattern).parts
    if "**" not in parts:
        yield from glob.glob(pattern)
        return
    index = parts.index("**")
    rest = parts[index + 1 :] or ("*",)
    for base in glob.glob(os.path.join(*parts[:index])) if index else [""]:  # noqa: PTH118 (keeps "" and a leading /)
        for folder in (base, *_folders_below(base)):
            yield from _expand(os.path.join(glob.escape(folder), *rest))  # noqa: PTH118


def _folders_below(folder: str) -> Iterator[str]:
    for entry in _list_folder(folder or ".") or ():
        if _is_own_folder(entry):
            path = os.path.join(folder, entry.name)  # noqa: PTH118 (keeps names without a leading ./)
            yield path
            yield from _folders_below(path)


def _or_itself(paths: Iterator[str], name: str, unopened: Sequence[str]) -> Iterator[str]:
    before = len(unopened)
    first = next(paths, None)
    if first is None:
        if len(unopened) == before:
            yield name
    else:
        yield first
        yield from paths


def _walk(folder: str, unopened: list[str]) -> Iterator[str]:
    entries = _list_folder(folder)
    if entries is None:
        yield folder  # opening it reports the error
        return
    for entry in entries:
        if _is_own_folder(entry):
            yield from _walk(entry.path, unopened)
        elif entry.is_symlink() and _is_folder(entry.path):
            continue
        elif has_image_suffix(entry.name):
            yield entry.path
        elif has_raw_suffix(entry.name):
            unopened.append(entry.path)


def _is_own_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder and no link to one, of which Windows has a second kind, junctions."""
    if sys.platform == "win32":
        tag = getattr(entry.stat(follow_symlinks=False), "st_reparse_tag", 0)
        if tag == JUNCTION:
            return False
    return entry.is_dir(follow_symlinks=False)


def _list_folder(folder: str) -> list[os.DirEntry[str]] | None:
    """What is in a folder, sorted, without hidden entries and system folders; None where it cannot be listed.

    Raises TransientError where it cannot be listed now, such as with too many open files: a run that went on would
    leave its images out.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not is_left_out(entry.name)), key=lambda entry: entry.name)
    except OSError as error:
        cause = reading_error("list", error)
        if isinstance(cause, TransientError):
            raise TransientError(f"{printable(folder)}: {cause}") from error
        return None


def is_left_out(name: str) -> bool:
    """Whether an entry of a folder is hidden, or a folder of the system or of another program.

    >>> is_left_out(".git"), is_left_out("@eaDir"), is_left_out("photos")
    (True, True, False)
    """
    return name.startswith(".") or name.lower() in SYSTEM_FOLDERS


def has_image_suffix(name: str) -> bool:
    """Whether a file in a folder is taken for an image."""
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 (a million times; a Path costs more)
    return suffix in SUFFIXES or (suffix in RAW_SUFFIXES and can_open_raw())


def read_path_list(source: str) -> Iterator[str]:
    """The paths in a list (a file, or `-` for standard input), lazily: lines, or if the list has a NUL, ended by NUL.

    The bytes of a name are decoded by `os.fsdecode`, which keeps those that are not UTF-8. A UTF-8 byte-order mark,
    empty entries and a carriage return at the end of a line are dropped.

    Raises ImageError for a list that cannot be read, or is UTF-16.
    """
    label = "standard input" if source == STANDARD_INPUT else printable(source)
    try:
        if source == STANDARD_INPUT:
            yield from _split(_unbuffered(sys.stdin.buffer), label)
        else:
            with Path(source).open("rb", buffering=0) as file:
                yield from _split(file, label)
    except UnicodeDecodeError as error:  # on Windows, where names are not bytes
        raise ImageError(f"{label}: the list of paths is not UTF-8; save it as UTF-8") from error
    except (OSError, ValueError) as error:  # a NUL in the name of the list is a ValueError
        raise ImageError(f"{label}: cannot read the list of paths: {system_cause(error)}") from error


def _unbuffered(file: BinaryIO) -> BinaryIO:
    """The file under the buffer of standard input.

    A thread may be waiting for paths when the process ends. In a buffered reader it would hold a lock that the
    interpreter needs at shutdown, which is then a fatal error.
    """
    raw: BinaryIO = getattr(file, "raw", file)
    return raw


def _split(file: BinaryIO, label: str) -> Iterator[str]:
    """The names in an open list. Names are given as they come: the first NUL makes it the separator from there on."""
    rest = _read(file)
    while len(rest) < 2 and (chunk := _read(file)):
        rest += chunk
    if rest.startswith(_UTF_16_MARKS) or _looks_like_utf_16(rest):
        raise ImageError(f"{label}: the list of paths is UTF-16; save it as UTF-8")
    rest = rest.removeprefix(codecs.BOM_UTF8)
    separator, chunk = b"\n", rest
    while chunk:
        if b"\0" in rest:
            separator = b"\0"
        *names, rest = rest.split(separator)
        yield from _names(names, separator)
        chunk = _read(file)
        rest += chunk
    yield from _names([rest], separator)


def _looks_like_utf_16(start: bytes) -> bool:
    """Whether text without a mark is UTF-16: a line feed of two bytes, and every other byte a NUL."""
    return any(mark in start and not start[offset:200:2].strip(b"\0") for mark, offset in ((b"\n\0", 1), (b"\0\n", 0)))


def _read(file: BinaryIO) -> bytes:
    """What an unbuffered file holds now, at most `CHUNK_BYTES`; waits for the first. Empty at the end."""
    while (chunk := file.read(CHUNK_BYTES)) is None:  # a pipe that another process has made non-blocking: POSIX
        select.select([file], [], [])
    return chunk


def _names(raw: Iterable[bytes], separator: bytes) -> Iterator[str]:
    for name in raw:
        if name := name.removesuffix(b"\r") if separator == b"\n" else name:
            yield os.fsdecode(name)


_TOKEN = re.compile(r"(?P<any>\*\*/?)|\*|\?|\[(?P<not>[!^]?)(?P<set>\][^]]*|[^]]+)\]|(?P<plain>.)", re.DOTALL)


@dataclass(frozen=True)
class NameFilter:
    """Names that match one of `include` (or all, where there are none) and none of `exclude`.

    The patterns are those of .gitignore: one without `/` matches any part of a name, a folder too; one with `/` matches
    the name or its end, from a folder on. `*` and `?` do not match `/`, `**` does; `[abc]` and `[!abc]` are sets,
    `{jpg,png}` is either, as in a shell. Capital and small letters are the same. Raises UsageError for an empty or
    malformed pattern.

    >>> NameFilter(include=("*.jpg",), exclude=("thumbs",)).accepts("photos/2024/a.jpg")
    True
    >>> NameFilter(include=("*.jpg",), exclude=("thumbs",)).accepts("photos/thumbs/a.jpg")
    False
    >>> NameFilter(include=("2024/**/*.{jpg,jpeg}",)).accepts("photos/2024/may/trip/A.JPEG")
    True
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the patterns."""
        _ = self._matchers
        for name, patterns in (("include", self.include), ("exclude", self.exclude)):
            if not all(pattern.replace(os.sep, "/").strip("/") for pattern in patterns):
                raise UsageError("a pattern is empty", parameter=name)

    @classmethod
    def of(cls, include: object, exclude: object) -> NameFilter:
        """A filter of what a Python caller passed: a pattern or several. Raises UsageError for anything else."""
        filters = {"include": list(as_list(include, "include")), "exclude": list(as_list(exclude, "exclude"))}
        for name, patterns in filters.items():
            if wrong := [pattern for pattern in patterns if not isinstance(pattern, str)]:
                raise UsageError("not a string", parameter=name, value=wrong[0])
        return cls(*(tuple(cast("list[str]", patterns)) for patterns in filters.values()))

    def accepts(self, name: str) -> bool:
        """Whether a name is taken."""
        included, excluded = self._matchers
        name = _canonical(name)
        return (included is None or included.search(name) is not None) and (
            excluded is None or excluded.search(name) is None
        )

    @cached_property
    def _matchers(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _compile(self.include), _compile(self.exclude)


def _canonical(name: str) -> str:
    """A name or pattern as it is compared: with `/`, and accented letters as one code point, which macOS divides."""
    return unicodedata.normalize("NFC", name.replace(os.sep, "/"))


def _compile(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    try:
        parts = [_translate(part) for pattern in patterns for part in expand_braces(_canonical(pattern))]
        return re.compile("|".join(f"(?:{part})" for part in parts), re.DOTALL | re.IGNORECASE)
    except re.error as error:
        raise UsageError(f"not a pattern of names: {error}: {printable(' '.join(patterns), 80)}") from error


def expand_braces(pattern: str) -> list[str]:
    """The patterns that one with braces stands for, as in a shell; braces without a comma are characters.

    Raises UsageError for more than `MAX_BRACES` patterns.

    >>> expand_braces("*.{jp{g,eg},png}"), expand_braces("{a}{")
    (['*.jpg', '*.jpeg', '*.png'], ['{a}{'])
    """
    expanded, waiting = [], [pattern]
    while waiting:
        part = waiting.pop(0)
        braces = _find_braces(part)
        if braces is None:
            expanded.append(part)
        else:
            start, commas, end = braces
            edges = [start, *commas, end]
            waiting[:0] = [part[:start] + part[left + 1 : right] + part[end + 1 :] for left, right in pairwise(edges)]
        if len(expanded) + len(waiting) > MAX_BRACES:
            raise UsageError(f"a pattern of more than {MAX_BRACES:,} patterns: {printable(pattern, 80)}")
    return expanded


def _find_braces(pattern: str) -> tuple[int, list[int], int] | None:
    """Where the first braces with a comma in them begin, are divided and end."""
    opened: list[tuple[int, list[int]]] = []
    first = None
    for position, character in enumerate(pattern):
        if character == "{":
            opened.append((position, []))
        elif character == "," and opened:
            opened[-1][1].append(position)
        elif character == "}" and opened:
            start, commas = opened.pop()
            if commas and (first is None or start < first[0]):
                first = start, commas, position
    return first


def _translate(pattern: str) -> str:
    """A glob as a regular expression to search for."""
    start = r"\A" if pattern.startswith("/") else r"(?:\A|/)"
    end = r"\Z" if "/" in pattern.strip("/") else r"(?:/|\Z)"
    return start + _TOKEN.sub(_translate_token, pattern.rstrip("/")) + end


def _translate_token(token: re.Match[str]) -> str:
    if token["any"]:
        return "(?:.*/)?" if token["any"].endswith("/") else ".*"
    if token["set"]:
        inside = re.sub(r"([\\\[\]&~|^])", r"\\\1", token["set"])
        return f"[^/{inside}]" if token["not"] else f"[{inside}]"
    if token["plain"]:
        return re.escape(token["plain"])
    return "[^/]*" if token[0] == "*" else "[^/]"
