"""Images and labels → a plan that gives each image a place in the folder of the label that fits it best."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from clipsim.embedding.embedder import Embedder
from clipsim.errors import UsageError, round_significant
from clipsim.options import check_probability
from clipsim.results.plans import Action
from clipsim.results.rank import ImageScores, RankResult
from clipsim.tasks import rank
from clipsim.tasks.file_plans import FilePlan, Placement, TargetNames, make_plan
from clipsim.tasks.progress import ProgressCallback, ignore_progress
from clipsim.tasks.rank import RankRequest

MAX_FOLDER_CHARACTERS = 60
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]')  # in names of files of any system
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])( *\..*)?", re.IGNORECASE)  # names that Windows keeps


@dataclass(frozen=True)
class SortRequest:
    """What to rank, and whether to "copy", "link" or "move" the images into folders below `folder`.

    An image whose best label has less than `min_probability` is left. Raises UsageError for what is not a probability.
    """

    ranking: RankRequest
    action: Action
    folder: str
    min_probability: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_probability(self.min_probability)


def run(embedder: Embedder, request: SortRequest, progress: ProgressCallback = ignore_progress) -> FilePlan:
    """Rank the images and plan where each goes. Raises as `rank.run` does."""
    result = rank.run(embedder, request.ranking, progress)
    check_probabilities(result, request.min_probability)
    folders = name_folders(result.texts)
    placements, left = list[Placement](), list[str]()
    by_index = {source.index: source for source in request.ranking.sources}
    for image in result.scores:
        labels = fitting_labels(result, image, request.min_probability)
        if not labels:
            left.append(image.image)
            continue
        score = image.score(result.texts, labels[0])
        folder = os.path.join(request.folder, folders[labels[0]])
        source = by_index[image.index]
        placements.append(Placement(source, folder, (score.text,), score.similarity, score.probability))
    return make_plan("sort", request.action, placements, result, left)


def fitting_labels(result: RankResult, image: ImageScores, min_probability: float | None) -> list[int]:
    """The labels that an image has, best first, by their indices.

    Those that reach their thresholds, where there are any, and `min_probability`, where it is given; without either
    the best label alone.
    """
    limits = result.thresholds
    labels = image.order(None if limits is not None or min_probability is not None else 1)
    if limits is not None:
        labels = [label for label in labels if round_significant(float(image.similarity[label])) >= limits[label]]
    if min_probability is not None and image.probabilities is not None:
        labels = [label for label in labels if float(image.probabilities[label]) >= min_probability]
    return labels


def check_probabilities(result: RankResult, min_probability: float | None) -> None:
    """Raise UsageError for a least probability where there are none."""
    if min_probability is not None and result.scores and result.probabilities is None:
        raise UsageError(
            "with one label there is no probability", parameter="min_probability", value=min_probability,
            hint="give another label, or thresholds",
        )  # fmt: skip


def name_folders(labels: Sequence[str]) -> list[str]:
    """A folder name for each label, of characters that every system takes in one.

    >>> name_folders(["a cat", "cats/dogs", "cats:dogs", "..", "Con"])
    ['a cat', 'cats_dogs', 'cats_dogs (2)', '_', 'Con_']
    """
    names = TargetNames()
    safe = (_UNSAFE.sub("_", label)[:MAX_FOLDER_CHARACTERS].strip(" .") or "_" for label in labels)
    safe = (f"{name}_" if _DEVICE.fullmatch(name) else name for name in safe)
    return [os.path.basename(next(names.candidates("", name))) for name in safe]
