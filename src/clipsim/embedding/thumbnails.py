"""Sources whose vectors are known → thumbnails, decoded no larger than these need, by threads and in order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from clipsim.engines.devices import usable_cores
from clipsim.errors import ImageError
from clipsim.images.limits import check_file_size
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import FileSource, Source

OVERSAMPLING = 2  # a JPEG is decoded at no less than this many times the side of the thumbnail
MAX_DEFAULT_WORKERS = 8


def decode_thumbnail(content: BinaryIO, rules: ThumbnailRules | None) -> bytes | None:
    """The thumbnail of the picture in an open file; None without rules.

    Raises ImageError for a picture that cannot be decoded.
    """
    if rules is None:
        return None
    from clipsim.images.decode import decoded_file  # imports Pillow

    with decoded_file(content, OVERSAMPLING * rules.side, draft_pixels=0) as picture:
        return make_thumbnail(picture, rules)


def read_thumbnails(
    sources: Iterable[Source], rules: ThumbnailRules, *, workers: int | None = None
) -> Iterator[bytes | None]:
    """The thumbnail of each source, in order; None for one that can no longer be decoded.

    For results that are few among many inputs, such as those of a search: only what is shown is decoded. All thumbnails
    are held until they are taken, so the sources must be as few as fit a page.
    """
    from concurrent.futures import ThreadPoolExecutor

    def read(source: Source) -> bytes | None:
        try:
            if not isinstance(source, FileSource):
                from clipsim.images.decode import convert_picture

                return make_thumbnail(convert_picture(source.picture), rules)
            with source.open() as file:
                check_file_size(os.fstat(file.fileno()).st_size)
                return decode_thumbnail(file, rules)
        except ImageError:
            return None

    pool = ThreadPoolExecutor(workers or min(MAX_DEFAULT_WORKERS, usable_cores()), "decode")
    try:
        yield from pool.map(read, sources)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
