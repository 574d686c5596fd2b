"""The answer of `rank`, `search` or `duplicates` → a plan for the files of its images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from clipsim.errors import Failure, ImageError, printable
from clipsim.inputs.sources import FileSource, Source
from clipsim.results.plans import Action, FileStep
from clipsim.results.rank import ImageScores, RankResult
from clipsim.results.search import DuplicateImage, DuplicatesResult, SearchResult
from clipsim.tasks.file_plans import FilePlan, Operation, Placement, finish_plan, look_at, make_plan


def plan_ranked(
    result: RankResult,
    sources: Iterable[Source],
    action: Action,
    folder: str,
    top_images: int | None = None,
) -> FilePlan:
    """Copies of, or links to, the images of a ranking that have a best text, or the `top_images` of each text."""
    by_index = {source.index: source for source in sources}
    chosen: dict[int | None, tuple[ImageScores, int]] = {}
    if top_images is None:
        chosen = {image.index: (image, image.best) for image in result.scores if image.best is not None}
    else:
        for text in range(len(result.texts)):
            for image in result.top_images(text, top_images):
                chosen.setdefault(image.index, (image, text))
    placements = []
    for image, text in chosen.values():
        score = image.score(result.texts, text)
        source = by_index[image.index]
        placements.append(Placement(source, folder, (score.text,), score.similarity, score.probability))
    left = [image.image for image in result.scores if image.index not in chosen]
    return make_plan("rank", action, placements, result, left)


def plan_matches(
    result: SearchResult,
    targets: Sequence[object],
    action: Action,
    folder: str,
) -> FilePlan:
    """Copies of, or links to, the matches of all queries, each image once."""
    lists = (target for target in targets if isinstance(target, list))
    sources = {source.name: source for source in chain.from_iterable(lists)}
    placements: dict[str, Placement] = {}
    for query in result.queries:
        for match in query.results:
            source = sources.get(match.image) or FileSource(match.image, index=match.index)
            placements.setdefault(match.image, Placement(source, folder, (query.label,), match.similarity))
    return make_plan("search", action, placements.values(), result)


def plan_duplicates(result: DuplicatesResult, folder: str | None) -> FilePlan:
    """Move the copies that may go into a folder; without one, replace those of the same bytes by hard links.

    Each rests on the content that was compared, of the copy and of the image that stays.
    """
    copies = list(_removable(result))
    if folder is not None:
        placements = [
            Placement(
                FileSource(copy.image, index=copy.index),
                folder,
                similarity=copy.similarity,
                keeper=kept.image,
                digest=copy.digest,
                keeper_digest=kept.digest,
            )
            for copy, kept in copies
        ]
        return make_plan("duplicates", "move", placements, result)
    operations, failures = list[Operation](), list[Failure]()
    left = [copy.image for copy, kept in copies if copy.digest != kept.digest]
    for copy, kept in copies:
        if copy.digest != kept.digest:
            continue
        try:
            operations.append(_plan_hard_link(copy, kept))
        except ImageError as error:
            failures.append(Failure(copy.image, str(error), copy.index))
    if left:
        are = "copy has" if len(left) == 1 else "copies have"
        notice = f"{len(left):,} {are} other bytes than the image that stays; only equal files become hard links"
        result = replace(result, warnings=(*result.warnings, notice))
    return finish_plan("duplicates", operations, result, left, failures)


def _removable(result: DuplicatesResult) -> Iterator[tuple[DuplicateImage, DuplicateImage]]:
    """The copies that may go, each with the image that stays."""
    for group in result.groups:
        by_name = {image.image: image for image in group.images}
        for image in group.images:
            if image.removable and image.copy_of is not None:
                yield image, by_name[image.copy_of]


def _plan_hard_link(copy: DuplicateImage, kept: DuplicateImage) -> Operation:
    stamp = look_at(FileSource(copy.image), moves=True)
    if look_at(FileSource(kept.image)).device != stamp.device:
        raise ImageError(f"on another file system than {printable(kept.image)}, which a hard link cannot cross")
    step = FileStep("hardlink", copy.image, kept.image, similarity=copy.similarity, keeper=kept.image)
    return Operation(step, stamp, copy.digest, kept.digest)
