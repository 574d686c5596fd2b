"""A source → when its image was taken, by EXIF, else when its file was modified; dates as users write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice

from clipsim.errors import ImageError, UsageError
from clipsim.inputs.sources import FailedSource, Source

_DATE = re.compile(r"(\d{4})(?:[-:/.](\d{1,2})(?:[-:/.](\d{1,2})(?:[T ]+(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?)?)?")
HOW = "a date is written like 2019, 2019-06, 2019-06-15 or '2019-06-15 14:30'"
BLOCK = 256  # sources whose dates are read together


@dataclass(frozen=True)
class DateRange:
    """Times from `after` on and before `before`, without a zone; None where there is no limit."""

    after: datetime | None = None
    before: datetime | None = None

    @classmethod
    def of(cls, after: str | date | None, before: str | date | None) -> DateRange | None:
        """The range of two dates; None where neither is given. Raises UsageError for what is no date, and in no order.

        >>> DateRange.of("2020-02", None)
        DateRange(after=datetime.datetime(2020, 2, 1, 0, 0), before=None)
        """
        limits = cls(_parse_limit("after", after), _parse_limit("before", before))
        if limits.after is not None and limits.before is not None and limits.after >= limits.before:
            raise UsageError("nothing is after it and before the other date", parameter="after", value=str(after))
        return None if limits == cls() else limits

    def accepts(self, source: Source) -> bool:
        """Whether an image was taken in the range. What has no date is not in it; what cannot be used is."""
        if isinstance(source, FailedSource):
            return True
        taken = read_date(source)
        return (
            taken is not None
            and (self.after is None or taken >= self.after)
            and (self.before is None or taken < self.before)
        )

    def choose(self, sources: Iterable[Source], workers: int) -> Iterator[Source]:
        """The sources whose images were taken in the range, in order; threads read their dates."""
        sources = iter(sources)
        with ThreadPoolExecutor(workers, "dates") as pool:
            while block := list(islice(sources, BLOCK)):
                for source, accepted in zip(block, pool.map(self.accepts, block), strict=True):
                    if accepted:
                        yield source


def read_date(source: Source) -> datetime | None:
    """When an image was taken, in the time of its camera; else when its file was modified, in local time.

    None for what has neither, such as an address without EXIF, and for a year that no date has.
    """
    from clipsim.images.decode import read_exif_date  # imports Pillow

    with suppress(ImageError, UsageError):
        if (text := read_exif_date(source)) is not None:
            return parse_date(text.strip("\0 "))
    state = source.stat()
    if state is not None:
        with suppress(OSError, OverflowError, ValueError):  # a file system may say the year 33658
            return datetime.fromtimestamp(state.st_mtime)
    return None


def parse_date(text: str) -> datetime:
    """The beginning of a year, month, day, minute or second. Raises UsageError for anything else.

    >>> parse_date("2019-06"), parse_date("2020:02:29 14:30:05")
    (datetime.datetime(2019, 6, 1, 0, 0), datetime.datetime(2020, 2, 29, 14, 30, 5))
    """
    found = _DATE.fullmatch(text.strip())
    if found is None:
        raise UsageError(HOW)
    parts = [int(part) for part in found.groups() if part is not None]
    year, month, day, hour, minute, second = [*parts, *(0, 1, 1, 0, 0, 0)[len(parts) :]]
    try:
        return datetime(year, month, day, hour, minute, second)
    except ValueError as error:
        raise UsageError(f"no such date: {error}") from error


def _parse_limit(name: str, value: str | date | None) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.astimezone().replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if not isinstance(value, str):
        raise UsageError(HOW, parameter=name, value=value)
    try:
        return parse_date(value)
    except UsageError as error:
        raise UsageError(error.message, parameter=name, value=value) from error
