"""Names of shards: brace ranges → the names they stand for; what img2dataset wrote → the files that hold images."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from math import prod

from clipsim.errors import UsageError, printable
from clipsim.inputs.paths import expand_braces

MAX_RANGE = 10_000_000  # names that one with ranges may stand for
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)(?:\.\.(\d+))?\}")
_TABLE = ".parquet"
_STATS = "_stats.json"  # what img2dataset writes beside each shard when it is complete


def expand_ranges(name: str) -> Iterator[str]:
    """The names that one with braces stands for, lazily, as in a shell: `{000..099}`, `{0..9..3}`, `{train,val}`.

    Raises UsageError for more than `MAX_RANGE` names.

    >>> list(expand_ranges("{a,b}/{08..10}.tar"))
    ['a/08.tar', 'a/09.tar', 'a/10.tar', 'b/08.tar', 'b/09.tar', 'b/10.tar']
    """
    for part in expand_braces(name):
        if prod(len(_numbers(match)) for match in _RANGE.finditer(part)) > MAX_RANGE:
            raise UsageError(f"a range of more than {MAX_RANGE:,} names: {printable(name, 80)}")
        yield from _fill_ranges(part)


def _fill_ranges(name: str) -> Iterator[str]:
    match = _RANGE.search(name)
    if match is None:
        yield name
        return
    padded = any(end.startswith("0") and len(end) > 1 for end in match.groups()[:2])
    width = max(map(len, match.groups()[:2])) if padded else 0
    for number in _numbers(match):
        for rest in _fill_ranges(name[match.end() :]):
            yield f"{name[: match.start()]}{number:0{width}d}{rest}"


def _numbers(match: re.Match[str]) -> range:
    first, last, step = int(match[1]), int(match[2]), max(1, int(match[3] or 1))
    return range(first, last + 1, step) if first <= last else range(first, last - 1, -step)


def choose_shards(names: Iterable[str]) -> list[str]:
    """The shards among the files below a folder, sorted: its tars; without any, the Parquet files of img2dataset.

    These have `N_stats.json` beside `N.parquet`.

    >>> choose_shards(["d/0.parquet", "d/0.tar", "d/0_stats.json"]), choose_shards(["0.parquet", "0_stats.json"])
    (['d/0.tar'], ['0.parquet'])
    """
    present = set(names)
    tars = [name for name in present if name.lower().endswith(".tar")]
    tables = (name for name in present if name.endswith(_TABLE) and name.removesuffix(_TABLE) + _STATS in present)
    return sorted(tars or tables)


def is_shard_file(name: str) -> bool:
    """Whether `choose_shards` looks at a name."""
    return name.lower().endswith(".tar") or name.endswith((_TABLE, _STATS))


def leave_out_sidecars(names: Sequence[str]) -> list[str]:
    """The names in their order, without what is no input: `N_stats.json` and `N.parquet` beside `N.tar`.

    >>> leave_out_sidecars(["0.parquet", "0.tar", "0_stats.json", "1.parquet", "1_stats.json"])
    ['0.tar', '1.parquet']
    """
    present = set(names)

    def is_sidecar(name: str) -> bool:
        if name.endswith(_STATS):
            stem = name.removesuffix(_STATS)
            return f"{stem}.tar" in present or f"{stem}.parquet" in present
        return name.endswith(_TABLE) and f"{name.removesuffix(_TABLE)}.tar" in present

    return [name for name in names if not is_sidecar(name)]


def stream_without_sidecars(names: Iterable[str]) -> Iterator[str]:
    """As `leave_out_sidecars`, for sorted names, lazily: it keeps the stems of shards, and no other names.

    >>> list(stream_without_sidecars(["0.jpg", "0.parquet", "0.tar", "0_stats.json", "1.parquet", "1_stats.json"]))
    ['0.jpg', '0.tar', '1.parquet']
    """
    stems = set[str]()  # of the shards so far
    waiting = deque[str]()  # from a table on whose tar, which it only describes, may still come
    for name in names:
        stem = name.rpartition(".")[0]
        if name.endswith(_STATS) and name.removesuffix(_STATS) in stems:
            continue
        if name.endswith((".tar", _TABLE)):
            stems.add(stem)
        if name.endswith(".tar") and stem + _TABLE in waiting:
            waiting.remove(stem + _TABLE)
        waiting.append(name)
        while waiting and not (waiting[0].endswith(_TABLE) and name < waiting[0].removesuffix(_TABLE) + ".tar"):
            yield waiting.popleft()
    yield from waiting
