"""A file on the Hugging Face Hub → its copy in the local Hugging Face cache, downloaded or resumed where missing."""

from __future__ import annotations

import errno
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from clipsim.errors import DownloadError, ModelError, UsageError, first_line, printable
from clipsim.files import digest_file
from clipsim.models.names import ModelSpec

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_downloading = threading.Lock()


def find_cached(repository: str, file: str, cache_dir: str | None = None, revision: str | None = None) -> Path | None:
    """A file in the Hugging Face cache, or None. Reads the cache's layout itself: huggingface_hub would take 0.25 s.

    `revision` is a branch, a tag or the hash of a commit, None for the main branch.
    """
    folder = _cache_folder(repository, cache_dir)
    try:
        if revision is not None and _COMMIT.fullmatch(revision):
            commit = revision
        else:
            commit = (folder / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    path = folder / "snapshots" / commit / file
    return path if path.is_file() else None


def hub_cache() -> Path:
    """The folder of the Hugging Face cache; `HF_HOME` and `HF_HUB_CACHE` move it."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def fetch_file(
    repository: str, candidates: Sequence[str], cache_dir: str | None, name: str, revision: str | None = None
) -> Path:
    """The first of the candidates that is cached, else the first that the repository has, downloaded.

    `name` is the model's name, for the remedy in an error. Raises DownloadError.
    """
    for file in candidates:
        if path := find_cached(repository, file, cache_dir, revision):
            return path
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for file in candidates:
        try:
            with _quiet():
                return _download(repository, file, cache_dir, revision)
        except DownloadError:
            raise
        except Exception as error:
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue  # the Hub has answered: the repository has no such file
            raise DownloadError(_explain(error, repository, f"'clipsim models pull {printable(name)}'")) from error
    raise missing_files(repository, candidates)


def missing_files(repository: str, candidates: Sequence[str]) -> DownloadError:
    """The error for a repository without any of these files."""
    return DownloadError(
        f"{printable(repository)}: has none of {', '.join(candidates)}, so it is not in OpenCLIP's layout; "
        "choose another"
    )


def fetch_folder(
    repository: str, patterns: Sequence[str], needed: Sequence[str], cache_dir: str | None, revision: str | None = None
) -> Path:
    """The local folder with those files of a repository that match `patterns`, downloaded where they are not cached.

    Raises DownloadError when they cannot be downloaded, or when none of them matches a pattern of `needed`.
    """
    from huggingface_hub import snapshot_download

    with suppress(Exception):  # not cached, or not readable; the download below raises the error to report
        cached = snapshot_download(
            repository, allow_patterns=list(patterns), cache_dir=cache_dir, revision=revision, local_files_only=True
        )
        if any(any(Path(cached).glob(pattern)) for pattern in needed):
            return Path(cached)
    try:
        with _quiet():
            folder = Path(
                snapshot_download(repository, allow_patterns=list(patterns), cache_dir=cache_dir, revision=revision)
            )
    except Exception as error:
        raise DownloadError(_explain(error, repository, "the same command")) from error
    if not any(any(folder.glob(pattern)) for pattern in needed):
        raise DownloadError(f"{printable(repository)}: has no {needed[0]}, which the model's text tower needs")
    return folder


def remove_downloads(spec: ModelSpec) -> int:
    """Delete what was downloaded of a model from the Hugging Face cache; the bytes that were freed.

    Raises UsageError for a model without a repository, ModelError where none of it is here or it cannot be deleted.
    """
    name = printable(spec.name)
    if spec.repository is None:
        raise UsageError(f"{name} was not downloaded; only models from the Hub can be removed")
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        cache_info = scan_cache_dir(hub_cache())
        revisions = [
            revision.commit_hash
            for repository in cache_info.repos
            if repository.repo_id == spec.repository and repository.repo_type == "model"
            for revision in repository.revisions
            if spec.revision is None or spec.revision in (revision.commit_hash, *revision.refs)
        ]
        if not revisions:
            raise ModelError(f"{name} is not on this machine")
        strategy = cache_info.delete_revisions(*revisions)
        strategy.execute()
    except CacheNotFound as error:
        raise ModelError(f"{name} is not on this machine") from error
    except OSError as error:
        raise ModelError(f"{name}: cannot remove it: {error.strerror or error}") from error
    return strategy.expected_freed_size


def _cache_folder(repository: str, cache_dir: str | None) -> Path:
    """A repository's folder in the cache, by its documented layout."""
    return Path(cache_dir or hub_cache()) / f"models--{repository.replace('/', '--')}"


def _download(repository: str, file: str, cache_dir: str | None, revision: str | None) -> Path:
    """Download a file into the cache, resuming an earlier attempt.

    huggingface_hub deletes an unfinished file. So the bytes are written here, under the name that its cache uses for
    unfinished files, and the file is renamed once its size and hash are right.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # exported lazily

    url = hf_hub_url(repository, file, revision=revision)
    announced = get_hf_file_metadata(url)
    if announced.etag and announced.size:
        folder = _cache_folder(repository, cache_dir)
        blob = folder / "blobs" / announced.etag
        unfinished = blob.with_name(f"{blob.name}.incomplete")
        lock = folder.parent / ".locks" / folder.name / f"{blob.name}.lock"  # the library's own
        for path in (blob, lock):
            path.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if not blob.exists():
                with unfinished.open("ab") as stream:
                    if stream.tell() > announced.size:
                        stream.truncate(0)
                        stream.seek(0)
                    http_get(
                        url,
                        stream,
                        resume_size=stream.tell(),
                        headers=build_hf_headers(),
                        expected_size=announced.size,
                        displayed_filename=file,
                    )
                _check_hash(unfinished, announced.etag, repository)
                unfinished.replace(blob)
    # finds the blob and links it into the snapshot
    return Path(hf_hub_download(repository, file, cache_dir=cache_dir, revision=revision))


def _check_hash(path: Path, etag: str, repository: str) -> None:
    """Raise DownloadError, and delete the file, when its SHA-256 differs from the one that the Hub announced.

    The etag of a large file on the Hub is its SHA-256; that of a small file is its Git hash of 40 digits.
    """
    if len(etag) != 64:
        return
    if digest_file(path) != etag:
        path.unlink()
        raise DownloadError(
            f"{printable(repository)}: the download was damaged (its SHA-256 differs from the one that the Hub "
            "announced) and has been deleted; try again"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress huggingface_hub's warnings, since an error reports the failure, and progress bars off a terminal.

    Both are settings of the whole process: one thread at a time downloads, so that they are restored as they were.
    """
    from logging import ERROR  # slow to import

    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    with _downloading:
        no_bars = not sys.stderr.isatty() and not are_progress_bars_disabled()
        verbosity = logging.get_verbosity()
        try:
            if no_bars:
                disable_progress_bars()
            logging.set_verbosity(ERROR)
            yield
        finally:
            logging.set_verbosity(verbosity)
            if no_bars:
                enable_progress_bars()


def _explain(error: BaseException, repository: str, again: str) -> str:
    """One line: why a download failed, and the remedy; `again` names the command that tries again."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    subject = printable(repository)
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # the error that made huggingface_hub look in its cache
    if isinstance(error, GatedRepoError):
        return f"{subject}: access is gated; accept the authors' terms on the Hub, then run 'hf auth login'"
    if isinstance(error, RepositoryNotFoundError):
        return f"{subject}: the Hub has no such repository, or it is private ('hf auth login' gives access to yours)"
    if isinstance(error, RevisionNotFoundError):
        return f"{subject}: the Hub has this repository, and not the revision that is asked for"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "an error"
        if status in (401, 403):
            return f"{subject}: the Hub answered {status}; run 'hf auth login' with a token that has access"
        return f"{subject}: the Hub answered {status}; try again later with {again}"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{subject}: not on this machine, and HF_HUB_OFFLINE forbids downloads; unset it for {again}"
    if isinstance(error, OSError) and (error.errno in NO_ROOM or (error.errno and error.filename is not None)):
        return f"{subject}: cannot store the download: {error.strerror}; HF_HOME moves the cache to another disk"
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return (
        f"{subject}: not on this machine, and the download failed ({first_line(cause, 160)}); "
        f"when online, {again} fetches it"
    )
