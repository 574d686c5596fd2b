"""Files whose vectors are known → their thumbnails, decoded as small as that allows and by threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import BinaryIO

from clipsim.errors import ImageError
from clipsim.images.limits import check_file_size
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import Source
