"""The sources of one shard → its files; local runs and workers on Ray use it alike."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict

import numpy as np

from clipsim.api.model_record import describe_model
from clipsim.embedding.encode import FailedInput, ImageVector, Outcome
from clipsim.embedding.pipeline import Pipeline
from clipsim.embedding.session import Session
from clipsim.inputs.expand import from_record
from clipsim.inputs.sources import Source
from clipsim.scoring.records import ImageFailure
from clipsim.scoring.similarity import Vectors, unit_rows
from clipsim.store.folders import Folder
from clipsim.store.layout import DatasetFacts, VectorFacts
from clipsim.store.metadata import Row
from clipsim.store.plan import read_plan
from clipsim.store.shards import ShardWriter

Step = tuple[int, tuple[ImageFailure, ...]]  # inputs that are done, and those among them that failed


class ShardWork:
    """The making of one shard. Raises DatasetError where the plan that lists its sources is missing."""

    def __init__(self, session: Session, folder: Folder, facts: DatasetFacts, shard: int) -> None:
        self._session, self._folder, self._facts, self._shard = session, folder, facts, shard
        self._sources: list[Source] = [from_record(record) for record in read_plan(folder, shard)]
        self._pipeline: Pipeline | None = None
        self.left = len(self._sources)

    def start(self) -> None:
        """Begin to decode; the previous shard may still be encoding."""
        if self._pipeline is None:
            self._pipeline = self._session.open_pipeline(self._sources, measure=True)
            self._pipeline.start()

    def close(self) -> None:
        """Stop decoding, and drop what has been decoded."""
        if self._pipeline is not None:
            self._pipeline.close()

    def run(self, on_ready: Callable[[], None] = lambda: None) -> Generator[Step, None, None]:
        """Make the shard, and yield a step for each batch; `on_ready` is called before its files are moved into place.

        The composition of the batches, and with it the rounding of the vectors, depends on the shard's sources alone.
        Raises DatasetError where the shard cannot be written, and ImageError for a failed input where the session's
        `on_error` is "raise".
        """
        self.start()
        assert self._pipeline is not None
        facts = self._facts
        with ShardWriter(
            self._folder,
            self._shard,
            dimensions=facts.dimensions,
            dtype=facts.dtype,
            with_captions=facts.with_captions,
            on_ready=on_ready,
        ) as writer:
            for outcomes in self._session.embed_images(self._pipeline, keep=False):
                place = len(self._sources) - self.left
                self.left -= len(outcomes)
                yield len(outcomes), self._add(writer, self._sources[place : place + len(outcomes)], outcomes)
            writer.publish()

    def _add(
        self, writer: ShardWriter, sources: Sequence[Source], outcomes: Sequence[Outcome]
    ) -> tuple[ImageFailure, ...]:
        """Pass a batch to the writer, and return its failures."""
        rows, features, captions, failures = [], [], [], []
        for source, outcome in zip(sources, outcomes, strict=True):
            if isinstance(outcome, FailedInput):
                writer.add_failure(outcome.name, outcome.error, final=outcome.final)
                failures.append(ImageFailure(outcome.name, outcome.error, outcome.index))
            else:
                rows.append(_describe(source, outcome))
                features.append(outcome.features)
                captions.append(source.caption)
        if rows:
            images = unit_rows(np.stack(features))
            writer.add(rows, images, self._embed(captions) if self._facts.with_captions else None)
        return tuple(failures)

    def _embed(self, captions: Sequence[str | None]) -> Vectors:
        """The unit vectors of captions, which are cut to the model's context; zeros where there is none."""
        vectors = np.zeros((len(captions), self._facts.dimensions), np.float32)
        places = [place for place, caption in enumerate(captions) if caption is not None]
        if places:
            texts = [caption for caption in captions if caption is not None]
            vectors[places] = unit_rows(self._session.encoder.encode_texts(texts, truncate=True))
        return vectors


def describe_vectors(session: Session) -> VectorFacts:
    """What a session's vectors depend on. Loads the model, so that the device and precision are certain."""
    session.load_model()
    encoder = session.encoder
    return VectorFacts(
        model=describe_model(encoder),
        digest=session.identity,
        device=encoder.device,
        engine=encoder.engine,
        precision=encoder.precision,
        preprocessing={**asdict(encoder.preprocessing), "exact": session.decoding.exact},
        warnings=session.model_notices,
    )


def _describe(source: Source, vector: ImageVector) -> Row:
    width, height = vector.size or (None, None)
    digest = None if vector.digest is None else vector.digest.hex()
    return Row(source.name, source.caption, source.facts, width, height, digest)
