"""A tar of samples → one `Source` for each image, with its caption and facts; of a torn tar, the complete ones.

The naming is webdataset's: consecutive members with the same stem, which ends at the first dot of the base name, are
one sample. `.txt` is an image's caption (`.caption.txt` and the like too), `.json` its facts, a JSON object; without
`.txt`, the caption is the value of one of `CAPTION_COLUMNS` in the facts. Beside `x.jpg`, `x.mask.jpg` is no input.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from clipsim.errors import ImageError, TransientError, printable
from clipsim.inputs.captions import CAPTION_COLUMNS, MAX_TEXT_BYTES, clean_text, find_caption
from clipsim.inputs.paths import has_image_suffix
from clipsim.inputs.sources import FailedSource, Source
from clipsim.inputs.sparse_reads import SparseReads
from clipsim.inputs.urls import is_url, open_location, open_part

if TYPE_CHECKING:
    from tarfile import TarInfo

MAX_HEADER_BYTES = 1 << 20  # of a member: its name and extended attributes
MAX_SAMPLE_IMAGES = 64
TAR_BLOCK_BYTES = 512
_TEXTS = (".txt", ".json")
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")


@dataclass(frozen=True, slots=True)
class TarMember(Source):
    """An image within a tar: `size` bytes at `offset` of the file or address `tar`."""

    tar: str
    offset: int
    size: int

    def open(self) -> BinaryIO:
        """Open the part of the tar that is the image. Raises ImageError, naming the cause but not the tar."""
        return open_part(self.tar, self.offset, self.size)


@dataclass
class _Sample:
    """Consecutive members with one stem; `texts` maps the suffix of a text to its offset and size in the tar."""

    stem: str
    images: list[tuple[str, TarInfo]] = field(default_factory=list)
    texts: dict[str, tuple[int, int]] = field(default_factory=dict)

    def chosen(self) -> list[tuple[str, TarInfo]]:
        """The images that are inputs: those with a simple suffix; where there are none (`x.rgb.jpg`), all of them."""
        plain = [(suffix, member) for suffix, member in self.images if suffix.count(".") == 1]
        return plain or self.images

    def beside(self, suffix: str, kind: str) -> list[str]:
        """The suffixes of the texts of a kind (".txt", ".json") that go with an image, the nearest first."""
        same_name = suffix[: suffix.rindex(".")] + kind
        named = [f".{column}{kind}" for column in CAPTION_COLUMNS] if kind == ".txt" else []
        return [candidate for candidate in dict.fromkeys((same_name, kind, *named)) if candidate in self.texts]


def read_tar(name: str) -> Iterator[Source]:
    """The images of a tar in order, in bounded memory; their content is not read.

    Of a tar in a store, ranges with the headers and the texts are read (`SparseReads`).

    An image's name is `TAR/MEMBER`. What is wrong with the tar (it cannot be opened, it is compressed, its rest is
    missing) is one FailedSource under the tar's own name, after the complete images; an image that is there and cannot
    be used is one under its own name.
    """
    try:
        with open_location(name) as file:
            yield from _read_members(name, cast(BinaryIO, SparseReads(file)) if is_url(name) else file)
    except TransientError as error:  # which members it has is not known
        raise TransientError(f"{printable(name)}: {error}") from error
    except ImageError as error:
        yield FailedSource(name, str(error))


def _read_members(name: str, file: BinaryIO) -> Iterator[Source]:
    import tarfile  # not needed for most runs

    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    headers = cast(BinaryIO, _HeaderReads(file, size))
    sample: _Sample | None = None
    torn: str | None = None
    try:
        with tarfile.open(fileobj=headers, mode="r:") as tar:
            while torn is None and (member := tar.next()) is not None:
                vars(tar)["members"] = []  # it would keep all of them
                member_name = member.name.removeprefix("./")
                folder, base = posixpath.split(member_name)
                if member.offset_data + member.size > size and not member.issparse():  # whose size has its holes
                    torn = f"truncated: it ends within '{printable(member_name, 80)}'"
                elif not member.isdir() and base and not base.startswith("."):
                    stem, suffix = _split_name(folder, base)
                    if sample is None or sample.stem != stem or len(sample.images) == MAX_SAMPLE_IMAGES:
                        yield from () if sample is None else _sources_of(name, file, sample)
                        sample = _Sample(stem)
                    if suffix.endswith(_TEXTS) and member.isreg() and not member.issparse():
                        sample.texts[suffix] = member.offset_data, member.size
                    elif has_image_suffix(base):
                        sample.images.append((suffix, member))
            if torn is None and not _ends_properly(file, tar.offset):
                torn = "truncated or damaged: what follows its last whole member is not the end of a tar"
    except TransientError:
        raise
    except ImageError as error:
        torn = str(error)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, RecursionError) as error:
        torn = _describe(file, error)
    if sample is not None:
        yield from _sources_of(name, file, sample)
    if torn is not None:
        yield FailedSource(name, torn)


def _split_name(folder: str, base: str) -> tuple[str, str]:
    """The stem of a member and its suffix in lower case: all from the first dot of its base name on, as in webdataset.

    >>> _split_name("train", "0001.mask.PNG")
    ('train/0001', '.mask.png')
    """
    stem, dot, suffix = base.partition(".")
    return posixpath.join(folder, stem), (dot + suffix).lower()


def _sources_of(tar: str, file: BinaryIO, sample: _Sample) -> Iterator[Source]:
    """The sources of one sample's images."""
    for suffix, member in sample.chosen():
        name = f"{tar}/{member.name.removeprefix('./')}"
        texts, records = sample.beside(suffix, ".txt"), sample.beside(suffix, ".json")[:1]
        oversize = [suffix_read for suffix_read in (*texts, *records) if sample.texts[suffix_read][1] > MAX_TEXT_BYTES]
        if oversize:
            size = sample.texts[oversize[0]][1]
            yield FailedSource(
                name, f"the {oversize[0]} beside it has {size:,} bytes, more than the limit of {MAX_TEXT_BYTES:,}"
            )
        elif not member.isfile():
            yield FailedSource(name, "not a regular file within the tar")
        elif member.issparse():
            yield FailedSource(name, "a sparse file within the tar, whose parts are not contiguous")
        else:
            facts = next((_clean_facts(_read_at(file, *sample.texts[suffix_read])) for suffix_read in records), None)
            captions = (clean_text(_read_at(file, *sample.texts[suffix_read])) for suffix_read in texts)
            caption = next((text for text in captions if text is not None), None)
            if caption is None and facts is not None:
                with suppress(ValueError):  # facts of other types stay facts
                    caption = find_caption(json.loads(facts))
            yield TarMember(name, tar, member.offset_data, member.size, caption=caption, facts=facts)


def _read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    file.seek(offset)
    return file.read(size)


def _clean_facts(data: bytes) -> str | None:
    """The text of a JSON object; None for whatever else it is."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value) if isinstance(value, dict) else None


def _ends_properly(file: BinaryIO, offset: int) -> bool:
    """Whether a block of zeros, the first of the two that end a tar, is at `place`."""
    return _read_at(file, offset, TAR_BLOCK_BYTES) == bytes(TAR_BLOCK_BYTES)


def _describe(file: BinaryIO, error: Exception) -> str:
    if _read_at(file, 0, 6).startswith(_COMPRESSED):
        return "a compressed tar, whose members cannot be read by themselves; decompress it"
    if "empty file" in str(error):
        return "an empty file, not a tar"
    return f"damaged, or not a tar: {printable(str(error) or type(error).__name__, 80)}"


class _HeaderReads:
    """A tar's stream for `tarfile`, which trusts the sizes it reads: limits each read, and all of them together."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size + MAX_HEADER_BYTES  # every part of a tar is read once, at most

    def read(self, size: int = -1) -> bytes:
        """Read as from any file. Raises ImageError beyond the limits."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise ImageError(f"damaged: a header of the tar exceeds the limit of {MAX_HEADER_BYTES >> 20} MB")
        data = self._file.read(size)
        self._left -= size
        if self._left < 0:
            raise ImageError("damaged: the headers of the tar refer to each other")
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position, as in any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position in the file."""
        return self._file.tell()
