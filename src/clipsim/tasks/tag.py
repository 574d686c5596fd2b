"""Images and labels → the keywords of each image, and a plan that writes them into XMP sidecars."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from clipsim.embedding.embedder import Embedder
from clipsim.errors import ClipsimError, DataError, Failure, ImageError, printable
from clipsim.images.decode import read_xmp
from clipsim.inputs.sources import Source, open_regular
from clipsim.options import check_probability
from clipsim.results.plans import FileStep
from clipsim.tasks import rank
from clipsim.tasks.file_plans import FilePlan, Operation, finish_plan, look_at
from clipsim.tasks.progress import ProgressCallback, ignore_progress
from clipsim.tasks.rank import RankRequest
from clipsim.tasks.sidecars import ImageFolders
from clipsim.tasks.sort import check_probabilities, fitting_labels
from clipsim.tasks.xmp import EMPTY, MAX_BYTES, add_keywords


@dataclass(frozen=True)
class TagRequest:
    """What to rank, and whether the keywords go into `sidecars`.

    A keyword has at least `min_probability`. Raises UsageError for what is not a probability.
    """

    ranking: RankRequest
    sidecars: bool
    min_probability: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_probability(self.min_probability)


def run(embedder: Embedder, request: TagRequest, progress: ProgressCallback = ignore_progress) -> FilePlan:
    """Rank the images and plan what their sidecars get; without `sidecars`, the keywords alone.

    A sidecar that cannot be merged into is an error of the plan. Raises as `rank.run` does.
    """
    result = rank.run(embedder, request.ranking, progress)
    check_probabilities(result, request.min_probability)
    by_index = {source.index: source for source in request.ranking.sources}
    folders = ImageFolders()
    operations, left, failures = list[Operation](), list[str](), list[Failure]()
    for image in result.scores:
        labels = fitting_labels(result, image, request.min_probability)
        if not labels:
            left.append(image.image)
            continue
        best = image.score(result.texts, labels[0])
        keywords = tuple(result.texts[label] for label in labels)
        step = FileStep("tag", image.image, None, keywords, best.similarity, best.probability)
        source = by_index[image.index]
        try:
            look_at(source)
            planned = list(_plan_sidecars(source, step, folders)) if request.sidecars else [Operation(step)]
        except (DataError, ImageError) as error:
            failures.append(Failure(image.image, str(error), image.index))
            continue
        operations += planned
        if not planned:
            left.append(image.image)
    return finish_plan("tag", operations, result, left, failures)


def _plan_sidecars(source: Source, step: FileStep, folders: ImageFolders) -> Iterator[Operation]:
    """A write for each sidecar that lacks a keyword. Raises DataError or ImageError for one that cannot be merged."""
    existing = folders.find_sidecars(source.name)
    for path in existing or [folders.name_sidecar(source.name)]:
        before = _read(path) if existing else None
        content = _merge(path, before, step.labels) if before is not None else _make(source, step.labels)
        if content != before:
            yield Operation(_with_target(step, path), content=content, before=before)


def _with_target(step: FileStep, path: str) -> FileStep:
    return FileStep("write", step.source, path, step.labels, step.similarity, step.probability)


def _read(path: str) -> bytes:
    try:
        with open_regular(path) as file:
            return file.read(MAX_BYTES + 1)
    except (ImageError, OSError) as error:
        raise ImageError(f"its sidecar {printable(os.path.basename(path))} cannot be read: {error}") from error


def _merge(path: str, before: bytes, keywords: tuple[str, ...]) -> bytes:
    try:
        return add_keywords(before, keywords)
    except DataError as error:
        raise DataError(f"its sidecar {printable(os.path.basename(path))} is left: {error}") from error


def _make(source: Source, keywords: tuple[str, ...]) -> bytes:
    """A new sidecar: what the image itself says in XMP, which programs ignore once there is one, and the keywords."""
    with suppress(ClipsimError, OSError):
        if embedded := read_xmp(source):
            return add_keywords(embedded, keywords)
    return add_keywords(EMPTY, keywords)
