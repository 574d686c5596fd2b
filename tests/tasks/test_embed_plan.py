"""Tests of `tasks.embed_plan`: what stores are asked once, kept beside the data set, and read by the run after it."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import clipsim
from clipsim.errors import DataError, DatasetError, TransientError
from clipsim.inputs.expand import find_sources
from clipsim.inputs.plan_file import SourcePlan, StoredPlan
from clipsim.results.datasets import EmbedPlan
from clipsim.tasks import embed_plan
from clipsim.tasks.embed import EmbedRequest
from clipsim.tasks.embed_plan import PLAN_FILE

pytest.importorskip("pyarrow")
pytest.importorskip("fsspec")
from paged_store import PagedStore, paged_store  # noqa: F401 (the fixture)

if TYPE_CHECKING:
    from conftest import Machine

TARS = "s3://bucket/shards"
PHOTOS = "s3://bucket/photos"


def draw(number: int) -> bytes:
    """An image file of a colour of its own."""
    file = io.BytesIO()
    Image.new("RGB", (20 + number, 12), (10 * number % 256, 250 - number, 99)).save(file, "PNG")
    return file.getvalue()


def pack(numbers: range) -> bytes:
    """A tar of images."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for number in numbers:
            content = draw(number)
            info = tarfile.TarInfo(f"{number:03}.png")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def bucket(machine: Machine, paged_store: type[PagedStore]) -> type[PagedStore]:  # noqa: F811
    """Two folders of a store: of three tars with four images each, and of six images."""
    for shard in range(3):
        paged_store.objects[f"bucket/shards/{shard}.tar"] = pack(range(4 * shard, 4 * shard + 4))
    for number in range(6):
        paged_store.objects[f"bucket/photos/{number}.png"] = draw(100 + number)
    return paged_store


def embed(where: Any, folder: Path, **options: Any) -> clipsim.EmbedResult:
    """`session.embed` without the cache, in shards of five."""
    with clipsim.open(cache=False, workers=1) as session:
        return session.embed(where, folder, shard_size=5, **options)


def make_plan(where: list[str], folder: Path, **options: Any) -> Any:
    """What `embed --plan-only` gives."""
    from functools import partial

    request = EmbedRequest(partial(find_sources, where), str(folder), shard_size=5, **options)
    return embed_plan.run(request)


def listing_requests(store: type[PagedStore]) -> int:
    """The pages that were asked for, and the reads of tars that are no reads of a member; the counts begin again."""
    requests = store.requests
    count = len(requests.pages) + len([path for path in requests.sizes if path.endswith(".tar")])
    for made in (requests.pages, requests.sizes, requests.ranges):
        made.clear()
    return count


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def stop(progress: clipsim.Progress) -> None:
    """End a run after its first images."""
    if progress.stage == "embedding" and progress.done:
        raise KeyboardInterrupt


def test_a_run_that_goes_on_lists_nothing(bucket: type[PagedStore], tmp_path: Path) -> None:
    """It reads what the run that was stopped had listed, and ends like one that was not; then the list is removed."""
    embed([TARS, PHOTOS], tmp_path / "whole")
    assert listing_requests(bucket) == 2 + 3
    with pytest.raises(KeyboardInterrupt):
        embed([TARS, PHOTOS], tmp_path / "out", progress=stop)
    assert listing_requests(bucket) == 2 + 3
    assert (tmp_path / "out" / PLAN_FILE).is_file()
    with pytest.warns(clipsim.ClipsimWarning, match=r"2 names are not listed again: .*has 18 inputs, listed"):
        result = embed([TARS, PHOTOS], tmp_path / "out")

    assert result.images == 18
    assert listing_requests(bucket) == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")
    assert not (tmp_path / "out" / PLAN_FILE).exists()


def test_what_failed_for_now_is_tried_without_a_listing(bucket: type[PagedStore], tmp_path: Path) -> None:
    """And once all is there, the same command looks for what is new."""

    def refuse(path: str) -> None:
        if path.endswith("/3.png"):
            raise PermissionError("the token has expired")

    bucket.requests.before_read = refuse
    assert embed(PHOTOS, tmp_path).errors_by_class == {"denied": 1}
    bucket.requests.before_read = lambda _path: None
    bucket.objects["bucket/photos/7.png"] = draw(107)
    listing_requests(bucket)
    with pytest.warns(clipsim.ClipsimWarning, match="1 name is not listed again"):
        result = embed(PHOTOS, tmp_path)
    assert (result.images, result.errors_by_class, listing_requests(bucket)) == (6, {}, 0)
    with pytest.warns(clipsim.ClipsimWarning, match="1 new"):
        result = embed(PHOTOS, tmp_path)

    assert (result.images, listing_requests(bucket)) == (7, 1)


def test_a_name_that_was_added(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Is listed; the others are not. `list_again` and `overwrite` list all."""
    with pytest.raises(KeyboardInterrupt):
        embed([TARS], tmp_path, progress=stop)
    listing_requests(bucket)
    with pytest.raises(KeyboardInterrupt), pytest.warns(clipsim.ClipsimWarning, match="1 name is not listed again"):
        embed([PHOTOS, TARS], tmp_path, progress=stop)
    assert listing_requests(bucket) == 1
    plan = StoredPlan(tmp_path / PLAN_FILE)
    assert [(key[0], listing.sources) for key, listing in plan.sections] == [(TARS, 12), (PHOTOS, 6)]
    for option in ("overwrite", "list_again"):
        with pytest.raises(KeyboardInterrupt):
            embed([PHOTOS, TARS], tmp_path, progress=stop, **{option: True})
        assert listing_requests(bucket) == 2 + 3

    assert embed([PHOTOS, TARS], tmp_path).images == 18
    assert listing_requests(bucket) == 0


def test_a_listing_that_fails_keeps_what_was_listed(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Only names that were listed whole."""
    refused = [PermissionError("the token has expired")]

    def refuse(path: str) -> None:
        if path.endswith("/1.tar") and refused:
            raise refused[0]

    bucket.requests.before_read = refuse
    with pytest.raises(TransientError, match=r"1\.tar"):
        embed([PHOTOS, TARS], tmp_path)
    assert set(contents(tmp_path)) == {PLAN_FILE}
    refused.clear()
    listing_requests(bucket)

    assert embed([PHOTOS, TARS], tmp_path).images == 18
    assert listing_requests(bucket) == 1 + 3


def test_tars_are_listed_at_a_time(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Their first requests wait for each other, and pass."""
    gate = threading.Barrier(3, timeout=60)
    begun = set[str]()
    lock = threading.Lock()

    def wait(path: str) -> None:
        with lock:
            is_first = path.endswith(".tar") and path not in begun
            begun.add(path)
        if is_first:
            gate.wait()

    bucket.requests.before_read = wait
    plan = make_plan([TARS], tmp_path)

    assert (plan.sources, plan.kinds) == (12, {"tar": 12})
    assert len(begun) == 3


def test_only_a_plan(bucket: type[PagedStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what would be embedded, and needs no model; the next run embeds it, without a listing."""
    monkeypatch.chdir(tmp_path)
    Path("local").mkdir()
    Path("local/a.png").write_bytes(draw(50))
    plan = make_plan(["local", TARS], Path("out"))
    assert (plan.sources, plan.shards, plan.added) == (13, 3, 13)
    assert plan.kinds == {"file": 1, "tar": 12}
    assert set(contents(Path("out"))) == {PLAN_FILE}
    assert EmbedPlan.from_dict(plan.to_dict()).to_dict() == plan.to_dict()
    listing_requests(bucket)
    Path("local/b.png").write_bytes(draw(51))
    kept = Path("kept")
    kept.write_bytes((Path("out") / PLAN_FILE).read_bytes())

    assert embed(["local", TARS], Path("out")).images == 14
    assert listing_requests(bucket) == 0
    again = make_plan(["local", TARS, PHOTOS], Path("out"))
    assert (again.sources, again.added, again.shards) == (20, 6, 5)
    assert embed([PHOTOS, TARS], Path("other"), plan=kept).images == 18
    assert kept.exists()


def test_all_of_a_plan(bucket: type[PagedStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is read in order, also the files of this machine; from another folder, their names are refused."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(f"{name}.png").write_bytes(draw(ord(name)))
    names = ["a.png", f"{TARS}/1.tar", "b.png", PHOTOS]
    make_plan(names, Path("out"))
    listing_requests(bucket)
    plan = StoredPlan(Path("out") / PLAN_FILE)
    listed = [source.name for source in find_sources(names)]
    listing_requests(bucket)

    assert [source.name for source in plan_sources(plan)] == listed
    assert listing_requests(bucket) == 0
    monkeypatch.chdir("out")
    with pytest.raises(DataError, match="its relative names start from"):
        list(plan_sources(StoredPlan(Path(PLAN_FILE))))


def plan_sources(plan: StoredPlan) -> list[Any]:
    """All sources of a plan."""
    return list(SourcePlan(plan).read_all())


def test_plans_that_cannot_be_read(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Of the folder, what one had is listed again; a file that is named ends the run."""
    make_plan([PHOTOS], tmp_path / "out")
    kept = tmp_path / "out" / PLAN_FILE
    whole = kept.read_bytes()
    lines = gzip.decompress(whole)
    for content, cause in (
        (whole[:-20], "damaged"),
        (b"", "not a plan"),
        (b"no gzip", "damaged"),
        (gzip.compress(lines.replace(b"clipsim.inputs/1", b"clipsim.inputs/9")), "not a plan"),
        (gzip.compress(lines.replace(b'"columns"', b'"colons"')), "damaged"),
        (gzip.compress(lines.replace(b'{"listing"', b'{"titling"')), "damaged"),
        (gzip.compress(lines.replace(json.dumps(PHOTOS).encode() + b", ", b"[], ")), "damaged"),
        (gzip.compress(b"[" * 100_000), "damaged"),
    ):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(DataError, match=f"file: cannot read the plan: .*{cause}"):
            embed(PHOTOS, tmp_path / "other", plan=tmp_path / "file")
    partial = gzip.compress(b"".join(lines.splitlines(keepends=True)[:-2]))
    (tmp_path / "file").write_bytes(partial)
    with pytest.raises(DataError, match="not listed to its end"):
        plan_sources(StoredPlan(tmp_path / "file"))
    kept.write_bytes(whole[:-20])
    listing_requests(bucket)
    with pytest.warns(clipsim.ClipsimWarning, match="is damaged; what it had is listed again"):
        assert embed(PHOTOS, tmp_path / "out").images == 6

    assert listing_requests(bucket) == 1


def test_a_plan_of_many_shards_of_a_store(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Names in another order than before are found too, and ranges are names of their own."""
    with pytest.raises(KeyboardInterrupt):
        embed(f"{TARS}/{{0..2}}.tar", tmp_path, progress=stop)
    assert listing_requests(bucket) == 3
    assert [json.loads(line)["listing"] for line in named_lines(tmp_path / PLAN_FILE)] == [
        f"{TARS}/{number}.tar" for number in range(3)
    ]

    assert embed(f"{TARS}/{{2..0}}.tar", tmp_path).images == 12
    assert listing_requests(bucket) == 0


def named_lines(path: Path) -> list[bytes]:
    """The lines of a plan that begin a name."""
    return [line for line in gzip.decompress(path.read_bytes()).splitlines() if line.startswith(b'{"listing"')]


def test_a_plan_that_names_were_added_to(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Is not taken for all that was named: some of them may be missing."""
    make_plan([TARS], tmp_path)
    assert StoredPlan(tmp_path / PLAN_FILE).complete
    with pytest.raises(KeyboardInterrupt):
        embed([PHOTOS, TARS], tmp_path, progress=stop)

    with pytest.raises(DataError, match="not listed to its end"):
        plan_sources(StoredPlan(tmp_path / PLAN_FILE))


def test_only_a_plan_that_fails(bucket: type[PagedStore], tmp_path: Path) -> None:
    """It keeps what an earlier run had listed, beside what it has listed itself."""

    def refuse(path: str) -> None:
        raise PermissionError(path)

    with pytest.raises(KeyboardInterrupt):
        embed([TARS], tmp_path, progress=stop)
    bucket.requests.before_read = refuse
    with pytest.raises(TransientError, match=r"1\.tar"):
        make_plan([PHOTOS, f"{TARS}/1.tar", TARS], tmp_path)
    bucket.requests.before_read = lambda _path: None
    plan = StoredPlan(tmp_path / PLAN_FILE)
    listing_requests(bucket)

    assert [(key[0], listing.sources) for key, listing in plan.sections] == [(PHOTOS, 6), (TARS, 12)]
    assert embed([PHOTOS, TARS], tmp_path).images == 18
    assert listing_requests(bucket) == 0


def test_a_plan_of_another_folder(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Is used in place of the one that is there, which does not outlive the run that embeds everything."""
    make_plan([PHOTOS], tmp_path / "other")
    with pytest.raises(KeyboardInterrupt):
        embed([PHOTOS], tmp_path / "out", progress=stop)
    assert embed([PHOTOS], tmp_path / "out", plan=tmp_path / "other" / PLAN_FILE).images == 6
    listing_requests(bucket)
    bucket.objects["bucket/photos/7.png"] = draw(107)

    assert embed([PHOTOS], tmp_path / "out").images == 7
    assert listing_requests(bucket) == 1


def test_a_folder_that_is_filled_later(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Is no failure that may pass, after which its listing would be kept."""
    bucket.objects["bucket/later/notes.txt"] = b"nothing yet"
    assert embed(["s3://bucket/later", PHOTOS], tmp_path).errors_by_class == {"not_found": 1}
    assert "a directory without image files" in (tmp_path / "errors.jsonl").read_text()
    bucket.objects["bucket/later/0.png"] = draw(50)

    result = embed(["s3://bucket/later", PHOTOS], tmp_path)
    assert (result.images, result.errors) == (7, 0)


@pytest.mark.parametrize("failing", ["write", "close"])
def test_a_full_disk(bucket: type[PagedStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """Ends the run with its cause; what was kept before stays."""
    with pytest.raises(KeyboardInterrupt):
        embed([TARS], tmp_path, progress=stop)
    before = (tmp_path / PLAN_FILE).read_bytes()
    open_file = gzip.open

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    def open_full(path: Path, mode: str, **options: Any) -> Any:
        file = open_file(path, mode, **options)
        if mode == "ab":
            monkeypatch.setattr(file, failing, fail)
        return file

    with monkeypatch.context() as patch:
        patch.setattr(gzip, "open", open_full)
        with pytest.raises(DatasetError, match="cannot write down what was listed: No space left on device"):
            embed([TARS, PHOTOS], tmp_path)

    assert (tmp_path / PLAN_FILE).read_bytes() == before
    assert embed([TARS, PHOTOS], tmp_path).images == 18


def test_a_current_folder_that_was_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stands in the way of relative names alone."""

    def refuse() -> str:
        raise FileNotFoundError

    monkeypatch.setattr("os.getcwd", refuse)
    assert list(find_sources([], plan=SourcePlan())) == []


def test_threads_end_with_a_run(bucket: type[PagedStore], tmp_path: Path) -> None:
    """Also while the error that ended it is looked at."""

    def interrupt(progress: clipsim.Progress) -> None:
        if progress.stage == "listing the images" and progress.done:
            raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt) as raised:
        embed([TARS], tmp_path, progress=interrupt)
    threads = [thread for thread in set(threading.enumerate()) - before if thread.name.endswith("(_work)")]
    for thread in threads:
        thread.join(10)

    assert raised.tb is not None
    assert not any(thread.is_alive() for thread in threads)
