"""Pairs of rows → groups, by union-find; pure Python."""

from __future__ import annotations

from collections import defaultdict


class Groups:
    """Rows that pairs connect, directly or through other rows.

    >>> groups = Groups()
    >>> groups.join(3, 1); groups.join(7, 3); groups.join(4, 5)
    >>> groups.together(1, 7), groups.together(1, 4)
    (True, False)
    >>> groups.members()
    [[1, 3, 7], [4, 5]]
    """

    def __init__(self) -> None:
        self._parents: dict[int, int] = {}

    def join(self, first: int, second: int) -> None:
        """Put two rows, and what they are connected with, into one group."""
        first, second = self._root(first), self._root(second)
        if first != second:
            self._parents[max(first, second)] = min(first, second)

    def together(self, first: int, second: int) -> bool:
        """Whether two rows are in one group."""
        return self._root(first) == self._root(second)

    def members(self) -> list[list[int]]:
        """The groups of two and more rows, in the order of their first row, each in order."""
        found: dict[int, list[int]] = defaultdict(list)
        for row in sorted(self._parents):
            found[self._root(row)].append(row)
        return [found[root] for root in sorted(found) if len(found[root]) > 1]

    def _root(self, row: int) -> int:
        root = row
        while (parent := self._parents.setdefault(root, root)) != root:
            root = parent
        while self._parents[row] != root:  # so that the next search is short
            self._parents[row], row = root, self._parents[row]
        return root
