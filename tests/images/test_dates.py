"""Tests of `images.dates`: when an image was taken, and ranges of dates with months, years and leap days."""

from __future__ import annotations

import os
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import pytest
from PIL import Image

from clipsim.errors import UsageError
from clipsim.images.dates import DateRange, parse_date, read_date
from clipsim.inputs.sources import BytesSource, FailedSource, FileSource

MODIFIED = datetime(2021, 3, 4, 5, 6, 7)


def save(path: Path, taken: str | None, suffix: str = "jpg") -> FileSource:
    """An image file with an EXIF date, modified at another time."""
    path = path.with_suffix(f".{suffix}")
    exif = Image.Exif()
    if taken is not None:
        exif[0x8769] = {0x9003: taken}
    Image.new("RGB", (5, 3)).save(path, exif=exif)
    os.utime(path, (MODIFIED.timestamp(), MODIFIED.timestamp()))
    return FileSource(str(path))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_the_date_of_the_camera(tmp_path: Path, suffix: str) -> None:
    """EXIF's, in each of the formats that cameras and programs write it in."""
    assert read_date(save(tmp_path / "a", "2019:06:15 14:30:05", suffix)) == datetime(2019, 6, 15, 14, 30, 5)


@pytest.mark.parametrize(
    "taken", [None, "0000:00:00 00:00:00", "    :  :     :  :  ", "yesterday", "2019:02:29 10:00:00"]
)
def test_else_the_date_of_the_file(tmp_path: Path, taken: str | None) -> None:
    """Where EXIF has no date, or none that exists."""
    assert read_date(save(tmp_path / "a", taken)) == MODIFIED


def test_a_year_that_no_date_has_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system may give a file the year 33658; many cannot, so the state is made up."""
    source = save(tmp_path / "a", None)
    state = os.stat_result((0, 0, 0, 0, 0, 0, 0, 0, 10**12, 0))
    monkeypatch.setattr(FileSource, "stat", lambda _: state)

    assert read_date(source) is None
    assert not DateRange(after=datetime(2020, 1, 1)).accepts(source)


def test_files_that_are_no_images_have_the_date_of_the_file(tmp_path: Path) -> None:
    """Whatever is wrong with them is said later; what is not there, and what has no file, has no date."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff\xe1 torn")
    os.utime(path, (MODIFIED.timestamp(), MODIFIED.timestamp()))

    assert read_date(FileSource(str(path))) == MODIFIED
    assert read_date(FileSource(str(tmp_path / "none.jpg"))) is None
    assert read_date(BytesSource("bytes", b"nothing")) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2019", datetime(2019, 1, 1)),
        ("2019-06", datetime(2019, 6, 1)),
        ("2019-6-5", datetime(2019, 6, 5)),
        ("2020-02-29", datetime(2020, 2, 29)),
        ("2019:06:15 14:30:05", datetime(2019, 6, 15, 14, 30, 5)),
        ("2019-06-15T14:30", datetime(2019, 6, 15, 14, 30)),
        ("2019/06/15 4:30", datetime(2019, 6, 15, 4, 30)),
    ],
)
def test_a_date_begins(text: str, expected: datetime) -> None:
    """As people and EXIF write it."""
    assert parse_date(text) == expected


@pytest.mark.parametrize(
    "text",
    ["2019-02-29", "1900-02-29", "2019-13", "2019-00", "2019-06-31", "19-06", "June 2019", "", "2019-06-15 25:00", "0"],
)
def test_what_is_no_date(text: str) -> None:
    """A day that the calendar lacks, and what is written otherwise."""
    with pytest.raises(UsageError, match=r"before=.*date"):
        DateRange.of(None, text)


@pytest.mark.parametrize(
    ("after", "before", "taken"),
    [
        ("2019", None, "2019:01:01 00:00:00"),
        (None, "2020", "2019:12:31 23:59:59"),
        ("2019-06", "2019-07", "2019:06:30 23:59:59"),
        ("2020-02-29", "2020-03", "2020:02:29 23:59:59"),
        ("2020-02", "2020-02-29", "2020:02:28 23:59:59"),
        ("2019-12", "2020", "2019:12:31 12:00:00"),
        ("2019-06-15 14:30", "2019-06-15 14:31", "2019:06:15 14:30:59"),
        (date(2019, 6, 15), datetime(2019, 6, 15, 12), "2019:06:15 11:59:59"),
    ],
)
def test_a_range_has_its_beginning_and_not_its_end(
    tmp_path: Path, after: str | date | None, before: str | date | None, taken: str
) -> None:
    """The first second is in it; the second before, and the one at which it ends, are not."""
    limits = DateRange.of(after, before)
    assert limits is not None

    assert limits.accepts(save(tmp_path / "in", taken))
    for limit, step in ((limits.after, -1), (limits.before, 0)):
        if limit is not None:
            outside = limit + timedelta(seconds=step)
            assert not limits.accepts(save(tmp_path / "out", outside.strftime("%Y:%m:%d %H:%M:%S")))


def test_ranges_of_nothing() -> None:
    """No limit is no range; an end before the beginning is a mistake."""
    assert DateRange.of(None, None) is None
    with pytest.raises(UsageError, match=r"after=.*nothing is after it and before"):
        DateRange.of("2020", "2020-01-01")
    with pytest.raises(UsageError, match="after"):
        DateRange.of(3, None)  # type: ignore[arg-type]


def test_a_time_with_a_zone_is_local_time() -> None:
    """The dates of files have none."""
    limits = DateRange.of(datetime(2019, 6, 15, 12, tzinfo=timezone.utc), None)

    assert limits is not None
    assert limits.after == datetime.fromtimestamp(1560600000)


def test_what_is_chosen(tmp_path: Path) -> None:
    """In order, with what is known to be unusable, which is reported."""
    sources = [save(tmp_path / f"{year}", f"{year}:05:05 00:00:00") for year in range(2015, 2025)]
    failed = FailedSource("row", "no path")
    limits = DateRange.of("2018", "2020")

    assert limits is not None
    assert list(limits.choose([failed, *sources], 3)) == [failed, *sources[3:5]]
