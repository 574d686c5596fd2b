"""What every session has: the model that stays loaded, how it is closed and pickled, and how a method ends."""

from __future__ import annotations

from typing import Any, TypeVar

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.errors import NoInputError, issue_warnings
from clipsim.options import ModelOptions, RunOptions
from clipsim.results.base import join_tag
from clipsim.tasks.rank import nothing_usable

SessionT = TypeVar("SessionT", bound="SessionBase")
ResultT = TypeVar(
    "ResultT",
    bound="clipsim.RankResult | clipsim.SearchResult | clipsim.DuplicatesResult | clipsim.OverviewResult",
)


class SessionBase:
    """The part of `Session` that its methods share."""

    def __init__(self, model: ModelOptions | None = None, run: RunOptions | None = None) -> None:
        self._embedder = Embedder(model, run)

    def __repr__(self) -> str:
        """The model, and what it runs in."""
        embedder = self.embedder
        name = join_tag(embedder.spec.reported_name, embedder.spec.reported_tag)
        return f"Session({name!r}, device={embedder.device!r}, precision={embedder.precision!r})"

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of images and texts."""
        return self._embedder

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model and of how it runs, as far as it is known without loading it."""
        return self.embedder.notices

    def close(self) -> None:
        """Close the cache; nothing can be computed afterwards. Closing twice does nothing."""
        self.embedder.close()

    def __enter__(self: SessionT) -> SessionT:
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the options."""
        return type(self), (self.embedder.model_options, self.embedder.run_options)


def finish(result: ResultT, used: int) -> ResultT:
    """Issue a result's warnings, and give it back. Raises NoInputError where none of the inputs was `used`."""
    if not used:
        raise NoInputError(nothing_usable(result.errors), result.errors)
    issue_warnings(result.warnings)
    return result
