"""Requests of many clients → records: `ServedModel`, a session whose model they share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from clipsim.api.collection import Collection
from clipsim.api.collection_search import CollectionSearch
from clipsim.api.model_thread import ModelThread, vectors_are_batch_independent
from clipsim.api.places import Place
from clipsim.api.ranking import RankRequest, embed_prompts, make_result, notices_of, score_batch
from clipsim.api.search import SearchRequest
from clipsim.embedding.encode import FailedInput, ImageVector, Outcome
from clipsim.embedding.pipeline import Prepared
from clipsim.embedding.session import Session
from clipsim.embedding.thumbnails import read_thumbnails
from clipsim.errors import ImageError, printable
from clipsim.images.thumbnail_files import ThumbnailRules
from clipsim.inputs.sources import Source
from clipsim.scoring.records import ImageScores, RankResult
from clipsim.scoring.search_records import SearchResult
from clipsim.scoring.similarity import Vectors, unit_rows

MAX_KEPT_REQUESTS = 128  # whose text vectors are kept
MAX_KEPT_TEXTS = 256  # of a request whose vectors are kept
THUMBNAIL = ThumbnailRules(192)


class BadImageError(ImageError):
    """A picture of a request that cannot be used; `image` is its name and `index` its place among the pictures."""

    def __init__(self, image: str, index: int, cause: str) -> None:
        super().__init__(f"{printable(image)}: {cause}")
        self.image, self.index = image, index


@dataclass
class Watch:
    """What a server counts: called with the pictures of each batch, and with cached and all pictures of a request."""

    on_batch: Callable[[int], None]
    on_lookup: Callable[[int, int], None]


class ServedModel:
    """A loaded model that answers the requests of many clients at once, each as it would be answered alone.

    `collection` is what clients may search, `numbers` its places by the names of pictures.
    """

    def __init__(self, session: Session, watch: Watch) -> None:
        self.session, self._watch = session, watch
        self._pipeline = session.open_pipeline(())
        self._texts: OrderedDict[tuple[tuple[str, ...], tuple[str, ...]], Vectors] = OrderedDict()
        self._preparing = 0
        self._thread: ModelThread | None = None
        self.collection: Collection | None = None
        self.numbers: dict[str, int] = {}

    def load(self, places: Sequence[Place] = (), on_progress: Callable[[str, int, int], None] | None = None) -> None:
        """Load the model, find out whether requests may share batches, and embed what is to be searched."""
        self.session.load_model()
        if places:
            collection = Collection()
            for progress in collection.fill(self.session, places):
                if on_progress is not None:
                    on_progress(progress.what, progress.done, progress.total)
            self.collection = collection
            self.numbers = {source.name: number for number, source in enumerate(collection.sources)}
        shared = vectors_are_batch_independent(self.session.encoder, self.session.batch_size)
        self._thread = ModelThread(
            self.session, shared=shared, on_batch=self._watch.on_batch, expected=lambda: self._preparing
        )

    @property
    def loaded(self) -> bool:
        """Whether it answers."""
        return self._thread is not None

    @property
    def thread(self) -> ModelThread:
        """The thread of the loaded model."""
        assert self._thread is not None
        return self._thread

    @property
    def waiting(self) -> int:
        """The number of requests that wait for the model."""
        return 0 if self._thread is None else len(self._thread)

    async def rank(self, sources: Sequence[Source], request: RankRequest) -> RankResult:
        """What `Session.rank` returns. Raises BadImageError for the first picture that cannot be used, PromptError."""
        outcomes, vectors = await asyncio.gather(
            self._embed_images(sources), self._embed_texts(request.texts, request.templates)
        )
        encoder = self.session.encoder
        scored = score_batch(encoder, vectors, outcomes)
        scores = [outcome for outcome in scored if isinstance(outcome, ImageScores)]
        return make_result(encoder, request, scored, scores, notices_of(encoder, request))

    async def embed(self, sources: Sequence[Source], texts: Sequence[str]) -> tuple[Vectors, Vectors]:
        """(n, d) and (m, d) unit vectors of pictures and of texts. Raises as `rank` does."""
        images: Vectors = np.zeros((0, self.session.encoder.embed_dim), np.float32)
        prompts = images
        if sources:
            outcomes = await self._embed_images(sources)
            images = unit_rows(np.stack([outcome.features for outcome in outcomes]))
        if texts:
            prompts = await self._embed_texts(tuple(texts), ())
        return images, prompts

    async def search(self, request: SearchRequest) -> SearchResult:
        """What `Session.search` returns, among the collection. Raises as `rank` does."""
        assert self.collection is not None
        outcomes = await self._embed_images(request.images) if request.images else []
        search = CollectionSearch(self.session, self.collection, request, outcomes)
        return await asyncio.wrap_future(self.thread.call(search.run))

    def thumbnail(self, number: int) -> bytes | None:
        """A small WebP file of a picture of the collection; None where there is none."""
        if self.collection is None or not 0 <= number < len(self.collection):
            return None
        return next(iter(read_thumbnails([self.collection.sources[number]], THUMBNAIL).values()), None)

    def close(self) -> None:
        """Close the cache and remove what is temporary."""
        self._pipeline.close()
        if self.collection is not None:
            self.collection.close()
        self.session.close()

    async def _prepare(self, sources: Sequence[Source]) -> list[Prepared]:
        self._preparing += 1
        try:
            futures = [asyncio.wrap_future(self._pipeline.submit(source)) for source in sources]
            prepared = await asyncio.gather(*futures)
        finally:
            self._preparing -= 1
        for index, one in enumerate(prepared):
            if one.error is not None:
                raise BadImageError(one.name, index, str(one.error))
        return prepared

    async def _embed_images(self, sources: Sequence[Source]) -> list[ImageVector]:
        prepared = await self._prepare(sources)
        self._watch.on_lookup(sum(one.features is not None for one in prepared), len(prepared))
        outcomes: list[Outcome] = await asyncio.wrap_future(self.thread.embed(prepared))
        good = []
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, FailedInput):
                raise BadImageError(outcome.name, index, outcome.error)
            good.append(outcome)
        return good

    async def _embed_texts(self, texts: tuple[str, ...], templates: tuple[str, ...]) -> Vectors:
        key = (texts, templates)
        if key in self._texts:
            self._texts.move_to_end(key)
            return self._texts[key]
        return await asyncio.wrap_future(self.thread.call(lambda: self._compute_texts(key)))

    def _compute_texts(self, key: tuple[tuple[str, ...], tuple[str, ...]]) -> Vectors:
        if (known := self._texts.get(key)) is not None:  # by a request just before
            return known
        vectors = embed_prompts(self.session, *key)
        if sum(map(len, key)) <= MAX_KEPT_TEXTS:
            self._texts[key] = vectors
            while len(self._texts) > MAX_KEPT_REQUESTS:
                self._texts.popitem(last=False)
        return vectors
