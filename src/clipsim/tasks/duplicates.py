"""Images → groups of those that are alike, and the copies among them: what a `DuplicatesRequest` asks, `run` finds."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.engines.choice import default_workers
from clipsim.errors import ImageError, pluralise
from clipsim.images.grey_copies import measure_source
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.expand import Repeats, identify
from clipsim.inputs.raw import merge_shots
from clipsim.inputs.sources import FileSource
from clipsim.models.catalogue import BUNDLED
from clipsim.options import check_cosine, check_flag
from clipsim.results.search import DuplicateGroup, DuplicateImage, DuplicatesResult
from clipsim.tasks.keep_rules import KeepRules
from clipsim.tasks.kept_copies import ArrangedGroup, ChooseNear, arrange
from clipsim.tasks.near_images import group_images
from clipsim.tasks.pixel_check import PixelCheck
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model
from clipsim.tasks.search_targets import Collection, EmbeddedCollection, Target, Targets, check_models, find_accept

MAX_KEPT_NEAR = 128  # kept images by their vectors, with which another is compared: a group can have thousands of forms
MAX_THUMBNAILS = 10_000  # in a result; some two kilobytes each
DEFAULT_THRESHOLD = 0.94  # for the bundled model, as benchmarks/duplicates.py measures it
OTHER_MODEL = (
    f"the default threshold of {DEFAULT_THRESHOLD} was measured with {BUNDLED}; with another model, look at what it "
    "finds, and set min_similarity"
)


@dataclass(frozen=True)
class DuplicatesRequest:
    """What to compare, and what makes two images alike.

    That is a cosine over `min_similarity` (None: the default), and with `pixels` their pixels too. `keep` are the rules
    of `KeepRules`. With `thumbnails`, up to `MAX_THUMBNAILS` images of groups get one, where their pixels are compared.
    With `all_pairs`, every two of more than 200,000 images are compared too, and not only those in near lists.

    Raises UsageError for a `min_similarity` that is not a cosine, and for a malformed rule.
    """

    targets: Sequence[Target]
    min_similarity: float | None = None
    pixels: bool = True
    keep: tuple[str, ...] = ()
    thumbnails: ThumbnailRules | None = None
    all_pairs: bool = False

    def __post_init__(self) -> None:
        """Check the values."""
        check_flag("pixels", self.pixels)
        check_flag("all_pairs", self.all_pairs)
        KeepRules(self.keep)
        object.__setattr__(self, "min_similarity", check_cosine("min_similarity", self.min_similarity))


def run(
    embedder: Embedder, request: DuplicatesRequest, progress: ProgressCallback = ignore_progress
) -> DuplicatesResult:
    """Find groups of images that are alike, and the copies among them.

    Raises DatasetError for a data set of another model, and with `on_error="raise"` ImageError for the first image that
    cannot be used.
    """
    threshold = DEFAULT_THRESHOLD if request.min_similarity is None else request.min_similarity
    notices = check_models(request.targets, embedder)
    if request.min_similarity is None and embedder.spec.name != BUNDLED:
        notices.append(OTHER_MODEL)
    targets = [merge_shots(target) if isinstance(target, list) else target for target in request.targets]
    if merged := sum(map(len, request.targets)) - sum(map(len, targets)):
        notices.append(f"{pluralise(merged, 'RAW file')} left to the JPEG or HEIC beside it, which is compared instead")
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *notices)))
    with closing(EmbeddedCollection(embedder.facts.embed_dim)) as collection:
        accept = find_accept(request.targets)
        collection.fill(embedder, targets, progress, lambda _: accept)
        with closing(PixelCheck(collection.sources, default_workers(), request.thumbnails)) as check:
            near = group_images(
                collection, threshold, check if request.pixels else None, progress, all_pairs=request.all_pairs
            )
            notices += near.notices
            if check.missing and request.pixels:
                notices.append(
                    f"pixel check skipped for {pluralise(len(check.missing), 'image')} that could not be read"
                )
            records = GroupRecords(collection, request.targets, near.groups.members(), check, request.keep, progress)
        return DuplicatesResult(
            model=describe_model(embedder.facts),
            min_similarity=threshold,
            compared=len(collection) - records.repeated,
            groups=records.groups,
            pairs=near.pairs,
            recall=near.recall,
            errors=tuple(collection.errors),
            warnings=tuple(dict.fromkeys((*embedder.notices, *notices, *records.notices))),
        )


class GroupRecords:
    """The records of groups of rows: those of the same bytes first, in each the best image first.

    A file that is in a group under two names is there once; a group that has one image then is none. `repeated` is
    the number of those names, `notices` what the caller should know.
    """

    def __init__(
        self,
        collection: Collection,
        targets: Sequence[Target],
        groups: Sequence[Sequence[int]],
        check: PixelCheck | None,
        keep: Sequence[str] = (),
        progress: ProgressCallback = ignore_progress,
    ) -> None:
        self._collection, self._check, self._keep = collection, check, KeepRules(keep)
        self._thumbnails = 0
        repeats = targets.repeats if isinstance(targets, Targets) else Repeats()
        before, changed, described = repeats.count, 0, []
        for done, members in enumerate(groups):
            progress(Progress("looking for copies in groups", done, len(groups)))
            rows = [row for row in members if not self._is_repeated(repeats, row)]
            if len(rows) > 1:
                group, arranged = self._describe(rows)
                described.append(group)
                changed += arranged.changed
        self.repeated = repeats.count - before
        self.groups = tuple(sorted(described, key=lambda group: not group.same_bytes))
        self.notices = list(repeats.notices)
        if changed:
            self.notices.append(
                f"{changed:,} images of groups are not what they were when they were compared, and are no longer "
                "taken for copies; embed them again"
            )
        if self.groups:
            self.notices += self._keep.notices

    def _is_repeated(self, repeats: Repeats, row: int) -> bool:
        source = self._collection.sources[row]
        if not isinstance(source, FileSource):
            return False
        return repeats.is_repeated(("row", identify(source) or source.name))

    def _describe(self, rows: Sequence[int]) -> tuple[DuplicateGroup, ArrangedGroup]:
        collection = self._collection
        distance = None if self._check is None else self._check.distance
        choose_near = _near_chooser(collection, rows)
        arranged = arrange(rows, collection.sources, collection.digests, distance, self._keep, choose_near)
        sizes = {row: self._size_of(row) for row in rows}
        area = {row: size[0] * size[1] if size else 0 for row, size in sizes.items()}
        copies = {*arranged.copy_of, *arranged.copy_of.values()}  # first, then what is only alike, also what is gone
        ordered = sorted(arranged.rows, key=lambda row: (row not in copies, 0 if self._keep.given else -area[row]))
        digests = {collection.digests[row] for row in ordered}
        same = len(digests) == 1 and None not in digests
        images = tuple(
            DuplicateImage(
                source.name,
                cosine,
                width,
                height,
                source.index,
                copy_of=collection.sources[arranged.copy_of[row]].name if row in arranged.copy_of else None,
                removable=row in arranged.removable,
                digest=digest.hex() if (digest := collection.digests[row]) is not None else None,
                thumbnail=self._take_thumbnail(row),
            )
            for row, source, cosine, (width, height) in (
                (row, collection.sources[row], cosine, sizes[row] or (None, None))
                for row, cosine in zip(ordered, _compare_with_first(collection, ordered), strict=True)
            )
        )
        return DuplicateGroup(same, images), arranged

    def _take_thumbnail(self, row: int) -> bytes | None:
        thumbnail = self._check.thumbnail(row) if self._check and self._thumbnails < MAX_THUMBNAILS else None
        self._thumbnails += thumbnail is not None
        return thumbnail

    def _size_of(self, row: int) -> tuple[int, int] | None:
        sizes = self._check.sizes if self._check else {}
        return sizes.get(row) or self._collection.sizes[row] or _measure(self._collection, row)


def _near_chooser(collection: Collection, rows: Sequence[int]) -> ChooseNear:
    """What gives the `MAX_KEPT_NEAR` kept rows of a group whose vectors are nearest to that of a row; all of fewer."""
    if len(rows) <= MAX_KEPT_NEAR or not isinstance(collection, EmbeddedCollection):
        return lambda _, kept: kept
    ordered = np.sort(np.array(rows, np.int64))
    vectors = collection.vectors.take(ordered)

    def choose(row: int, kept: list[int]) -> list[int]:
        if len(kept) <= MAX_KEPT_NEAR:
            return kept
        cosines = (vectors @ vectors[np.searchsorted(ordered, row)])[np.searchsorted(ordered, kept)]
        return [kept[position] for position in np.argsort(-cosines, kind="stable")[:MAX_KEPT_NEAR]]

    return choose


def _compare_with_first(collection: Collection, rows: Sequence[int]) -> list[float]:
    """The cosine of each row's vector with that of the first; 1 for the same bytes."""
    digest = collection.digests[rows[0]]
    same = [row == rows[0] or (digest is not None and collection.digests[row] == digest) for row in rows]
    if all(same) or not isinstance(collection, EmbeddedCollection):
        return [1.0] * len(rows)
    order = np.argsort(np.array(rows))
    vectors = np.empty((len(rows), collection.vectors.dimensions), np.float32)
    vectors[order] = collection.vectors.take(np.array(rows, np.int64)[order])
    cosines = np.clip(vectors @ vectors[0], -1, 1)
    return [1.0 if equal else float(cosine) for equal, cosine in zip(same, cosines, strict=True)]


def _measure(collection: Collection, row: int) -> tuple[int, int] | None:
    with suppress(ImageError):
        return measure_source(collection.sources[row])
    return None
