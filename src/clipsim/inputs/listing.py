"""An address of a folder or a pattern → the addresses of what is there, in order, as the pages of the store come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, cast

from clipsim.errors import ImageError, TransientError, printable
from clipsim.inputs.paths import has_image_suffix, is_left_out
from clipsim.inputs.shards import choose_shards, is_shard_file, stream_without_sidecars
from clipsim.inputs.urls import (
    OBJECT_STORES,
    file_suffix,
    find_filesystem,
    find_protocols,
    import_fsspec,
    is_table,
    is_tar,
    is_url,
    is_web,
    request,
)

_PATTERN = re.compile(r"[*\[]")  # a question mark begins a query


def needs_requests(name: str) -> bool:
    """Whether a store has to be asked what a name stands for: an address of a folder, a pattern, a tar or a table.

    >>> [needs_requests(f"s3://bucket/{name}") for name in ("photos", "*.jpg", "0.tar", "a.jpg")]
    [True, True, True, False]
    """
    return is_url(name) and (_is_listed(name) or is_tar(name) or is_table(name))


def _is_listed(url: str) -> bool:
    """Whether an address is looked for in a listing: web servers and chains of file systems have none."""
    return "::" not in url and not is_web(url) and bool(_PATTERN.search(url) or not file_suffix(url))


def find_urls(url: str) -> Iterator[str]:
    """What an address stands for: a pattern its matches, a folder the images below it, sorted; else itself.

    A folder without images stands for the shards below it, see `choose_shards`. The memory is that of one page of S3's
    listings; other stores give those of a folder, or of all that is below it, at once.

    A pattern without a match, and what does not exist, is given back as it is, so that opening it says why. Web servers
    have no listings, and what a chain of filesystems lists has no address of its own. Raises TransientError, naming the
    address, where a listing is refused or fails, since a run that went on would leave its images out, and
    MissingPackageError without fsspec.
    """
    import_fsspec()
    empty = True
    if _is_listed(url):
        try:
            filesystem, path = find_filesystem("list", url)
            for name in _match(filesystem, path) if _PATTERN.search(path) else _find_below(filesystem, path):
                empty = False
                yield str(filesystem.unstrip_protocol(name))
        except ImageError as error:
            if isinstance(error, TransientError):
                raise TransientError(f"{printable(url)}: {error}", kind=error.kind) from error
            if not empty:
                raise TransientError(f"{printable(url)}: {error}") from error
            # opening it later says what is wrong
    if empty:
        yield url


def _find_below(filesystem: Any, folder: str) -> Iterator[str]:
    """The images below a folder of a store, or the shards; nothing where there is no such folder."""
    images, shards = False, list[str]()
    for name in _list_below(filesystem, folder):
        if _is_hidden(name, folder):
            continue
        if has_image_suffix(name):
            images = True
            yield name
        elif not images and is_shard_file(name):
            shards.append(name)
    if not images:
        yield from choose_shards(shards)


def _match(filesystem: Any, pattern: str) -> Iterator[str]:
    """The files whose names match a pattern, of a store's own form of paths, without hidden ones."""
    root = pattern[: cast("re.Match[str]", _PATTERN.search(pattern)).start()].rpartition("/")[0]
    depth = None if "**" in pattern else pattern[len(root) :].strip("/").count("/") + 1
    from fsspec.utils import glob_translate

    matches = re.compile(glob_translate(pattern)).match
    names = (name for name in _list_below(filesystem, root, depth) if matches(name))
    return stream_without_sidecars(name for name in names if not name.rpartition("/")[2].startswith("."))


def _list_below(filesystem: Any, folder: str, depth: int | None = None) -> Iterable[str]:
    """The files below a folder, up to some levels, sorted."""
    if hasattr(filesystem, "call_s3"):
        return _list_s3(filesystem, folder, depth)
    if depth is None and not OBJECT_STORES.isdisjoint(find_protocols(filesystem)):
        return sorted(request("list", lambda: filesystem.find(folder)))
    return _list_folders(filesystem, folder, depth)


def _list_s3(filesystem: Any, folder: str, depth: int | None) -> Iterator[str]:
    """The keys of S3 below a folder, page by page: s3fs itself keeps all that it lists, at 2 KB a key."""
    bucket, key, _ = filesystem.split_path(folder)
    arguments = {"Bucket": bucket, "Prefix": f"{key.rstrip('/')}/" if key else "", **getattr(filesystem, "req_kw", {})}
    if depth is not None:
        arguments["Delimiter"] = "/"
    while True:
        page = request("list", lambda: filesystem.call_s3("list_objects_v2", **arguments))
        keys = [str(one["Key"]) for one in page.get("Contents", ())]
        folders = {str(one["Prefix"]) for one in page.get("CommonPrefixes", ())}
        for name in sorted({*keys, *folders}) if folders else keys:
            if not name.endswith("/"):  # an object of such a name marks a folder
                yield f"{bucket}/{name}"
            elif name in folders and depth is not None and depth > 1:
                yield from _list_s3(filesystem, f"{bucket}/{name.rstrip('/')}", depth - 1)
        if not page.get("IsTruncated"):
            return
        token = page.get("NextContinuationToken")
        if token in (None, arguments.get("ContinuationToken")):
            raise TransientError("cannot list it: the store has more keys, and does not say how to go on")
        arguments["ContinuationToken"] = token


def _list_folders(filesystem: Any, folder: str, depth: int | None, *, listed: bool = False) -> Iterator[str]:
    """The files below a folder, up to some levels, sorted, with a request for each folder.

    Raises ImageError where one of the folders is refused; fsspec's own walk would leave it out.
    """
    try:
        entries = request("list", lambda: filesystem.ls(folder, detail=True))
    except ImageError as error:
        if listed and error.kind == "not_found":
            raise TransientError(f"'{printable(folder)}' was listed, and is not found") from error
        raise
    names = (str(entry["name"]).rstrip("/") + "/" * (entry["type"] == "directory") for entry in entries)
    for name in sorted(names):
        if not name.endswith("/"):
            yield name
        elif name.rstrip("/") != folder.rstrip("/") and depth != 1:
            yield from _list_folders(filesystem, name[:-1], None if depth is None else depth - 1, listed=True)


def _is_hidden(name: str, folder: str) -> bool:
    """Whether the name of a file below a folder has a hidden part or a system folder in it."""
    below = name[len(folder.rstrip("/")) :]
    return any(map(is_left_out, below.split("/")))
