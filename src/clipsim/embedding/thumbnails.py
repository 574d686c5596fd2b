"""Sources whose vectors are known → thumbnails, decoded no larger than these need, by threads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import BinaryIO

from clipsim.engines.devices import usable_cores
from clipsim.errors import ImageError
from clipsim.images.limits import check_file_size
from clipsim.images.thumbnail_files import ThumbnailRules, make_thumbnail_file
from clipsim.inputs.sources import Source

OVERSAMPLING = 2  # a JPEG is decoded at no less than this many times the side of the thumbnail
MAX_WORKERS = 8


def decode_thumbnail(content: BinaryIO, rules: ThumbnailRules | None) -> bytes | None:
    """The thumbnail of the picture in an open file; None without rules.

    Raises ImageError for a picture that cannot be decoded.
    """
    if rules is None:
        return None
    from clipsim.images.decode import decoded_file  # imports Pillow

    with decoded_file(content, OVERSAMPLING * rules.side, draft_pixels=0) as picture:
        return make_thumbnail_file(picture, rules)


def read_thumbnails(sources: Iterable[Source], rules: ThumbnailRules) -> dict[str, bytes]:
    """The thumbnails of sources by their names, without those that can no longer be decoded.

    For results that show a few of many inputs, such as those of a search: only what is shown is decoded.
    """
    from concurrent.futures import ThreadPoolExecutor

    def read(source: Source) -> bytes | None:
        try:
            picture = source.decoded()
            if picture is not None:
                from clipsim.images.decode import convert_picture

                return make_thumbnail_file(convert_picture(picture), rules)
            with source.open() as stream:
                check_file_size(stream.seek(0, os.SEEK_END))
                stream.seek(0)
                return decode_thumbnail(stream, rules)
        except ImageError:
            return None

    wanted = {source.name: source for source in sources}
    with ThreadPoolExecutor(min(MAX_WORKERS, usable_cores()), "decode") as pool:
        made = zip(wanted, pool.map(read, wanted.values()), strict=True)
        return {name: thumbnail for name, thumbnail in made if thumbnail is not None}
