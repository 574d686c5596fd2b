"""A data set that is added to → what differs from before: inputs that are gone, changed or not named, and versions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from clipsim.inputs.expand import Repeats, read_table_sources
from clipsim.inputs.sources import FailedSource
from clipsim.inputs.tars import read_tar
from clipsim.inputs.urls import is_url
from clipsim.store.plan import PlanUpdate
from clipsim.tasks.embed_shards import compare_versions, container, from_plan, read_stamp, to_plan

_POSITION_KEYS = ("offset", "size", "row", "stamp")  # of an image in a tar or table
Versions = tuple[Mapping[str, str], ...]


def locate(name: str) -> str:
    """The absolute path of a name, without resolving links; an address as it is."""
    return name if is_url(name) else os.path.abspath(name)  # noqa: PTH100 (keeps links)


class UnnamedInputs:
    """What becomes of inputs of earlier runs that are not named now. `repeats` has met all that are."""

    def __init__(self, repeats: Repeats) -> None:
        self._repeats = repeats
        self._folders = set[str]()  # the addresses of the folders that hold what is named
        self._collection: str | None = None  # the tar or table that was read last
        self._members: dict[str, dict[str, Any]] | None = None  # its images; None where it cannot be read to its end

    def add_folders(self, record: dict[str, Any]) -> None:
        """Note the folders that an address which is named lies in."""
        folder = record["name"]
        while is_url(folder := folder.rpartition("/")[0]) and folder not in self._folders:
            self._folders.add(folder)

    def find(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """The record of an input as it is now; None where it is gone, or another name of its file is named.

        A file whose folder is gone stays: the disk that holds it may not be mounted. What could not be used does not,
        nor does the address of a folder or pattern that an earlier version could not list, and took for an image.
        """
        name = container(record)
        if record["kind"] == "failed":
            return None
        if is_url(name):
            listed = name.rstrip("/") in self._folders or ("*" in name and not name.lower().startswith("http"))
            return None if record["kind"] == "url" and listed else record
        if not os.path.lexists(name):
            return None if os.path.lexists(os.path.dirname(name) or ".") else record  # noqa: PTH120
        if record["kind"] == "file":
            return None if self._repeats.has_met(from_plan(record)[0], texts=True) else record
        return record if read_stamp(name) == record.get("stamp") else self._find_member(name, record)

    def _find_member(self, collection: str, record: dict[str, Any]) -> dict[str, Any] | None:
        """The record of an image of a tar or table that has changed: where it lies now."""
        if collection != self._collection:
            self._collection, self._members = collection, self._list_members(record)
        if self._members is None:
            return record
        member = self._members.get(record["name"])
        return None if member is None else {**record, **{key: member[key] for key in _POSITION_KEYS if key in member}}

    def _list_members(self, record: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
        collection = container(record)
        sources = read_tar(collection) if "tar" in record else read_table_sources(collection, record["column"])
        members: dict[str, dict[str, Any]] = {}
        for source in sources:
            if isinstance(source, FailedSource) and source.name == collection:
                return None
            if not isinstance(source, FailedSource):
                members.setdefault(source.name, to_plan(source))
        return members


def describe_update(update: PlanUpdate) -> list[str]:
    """What the caller should know of inputs that are not those of before."""
    counts = [
        f"{count:,} {what}"
        for count, what in (
            (update.added, "new"),
            (update.changed, "changed"),
            (update.removed, "no longer there and left out"),
        )
        if count
    ]
    notices = [f"inputs that differ from before: {', '.join(counts)}"] if counts else []
    if update.kept:
        notices.append(
            f"{update.kept:,} inputs of earlier runs are not named now and stay; overwriting starts again without them"
        )
    return notices


def add_versions(recorded: Versions, own: Mapping[str, str]) -> tuple[Versions, str | None]:
    """The versions of packages that made a data set, with those that add to it now, and a notice where they differ.

    An empty mapping stands for those of vectors whose versions were not recorded.

    >>> add_versions(({"torch": "2.8.0"},), {"torch": "2.9.0"})[1]
    'made with torch 2.8.0, and added to with 2.9.0'
    """
    if not recorded:
        return ({}, own), None
    if own in recorded:
        return recorded, None
    differences = [f"{name} {old}, and added to with {new}" for name, old, new in compare_versions(recorded[-1], own)]
    return (*recorded, own), f"made with {'; '.join(differences)}" if differences else None
