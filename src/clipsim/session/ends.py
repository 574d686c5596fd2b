"""A task's result → what a method of `Session` returns: its warnings issued, or an error where nothing was usable."""

from __future__ import annotations

from typing import TypeVar

import clipsim
from clipsim.errors import NoInputError, issue_warnings
from clipsim.results.rank import RankResult
from clipsim.tasks.rank import nothing_usable

ResultT = TypeVar(
    "ResultT", bound="RankResult | clipsim.SearchResult | clipsim.DuplicatesResult | clipsim.OverviewResult"
)


def finish(result: ResultT, used: int) -> ResultT:
    """Issue a result's warnings, and give it back. Raises NoInputError where none of the inputs was `used`."""
    if not used:
        raise NoInputError(nothing_usable(result.errors), result.errors)
    issue_warnings(result.warnings)
    return result
