"""One source → its prepared pixels or the vector that is cached for it, in the thread that asks."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from clipsim.cache.keys import image_key, variant_key
from clipsim.cache.vectors import FileKeys, ImageCache
from clipsim.engines.choice import default_workers
from clipsim.engines.encoder import Features, ImagePreparer, Pixels
from clipsim.errors import ImageError
from clipsim.files import CHUNK_BYTES, FileStamp, digest_stream
from clipsim.images.limits import MAX_PIXELS, DecodingRules, open_checked
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import Source, reading_error

if TYPE_CHECKING:
    from PIL.Image import Image


# A large JPEG is decoded at no less than this many times the side of the model's images, or of a thumbnail.
DRAFT_OVERSAMPLING = 2
WHOLE_FILE_BYTES = 32_000_000  # a file up to this size is read once, into memory
NOT_FINITE = "that is not finite"  # what is wrong with a vector


@dataclass(frozen=True)
class Prepared:
    """One input: its pixels, or the vector that was cached for it, or what was wrong with it.

    `digest` is the SHA-256 of the file, None where the input has no file; `key` is that of its content in the cache,
    and `stamp` the file's stamp, where they may be kept; `vector_key` is that of its vector, where it is another.
    `size` is the upright image's width and height, where the pipeline measures; `thumbnail` is a small image file,
    where it makes them; `index` is the source's.
    """

    name: str
    pixels: Pixels | None = None
    features: Features | None = None
    error: ImageError | None = None
    digest: bytes | None = None
    key: bytes | None = None
    stamp: FileStamp | None = None
    size: tuple[int, int] | None = None
    thumbnail: bytes | None = None
    index: int | None = None
    vector_key: bytes | None = None


@dataclass(frozen=True)
class SourcePreparer:
    """Prepares sources for a model, looking into a cache first where there is one.

    With `measure`, the size of every image is found, also where its vector is cached. With `thumbnails`, every file is
    decoded even then, and its thumbnail is made of the bytes that were read for it.
    """

    encoder: ImagePreparer
    rules: DecodingRules
    cache: ImageCache | None = None
    measure: bool = False
    thumbnails: ThumbnailRules | None = None

    def prepare(self, source: Source) -> Prepared:
        """What is prepared of a source; an ImageError becomes its `error`."""
        try:
            image = source.decoded()
            if image is None:
                return self._prepare_file(source)
            from clipsim.images.decode import convert_image

            image = convert_image(image)
            pixels, small = self.encoder.prepare_image(image), make_thumbnail(image, self.thumbnails)
            return Prepared(source.name, pixels, size=image.size, thumbnail=small, index=source.index)
        except ImageError as error:
            return Prepared(source.name, error=error, index=source.index)

    def _prepare_file(self, source: Source) -> Prepared:
        with open_checked(source) as stream, ExitStack() as copies:
            begun, before = time.time_ns(), read_stamp(stream)
            file, content = read_content(stream, before is not None, copies)
            cached = None if self.cache is None else find_images(self.cache, [file.key], self.rules).get(file.key)
            stamp = before if before is not None and before.is_settled(begun) and before == read_stamp(stream) else None
            if cached is not None:
                if self._limit_is_lowered:
                    from clipsim.images.decode import check_limit

                    check_limit(content)
                small, size = decode_thumbnail(content, self.thumbnails), self._read_size(content)
                return Prepared(source.name, None, cached, None, *file, stamp, size, small, source.index)
            from clipsim.images.decode import decoded_file, may_be_reduced  # imports Pillow

            variant = variant_key(file.key, exact=self.rules.exact) if may_be_reduced(content) else None
            min_side = None if self.rules.exact else DRAFT_OVERSAMPLING * self.encoder.image_size
            with decoded_file(content, min_side) as image:
                pixels = self.encoder.prepare_image(image)
                small = make_thumbnail(image, self.thumbnails)
                size = self._read_size(content, image)
            # a file that was read twice may not have been the same both times
            if content is stream and (stamp is None or stamp != read_stamp(stream)):
                return Prepared(source.name, pixels, None, None, file.digest, None, None, size, small, source.index)
        return Prepared(source.name, pixels, None, None, *file, stamp, size, small, source.index, variant)

    @property
    def looks_at_cached(self) -> bool:
        """Whether files are opened whose vectors are cached."""
        return self.measure or self._limit_is_lowered

    @property
    def _limit_is_lowered(self) -> bool:
        """Whether images that were decoded before may have more pixels than the limit now."""
        return self.rules.max_pixels < MAX_PIXELS

    def look_at_cached(self, source: Source, cached: Prepared) -> Prepared:
        """What is cached for a file, with the size in its header; nothing else of the file is read."""
        from clipsim.images.decode import check_limit

        try:
            with open_checked(source) as stream:
                if self._limit_is_lowered:
                    check_limit(stream)
                return replace(cached, size=self._read_size(stream))
        except ImageError as error:
            return Prepared(source.name, error=error, index=source.index)

    def _read_size(self, content: BinaryIO, decoded: Image | None = None) -> tuple[int, int] | None:
        if not self.measure:
            return None
        from clipsim.images.decode import read_size

        return read_size(content, decoded)


def find_fault(features: Features) -> str | None:
    """What is wrong with vectors along the last axis: none of them can be ranked then. None where nothing is."""
    if not np.isfinite(features).all():
        return NOT_FINITE
    return None if features.any(axis=-1).all() else "of length zero"


def find_images(cache: ImageCache, keys: Sequence[bytes], rules: DecodingRules) -> dict[bytes, Features]:
    """The vectors of image files by the keys of their content, where those were decoded by these rules."""
    variants = {key: variant_key(key, exact=rules.exact) for key in keys}
    vectors = cache.images.find([*variants, *variants.values()])
    by_content = {key: vectors.get(key, vectors.get(variant)) for key, variant in variants.items()}
    return {key: features for key, features in by_content.items() if features is not None}


def read_stamp(stream: BinaryIO) -> FileStamp | None:
    """The stamp of an open file; None where the stream is not a file of its own."""
    try:
        return FileStamp.of(os.fstat(stream.fileno()))
    except (OSError, AttributeError):
        return None


def read_content(stream: BinaryIO, is_file: bool, copies: ExitStack) -> tuple[FileKeys, BinaryIO]:
    """The SHA-256 and the cache's key of a stream, and what to decode.

    What is too long for memory has its SHA-256 as its key, and is copied to a temporary file, which `copies` closes, if
    the stream is no file of its own. Raises ImageError where it cannot be read.
    """
    try:
        data = stream.read(WHOLE_FILE_BYTES + 1)
        if len(data) <= WHOLE_FILE_BYTES:
            digest = hashlib.sha256(data).digest()
            return FileKeys(digest, image_key(data, digest)), io.BytesIO(data)
        del data
        stream.seek(0)
        content = stream
        if not is_file:
            content = copies.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (closed with the source)
            shutil.copyfileobj(stream, content, CHUNK_BYTES)
            content.seek(0)
        digest = bytes.fromhex(digest_stream(content))
        content.seek(0)
    except OSError as error:
        raise reading_error("read", error) from error
    return FileKeys(digest, digest), content


def decode_thumbnail(content: BinaryIO, rules: ThumbnailRules | None) -> bytes | None:
    """The thumbnail of the image in an open file; None without rules. Raises ImageError where it cannot be decoded."""
    if rules is None:
        return None
    from clipsim.images.decode import decoded_file  # imports Pillow

    with decoded_file(content, DRAFT_OVERSAMPLING * rules.side, draft_pixels=0) as image:
        return make_thumbnail(image, rules)


def read_thumbnails(sources: Iterable[Source], rules: ThumbnailRules) -> dict[str, bytes]:
    """The thumbnails of sources by their names, without those that can no longer be decoded.

    For results that show a few of many inputs, such as those of a search: to decode these once more takes less time
    than a thumbnail of every image, which costs about as much as decoding a small JPEG.
    """
    from concurrent.futures import ThreadPoolExecutor

    def read(source: Source) -> bytes | None:
        try:
            if (image := source.decoded()) is not None:
                from clipsim.images.decode import convert_image

                return make_thumbnail(convert_image(image), rules)
            with open_checked(source) as stream, ExitStack() as copies:
                if read_stamp(stream) is not None:
                    return decode_thumbnail(stream, rules)
                return decode_thumbnail(read_content(stream, False, copies)[1], rules)  # web servers may only give all
        except ImageError:
            return None

    by_name = {source.name: source for source in sources}
    with ThreadPoolExecutor(default_workers(), "decode") as pool:
        thumbnails = zip(by_name, pool.map(read, by_name.values()), strict=True)
        return {name: thumbnail for name, thumbnail in thumbnails if thumbnail is not None}
