"""Places → groups of pictures that are alike: `DuplicatesRequest`, what is asked, and `Duplicates`, which finds it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.api.collection import Collection
from clipsim.api.kept_files import Arranged, arrange
from clipsim.api.model_record import describe_model
from clipsim.api.pixel_check import PixelCheck
from clipsim.api.places import Place, Places, Progress, check_models
from clipsim.embedding.pipeline import default_workers
from clipsim.embedding.session import Session
from clipsim.engines.devices import usable_cores
from clipsim.errors import ImageError, UsageError, count_of, printable
from clipsim.images.thumbnails import measure_source
from clipsim.inputs.repeats import Repeats, identify
from clipsim.inputs.sources import FileSource
from clipsim.models.catalogue import BUNDLED
from clipsim.options import as_number, check_flag
from clipsim.scoring.duplicates_records import DuplicateGroup, DuplicateImage, DuplicatesResult
from clipsim.scoring.groups import Groups
from clipsim.scoring.near_pairs import Pairs, find_near_pairs

DEFAULT_THRESHOLD = 0.94  # for the bundled model, as benchmarks/duplicates.py measures it
LOADED_PAIRS = 512  # whose pictures are decoded ahead
OTHER_MODEL = (
    f"the default threshold of {DEFAULT_THRESHOLD} was measured with {BUNDLED}; with another model, look at what it "
    "finds, and set the threshold"
)


@dataclass(frozen=True)
class DuplicatesRequest:
    """What makes two pictures alike: a cosine over `threshold` (None: the default), and with `pixels` their pixels too.

    Raises UsageError for a threshold that is not a cosine.
    """

    threshold: float | None = None
    pixels: bool = True

    def __post_init__(self) -> None:
        """Check the threshold."""
        least = as_number(self.threshold)
        if self.threshold is not None and (least is None or not -1 <= least <= 1):
            raise UsageError(f"threshold is a cosine, from -1 to 1, not {printable(repr(self.threshold), 40)}")
        check_flag("pixels", self.pixels)
        object.__setattr__(self, "threshold", least)


class Duplicates:
    """A search for duplicates as it runs: iterate over its progress to the end; then `result` is there.

    Raises DatasetError for a data set of another model, and with `on_error="raise"` ImageError for the first image that
    cannot be used.
    """

    def __init__(self, session: Session, places: Sequence[Place], request: DuplicatesRequest) -> None:
        self._session, self._places, self._request = session, places, request
        self._threshold = DEFAULT_THRESHOLD if request.threshold is None else float(request.threshold)
        self.notices = check_models(places, session)
        if request.threshold is None and session.spec.name != BUNDLED:
            self.notices.append(OTHER_MODEL)
        self.result: DuplicatesResult | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        return tuple(dict.fromkeys((*self._session.notices, *self.notices)))

    def __iter__(self) -> Generator[Progress, None, None]:
        """Embed what is to be compared, then compare it."""
        session = self._session
        reported = False
        while True:
            device = session.confirm_device()
            with closing(Collection()) as collection:
                for progress in collection.fill(session, self._places):
                    yield Progress(progress.what, progress.done, progress.total) if reported else progress
                reported = True
                if session.confirm_device() != device:  # vectors of two devices are not compared
                    continue
                with closing(PixelCheck(collection.sources, default_workers())) as check:
                    yield from self._compare(collection, check)
                return

    def _compare(self, collection: Collection, check: PixelCheck) -> Generator[Progress, None, None]:
        copies = find_copies(collection.digests)
        repeated = {row for rows in copies for row in rows[1:]}
        rows = np.array([row for row in range(len(collection)) if row not in repeated], np.int64)
        groups = Groups()
        for first, *others in copies:
            for other in others:
                groups.join(first, other)
        vectors = collection.vectors
        assert vectors is not None

        def take(start: int, end: int) -> NDArray[np.float32]:
            return vectors.take(rows[start:end])

        with closing(find_near_pairs(take, len(rows), self._threshold, workers=usable_cores())) as blocks:
            for done, pairs in blocks:
                self._join(groups, check, rows, pairs)
                yield Progress("comparing", done, len(rows))
        if check.missing and self._request.pixels:
            self.notices.append(
                count_of(len(check.missing), "picture")
                + " could not be opened to compare their pixels; their vectors decide"
            )
        found = DescribedGroups(collection, self._places, groups.members(), check)
        self.notices += found.notices
        model = describe_model(self._session.encoder)  # after which all notices of the model are known
        self.result = DuplicatesResult(
            model=model,
            threshold=self._threshold,
            compared=len(collection) - found.repeated,
            groups=found.groups,
            errors=tuple(collection.errors),
            warnings=self.warnings,
        )

    def _join(self, groups: Groups, check: PixelCheck, rows: NDArray[np.int64], pairs: Pairs) -> None:
        """Put into groups what is alike."""
        firsts, seconds = rows[pairs.first].tolist(), rows[pairs.second].tolist()
        for begin in range(0, len(firsts), LOADED_PAIRS):
            part = list(zip(firsts[begin : begin + LOADED_PAIRS], seconds[begin : begin + LOADED_PAIRS], strict=True))
            part = [pair for pair in part if not groups.together(*pair)]
            if self._request.pixels:
                check.load(row for pair in part for row in pair)
            for first, second in part:
                if not groups.together(first, second) and (not self._request.pixels or check.alike(first, second)):
                    groups.join(first, second)


def find_copies(digests: Sequence[bytes | None]) -> list[list[int]]:
    """The rows that share a digest, two and more; in the order of the first.

    >>> find_copies([b"a", b"b", None, b"a", None])
    [[0, 3]]
    """
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(digests):
        if digest is not None:
            rows[digest].append(row)
    return [found for found in rows.values() if len(found) > 1]


class DescribedGroups:
    """The records of groups of rows: those of the same bytes first, in each the best picture first.

    A file that is in a group under two names is there once; a group that has one picture then is none. `repeated` is
    the number of those names, `notices` what the caller should know.
    """

    def __init__(
        self, collection: Collection, places: Sequence[Place], groups: Sequence[Sequence[int]], check: PixelCheck | None
    ) -> None:
        self._collection, self._check = collection, check
        repeats = places.repeats if isinstance(places, Places) else Repeats()
        before, changed, described = repeats.count, 0, []
        for members in groups:
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
                f"{changed:,} pictures of groups are not what they were when they were compared, and are no longer "
                "taken for copies; embed them again"
            )

    def _is_repeated(self, repeats: Repeats, row: int) -> bool:
        source = self._collection.sources[row]
        if not isinstance(source, FileSource):
            return False
        return repeats.is_repeated(("row", identify(source) or source.name))

    def _describe(self, rows: Sequence[int]) -> tuple[DuplicateGroup, Arranged]:
        collection = self._collection
        distance = None if self._check is None else self._check.distance
        arranged = arrange(rows, collection.sources, collection.digests, distance)
        known = {row: self._size_of(row) for row in rows}
        area = {row: size[0] * size[1] if size else 0 for row, size in known.items()}
        copies = {*arranged.copy_of, *arranged.copy_of.values()}  # first, then what is only alike, also what is gone
        ordered = sorted(arranged.rows, key=lambda row: (row not in copies, -area[row]))
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
            )
            for row, source, cosine, (width, height) in (
                (row, collection.sources[row], cosine, known[row] or (None, None))
                for row, cosine in zip(ordered, _compare_with_first(collection, ordered), strict=True)
            )
        )
        return DuplicateGroup(same, images), arranged

    def _size_of(self, row: int) -> tuple[int, int] | None:
        sizes = self._check.sizes if self._check else {}
        return sizes.get(row) or self._collection.sizes[row] or _measure(self._collection, row)


def _compare_with_first(collection: Collection, rows: Sequence[int]) -> list[float]:
    """The cosine of each row's vector with that of the first; 1 for the same bytes."""
    digest = collection.digests[rows[0]]
    same = [place == 0 or (digest is not None and collection.digests[row] == digest) for place, row in enumerate(rows)]
    if all(same) or collection.vectors is None:
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
