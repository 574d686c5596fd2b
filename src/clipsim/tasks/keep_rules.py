"""`--keep` → an order of the files of a group, of which the first is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from clipsim.errors import UsageError, printable
from clipsim.inputs.paths import NameFilter

if TYPE_CHECKING:
    from clipsim.tasks.kept_copies import FileState

Order = Callable[[str, "FileState"], tuple[float, ...]]
_NAMED: dict[str, Order] = {
    "best": lambda _, file: file.rank(),
    "largest": lambda _, file: (-file.bytes,),
    "oldest": lambda _, file: (file.modified,),
    "newest": lambda _, file: (-file.modified,),
}


class KeepRules:
    """Rules in order: each decides where those before it find no difference, and `best` at the end.

    A rule is one of `best`, `largest`, `oldest` and `newest`, or a pattern as `NameFilter` takes it: files whose names
    match come first. Raises UsageError for a pattern that is empty or malformed.
    """

    def __init__(self, rules: Sequence[str] = ()) -> None:
        self._patterns: dict[str, NameFilter] = {}
        self._matched: set[str] = set()
        for rule in (rule for rule in rules if rule not in _NAMED):
            try:
                self._patterns[rule] = NameFilter((rule,))
            except UsageError as error:
                raise UsageError(error.message, parameter="keep", value=rule) from error
        self._rules = (*rules, "best")

    def __call__(self, name: str, file: FileState) -> tuple[float, ...]:
        """What orders a file of a group; the file that is kept has the least."""
        return tuple(value for rule in self._rules for value in self._apply(rule, name, file))

    def _apply(self, rule: str, name: str, file: FileState) -> tuple[float, ...]:
        if rule in _NAMED:
            return _NAMED[rule](name, file)
        matches = self._patterns[rule].accepts(name)
        if matches:
            self._matched.add(rule)
        return (not matches,)

    @property
    def given(self) -> bool:
        """Whether there are other rules than `best`."""
        return any(rule != "best" for rule in self._rules)

    @property
    def notices(self) -> list[str]:
        """What the caller should know once all groups are ordered: the patterns that matched no file."""
        return [
            f"keep: no file of a group matches '{printable(rule, 80)}'"
            for rule in self._patterns
            if rule not in self._matched
        ]
