"""Queries and places → the nearest images of each query: `SearchRequest`, what is asked, and `Search`, which runs."""

from __future__ import annotations

import math
import os
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import Outcome
from clipsim.embedding.pipeline import read_thumbnails
from clipsim.errors import Failure, UsageError, printable
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.expand import identify_name
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import FileSource, Source
from clipsim.inputs.texts import MAX_QUOTED, check_templates, clean_texts
from clipsim.options import as_number, as_whole, check_flag
from clipsim.results.search import Match, QueryMatches, SearchResult
from clipsim.store.dataset import Dataset
from clipsim.tasks.rank import describe_model
from clipsim.tasks.search_targets import Place, Places, Progress, check_models
from clipsim.tasks.search_vectors import DatasetSearch, Found, Query, SourceSearch
from clipsim.vectors.nearest import Nearest, combine_vectors
from clipsim.vectors.similarity import Vectors, mean_of_templates, unit_rows

DEFAULT_TOP = 10


@dataclass(frozen=True)
class SearchRequest:
    """The queries of a search, checked: everything that can be checked before a model is opened.

    Each of `texts` and `images` is a query; `plus` and `minus` are added to and subtracted from every one with the
    `weight`. The `top` best images of each are found, and of these the ones of at least `min_similarity`.
    """

    texts: tuple[str, ...]
    images: tuple[Source, ...] = ()
    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    weight: float = 1.0
    top: int = DEFAULT_TOP
    min_similarity: float | None = None
    notices: tuple[str, ...] = ()

    @classmethod
    def check(
        cls,
        texts: Iterable[str] | str = (),
        images: Iterable[Source] = (),
        *,
        plus: Iterable[str] | str = (),
        minus: Iterable[str] | str = (),
        templates: Iterable[str] | str = (),
        weight: float = 1.0,
        top: int = DEFAULT_TOP,
        min_similarity: float | None = None,
        deduplicate: bool = True,
    ) -> SearchRequest:
        """Strip the texts, and with `deduplicate` drop repeated ones.

        Raises UsageError for no query, an empty text or one that is not a string, a template without `{}`, and numbers
        out of range.
        """
        check_flag("deduplicate", deduplicate)
        cleaned, notices = [], []
        for name, given in (("texts", texts), ("plus", plus), ("minus", minus)):
            prompts, found = clean_texts(given, name, deduplicate=deduplicate or name != "texts")
            cleaned.append(tuple(prompts))
            notices += found
        images = tuple(images)
        if not (cleaned[0] or images):
            raise UsageError("no query; give at least one text or image")
        if (factor := as_number(weight)) is None:
            raise UsageError("not a number", parameter="weight", value=weight)
        if (count := as_whole(top)) is None or count < 1:
            raise UsageError("not a positive integer", parameter="top", value=top)
        least = as_number(min_similarity)
        if min_similarity is not None and (least is None or not -1 <= least <= 1):
            raise UsageError("not a cosine, from -1 to 1", parameter="min_similarity", value=min_similarity)
        checked = check_templates(templates)
        return cls(cleaned[0], images, cleaned[1], cleaned[2], checked, factor, count, least, tuple(notices))


class Search:
    """A search as it runs: iterate over its progress to the end; then `result` is there.

    Sources are embedded, or their vectors found in the cache; data sets of vectors are read, and of these only the
    images whose names `chosen` accepts are compared.

    Raises DatasetError for a data set of another model, TextError for a text that is too long, UsageError where
    `plus` and `minus` cancel a query out, and with `on_error="raise"` ImageError for the first unusable image.
    """

    def __init__(
        self, session: Embedder, places: Sequence[Place], request: SearchRequest, chosen: NameFilter | None = None
    ) -> None:
        self._session, self._places, self._request, self._chosen = session, places, request, chosen
        self.notices = [*request.notices, *check_models(places, session)]
        self._has_dataset = any(isinstance(place, Dataset) for place in places)
        self._count = request.top * (len(places) if self._has_dataset else 1)  # a file may be in each of the places
        self._short = False
        if isinstance(places, Places):
            self.notices += places.repeats.notices
        self.result: SearchResult | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        return tuple(dict.fromkeys((*self._session.notices, *self.notices)))

    def __iter__(self) -> Generator[Progress, None, None]:
        """Embed the queries, then go through the places."""
        session = self._session
        device = ""
        # vectors of two devices are not compared, and an answer that repeats files is too short without them
        while self._short or device != session.confirm_device():
            self._count *= 4 if self._short else 1
            device = session.confirm_device()
            with closing(self._run(quiet=self.result is not None)) as steps:
                yield from steps

    def _run(self, *, quiet: bool) -> Generator[Progress, None, None]:
        total, done = sum(map(len, self._places)), 0
        sources = [SourceSearch(self._session, place) for place in self._places if isinstance(place, list)]
        try:
            if sources:
                sources[0].start()  # images are decoded while the model is loaded for the queries
            queries, failures = self._embed_queries()
            errors = list(failures)
            yield Progress("searching", 0, total, () if quiet else tuple(failures))
            nearest, names = Nearest(len(queries), min(self._count, max(1, total))), dict[int, Found]()
            searched = 0
            waiting = iter(sources)
            for place in self._places if queries else ():
                first = done
                if isinstance(place, Dataset):
                    found = DatasetSearch(self._session, place, self._chosen)
                    searched += found.run(queries, nearest, names, first)
                    self.notices += [] if quiet else found.notices
                    done += len(place)
                    errors += found.failures
                    yield Progress("searching", done, total, () if quiet else tuple(found.failures))
                else:
                    with closing(next(waiting).run(queries, nearest, names, first)) as batches:
                        for count, failures in batches:
                            done += count
                            searched += count - len(failures)
                            errors += failures
                            yield Progress("searching", done, total, () if quiet else tuple(failures))
        finally:
            for source in sources:
                source.close()
        self.result = self._collect(queries, nearest, names, searched, errors)

    def _embed_queries(self) -> tuple[list[Query], list[Failure]]:
        """The queries with their vectors, texts first; and the images that cannot be used."""
        request, session = self._request, self._session
        queries: list[Query] = []
        failures: list[Failure] = []
        texts = [*request.texts, *request.plus, *request.minus]
        vectors = np.zeros((0, session.encoder.embed_dim), np.float32)
        if texts:
            vectors = self._embed_texts(texts)
        queries += [Query(text, None, vector) for text, vector in zip(request.texts, vectors, strict=False)]
        self._unusable: list[tuple[int, str]] = []
        if request.images:
            outcomes = zip(request.images, self._embed_query_images(), strict=True)
            for place, (source, outcome) in enumerate(outcomes, len(request.texts)):
                if isinstance(outcome, Failure):
                    self._unusable.append((place, outcome.image))
                    failures.append(Failure(outcome.image, outcome.error))  # `index` is among what is searched
                else:
                    path = os.path.abspath(source.name) if isinstance(source, FileSource) else None  # noqa: PTH100
                    vector = unit_rows(outcome.features[None])[0]
                    queries.append(Query(None, source.name, vector, path, outcome.digest))
        plus, minus = np.split(vectors[len(request.texts) :], [len(request.plus)])
        return self._combine(queries, plus, minus), failures

    def _embed_texts(self, texts: Sequence[str]) -> Vectors:
        return mean_of_templates(self._session.embed_texts(texts, self._request.templates).features)

    def _embed_query_images(self) -> Sequence[Outcome]:
        session = self._session
        with closing(session.open_pipeline(self._request.images)) as pipeline:
            return [outcome for batch in session.embed_images(pipeline) for outcome in batch]

    def _combine(self, queries: list[Query], plus: Vectors, minus: Vectors) -> list[Query]:
        if not queries:
            return queries
        vectors = np.stack([query.vector for query in queries])
        combined = combine_vectors(vectors, plus, minus, self._request.weight)
        for query, vector in zip(queries, combined, strict=True):
            if np.isnan(vector).any():
                shown = printable(str(query.text or query.image), MAX_QUOTED)
                raise UsageError(f"nothing is left of the query '{shown}': plus and minus cancel it out")
        return [replace(query, vector=vector) for query, vector in zip(queries, combined, strict=True)]

    def _collect(
        self,
        queries: Sequence[Query],
        nearest: Nearest,
        names: dict[int, Found],
        searched: int,
        errors: Sequence[Failure],
    ) -> SearchResult:
        encoder, request = self._session.encoder, self._request
        least = -math.inf if request.min_similarity is None else request.min_similarity
        answers = []
        self._short, total = False, sum(map(len, self._places))
        for place, query in enumerate(queries):
            seen: set[object] = set()
            found: list[tuple[str, int | None, float]] = []
            for row, score in zip(nearest.rows[place], nearest.scores[place], strict=True):
                if row >= 0 and score >= least and len(found) < request.top:
                    name, index = names[int(row)]
                    identity = (identify_name(name) or name) if self._has_dataset else int(row)
                    if identity not in seen:
                        seen.add(identity)
                        found.append((name, index, min(1.0, max(-1.0, float(score)))))
            lowest = nearest.scores[place, -1] if nearest.rows[place, -1] >= 0 else -math.inf
            self._short |= len(found) < request.top and lowest > -math.inf and lowest >= least and self._count < total
            matches = tuple(Match(rank, name, score, index) for rank, (name, index, score) in enumerate(found, start=1))
            answers.append(QueryMatches(query.text, query.image, request.plus, request.minus, matches, request.weight))
        model = describe_model(encoder)  # after which all notices of the model are known
        if self._session.run_options.on_error == "nan":  # images that cannot be used keep their places
            for place, name in self._unusable:
                answers.insert(place, QueryMatches(None, name, request.plus, request.minus, (), request.weight))
        return SearchResult(
            model=model,
            device=encoder.device,
            precision=encoder.precision,
            engine=encoder.engine,
            searched=searched,
            queries=tuple(answers),
            errors=tuple(errors),
            warnings=self.warnings,
        )


def read_shown_pictures(names: Iterable[str], places: Sequence[Place], rules: ThumbnailRules) -> dict[str, bytes]:
    """Small image files by name, without those that can no longer be decoded.

    A name that is not of a source in `places` is of a file, as the names in data sets are.
    """
    wanted = dict.fromkeys(names)
    known = {
        source.name: source for place in places if isinstance(place, list) for source in place if source.name in wanted
    }
    return read_thumbnails((known.get(name) or FileSource(name) for name in wanted), rules)
