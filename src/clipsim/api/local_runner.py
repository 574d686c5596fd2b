"""Missing shards → their files, made in this process one after the other."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing

from clipsim.api.shard_work import ShardWork, Step, describe_vectors
from clipsim.embedding.session import Session
from clipsim.store.folders import Folder
from clipsim.store.layout import DatasetFacts, VectorFacts

BATCHES_AHEAD = 2  # decoding of the next shard starts when this many batches are left, so that the model does not wait


class LocalRunner:
    """Runs the shards with the session's own model."""

    def __init__(self, session: Session, folder: Folder) -> None:
        self._session, self._folder = session, folder
        self.notices: list[str] = []  # none: what a model has to say is the session's

    def describe(self) -> VectorFacts:
        """What the vectors will depend on; loads the model."""
        return describe_vectors(self._session)

    def close(self) -> None:
        """Nothing: the session outlives the run."""

    def run(
        self, facts: DatasetFacts, shards: Sequence[int], on_ready: Callable[[], None] = lambda: None
    ) -> Generator[Step, None, None]:
        """Make the shards, in order; `on_ready` is called before the files of each are moved into place."""
        ahead = BATCHES_AHEAD * self._session.batch_size
        following: ShardWork | None = None
        try:
            for place, shard in enumerate(shards):
                work = following or ShardWork(self._session, self._folder, facts, shard)
                following = None
                with closing(work), closing(work.run(on_ready)) as steps:
                    for step in steps:
                        if following is None and work.left <= ahead and place + 1 < len(shards):
                            following = ShardWork(self._session, self._folder, facts, shards[place + 1])
                            following.start()
                        yield step
        finally:
            if following is not None:
                following.close()
