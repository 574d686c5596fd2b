"""Queries and what to search → the nearest images of each query: `SearchRequest` is the request, `run` searches."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome
from clipsim.embedding.pipeline import Pipeline, read_thumbnails
from clipsim.errors import Failure, UsageError, printable, round_significant
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.expand import identify_name
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import FileSource, Source
from clipsim.inputs.texts import MAX_QUOTED, check_templates, clean_texts
from clipsim.options import as_number, as_whole, check_cosine, check_flag
from clipsim.results.loaded import LoadedThresholds
from clipsim.results.search import Match, QueryMatches, SearchResult
from clipsim.store.dataset import Dataset
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model
from clipsim.tasks.saved_files import Thresholds, check_conditions, read_thresholds
from clipsim.tasks.search_targets import EmbeddedCollection, Target, Targets, check_models
from clipsim.tasks.search_vectors import NearestImages, Query
from clipsim.vectors.nearest import combine_vectors
from clipsim.vectors.similarity import Vectors, mean_of_templates, unit_rows

DEFAULT_TOP = 10


@dataclass(frozen=True)
class SearchRequest:
    """The arguments of a search, checked before a model is opened.

    `targets` are searched; of data sets only the images whose names `chosen` accepts. Each of `texts` and `images` is a
    query; `plus` and `minus` are added to and subtracted from every one with the `weight`. The `top` best images of
    each are found, and of these the ones of at least `min_similarity` and the text's own of the `thresholds`.
    """

    targets: Sequence[Target | EmbeddedCollection]
    texts: tuple[str, ...]
    images: tuple[Source, ...] = ()
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    weight: float = 1.0
    top: int = DEFAULT_TOP
    min_similarity: float | None = None
    chosen: NameFilter | None = None
    notices: tuple[str, ...] = ()
    thresholds: LoadedThresholds | None = None

    @classmethod
    def check(
        cls,
        targets: Sequence[Target | EmbeddedCollection],
        texts: Iterable[str] | str = (),
        images: Iterable[Source] = (),
        *,
        plus: Iterable[str] | str = (),
        minus: Iterable[str] | str = (),
        templates: Iterable[str] | str = (),
        weight: float = 1.0,
        top: int = DEFAULT_TOP,
        min_similarity: float | None = None,
        thresholds: Thresholds | None = None,
        chosen: NameFilter | None = None,
        deduplicate: bool = True,
    ) -> SearchRequest:
        """Strip the texts, and with `deduplicate` drop repeated ones; read the thresholds.

        Raises UsageError for no query, an empty text or one that is not a string, a template without `{}`, numbers out
        of range, and thresholds with queries that are not texts alone; DataError for thresholds that cannot be read, or
        lack one of the texts.
        """
        check_flag("deduplicate", deduplicate)
        cleaned, notices = [], []
        for name, unchecked in (("texts", texts), ("plus", plus), ("minus", minus)):
            kept, text_notices = clean_texts(unchecked, name, deduplicate=deduplicate or name != "texts")
            cleaned.append(tuple(kept))
            notices += text_notices
        queries, added, subtracted = cleaned
        images = tuple(images)
        if not (queries or images):
            raise UsageError("no query; give at least one text or image")
        if (factor := as_number(weight)) is None:
            raise UsageError("not a number", parameter="weight", value=weight)
        if (count := as_whole(top)) is None or count < 1:
            raise UsageError("not a positive integer", parameter="top", value=top)
        if thresholds is not None and (images or added or subtracted):
            raise UsageError("a threshold is of a text alone, not of an image, nor of a text with plus or minus")
        return cls(
            targets,
            queries,
            images,
            added,
            subtracted,
            check_templates(templates),
            factor,
            count,
            check_cosine("min_similarity", min_similarity),
            chosen,
            tuple(notices),
            None if thresholds is None else read_thresholds(thresholds, queries),
        )


@dataclass(frozen=True, eq=False)
class Queries:
    """The queries of a request with their vectors, texts first; `failures` are query images that cannot be used.

    `unusable` has the position of each failure among all queries.
    """

    usable: tuple[Query, ...]
    failures: tuple[Failure, ...]
    unusable: tuple[int, ...]


def run(embedder: Embedder, request: SearchRequest, progress: ProgressCallback = ignore_progress) -> SearchResult:
    """Find the images that are nearest to each query.

    Sources are embedded, or their vectors found in the cache; data sets of vectors are read.

    Raises DatasetError for a data set and DataError for thresholds of another model, TextError for a text that is too
    long, UsageError where `plus` and `minus` cancel a query out, and with `on_error="raise"` ImageError for the first
    unusable image.
    """
    notices = check_models(request.targets, embedder)
    if isinstance(request.targets, Targets):
        notices += request.targets.repeats.notices
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *request.notices, *notices)))
    with ExitStack() as stack:
        pipelines = [
            stack.enter_context(closing(embedder.open_pipeline(target)))
            for target in request.targets
            if isinstance(target, list)
        ]
        if pipelines:
            pipelines[0].start()  # images are decoded while the model is loaded for the queries
        if request.thresholds is not None:
            check_conditions(request.thresholds, embedder.facts, request.templates)
        texts = (*request.texts, *request.plus, *request.minus)
        vectors = np.zeros((0, embedder.facts.embed_dim), np.float32)
        if texts:
            vectors = mean_of_templates(embedder.embed_texts(texts, request.templates).features)
        outcomes: list[Outcome] = []
        if request.images:
            with closing(embedder.open_pipeline(request.images)) as pipeline:
                outcomes = [outcome for batch in embedder.embed_images(pipeline) for outcome in batch]
        queries = make_queries(request, vectors, outcomes)
        return find(embedder, request, queries, progress, notices=notices, pipelines=pipelines)


def make_queries(request: SearchRequest, vectors: Vectors, outcomes: Sequence[Outcome]) -> Queries:
    """The vectors of a request's texts, of `plus` and of `minus`, in this order, and its images' → its queries.

    Raises UsageError where `plus` and `minus` cancel a query out.
    """
    usable = [Query(text, None, vector) for text, vector in zip(request.texts, vectors, strict=False)]
    failures, unusable = [], []
    for number, (source, outcome) in enumerate(zip(request.images, outcomes, strict=True), len(request.texts)):
        if isinstance(outcome, Failure):
            failures.append(Failure(outcome.image, outcome.error))  # `index` is among what is searched
            unusable.append(number)
        else:
            path = os.path.abspath(source.name) if isinstance(source, FileSource) else None  # noqa: PTH100
            usable.append(Query(None, source.name, unit_rows(outcome.features[None])[0], path, outcome.digest))
    if usable:
        plus, minus = np.split(vectors[len(request.texts) :], [len(request.plus)])
        combined = combine_vectors(np.stack([query.vector for query in usable]), plus, minus, request.weight)
        for query, vector in zip(usable, combined, strict=True):
            if np.isnan(vector).any():
                name = printable(str(query.text or query.image), MAX_QUOTED)
                raise UsageError(f"nothing is left of the query '{name}': plus and minus cancel it out")
        usable = [replace(query, vector=vector) for query, vector in zip(usable, combined, strict=True)]
    return Queries(tuple(usable), tuple(failures), tuple(unusable))


def find(
    embedder: Embedder,
    request: SearchRequest,
    queries: Queries,
    progress: ProgressCallback = ignore_progress,
    *,
    notices: Iterable[str] = (),
    pipelines: Iterable[Pipeline] = (),
) -> SearchResult:
    """The result of a search whose queries have been embedded already. Raises as `run` does.

    `notices` are what the caller should know of the targets; `pipelines` those of the sources among the targets that
    have been opened.
    """
    with_datasets = any(isinstance(target, Dataset) for target in request.targets)
    total = sum(map(len, request.targets))
    count = request.top * (len(request.targets) if with_datasets else 1)  # a file may be in each of the targets
    progress(Progress("searching", 0, total, queries.failures))
    while True:
        images = _compare(embedder, request, queries, min(count, max(1, total)), progress, pipelines)
        answers, short = _make_answers(request, queries, images, by_file=with_datasets)
        if not short or count >= total:
            break
        count, progress, pipelines = 4 * count, ignore_progress, ()  # files that are in several targets took the room
    if embedder.run_options.on_error == "nan":  # images that cannot be used keep their places
        for number, failure in zip(queries.unusable, queries.failures, strict=True):
            answers.insert(number, QueryMatches(None, failure.image, request.plus, request.minus, (), request.weight))
    facts = embedder.facts
    return SearchResult(
        model=describe_model(facts),
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        searched=images.searched,
        queries=tuple(answers),
        errors=(*queries.failures, *images.failures),
        warnings=tuple(dict.fromkeys((*embedder.notices, *request.notices, *notices, *images.notices))),
    )


def _compare(
    embedder: Embedder,
    request: SearchRequest,
    queries: Queries,
    count: int,
    progress: ProgressCallback,
    pipelines: Iterable[Pipeline],
) -> NearestImages:
    """Compare the queries with all targets, where any query can be used."""
    images = NearestImages(queries.usable, count)
    opened, done, total = iter(pipelines), 0, sum(map(len, request.targets))
    for target in request.targets if queries.usable else ():
        if isinstance(target, Dataset):
            failures = images.add_dataset(target, done, embedder.run_options.workers, request.chosen)
            done += len(target)
            progress(Progress("searching", done, total, failures))
        elif isinstance(target, list):
            with closing(next(opened, None) or embedder.open_pipeline(target)) as pipeline:
                for images_done, failures in images.add_sources(embedder.embed_images(pipeline), done):
                    done += images_done
                    progress(Progress("searching", done, total, failures))
        else:
            images.add_collection(target, done, partial(progress, Progress("searching", done, total)))
            done += len(target)
    return images


def _make_answers(
    request: SearchRequest, queries: Queries, images: NearestImages, *, by_file: bool
) -> tuple[list[QueryMatches], bool]:
    """The answer to each usable query; and whether one is short though more images may be near enough.

    An image is in an answer once, `by_file` also where its file is among several targets.
    """
    answers, short = list[QueryMatches](), False
    for query, rows, scores in zip(queries.usable, images.nearest.rows, images.nearest.scores, strict=True):
        least = _least_similarity(request, query)
        seen: set[object] = set()
        matches: list[Match] = []
        for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
            if row < 0 or round_significant(score) < least or len(matches) == request.top:
                break
            name, index = images.images[row]
            identity = (identify_name(name) or name) if by_file else row
            if identity not in seen:
                seen.add(identity)
                matches.append(Match(len(matches) + 1, name, min(1.0, max(-1.0, score)), index))
        if len(matches) < request.top and rows[-1] >= 0:
            short = short or round_significant(float(scores[-1])) >= least
        answers.append(
            QueryMatches(query.text, query.image, request.plus, request.minus, tuple(matches), request.weight)
        )
    return answers, short


def _least_similarity(request: SearchRequest, query: Query) -> float:
    """The cosine that a query's images must reach, judged by the significant digits that results show."""
    least = -math.inf if request.min_similarity is None else request.min_similarity
    if request.thresholds is None or query.text is None:
        return least
    return max(least, request.thresholds.thresholds[query.text])


def read_shown_images(names: Iterable[str], targets: Sequence[object], rules: ThumbnailRules) -> dict[str, bytes]:
    """Small image files by name, without those that can no longer be decoded.

    A name that is not of a source in `targets` is of a file, as the names in data sets are.
    """
    names = dict.fromkeys(names)
    sources = {
        source.name: source
        for target in targets
        if isinstance(target, list)
        for source in target
        if source.name in names
    }
    return read_thumbnails((sources.get(name) or FileSource(name) for name in names), rules)
