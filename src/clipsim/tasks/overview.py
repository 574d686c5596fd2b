"""Images → what there is among them: `OverviewRequest` is the request, `run` groups them and names the groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.errors import UsageError
from clipsim.inputs.texts import check_templates, clean_texts, read_texts
from clipsim.options import as_whole
from clipsim.results.overview import GroupWord, ImageGroup, OverviewResult, TypicalImage
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model
from clipsim.tasks.search_targets import EmbeddedCollection, Target, Targets, check_models, find_accept
from clipsim.vectors.groups import BLOCK_ROWS, Grouping, group_vectors
from clipsim.vectors.similarity import Vectors, cosine, mean_of_templates, order_best_first

VOCABULARY = Path(__file__).with_name("vocabulary.txt")  # everyday things, places and kinds of images, written for this
IMAGES_PER_GROUP = 3
WORDS_PER_GROUP = 5


@dataclass(frozen=True)
class OverviewRequest:
    """The arguments of an overview, checked before a model is opened.

    `targets` are divided into so many `groups`, or with None as many as suit them; the words are of `texts`.
    """

    targets: Sequence[Target]
    texts: tuple[str, ...]
    templates: tuple[str, ...] = ()
    groups: int | None = None
    seed: int = 0
    notices: tuple[str, ...] = ()

    @classmethod
    def check(
        cls,
        targets: Sequence[Target],
        *,
        groups: int | None = None,
        texts: Iterable[str] | str = (),
        templates: Iterable[str] | str = (),
        seed: int = 0,
    ) -> OverviewRequest:
        """Strip the texts and drop repeated ones; without any, take those of the vocabulary.

        Raises UsageError for an empty text or one that is not a string, a template without `{}`, and numbers out of
        range.
        """
        kept, notices = clean_texts(texts)
        count, number = as_whole(groups), as_whole(seed)
        if groups is not None and (count is None or count < 1):
            raise UsageError("not a positive integer", parameter="groups", value=groups)
        if number is None or number < 0:
            raise UsageError("not a whole number from 0 on", parameter="seed", value=seed)
        return cls(
            targets,
            tuple(kept or read_texts(str(VOCABULARY))),
            check_templates(templates),
            count,
            number,
            tuple(notices),
        )


def run(embedder: Embedder, request: OverviewRequest, progress: ProgressCallback = ignore_progress) -> OverviewResult:
    """Divide images into groups by their vectors, and find the typical images and the words of each.

    Sources are embedded, or their vectors found in the cache, as those of the texts are; data sets of vectors are read.

    Raises DatasetError for a data set of another model, TextError for a text that is too long, and with
    `on_error="raise"` ImageError for the first unusable image.
    """
    notices = check_models(request.targets, embedder)
    if isinstance(request.targets, Targets):
        notices += request.targets.repeats.notices
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *request.notices, *notices)))
    with closing(EmbeddedCollection(embedder.facts.embed_dim)) as images:
        accept = find_accept(request.targets)
        images.fill(embedder, request.targets, progress, lambda _: accept)
        progress(Progress("grouping", 0, None))
        groups, silhouette = _find_groups(embedder, request, images) if len(images) else ((), None)
        if request.groups is not None and 0 < len(groups) < request.groups:
            notices.append(
                "all images are equal, and there is one group"
                if len(groups) == 1
                else f"there are only {len(groups):,} different images, and as many groups"
            )
    facts = embedder.facts
    return OverviewResult(
        model=describe_model(facts),
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        templates=request.templates,
        images=len(images),
        texts=len(request.texts),
        silhouette=silhouette,
        seed=request.seed,
        groups=groups,
        errors=tuple(images.errors),
        warnings=tuple(dict.fromkeys((*embedder.notices, *request.notices, *notices))),
    )


def _find_groups(
    embedder: Embedder, request: OverviewRequest, images: EmbeddedCollection
) -> tuple[tuple[ImageGroup, ...], float | None]:
    texts = mean_of_templates(embedder.embed_texts(request.texts, request.templates).features)

    def take(start: int, end: int) -> Vectors:
        return images.vectors.take(np.arange(start, end))

    grouping = group_vectors(take, len(images), request.groups, seed=request.seed)
    words = _find_words(_mean_vectors(images, grouping), grouping, texts, request.texts)
    groups = []
    for number, size in enumerate(grouping.sizes().tolist()):
        typical = [
            TypicalImage(images.sources[row].name, min(1.0, float(grouping.similarity[row])), images.sources[row].index)
            for row in grouping.typical(number, IMAGES_PER_GROUP).tolist()
        ]
        groups.append(ImageGroup(size, size / len(images), words[number], tuple(typical)))
    return tuple(groups), grouping.silhouette


def _mean_vectors(images: EmbeddedCollection, grouping: Grouping) -> Vectors:
    """(k, d): the mean of the vectors of each group, which is shorter than 1."""
    sums = np.zeros(grouping.centres.shape, np.float64)
    for start in range(0, len(images), BLOCK_ROWS):
        rows = np.arange(start, min(start + BLOCK_ROWS, len(images)))
        np.add.at(sums, grouping.labels[rows], images.vectors.take(rows).astype(np.float64))
    means: Vectors = (sums / grouping.sizes()[:, None]).astype(np.float32)
    return means


def _find_words(
    means: Vectors, grouping: Grouping, text_vectors: Vectors, texts: Sequence[str]
) -> list[tuple[GroupWord, ...]]:
    """The words of each group: those whose mean cosine with its images is the most above that with all other images.

    A word that fits everything alike is thus the best of no group, and one that fits the rest better is none of the
    group's. Of a single group, the words with the greatest mean cosine are taken.
    """
    similarity = cosine(means, text_vectors).astype(np.float64)  # (k, m)
    sizes = grouping.sizes()[:, None]
    others = np.maximum(1, sizes.sum() - sizes)
    difference = similarity - ((sizes * similarity).sum(axis=0) - sizes * similarity) / others
    single = len(means) == 1
    scores = similarity if single else difference
    words = []
    for group in range(len(means)):
        best = order_best_first(scores[group])[:WORDS_PER_GROUP].tolist()
        words.append(
            tuple(
                GroupWord(
                    texts[text], float(similarity[group, text]), None if single else float(difference[group, text])
                )
                for text in best
                if single or difference[group, text] > 0
            )
        )
    return words
