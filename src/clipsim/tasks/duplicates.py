"""Images → groups of those that are alike: which of a group is best, which are its copies, which of those may go."""

from __future__ import annotations

import os
import stat
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clipsim.embedding.embedder import Embedder
from clipsim.engines.choice import default_workers
from clipsim.errors import ImageError, pluralise
from clipsim.files import digest_stream
from clipsim.images.copies import CopyCheck, ImageHeader, could_be_copies, read_header
from clipsim.images.grey_copies import GreyCopy, make_grey_copy, measure_source
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.expand import Repeats, identify, identify_stat
from clipsim.inputs.raw import merge_shots
from clipsim.inputs.sources import FileSource, Source
from clipsim.models.catalogue import BUNDLED
from clipsim.options import check_cosine, check_flag
from clipsim.results.search import DuplicateGroup, DuplicateImage, DuplicatesResult
from clipsim.tasks.keep_rules import KeepRules
from clipsim.tasks.near_images import group_images
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model
from clipsim.tasks.search_targets import Collection, EmbeddedCollection, Target, Targets, check_models, find_accept
from clipsim.vectors.pixels import SIDE, Windows, correlate, cut_whole, cut_windows, fit

MAX_KEPT_COMPARED = 4  # kept images of a group that another one is compared with: the nearest
MAX_KEPT_NEAR = 128  # by their vectors, among which these are looked for: a group can have thousands of forms

Distance = Callable[[int, int], float]
Choose = Callable[[int, list[int]], list[int]]


@dataclass(frozen=True)
class FileState:
    """A file as it is now: what names it, how it is seen, and the header of its image where it is one."""

    identity: object
    names: int  # hard links
    is_link: bool
    bytes: int
    modified: int
    header: ImageHeader | None

    def rank(self) -> tuple[float, ...]:
        """What orders the files of a group, the best first: pixels, lossless, what RGB lacks, bytes, age."""
        header = self.header
        if header is None:
            return (0, 0, 0, -self.bytes, self.modified)
        more = header.frames + header.alpha + header.deep
        return (-header.pixels, header.loss, -more, -self.bytes, self.modified)


@dataclass(frozen=True)
class ArrangedGroup:
    """The rows of a group, the best first.

    `copy_of` has for each row that is a copy by content the row of the kept one. Of these, `removable` are files whose
    removal frees space and loses nothing; `changed` is the number of those that are not what was compared.
    """

    rows: list[int]
    copy_of: dict[int, int]
    removable: frozenset[int]
    changed: int


def arrange(
    rows: Sequence[int],
    sources: Sequence[Source],
    digests: Sequence[bytes | None],
    distance: Distance | None,
    keep: KeepRules,
    choose_near: Choose = lambda _, kept: kept,
) -> ArrangedGroup:
    """Look at the files of a group, and decide which are kept: those that come first by `keep`.

    `digests` are those of the files that were compared: a file with other content now is neither kept nor removable.
    `distance` tells how far two images are apart, infinite for those that are surely different; without it only
    files of the same bytes are copies. It is asked for a row and those of the kept ones that `choose_near` gives.
    """
    existing = {row: file for row in rows if (file := _inspect_file(sources[row])) is not None}
    ranked = sorted(existing, key=lambda row: (*keep(sources[row].name, existing[row]), row))
    kept: list[int] = []
    kept_bytes: dict[bytes | None, int] = {}
    copy_of: dict[int, int] = {}
    unchanged: dict[int, bool] = {}
    with closing(CopyCheck()) as check:
        for row in ranked:
            same = None if digests[row] is None else kept_bytes.get(digests[row])
            if same is None and distance is not None:
                possible_kept = choose_near(row, kept)
                near = sorted(
                    (apart, other) for other in possible_kept if (apart := distance(other, row)) < float("inf")
                )
                candidates = [other for _, other in near[:MAX_KEPT_COMPARED]]
                same = next(
                    (
                        other
                        for other in candidates
                        if _are_copies(check, existing[other], existing[row], sources[other], sources[row])
                    ),
                    None,
                )
            if same is None:
                kept.append(row)
                kept_bytes[digests[row]] = row
            else:
                copy_of[row] = same
    for row in {*copy_of, *copy_of.values()}:
        unchanged[row] = _is_unchanged(sources[row], digests[row])
    possible = [
        row
        for row, other in copy_of.items()
        if unchanged[row]
        and unchanged[other]
        and not existing[row].is_link
        and existing[row].identity != existing[other].identity
    ]
    listed = Counter(existing[row].identity for row in possible)
    removable = frozenset(row for row in possible if listed[existing[row].identity] >= existing[row].names)
    gone = [row for row in rows if row not in existing]
    return ArrangedGroup([*ranked, *gone], copy_of, removable, sum(not same for same in unchanged.values()))


def _inspect_file(source: Source) -> FileState | None:
    """The file of a source; None for what is not a regular file on this machine, or is not there any more."""
    if not isinstance(source, FileSource):
        return None
    stat_result = source.stat()
    if stat_result is None or not stat.S_ISREG(stat_result.st_mode):
        return None
    header = None
    with suppress(ImageError):
        header = read_header(source)
    try:
        is_link = os.path.islink(source.name)  # noqa: PTH114 (a Path raises for odd names)
        identity = identify_stat(source.name, stat_result, hard_links=True)
    except (OSError, ValueError):
        return None
    return FileState(identity, stat_result.st_nlink, is_link, stat_result.st_size, stat_result.st_mtime_ns, header)


def _are_copies(check: CopyCheck, kept: FileState, file: FileState, kept_source: Source, source: Source) -> bool:
    if kept.header is None or file.header is None or not could_be_copies(kept.header, file.header):
        return False
    with suppress(ImageError):
        return check.is_copy(kept_source, source)
    return False


def _is_unchanged(source: Source, digest: bytes | None) -> bool:
    """Whether a file has the content that was compared."""
    with suppress(ImageError, OSError), source.open() as stream:
        return digest is not None and digest_stream(stream) == digest.hex()
    return False


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


def _near_chooser(collection: Collection, rows: Sequence[int]) -> Choose:
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


# The correlation that one image must have with a part of the other, and the greatest difference of their mean
# colours in any channel; benchmarks/duplicates.py measures them.
MIN_CORRELATION = 0.85
MAX_COLOUR_DISTANCE = 32.0
KEPT_IMAGES = 4096  # nine kilobytes each
KEPT_WINDOWS = 64  # two megabytes each
MAX_THUMBNAILS = 10_000  # in a result; some two kilobytes each


EQUAL_DIFFERENCE = 2.0  # of cells of the small images, and of the mean colours, of what has the same pixels
MAX_CELL_DIFFERENCE = 48.0  # of copies that differ by how they were encoded and reduced; most have less than 20
CELL = 4  # pixels of the small images, on either side


class PixelCheck:
    """Compares images by small grey copies, which are decoded by threads when they are needed.

    They are not made as images are decoded for their vectors: one of a JPEG takes up to two thirds of the time of its
    decoding, for images that are near no other too, and one at another fraction of its size differs.

    `sizes` has the width and height of every image that was decoded, by its row; `missing` the rows of those that
    could not be.
    """

    def __init__(self, sources: Sequence[Source], workers: int, thumbnails: ThumbnailRules | None = None) -> None:
        self._sources = sources
        self._rules = thumbnails
        self._workers = workers
        self._pool: ThreadPoolExecutor | None = None
        self._images: OrderedDict[int, GreyCopy] = OrderedDict()
        self._windows: OrderedDict[int, Windows] = OrderedDict()
        self.sizes: dict[int, tuple[int, int]] = {}
        self.missing: set[int] = set()

    def load(self, rows: Iterable[int]) -> None:
        """Decode the images of some rows, those that are not there yet; at most `KEPT_IMAGES` at once."""
        rows = dict.fromkeys(rows)
        for row in rows.keys() & self._images.keys():
            self._images.move_to_end(row)
        new = [row for row in rows if row not in self._images and row not in self.missing]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, "decode")
        for row, made in zip(new, self._pool.map(self._decode, new), strict=True):
            if made is None:
                self.missing.add(row)
            else:
                self._images[row], self.sizes[row] = made, made.size
        while len(self._images) > KEPT_IMAGES:
            self._windows.pop(self._images.popitem(last=False)[0], None)

    def alike(self, first: int, second: int) -> bool:
        """Whether two images are alike; where one of them cannot be decoded, their vectors decide alone."""
        self.load((first, second))
        if self.missing & {first, second}:
            return True
        one, other = self._images[first], self._images[second]
        if np.abs(one.colour - other.colour).max() > MAX_COLOUR_DISTANCE:
            return False
        if _distance(one, other).max() <= EQUAL_DIFFERENCE:
            return True  # also where all pixels have one colour, which nothing correlates with
        if correlate(cut_whole(one.grey), cut_whole(other.grey)) >= MIN_CORRELATION:
            return True  # neither cropped nor turned, as most copies are
        return fit(self._windows_of(first), self._windows_of(second)) >= MIN_CORRELATION

    def distance(self, first: int, second: int) -> float:
        """How far the small copies of two images are apart; infinite where they are surely of different content."""
        self.load((first, second))
        if self.missing & {first, second}:
            return float("inf")
        apart = _distance(self._images[first], self._images[second])
        return float(apart.mean()) if apart.max() <= MAX_CELL_DIFFERENCE else float("inf")

    def thumbnail(self, row: int) -> bytes | None:
        """The thumbnail of an image; None where it was not made, or the image is no longer kept."""
        image = self._images.get(row)
        return None if image is None else image.thumbnail

    def close(self) -> None:
        """Drop what is still to be decoded."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _windows_of(self, row: int) -> Windows:
        windows = self._windows.get(row)
        if windows is None:
            windows = self._windows[row] = cut_windows(self._images[row].grey)
            if len(self._windows) > KEPT_WINDOWS:
                self._windows.popitem(last=False)
        return windows

    def _decode(self, row: int) -> GreyCopy | None:
        try:
            return make_grey_copy(self._sources[row], SIDE, self._rules)
        except ImageError:
            return None


def _distance(first: GreyCopy, second: GreyCopy) -> NDArray[np.float32]:
    """The differences of two small images, cell by cell, and of their mean colours."""
    difference = np.abs(first.grey.astype(np.float32) - second.grey.astype(np.float32))
    cells = difference.reshape(SIDE // CELL, CELL, SIDE // CELL, CELL).mean((1, 3))
    return np.concatenate([cells.ravel(), np.abs(first.colour - second.colour)])
