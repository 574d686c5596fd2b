"""A file on the Hugging Face Hub → the same in its cache here: found, or fetched, or continued where it broke off."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from logging import ERROR
from pathlib import Path

from clipsim.errors import DownloadError, ModelError, UsageError, printable
from clipsim.models.digests import digest_file
from clipsim.models.names import ModelSpec

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
MAX_SHOWN = 160  # characters of what another library says


def find_cached(repository: str, file: str, cache_dir: str | None = None) -> Path | None:
    """A file in the Hugging Face cache, found without the library: asking it would take a quarter second."""
    folder = _cache_folder(repository, cache_dir)
    try:
        commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    path = folder / "snapshots" / commit / file
    return path if path.is_file() else None


def fetch_file(repository: str, candidates: Sequence[str], cache_dir: str | None, name: str) -> Path:
    """The first of the candidates that is here, else the first that the repository has, downloaded.

    Raises DownloadError, whose remedy names the model as `name`.
    """
    for file in candidates:
        if path := find_cached(repository, file, cache_dir):
            return path
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    for file in candidates:
        try:
            with _quiet():
                return _download(repository, file, cache_dir)
        except DownloadError:
            raise
        except Exception as error:
            if isinstance(error, EntryNotFoundError) and not isinstance(error, LocalEntryNotFoundError):
                continue  # the Hub answered, and has no such file
            raise DownloadError(_explain(error, repository, f"'clipsim models pull {printable(name)}'")) from error
    raise DownloadError(
        f"{printable(repository)}: has none of {', '.join(candidates)}; it is not OpenCLIP's layout, so choose another"
    )


def fetch_folder(repository: str, patterns: Sequence[str], needed: Sequence[str], cache_dir: str | None) -> Path:
    """The local folder with a repository's small files, those that fit the patterns.

    Raises DownloadError when they cannot be had, or none of them fits a pattern of `needed`.
    """
    from huggingface_hub import snapshot_download

    with suppress(Exception):  # not here: whatever the reason, the download below says it better
        found = snapshot_download(repository, allow_patterns=list(patterns), cache_dir=cache_dir, local_files_only=True)
        if any(any(Path(found).glob(pattern)) for pattern in needed):
            return Path(found)
    try:
        with _quiet():
            folder = Path(snapshot_download(repository, allow_patterns=list(patterns), cache_dir=cache_dir))
    except Exception as error:
        raise DownloadError(_explain(error, repository, "the same command")) from error
    if not any(any(folder.glob(pattern)) for pattern in needed):
        raise DownloadError(f"{printable(repository)}: has no {needed[0]}, which the model's text side needs")
    return folder


def remove_downloads(spec: ModelSpec) -> int:
    """Delete what was downloaded of a model from the Hugging Face cache; the bytes that were freed.

    Raises UsageError for a model without a repository, ModelError where none of it is here or it cannot be deleted.
    """
    shown = printable(spec.name)
    if spec.repository is None:
        raise UsageError(f"{shown} was not downloaded; only models from the Hub can be removed")
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        found = scan_cache_dir()
        revisions = [
            revision.commit_hash
            for repository in found.repos
            if repository.repo_id == spec.repository and repository.repo_type == "model"
            for revision in repository.revisions
        ]
        if not revisions:
            raise ModelError(f"{shown} is not on this machine")
        strategy = found.delete_revisions(*revisions)
        strategy.execute()
    except CacheNotFound as error:
        raise ModelError(f"{shown} is not on this machine") from error
    except OSError as error:
        raise ModelError(f"{shown}: cannot remove it: {error.strerror or error}") from error
    return strategy.expected_freed_size


def _cache_folder(repository: str, cache_dir: str | None) -> Path:
    """A repository's folder in the cache, by its documented layout."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(cache_dir or HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"


def _download(repository: str, file: str, cache_dir: str | None) -> Path:
    """Bring a file into the cache; what an earlier attempt has left there is continued.

    huggingface_hub itself throws an unfinished file away. So the bytes are collected here, under the name that its
    cache knows for unfinished files, and get the name of a finished one when their number and their hash are right.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers  # type: ignore[attr-defined]  # exported lazily

    url = hf_hub_url(repository, file)
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
    return Path(hf_hub_download(repository, file, cache_dir=cache_dir))  # which finds the blob and gives it its name


def _check_hash(path: Path, etag: str, repository: str) -> None:
    """Raise DownloadError, and delete the file, when its SHA-256 is not the one that the Hub has announced.

    The etag of a large file on the Hub is its SHA-256; small ones have a Git hash of 40 digits instead.
    """
    if len(etag) != 64:
        return
    if digest_file(path) != etag:
        path.unlink()
        raise DownloadError(
            f"{printable(repository)}: the download is damaged (its SHA-256 is not the one that the Hub names) and was "
            "deleted; try again"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the library's warnings, which become one line of ours; with its progress bars on a terminal only."""
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    no_bars = not sys.stderr.isatty() and not are_progress_bars_disabled()
    verbosity = logging.get_verbosity()
    if no_bars:
        disable_progress_bars()
    logging.set_verbosity(ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if no_bars:
            enable_progress_bars()


def _explain(error: BaseException, repository: str, again: str) -> str:
    """One line that says why a download failed and what to do; `again` is what to type then."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    subject = printable(repository)
    if isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None:
        error = error.__cause__  # it only says that something went wrong before
    if isinstance(error, GatedRepoError):
        return f"{subject}: its authors ask for consent to terms; accept them on the Hub, then 'hf auth login'"
    if isinstance(error, RepositoryNotFoundError):
        return f"{subject}: the Hub has no such repository, or not for you ('hf auth login' if it is private)"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code if error.response is not None else "an error"
        if status in (401, 403):
            return f"{subject}: the Hub answered {status}; 'hf auth login' with a token that may read it"
        return f"{subject}: the Hub answered {status}; try again later with {again}"
    if isinstance(error, OfflineModeIsEnabled):
        return f"{subject}: not on this machine, and HF_HUB_OFFLINE forbids to download it; unset it for {again}"
    if isinstance(error, OSError) and (error.errno in NO_ROOM or (error.errno and error.filename is not None)):
        return f"{subject}: cannot store the download: {error.strerror}; HF_HOME moves the cache to another disk"
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    said = str(cause).strip() or type(cause).__name__
    return (
        f"{subject}: not on this machine, and the download failed ({printable(said.splitlines()[0], MAX_SHOWN)}); "
        f"when online, {again} fetches it"
    )
