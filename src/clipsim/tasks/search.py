"""Queries and what to search → the nearest images of each query: `SearchRequest` is the request, `run` searches."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import astuple, dataclass, field, replace
from datetime import date
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, cast

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome
from clipsim.embedding.pipeline import Pipeline
from clipsim.embedding.preparation import read_thumbnails
from clipsim.engines.choice import default_workers
from clipsim.errors import Failure, ImageError, NoInputError, UsageError, printable, round_significant
from clipsim.images.dates import DateRange
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.expand import identify_name
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import FileSource, Source
from clipsim.inputs.texts import MAX_QUOTED, check_templates, clean_labels, clean_texts
from clipsim.inputs.urls import UrlSource, is_url
from clipsim.models.catalogue import BUNDLED
from clipsim.options import as_number, as_whole, check_cosine, check_flag
from clipsim.results.search import AddedQuery, Match, QueryMatches, SearchResult
from clipsim.store.dataset import Dataset
from clipsim.tasks.arguments import TextInputs, split_vectors
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model, make_text_vectors
from clipsim.tasks.search_targets import EmbeddedCollection, Target, Targets, VectorTarget, check_models
from clipsim.tasks.search_vectors import NearestImages, Query
from clipsim.vectors.nearest import combine_vectors
from clipsim.vectors.similarity import COSINE_DECIMALS, Vectors, unit_rows

if TYPE_CHECKING:
    from clipsim.results.loaded import LoadedThresholds
    from clipsim.tasks.saved_files import Thresholds
    from clipsim.tasks.search_copies import Copies

DEFAULT_TOP = 10

TextWeights: TypeAlias = Mapping[str, float] | Mapping[str, float | None]


@dataclass(frozen=True)
class Addition:
    """A text or an image whose vector is added to every query `weight` times; below 0 it is subtracted."""

    text: str | None
    image: Source | None
    weight: float


@dataclass(frozen=True)
class SearchRequest:
    """The arguments of a search, checked before a model is opened.

    `targets` are searched, of which a VectorTarget is the only one; of data sets only the images whose names `chosen`
    accepts, and of all only those that were taken within `dates`; with `unique`, one of several copies. Each of `texts`
    and `images` is a query; the `additions` are added to every one. The `top` best images of each are found after the
    first `skip`, and of these the ones of at least `min_similarity` and the text's own of the `thresholds`. `weight` is
    the one of the additions that have none of their own. `text_vectors` are those of `texts`, where a caller has them;
    `words` is what each of them stands for, None where each is its own only word.
    """

    targets: Sequence[Target | VectorTarget | EmbeddedCollection]
    texts: tuple[str, ...]
    images: tuple[Source, ...] = ()
    additions: tuple[Addition, ...] = ()
    templates: tuple[str, ...] = ()
    weight: float = 1.0
    top: int = DEFAULT_TOP
    skip: int = 0
    min_similarity: float | None = None
    chosen: NameFilter | None = None
    dates: DateRange | None = None
    unique: bool = False
    notices: tuple[str, ...] = ()
    thresholds: LoadedThresholds | None = None
    text_vectors: Vectors | None = field(default=None, compare=False)
    words: tuple[tuple[str, ...], ...] | None = None

    @classmethod
    def check(
        cls,
        targets: Sequence[Target | VectorTarget | EmbeddedCollection],
        texts: TextInputs = (),
        images: Iterable[Source] = (),
        *,
        plus: Iterable[str] | TextWeights | str = (),
        minus: Iterable[str] | TextWeights | str = (),
        plus_images: Iterable[tuple[Source, float | None]] = (),
        minus_images: Iterable[tuple[Source, float | None]] = (),
        templates: Iterable[str] | str = (),
        weight: float = 1.0,
        top: int = DEFAULT_TOP,
        skip: int = 0,
        min_similarity: float | None = None,
        thresholds: Thresholds | None = None,
        chosen: NameFilter | None = None,
        after: str | date | None = None,
        before: str | date | None = None,
        unique: bool = False,
        deduplicate: bool = True,
    ) -> SearchRequest:
        """Strip the texts, and with `deduplicate` drop repeated ones; read the thresholds.

        `plus` and `minus` are texts, or texts with their weights. Raises UsageError for no query, an empty text or one
        that is not a string, a template without `{}`, numbers out of range, and thresholds with queries that are not
        texts alone; DataError for thresholds that cannot be read, or lack one of the texts.
        """
        check_flag("deduplicate", deduplicate)
        check_flag("unique", unique)
        texts, text_vectors = split_vectors(texts, templates, thresholds)
        labels = clean_labels(texts, deduplicate=deduplicate and text_vectors is None)
        queries, notices = labels.labels, [*labels.notices]
        images = tuple(images)
        if not (queries or images):
            raise UsageError("no query; give at least one text or image")
        if (factor := as_number(weight)) is None:
            raise UsageError("not a number", parameter="weight", value=weight)
        if (count := as_whole(top)) is None or count < 1:
            raise UsageError("not a positive integer", parameter="top", value=top)
        if (left_out := as_whole(skip)) is None or left_out < 0:
            raise UsageError("not a positive integer or 0", parameter="skip", value=skip)
        additions: list[Addition] = []
        for sign, name, added_texts, added_images in (
            (1, "plus", plus, plus_images), (-1, "minus", minus, minus_images)
        ):  # fmt: skip
            weighted, text_notices = _weigh_texts(added_texts, name, factor)
            notices += text_notices
            additions += [Addition(text, None, sign * own_weight) for text, own_weight in weighted.items()]
            for image, image_weight in added_images:
                own_weight = _check_weight(f"{name}_images", factor if image_weight is None else image_weight)
                additions.append(Addition(None, image, sign * own_weight))
        if thresholds is not None and (images or additions):
            raise UsageError("a threshold is of a text alone, not of an image, nor of a text with plus or minus")
        saved = None
        if thresholds is not None:
            from clipsim.tasks.saved_files import read_thresholds  # with the records of all commands

            saved = read_thresholds(thresholds, queries, labels.words)
        return cls(
            targets,
            queries,
            images,
            tuple(additions),
            check_templates(templates),
            factor,
            count,
            left_out,
            check_cosine("min_similarity", min_similarity),
            chosen,
            DateRange.of(after, before),
            unique,
            tuple(notices),
            saved,
            text_vectors,
            labels.words,
        )

    def accept_row(self, dataset: Dataset) -> Callable[[str], bool] | None:
        """What says by its name in the data set whether an image is searched; None where all are."""
        chosen, dates = self.chosen, self.dates
        if dates is None:
            return None if chosen is None else chosen.accepts
        return lambda name: (chosen is None or chosen.accepts(name)) and dates.accepts(FileSource(dataset.locate(name)))

    @property
    def all_texts(self) -> tuple[str, ...]:
        """The texts to embed: those of the queries whose vectors are not there, then those that are added."""
        texts = self.texts if self.text_vectors is None else ()
        return (*texts, *(added.text for added in self.additions if added.text is not None))

    @property
    def all_words(self) -> tuple[tuple[str, ...], ...] | None:
        """What each of `all_texts` stands for; None where each is its own only word."""
        if self.words is None:
            return None
        return (*self.words, *((text,) for text in self.all_texts[len(self.words) :]))

    @property
    def all_images(self) -> tuple[Source, ...]:
        """The images whose vectors are needed: those of the queries, then those that are added."""
        return (*self.images, *(added.image for added in self.additions if added.image is not None))


def _weigh_texts(
    texts: Iterable[str] | TextWeights | str, name: str, default: float
) -> tuple[dict[str, float], list[str]]:
    """Texts, each once, with their weights; and notices of what was changed."""
    if not (isinstance(texts, Mapping) and texts and all(map(_is_weight, texts.values()))):
        kept, notices = clean_texts(texts, name)  # which refuses other mappings
        return dict.fromkeys(kept, default), notices
    kept, notices = clean_texts(list(texts), name)
    weights = {
        text.strip(): default if weight is None else _check_weight(name, weight) for text, weight in texts.items()
    }
    return {text: weights[text] for text in kept}, notices


def _is_weight(value: object) -> bool:
    return isinstance(value, float | int | None)


def _check_weight(name: str, weight: object) -> float:
    if (number := as_number(weight)) is None:
        raise UsageError("a weight is a number", parameter=name, value=weight)
    return number


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
    long, UsageError where the additions cancel a query out, and ImageError for an unusable image among them, with
    `on_error="raise"` for the first unusable image of all.
    """
    notices = check_models(request.targets, embedder)
    if isinstance(request.targets, Targets):
        notices += request.targets.repeats.notices
    if request.unique and embedder.spec.name != BUNDLED:
        from clipsim.tasks.search_copies import OTHER_MODEL

        notices.append(OTHER_MODEL)
    if request.dates is not None:
        workers = embedder.run_options.workers or default_workers()
        targets = [
            list(request.dates.choose(target, workers)) if isinstance(target, list) else target
            for target in request.targets
        ]
        if not any(map(len, targets)):
            raise NoInputError("none of the images was taken at that time")
        request = replace(request, targets=targets)
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *request.notices, *notices)))
    with ExitStack() as stack:
        pipelines = [
            stack.enter_context(closing(embedder.open_pipeline(target)))
            for target in request.targets
            if isinstance(target, list) and not request.unique
        ]
        if pipelines:
            pipelines[0].start()  # images are decoded while the model is loaded for the queries
        if request.thresholds is not None:
            from clipsim.tasks.saved_files import check_conditions

            check_conditions(request.thresholds, embedder.facts, request.templates)
        vectors = np.zeros((0, embedder.facts.embed_dim), np.float32)
        if request.text_vectors is not None:
            embedder.check_width(request.text_vectors.shape[1], "texts")
        if request.all_texts:
            texts = make_text_vectors(embedder, request.all_texts, request.templates, words=request.all_words)
            vectors, notices = texts.vectors, [*notices, *texts.notices]
        if request.text_vectors is not None:
            vectors = np.concatenate([request.text_vectors, vectors])
        outcomes: list[Outcome] = []
        if request.all_images:
            with closing(embedder.open_pipeline(request.all_images)) as pipeline:
                outcomes = [outcome for batch in embedder.embed_images(pipeline) for outcome in batch]
        queries = make_queries(request, vectors, outcomes)
        if not request.unique:
            return find(embedder, request, queries, progress, notices=notices, pipelines=pipelines)
        from clipsim.tasks.search_copies import Copies  # with what compares pixels

        collection = stack.enter_context(closing(EmbeddedCollection(embedder.facts.embed_dim)))
        collection.fill(embedder, cast("Sequence[Target]", request.targets), progress, request.accept_row)
        copies = stack.enter_context(closing(Copies(collection)))
        request = replace(request, targets=[collection])
        result = find(embedder, request, queries, progress, notices=notices, copies=copies)
        return replace(result, errors=(*result.errors, *collection.errors))


def make_queries(request: SearchRequest, vectors: Vectors, outcomes: Sequence[Outcome]) -> Queries:
    """The vectors of a request's texts, those that are added last, and the outcomes of its `all_images` → its queries.

    Raises UsageError where the additions cancel a query out, ImageError where an image among them cannot be used.
    """
    usable = [Query(text, None, vector) for text, vector in zip(request.texts, vectors, strict=False)]
    failures, unusable = [], []
    for number, (source, outcome) in enumerate(zip(request.images, outcomes, strict=False), len(request.texts)):
        if isinstance(outcome, Failure):
            failures.append(Failure(outcome.image, outcome.error))  # `index` is among what is searched
            unusable.append(number)
        else:
            path = os.path.abspath(source.name) if isinstance(source, FileSource) else None  # noqa: PTH100
            usable.append(Query(None, source.name, unit_rows(outcome.features[None])[0], path, outcome.digest))
    if usable and request.additions:
        added = _vectors_of_additions(request, vectors, outcomes)
        weights = [added.weight for added in request.additions]
        combined = combine_vectors(np.stack([query.vector for query in usable]), added, weights)
        for query, vector in zip(usable, combined, strict=True):
            if np.isnan(vector).any():
                name = printable(str(query.text or query.image), MAX_QUOTED)
                raise UsageError(f"nothing is left of the query '{name}': plus and minus cancel it out")
        usable = [replace(query, vector=vector, combined=True) for query, vector in zip(usable, combined, strict=True)]
    return Queries(tuple(usable), tuple(failures), tuple(unusable))


def _vectors_of_additions(request: SearchRequest, vectors: Vectors, outcomes: Sequence[Outcome]) -> Vectors:
    texts, images = iter(vectors[len(request.texts) :]), iter(outcomes[len(request.images) :])
    added = []
    for addition in request.additions:
        if addition.image is None:
            added.append(next(texts))
        elif isinstance(outcome := next(images), Failure):
            raise ImageError(f"{printable(outcome.image)}: {outcome.error}")
        else:
            added.append(unit_rows(outcome.features[None])[0])
    return np.stack(added)


def find(
    embedder: Embedder,
    request: SearchRequest,
    queries: Queries,
    progress: ProgressCallback = ignore_progress,
    *,
    notices: Iterable[str] = (),
    pipelines: Iterable[Pipeline] = (),
    copies: Copies | None = None,
) -> SearchResult:
    """The result of a search whose queries have been embedded already. Raises as `run` does.

    `notices` are what the caller should know of the targets; `pipelines` those of the sources among the targets that
    have been opened. With `copies`, of which the one target is the collection, an answer has one of several copies.
    """
    with_datasets = any(isinstance(target, Dataset) for target in request.targets)
    total = sum(map(len, request.targets))
    count = request.skip + request.top
    count *= len(request.targets) if with_datasets else 1  # a file may be in each of the targets
    progress(Progress("searching", 0, total, queries.failures))
    while True:
        images = _compare(embedder, request, queries, min(count, max(1, total)), progress, pipelines)
        answers, short = _make_answers(request, queries, images, copies, by_file=with_datasets)
        if not short or count >= total:
            break
        count, progress, pipelines = 4 * count, ignore_progress, ()  # files that are in several targets took the room
    if embedder.run_options.on_error == "nan":  # images that cannot be used keep their places
        for number, failure in zip(queries.unusable, queries.failures, strict=True):
            answers.insert(number, _make_answer(request, None, failure.image, ()))
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
            failures = images.add_dataset(target, done, embedder.run_options.workers, request.accept_row(target))
            done += len(target)
            progress(Progress("searching", done, total, failures))
        elif isinstance(target, list):
            with closing(next(opened, None) or embedder.open_pipeline(target)) as pipeline:
                for images_done, failures in images.add_sources(embedder.embed_images(pipeline), done):
                    done += images_done
                    progress(Progress("searching", done, total, failures))
        elif isinstance(target, VectorTarget):
            embedder.check_width(target.vectors.shape[1], "where")
            failures = images.add_vectors(target, done, partial(progress, Progress("searching", done, total)))
            if failures and embedder.run_options.raises:
                raise ImageError(f"{printable(failures[0].image)}: {failures[0].error}")
            done += len(target)
            progress(Progress("searching", done, total, failures))
        else:
            images.add_collection(target, done, partial(progress, Progress("searching", done, total)))
            done += len(target)
    return images


def _make_answers(
    request: SearchRequest, queries: Queries, images: NearestImages, copies: Copies | None, *, by_file: bool
) -> tuple[list[QueryMatches], bool]:
    """The answer to each usable query; and whether one is short though more images may be near enough.

    An image is in an answer once, `by_file` also where its file is among several targets, and with `copies` also where
    it has some.
    """
    answers, short, wanted = list[QueryMatches](), False, request.skip + request.top
    for number, query in enumerate(queries.usable):
        rows, scores = images.nearest.rows[number], images.nearest.scores[number]
        least = _least_similarity(request, query)
        own = sorted(
            images.own[number],
            key=lambda match: (match.same != "file", -round(match.similarity, COSINE_DECIMALS), match.row),
        )
        near = [
            (row, score, None)
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
            if row >= 0 and round_significant(score) >= least
        ]
        seen: set[object] = set()
        matches: list[Match] = []
        for row, score, same in (*map(astuple, own), *near):
            name, index = images.images[row]
            identity = (identify_name(name) or name) if by_file else row
            if identity in seen or len(matches) == wanted:
                continue
            seen |= {identity} if copies is None else copies.find(row)
            count = None if copies is None else copies.count(row)
            matches.append(Match(len(matches) + 1, name, min(1.0, max(-1.0, score)), index, same, count))
        if len(matches) < wanted and rows[-1] >= 0:
            short = short or round_significant(float(scores[-1])) >= least
        answers.append(_make_answer(request, query.text, query.image, matches[request.skip :]))
    return answers, short


def _make_answer(request: SearchRequest, text: str | None, image: str | None, matches: Iterable[Match]) -> QueryMatches:
    additions = tuple(
        AddedQuery(added.text, None if added.image is None else added.image.name, added.weight)
        for added in request.additions
    )
    plus = tuple(added.text for added in additions if added.text is not None and added.weight >= 0)
    minus = tuple(added.text for added in additions if added.text is not None and added.weight < 0)
    words = None
    if request.words is not None and text is not None:
        own = request.words[request.texts.index(text)]
        words = None if own == (text,) else own
    return QueryMatches(text, image, plus, minus, tuple(matches), request.weight, additions, words)


def _least_similarity(request: SearchRequest, query: Query) -> float:
    """The cosine that a query's images must reach, judged by the significant digits that results show."""
    least = -math.inf if request.min_similarity is None else request.min_similarity
    if request.thresholds is None or query.text is None:
        return least
    return max(least, request.thresholds.thresholds[query.text])


def read_shown_images(names: Iterable[str], targets: Sequence[object], rules: ThumbnailRules) -> dict[str, bytes]:
    """Small image files by name, without those that can no longer be decoded.

    A name that is not of a source in `targets` is of a file, as the names in data sets are, or an address.
    """
    names = dict.fromkeys(names)
    sources = {
        source.name: source
        for target in targets
        if isinstance(target, list)
        for source in target
        if source.name in names
    }
    others = {name: UrlSource(name) if is_url(name) else FileSource(name) for name in names if name not in sources}
    return read_thumbnails((sources.get(name) or others[name] for name in names), rules)
