"""Tests of `api.embed` from a store that fails: nothing is lost, and only what may have changed is tried again."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import clipsim
from clipsim.errors import DatasetError, NoInputError, TransientError, UsageError
from clipsim.store.layout import from_sealed_json, to_sealed_json
from clipsim.store.shards import RECORD_SCHEMA

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")
from faulty_store import Faults, FaultyStore, faults  # noqa: F401 (the fixture)

if TYPE_CHECKING:
    from conftest import Machine
    from fake_clock import Clock

PHOTOS = "faulty://bucket/photos"


@pytest.fixture
def photos(machine: Machine, faults: Faults) -> str:  # noqa: F811
    """A folder of the store with 24 images in two folders, for a machine of colours."""
    store = FaultyStore()
    for number in range(24):
        image = io.BytesIO()
        Image.new("RGB", (20 + number, 12), (10 * number, 250 - 10 * number, 99)).save(image, "PNG")
        store.pipe_file(f"/bucket/photos/{number % 2}/{number:02}.png", image.getvalue())
    return PHOTOS


def embed(where: str, folder: Path, **options: Any) -> clipsim.EmbedResult:
    """`session.embed` without the cache, in shards of five."""
    with clipsim.open(cache=False, workers=2) as session:
        return session.embed(where, folder, shard_size=5, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def classes(folder: Path) -> list[str]:
    """The classes of the failures in errors.jsonl."""
    return [json.loads(line)["class"] for line in (folder / "errors.jsonl").read_text().splitlines()]


def test_a_store_that_fails_in_five_ways(photos: str, faults: Faults, clock: Clock, tmp_path: Path) -> None:  # noqa: F811
    """A tenth of all requests in each: the same command completes, and leaves what an undisturbed one does."""
    embed(photos, tmp_path / "whole")
    faults.made.clear()
    faults.fail_at_random(0.1)
    runs = 0
    while not (tmp_path / "out" / "errors.jsonl").exists() or classes(tmp_path / "out"):
        runs += 1
        assert runs < 12
        try:
            result = embed(photos, tmp_path / "out")
        except TransientError:  # the listing was refused
            continue
        assert result.images is not None
        assert result.images + sum(result.errors_by_class.values()) == 24
        assert "bad_image" not in result.errors_by_class

    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert min(faults.failed[kind] for kind in ("not_found", "denied", "throttled", "timed_out", "unavailable")) > 0
    assert clock.now > 0


def test_an_outage(photos: str, faults: Faults, clock: Clock, tmp_path: Path) -> None:  # noqa: F811
    """Of a minute: most inputs are tried until it is over; the same command adds the others."""
    embed(photos, tmp_path / "whole")
    faults.choose = lambda operation, _: "throttled" if operation == "open" and clock.now < 60 else None
    result = embed(photos, tmp_path / "out")
    assert 0 < result.errors_by_class["throttled"] < 12
    assert set(classes(tmp_path / "out")) == {"throttled"}
    assert "status 503; tried 5 times; to be tried again" in (tmp_path / "out" / "errors.jsonl").read_text()
    again = embed(photos, tmp_path / "out")

    assert (again.images, again.errors_by_class) == (24, {})
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_outage_without_end(photos: str, faults: Faults, clock: Clock, tmp_path: Path) -> None:  # noqa: F811
    """The waits have an end; nothing counts as a bad image."""
    faults.choose = lambda operation, _: "timed_out" if operation == "open" else None
    with pytest.raises(NoInputError):
        embed(photos, tmp_path / "out")
    assert classes(tmp_path / "out") == ["timed_out"] * 24
    assert 0 < clock.now <= 24 * 1.5 * 15
    faults.choose = lambda _operation, _path: None

    assert embed(photos, tmp_path / "out").images == 24


def test_a_token_that_expires(photos: str, faults: Faults, tmp_path: Path) -> None:  # noqa: F811
    """What was denied is no bad image, and is the only thing that the same command tries."""
    FaultyStore().pipe_file("/bucket/photos/0/bad.png", b"x")
    faults.choose = lambda operation, path: "denied" if operation == "open" and "/1/" in path else None
    result = embed(photos, tmp_path / "out")
    assert (result.images, result.errors_by_class) == (12, {"bad_image": 1, "denied": 12})
    faults.choose = lambda _operation, _path: None
    faults.made.clear()
    again = embed(photos, tmp_path / "out")

    assert (again.images, again.errors_by_class, again.made) == (24, {"bad_image": 1}, 3)
    assert sum(count for (operation, _), count in faults.made.items() if operation == "open") == 12
    assert embed(photos, tmp_path / "out").made == 0


@pytest.mark.parametrize("kind", ["denied", "throttled", "timed_out", "unavailable"])
@pytest.mark.parametrize("refused", ["/bucket/photos", "/bucket/photos/1"])
@pytest.mark.parametrize("address", [PHOTOS, f"{PHOTOS}/*/*.png"])
def test_a_listing_that_fails(
    photos: str, faults: Faults, tmp_path: Path, kind: str, refused: str, address: str  # noqa: F811
) -> None:  # fmt: skip
    """Ends the run, and nothing is written: what was not listed would be left out in silence."""
    faults.choose = lambda operation, path: kind if (operation, path) == ("list", refused) else None
    with pytest.raises(TransientError, match=r"faulty://bucket/photos.*cannot list it") as error:
        embed(address, tmp_path / "out")

    assert error.value.kind == kind
    assert contents(tmp_path / "out") == {}


@pytest.mark.parametrize("name", ["part.tar", "table.csv"])
def test_a_tar_or_table_that_is_refused(photos: str, faults: Faults, tmp_path: Path, name: str) -> None:  # noqa: F811
    """Ends the run too: which images it holds is not known."""
    FaultyStore().pipe_file(f"/bucket/{name}", b"image\nphotos/0/00.png\n")
    faults.choose = lambda operation, path: "denied" if (operation, path) == ("open", f"/bucket/{name}") else None
    with pytest.raises(TransientError, match=name):
        embed(f"faulty://bucket/{name}", tmp_path / "out")

    assert contents(tmp_path / "out") == {}


def test_an_object_that_is_gone(photos: str, faults: Faults, tmp_path: Path) -> None:  # noqa: F811
    """Not found is final where the store says so twice."""
    faults.choose = lambda operation, path: (
        "not_found" if operation in ("open", "find") and path.endswith("/02.png") else None
    )
    result = embed(photos, tmp_path / "out")

    assert (result.images, result.errors_by_class) == (23, {"not_found": 1})
    assert embed(photos, tmp_path / "out").made == 0


def test_what_an_earlier_version_left(photos: str, faults: Faults, tmp_path: Path) -> None:  # noqa: F811
    """Failures without a class, and a folder that it could not list: they are repaired when that is asked for."""
    faults.choose = lambda operation, path: "denied" if operation == "open" and "/1/" in path else None
    embed(photos, tmp_path / "out")
    for path in (tmp_path / "out" / ".clipsim").glob("shard_*.json"):
        record = from_sealed_json(path.read_text(), RECORD_SCHEMA)
        record["failures"] = [failure[:2] for failure in record["failures"]]
        path.write_text(to_sealed_json(record))
    faults.choose = lambda _operation, _path: None
    same = embed(photos, tmp_path / "out")
    assert (same.made, same.errors_by_class) == (0, {"unknown": 12})
    repaired = embed(photos, tmp_path / "out", retry_failed="transient")

    assert (repaired.images, repaired.errors_by_class) == (24, {})
    embed(photos, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_address_that_an_earlier_version_could_not_list(photos: str, tmp_path: Path) -> None:
    """It is in the plan as an image that failed, and leaves it once it can be listed."""
    from clipsim.inputs.urls import UrlSource

    store = "faulty:///bucket/photos"  # as it names what it lists
    names = (f"{store}/0/00.png", f"{store}/*/*.png", store)
    with clipsim.open(cache=False) as session:
        session.embed([UrlSource(name) for name in names], tmp_path / "out", shard_size=5)
    result = embed(photos, tmp_path / "out")

    assert (result.sources, result.images, result.errors) == (24, 24, 0)


def test_too_many_failures(photos: str, faults: Faults, tmp_path: Path) -> None:  # noqa: F811
    """The run ends once there are more than a share of the inputs, and at once when it is started again."""
    for number in range(3):
        FaultyStore().pipe_file(f"/bucket/photos/2/{number}.png", b"x")
    with pytest.raises(DatasetError, match=r"3 of 27 inputs failed \(bad_image 3\), more than 10%"):
        embed(photos, tmp_path / "out", max_failures="10%")
    faults.made.clear()
    assert embed(photos, tmp_path / "out", max_failures="12%").images == 24
    with pytest.raises(DatasetError, match="more than 0%"):
        embed(photos, tmp_path / "out", max_failures="0%")


@pytest.mark.parametrize("share", ["5", "101%", "-1%", "x%", "", 5])
def test_a_share_that_is_none(tmp_path: Path, share: Any) -> None:
    """Wrong usage."""
    with pytest.raises(UsageError, match="not a percentage"):
        embed(PHOTOS, tmp_path / "out", max_failures=share)
