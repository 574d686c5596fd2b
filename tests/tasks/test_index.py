"""Tests of `api.index`: an index of a data set, how it is tuned, measured and used by searches."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set

import clipsim
from clipsim.errors import DatasetError, NoInputError, UsageError
from clipsim.inputs.paths import NameFilter
from clipsim.results.base import ModelRecord
from clipsim.results.datasets import IndexResult
from clipsim.store.dataset import Dataset
from clipsim.store.index import open_index
from clipsim.tasks import index
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.vectors.nearest import Nearest
from clipsim.vectors.similarity import Vectors

if TYPE_CHECKING:
    from conftest import Machine

pytest.importorskip("faiss")
pytest.importorskip("pyarrow")

MINI = ModelRecord("clipsim-mini", "bundled", 4, 64, 10.0, None, "softmax")


def build_index(
    folder: Path, kind: str = "auto", progress: ProgressCallback = ignore_progress, *, rebuild: bool = False
) -> IndexResult:
    """What `clipsim index` does."""
    return index.run(index.IndexRequest(str(folder), kind, rebuild), progress)


def grow(folder: Path, vectors: Vectors, shard_size: int) -> Dataset:
    """Write a data set in place of another one of which it is a continuation, whose index stays."""
    for name in ("img_emb", "metadata", ".clipsim"):
        shutil.rmtree(folder / name)
    return write_data_set(folder, vectors, shard_size=shard_size, model=MINI)


def test_probes_are_chosen_by_measuring(machine: Machine, tmp_path: Path) -> None:
    """As few as give enough recall for image and for text queries, whose recalls are those of searches."""
    vectors = random_vectors(4000, 4)
    write_data_set(tmp_path, vectors, dtype="fp16", shard_size=900, model=MINI)
    steps: list[Progress] = []
    result = build_index(tmp_path, kind="ivf", progress=steps.append)
    used, _ = open_index(Dataset(tmp_path))
    queries = random_vectors(100, 4, seed=5)
    stored = vectors.astype(np.float16).astype(np.float32)
    exact = np.argsort(-(queries @ stored.T), axis=1)[:, :10]
    assert used is not None
    found = used.find(queries, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found.rows, strict=True)])

    assert (result.kind, result.vectors, result.lists) == ("ivf", 4000, 128)
    assert 1 < result.probes == used.info.probes <= 32  # type: ignore[operator]
    assert result.recall_images is not None
    assert result.recall_texts is not None
    assert min(result.recall_images, result.recall_texts) >= 0.95
    assert recall > 0.9
    assert result.warnings == ()
    assert steps[-2] == Progress("filling the index", 4000, 4000)
    assert result.to_dict()["schema"] == "clipsim.index/1"


def test_searches_use_the_index(machine: Machine, tmp_path: Path) -> None:
    """The notice says so; with patterns of names, or another data set, vectors are compared one by one."""
    write_data_set(tmp_path / "vectors", random_vectors(3000, 4), model=MINI)
    with clipsim.open("clipsim-mini") as session:
        exact = session.search(tmp_path / "vectors", ["red", "blue"])
        build_index(tmp_path / "vectors", kind="ivf")
        by_index = session.search(tmp_path / "vectors", ["red", "blue"])
        chosen = session.search(tmp_path / "vectors", ["red", "blue"], include=["*.jpg"])

    assert "searched by its index" in by_index.warnings[0]
    assert exact.warnings == chosen.warnings == ()
    assert exact.queries == chosen.queries
    for wanted, found in zip(exact.queries, by_index.queries, strict=True):
        assert len({match.image for match in wanted.results} & {match.image for match in found.results}) >= 8
        assert found.results[0].similarity <= wanted.results[0].similarity + 1e-6
    assert NameFilter(("*.jpg",)).accepts("0.jpg")


def test_captions_are_the_texts_where_there_are_any(machine: Machine, tmp_path: Path) -> None:
    """Rows of zeros, which have none, are not."""
    vectors, captions = random_vectors(1500, 4), random_vectors(1500, 4, seed=6)
    captions[::2] = 0
    write_data_set(tmp_path, vectors, captions=captions, digest="gone", model=MINI, shard_size=400)
    texts, notices = index._find_texts(Dataset(tmp_path))

    assert texts is not None
    assert 144 <= len(texts) <= 200
    assert {tuple(text) for text in texts.round(5).tolist()} <= {tuple(row) for row in captions.round(5).tolist()}
    assert notices == []


def test_without_the_model(machine: Machine, tmp_path: Path) -> None:
    """The recall for texts is not measured, which a notice says; nothing is downloaded."""
    vectors = random_vectors(1000, 4)
    for number, (record, cause) in enumerate(
        [
            (ModelRecord("ViT-B-32", "openai", 4, 64, 10.0, None, "softmax"), "not on this machine"),
            (ModelRecord("no model", None, 4, 64, 10.0, None, "softmax"), "no model, file or folder"),
            (ModelRecord("clipsim-mini", "bundled", 4, 64, 10.0, None, "softmax"), "its files have changed"),
        ]
    ):
        write_data_set(tmp_path / str(number), vectors, digest="x", model=record)
        result = build_index(tmp_path / str(number), kind="ivf")

        assert result.recall_texts is None
        assert len(result.warnings) == 1
        assert cause in result.warnings[0]


def test_exact_and_auto(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few vectors need no index; "exact" removes one, and "auto" builds one where there are many."""
    write_data_set(tmp_path, random_vectors(1000, 4), model=MINI)
    assert build_index(tmp_path).kind == "exact"
    assert not (tmp_path / "index").exists()
    monkeypatch.setattr("clipsim.tasks.index.AUTO_VECTORS", 1000)
    assert build_index(tmp_path).kind == "ivf"
    assert open_index(Dataset(tmp_path))[0] is not None
    result = build_index(tmp_path, kind="exact")

    assert (result.kind, result.lists, result.probes, result.recall_texts) == ("exact", None, None, 1.0)
    assert not (tmp_path / "index").exists()


def test_too_few_lists_are_a_notice(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a quarter of the lists does not find enough, the notice says how much is found."""
    monkeypatch.setattr("clipsim.tasks.index.MAX_SHARE_READ", 0.01)
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((2000, 4)).astype(np.float32)
    write_data_set(tmp_path, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), model=MINI)
    result = build_index(tmp_path, kind="ivf")

    assert result.probes == 1
    assert [notice.partition(",")[0] for notice in result.warnings] == ["of the ten nearest of images",
                                                                       "of the ten nearest of texts"]  # fmt: skip


def test_an_interrupted_build_leaves_what_was_there(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old index goes on being used, and nothing half made is left."""
    write_data_set(tmp_path, random_vectors(1000, 4), model=MINI)
    build_index(tmp_path, kind="ivf")
    before = sorted(path.name for path in (tmp_path / "index").iterdir())

    def fail(progress: Progress) -> None:
        if progress.stage == "measuring its recall":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path, kind="ivf", progress=fail, rebuild=True)

    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before
    assert not list((tmp_path / ".clipsim").glob("tmp-*"))
    assert open_index(Dataset(tmp_path))[0] is not None


def test_what_a_killed_build_left_is_removed(machine: Machine, tmp_path: Path) -> None:
    """By the next run, also one that has nothing to add, and by a removal; what `clipsim embed` is writing stays."""
    write_data_set(tmp_path, random_vectors(1000, 4), model=MINI)
    build_index(tmp_path, kind="ivf")
    before = sorted(path.name for path in (tmp_path / "index").iterdir())
    written, shard = (tmp_path / ".clipsim" / name for name in ("tmp-a", "tmp-b"))

    def leave() -> None:
        written.mkdir(exist_ok=True)
        (written / "ivf-0123.faiss").write_bytes(b"lists")

    leave()
    shard.mkdir()
    (shard / "img_emb_0000.npy").write_bytes(b"vectors")
    (tmp_path / "index" / "ivf-4567.faiss").write_bytes(b"lists")
    assert build_index(tmp_path).added == 0
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before
    assert (written.exists(), shard.exists()) == (False, True)

    leave()
    assert index.remove_index(tmp_path)
    assert (written.exists(), shard.exists()) == (False, True)


def test_new_vectors_are_added_and_measured(machine: Machine, tmp_path: Path) -> None:
    """By the same command; again, it has nothing to do; and `rebuild` makes new lists."""
    vectors = random_vectors(4000, 4)
    write_data_set(tmp_path, vectors[:2000], shard_size=500, model=MINI)
    built = build_index(tmp_path, kind="ivf")
    grow(tmp_path, vectors, 500)
    steps: list[Progress] = []
    extended = build_index(tmp_path, progress=steps.append)
    content = (tmp_path / "index" / "index.json").read_bytes()
    again = build_index(tmp_path)

    assert (built.added, extended.added, again.added) == (None, 2000, 0)
    assert (extended.vectors, extended.lists, extended.warnings) == (4000, built.lists, ())
    assert Progress("filling the index", 2000, 2000) in steps
    assert extended.recall_images is not None
    assert extended.recall_images >= 0.92
    assert (again.recall_images, again.bytes) == (extended.recall_images, extended.bytes)
    assert (tmp_path / "index" / "index.json").read_bytes() == content
    rebuilt = build_index(tmp_path, rebuild=True)
    assert (rebuilt.added, rebuilt.lists) == (None, 128)
    assert build_index(tmp_path, kind="exact").kind == "exact"


def test_an_interrupted_addition_leaves_what_was_there(machine: Machine, tmp_path: Path) -> None:
    """The old index goes on being used, and the same command adds what is missing."""
    vectors = random_vectors(2000, 4)
    write_data_set(tmp_path, vectors[:1500], shard_size=500, model=MINI)
    build_index(tmp_path, kind="ivf")
    grow(tmp_path, vectors, 500)
    before = sorted((path.name, path.read_bytes()) for path in (tmp_path / "index").iterdir())

    def fail(progress: Progress) -> None:
        if progress.stage == "measuring its recall":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path, progress=fail)
    used, _ = open_index(Dataset(tmp_path))

    assert sorted((path.name, path.read_bytes()) for path in (tmp_path / "index").iterdir()) == before
    assert used is not None
    assert used.info.vectors == 1500
    assert build_index(tmp_path).added == 500


@pytest.mark.parametrize("change", ["removed", "made again"])
def test_changed_shards_need_another_index(machine: Machine, tmp_path: Path, change: str) -> None:
    """A notice says that it is built again; no row is taken for another."""
    vectors = random_vectors(2000, 4)
    write_data_set(tmp_path, vectors, shard_size=500, model=MINI)
    build_index(tmp_path, kind="ivf")
    changed = vectors[500:] if change == "removed" else np.roll(vectors, 1, axis=0)
    dataset = grow(tmp_path, changed, 500)
    assert open_index(dataset)[0] is None
    result = build_index(tmp_path)
    used, _ = open_index(dataset)

    assert result.added is None
    assert result.warnings == ("its index was built from other vectors; all of it is built again",)
    assert used is not None
    assert used.find(changed[:1], 1).rows.tolist() == [[0]]


def test_an_outgrown_index_is_a_notice(machine: Machine, tmp_path: Path) -> None:
    """Its lists have become long: new ones are advised, and the vectors are added all the same."""
    vectors = random_vectors(5000, 4)
    write_data_set(tmp_path, vectors[:1000], shard_size=500, model=MINI)
    build_index(tmp_path, kind="ivf")
    grow(tmp_path, vectors, 500)
    result = build_index(tmp_path)

    assert result.added == 4000
    assert "made for 1,000 vectors and now hold 5,000" in result.warnings[0]
    assert "--rebuild" in result.warnings[0]


def test_filters_use_the_index(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they leave many images; a notice says what its recall was measured on."""
    write_data_set(tmp_path / "vectors", random_vectors(3000, 4), model=MINI)
    with clipsim.open("clipsim-mini") as session:
        exact = session.search(tmp_path / "vectors", ["red", "blue"], include=["1*.jpg"])
        build_index(tmp_path / "vectors", kind="ivf")
        few = session.search(tmp_path / "vectors", ["red", "blue"], include=["1*.jpg"])
        monkeypatch.setattr("clipsim.tasks.search_vectors.FEW_ACCEPTED", 1000)
        by_index = session.search(tmp_path / "vectors", ["red", "blue"], include=["1*.jpg"])

    assert few == exact
    assert by_index.searched == exact.searched == 1111
    assert "searched by its index" in by_index.warnings[0]
    assert "without filters of names and dates, which leave 37.0% of the images" in by_index.warnings[1]
    for expected, answer in zip(exact.queries, by_index.queries, strict=True):
        names = {match.image for match in answer.results}
        assert len({match.image for match in expected.results} & names) >= 8
        assert all(name.startswith("1") for name in names)


def test_recall_counts_equal_cosines_as_found() -> None:
    """Which of several equal vectors is found does not matter; a query's own row does not count."""
    exact, found = Nearest(1, 11), Nearest(1, 11)
    scores = np.array([1.0, *[0.9] * 5, *[0.8] * 9], np.float32)
    exact.consider(0, scores, np.arange(15))
    found.consider(0, scores[[0, 1, 2, 3, 4, 10, 11, 12, 13, 14]], np.array([0, 1, 2, 3, 4, 10, 11, 12, 13, 14]))

    assert index._recall(exact, found, np.array([0])) == 0.9
    assert index._recall(exact, exact, np.array([-1])) == 1.0


@pytest.mark.parametrize(("rows", "kind", "error"), [(10, "hnsw", UsageError), (10, "ivf", UsageError),
                                                     (0, "auto", NoInputError)])  # fmt: skip
def test_what_cannot_be_indexed(tmp_path: Path, rows: int, kind: str, error: type[Exception]) -> None:
    """An unknown kind, too few vectors, none at all; and a folder that is no data set."""
    write_data_set(tmp_path / "vectors", random_vectors(10, 4)[:rows], model=MINI)

    with pytest.raises(error):
        build_index(tmp_path / "vectors", kind=kind)
    with pytest.raises(DatasetError, match=r"no clipsim\.json"):
        build_index(tmp_path)
    with pytest.raises(UsageError, match="no index to rebuild"):
        build_index(tmp_path / "vectors", kind="exact", rebuild=True)
