"""A data set of vectors → its index, and how much of an exact search's answers a search by it finds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from clipsim.cache.database import Database
from clipsim.cache.vectors import FileDigests
from clipsim.embedding.embedder import Embedder
from clipsim.errors import ClipsimError, NoInputError, UsageError, printable
from clipsim.files import digest_files
from clipsim.inputs.urls import as_path
from clipsim.machine import usable_cores
from clipsim.models.catalogue import find_model_info
from clipsim.models.files import find_weights
from clipsim.models.names import find_model
from clipsim.models.settings import cache_folder
from clipsim.options import ModelOptions, RunOptions, check_flag
from clipsim.results.datasets import IndexResult
from clipsim.store.dataset import Dataset, scan
from clipsim.store.folders import LocalFolder
from clipsim.store.index import (
    VectorIndex,
    build_index,
    extend_index,
    load_index,
    publish_index,
    remove_interrupted,
    remove_unused,
)
from clipsim.store.index import remove_index as remove_own_files
from clipsim.store.layout import read_dataset_info
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.search_targets import recorded_model
from clipsim.tasks.stored_datasets import find_local
from clipsim.vectors.nearest import Nearest
from clipsim.vectors.similarity import Vectors, mean_of_templates, unit_rows

KINDS = ("auto", "exact", "ivf")
AUTO_VECTORS = 1_000_000  # from so many on, "auto" builds an index; below, an exact search takes well under a second
NEAREST = 10  # of which the recall counts how many are found
QUERIES = 200
TARGET_RECALL = 0.95
MAX_SHARE_READ = 0.25  # of the lists; past that a search by the index saves too little
CAPTION_SHARDS = 20  # that captions are taken from
TIMED_QUERIES = 10
EXTENSION_QUERIES = 24  # of each kind, where rows were added: an exact search for more would take longer than that
EXTENSION_TOLERANCE = 0.03  # by which the recall of so few queries can fall short by chance
EXTENSION_TIMED_QUERIES = 1
OUTGROWN = 4.0  # times the vectors that the lists were made for; from here on new lists are advised
SAME_SCORE = 1e-6  # cosines that differ by less are equal but for rounding
MIN_VECTORS = 1000  # an index of fewer has no use, and too few vectors to train on


@dataclass(frozen=True)
class IndexRequest:
    """A folder that `clipsim embed` wrote, and the kind of its index.

    `kind` is "ivf"; "exact", which removes an index, so that searches compare all vectors; or "auto", which takes "ivf"
    from a million vectors on, and where there is an index. Vectors that an index lacks are added to it; with `rebuild`
    it is built anew. Raises UsageError for another kind.
    """

    folder: str
    kind: str = "auto"
    rebuild: bool = False

    def __post_init__(self) -> None:
        """Check the values, and read an address as a path."""
        check_flag("rebuild", self.rebuild)
        if self.kind not in KINDS:
            raise UsageError(
                "unknown kind of index", parameter="kind", value=self.kind, hint=f"choose {', '.join(KINDS)}"
            )
        if self.rebuild and self.kind == "exact":
            raise UsageError("an exact search has no index to rebuild", parameter="rebuild", value=True)
        object.__setattr__(self, "folder", as_path(os.fspath(self.folder)))


def run(request: IndexRequest, progress: ProgressCallback = ignore_progress) -> IndexResult:
    """Build the index of a data set, or add to it what it lacks, and measure it.

    Raises UsageError for too few vectors, DatasetError for a folder that is not whole or cannot be written,
    MissingPackageError without faiss.
    """
    folder = find_local(request.folder, lambda line: progress(Progress("copying", 0, None, notices=(line,))))
    read_dataset_info(Path(folder))  # a lock would create a folder that is missing
    progress(Progress("reading the vectors", 0, None))
    with LocalFolder(folder).lock(), closing(Database(cache_folder())) as database:
        remove_interrupted(LocalFolder(folder))
        read_digests = FileDigests(database).read if database.usable else digest_files
        return _index(Dataset(folder, lambda path: read_digests([path])[path]), request, progress)


def remove_index(folder: str | Path) -> bool:
    """Remove the index of a folder that `clipsim embed` wrote; whether there was one.

    Raises DatasetError for another folder, and where it cannot be written.
    """
    dataset = LocalFolder(find_local(os.fspath(folder)))
    read_dataset_info(dataset.path)
    with dataset.lock():
        remove_interrupted(dataset)
        return remove_own_files(dataset)


def _index(dataset: Dataset, request: IndexRequest, progress: ProgressCallback) -> IndexResult:
    begun = time.monotonic()
    if not len(dataset):
        raise NoInputError(f"{printable(str(dataset.folder))}: no vectors to search")
    index, fault = (None, None) if request.kind == "exact" else load_index(dataset)
    has_index = index is not None or fault is not None
    kind = request.kind
    if kind == "auto":
        kind = "ivf" if len(dataset) >= (MIN_VECTORS if has_index else AUTO_VECTORS) else "exact"
    if kind == "exact":
        remove_own_files(LocalFolder(str(dataset.folder)))
        milliseconds = _time(lambda query: scan(dataset, query, NEAREST, workers=usable_cores()), dataset)
        return _describe(dataset, None, time.monotonic() - begun, milliseconds, milliseconds, [])
    if len(dataset) < MIN_VECTORS:
        raise UsageError(f"an index needs at least {MIN_VECTORS:,} vectors, and there are {len(dataset):,}")
    if index is None or request.rebuild:
        notices = [] if fault is None else [f"its index {fault}; all of it is built again"]
        return _build(dataset, begun, progress, notices)
    return _extend(dataset, index, begun, progress)


def _build(dataset: Dataset, begun: float, progress: ProgressCallback, notices: list[str]) -> IndexResult:
    """Build and publish an index of all vectors."""
    with LocalFolder(str(dataset.folder)).scratch() as scratch:
        progress(Progress("training the index", 0, None))
        index = build_index(dataset, scratch, lambda rows: progress(Progress("filling the index", rows, len(dataset))))
        progress(Progress("measuring its recall", 0, None))
        texts, text_notices = _find_texts(dataset)
        queries = _collect_queries(dataset, QUERIES, texts)
        notices += [*text_notices, *_choose_probes(dataset, index, queries, TARGET_RECALL)]
        exact, milliseconds = _time_searches(dataset, index, TIMED_QUERIES)
        index.info = replace(index.info, seconds=round(time.monotonic() - begun, 3))
        index.close()
        publish_index(dataset, scratch, index.info)
    return _describe(dataset, index, time.monotonic() - begun, milliseconds, exact, notices)


def _extend(dataset: Dataset, index: VectorIndex, begun: float, progress: ProgressCallback) -> IndexResult:
    """Add the vectors that an index lacks, and publish it; where it lacks none, only the searches are timed."""
    before, notices = index.info.vectors, list[str]()
    if len(dataset) > OUTGROWN * index.info.trained:
        label = printable(str(dataset.folder))
        notices.append(
            f"its lists were made for {index.info.trained:,} vectors and now hold {len(dataset):,}; 'clipsim index "
            f"{label} --rebuild' makes new ones, which are searched faster"
        )
    added = len(dataset) - before
    if not added:
        remove_unused(LocalFolder(str(dataset.folder)), index.info)
        exact, milliseconds = _time_searches(dataset, index, EXTENSION_TIMED_QUERIES)
        return _describe(dataset, index, time.monotonic() - begun, milliseconds, exact, notices, added=0)
    with LocalFolder(str(dataset.folder)).scratch() as scratch:
        extended = extend_index(
            index, dataset, scratch, lambda rows: progress(Progress("filling the index", rows, added))
        )
        progress(Progress("measuring its recall", 0, None))
        texts, text_notices = _find_texts(dataset)
        queries = _collect_queries(dataset, EXTENSION_QUERIES, texts, before)
        notices += [*text_notices, *_choose_probes(dataset, extended, queries, TARGET_RECALL - EXTENSION_TOLERANCE)]
        exact, milliseconds = _time_searches(dataset, extended, EXTENSION_TIMED_QUERIES)
        extended.info = replace(extended.info, seconds=round(time.monotonic() - begun, 3))
        index.close()
        extended.close()
        publish_index(dataset, scratch, extended.info)
    return _describe(dataset, extended, time.monotonic() - begun, milliseconds, exact, notices, added=added)


Queries = dict[str, tuple[Vectors, np.ndarray[Any, Any]]]  # of each kind: unit vectors, and their own rows or -1


def _collect_queries(dataset: Dataset, count: int, texts: Vectors | None, added_from: int | None = None) -> Queries:
    """At most `count` queries of each kind: images of the data set, its rows from `added_from` on, and texts."""

    def sample(first: int) -> tuple[Vectors, np.ndarray[Any, Any]]:
        rows = np.unique(np.linspace(first, len(dataset) - 1, min(count, len(dataset) - first) + 2).astype(np.int64))
        rows = rows[1:-1] if len(rows) > 2 else rows
        return dataset.vectors(rows.tolist()), rows

    queries = {"images": sample(0)}
    if added_from is not None:
        queries["added images"] = sample(added_from)
    if texts is not None:
        chosen = texts[np.unique(np.linspace(0, len(texts) - 1, min(count, len(texts))).astype(np.int64))]
        queries["texts"] = chosen, np.full(len(chosen), -1)
    return queries


def _choose_probes(dataset: Dataset, index: VectorIndex, queries: Queries, target: float) -> list[str]:
    """Set the fewest probes, no fewer than before, whose recall is enough for each kind of queries; return notices."""
    vectors = np.concatenate([vectors for vectors, _ in queries.values()])
    exact, _ = scan(dataset, vectors, NEAREST + 1, workers=usable_cores())
    probes = index.info.probes
    while True:
        nearest = index.find(vectors, NEAREST + 1, probes)
        recalls, start = dict[str, float](), 0
        for name, (_, own) in queries.items():
            part = slice(start, start + len(own))
            recalls[name] = _recall(exact.select(part), nearest.select(part), own)
            start += len(own)
        if min(recalls.values()) >= target or 2 * probes > MAX_SHARE_READ * index.info.lists:
            break
        probes *= 2
    index.info = replace(index.info, probes=probes, recall_images=recalls["images"], recall_texts=recalls.get("texts"))
    return [
        f"of the ten nearest of {name}, only {recall:.0%} are found, reading {probes:,} lists"
        for name, recall in recalls.items()
        if recall < target
    ]


def _recall(exact: Nearest, approximate: Nearest, own: np.ndarray[Any, Any]) -> float:
    """The share of the ten nearest that were found, each query's own row left out; equal cosines count as found."""
    shares = []
    for query, row in enumerate(own):
        nearest = exact.scores[query][exact.rows[query] != row][:NEAREST]
        nearest = nearest[np.isfinite(nearest)]
        scores = approximate.scores[query][(approximate.rows[query] != row) & (approximate.rows[query] >= 0)]
        if len(nearest):
            shares.append(min(len(nearest), int((scores >= nearest[-1] - SAME_SCORE).sum())) / len(nearest))
    return float(np.mean(shares)) if shares else 1.0


def _find_texts(dataset: Dataset) -> tuple[Vectors | None, list[str]]:
    """Vectors of texts to try the index with: captions of the data set, or sample texts by its model."""
    if dataset.info.with_captions:
        captions = _sample_captions(dataset)
        if len(captions) >= len(SAMPLE_TEXTS):
            return captions, []
    name = recorded_model([str(dataset.folder)]) or ""
    try:
        if not _is_here(name):
            raise ClipsimError("it is not on this machine")
        with Embedder(ModelOptions(name), RunOptions(truncate=True)) as embedder:
            if embedder.identity != dataset.info.digest:
                raise ClipsimError("its files have changed")
            return mean_of_templates(embedder.embed_texts(SAMPLE_TEXTS).features), []
    except ClipsimError as error:
        return None, [f"recall for texts is not measured: {printable(name)}: {error}"]


def _sample_captions(dataset: Dataset) -> Vectors:
    """The vectors of captions, at most `QUERIES`, from all over the data set."""
    shards = dataset.shards[:: -(-len(dataset.shards) // CAPTION_SHARDS)]
    samples = []
    for shard in shards:
        vectors = dataset.text_vectors(shard)
        rows = np.flatnonzero(np.any(vectors != 0, axis=1))  # a row of zeros has no caption
        samples.append(vectors[rows[:: max(1, len(rows) * len(shards) // QUERIES)]])
    return unit_rows(np.concatenate(samples)[:QUERIES])


def _is_here(name: str) -> bool:
    """Whether a model can be opened without a download."""
    spec = find_model(name)
    info = find_model_info(spec.name)
    return spec.path is not None or (info is not None and find_weights(info) is not None)


def _time_searches(dataset: Dataset, index: VectorIndex, count: int) -> tuple[float, float]:
    """The median milliseconds of an exact search for one query, and of one by the index."""
    exact = _time(lambda query: scan(dataset, query, NEAREST, workers=usable_cores()), dataset, count)
    return exact, _time(lambda query: index.find(query, NEAREST), dataset, count)


def _time(search: Callable[[Vectors], object], dataset: Dataset, count: int = TIMED_QUERIES) -> float:
    """The median milliseconds of a search for one query."""
    rows = np.linspace(0, len(dataset) - 1, count).astype(np.int64)
    taken = []
    for query in dataset.vectors(rows.tolist()):
        begun = time.perf_counter()
        search(query[None])
        taken.append(1000 * (time.perf_counter() - begun))
    return float(np.median(taken))


def _describe(
    dataset: Dataset,
    index: VectorIndex | None,
    seconds: float,
    milliseconds: float,
    exact: float,
    notices: list[str],
    added: int | None = None,
) -> IndexResult:
    info = None if index is None else index.info
    return IndexResult(
        folder=str(dataset.folder),
        kind="exact" if info is None else info.kind,
        vectors=len(dataset),
        lists=None if info is None else info.lists,
        probes=None if info is None else info.probes,
        bytes=0 if info is None else info.bytes,
        seconds=seconds,
        recall_images=1.0 if info is None else info.recall_images,
        recall_texts=1.0 if info is None else info.recall_texts,
        milliseconds=milliseconds,
        exact_milliseconds=exact,
        added=added,
        warnings=tuple(notices),
    )


_THINGS = (
    "apple", "airplane", "baby", "banana", "beach", "bicycle", "bird", "boat", "book", "bridge", "bus",
    "butterfly", "cake", "candle", "car", "castle", "cat", "chair", "church", "city", "clock", "cloud",
    "coffee", "computer", "cow", "crowd", "desert", "dog", "door", "elephant", "fire", "fish", "flower", "forest",
    "garden", "glass", "guitar", "hat", "horse", "house", "island", "kitchen", "lake", "lamp", "lion", "map",
    "market", "moon", "mountain", "office", "painting", "park", "phone", "pizza", "portrait", "rain",
    "restaurant", "river", "road", "room", "shoe", "sky", "snow", "stadium", "street", "sunset", "table", "tower",
    "train", "tree", "truck", "umbrella", "watch", "wedding",
)  # fmt: skip
SAMPLE_TEXTS = tuple(form.format(thing) for thing in _THINGS for form in ("{}", "a photo of a {}"))
