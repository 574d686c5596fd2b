"""An image file → the XMP sidecars that are its own, and the names that digiKam, darktable and Lightroom read."""

from __future__ import annotations

import os
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field

from clipsim.inputs.paths import SUFFIXES

# RAW files of all cameras whose sidecars are known; clipsim opens fewer kinds
CAMERA_SUFFIXES = frozenset(
    (
        ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".fff", ".iiq", ".kdc", ".mef", ".mos", ".mrw", ".nef",
        ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
    )
)  # fmt: skip


@dataclass
class ImageFolders:
    """The names in folders of images, which decide whose sidecar `IMG.xmp` is."""

    _names: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def find_sidecars(self, image: str) -> list[str]:
        """The sidecars that an image has: `IMG.JPG.xmp`, as digiKam and darktable name it, and `IMG.xmp`, its own."""
        sidecars = []
        for base in [image, os.path.splitext(image)[0]] if self._owns_stem(image) else [image]:
            names = (base + end for end in (".xmp", ".XMP"))
            sidecars += [name for name in names if os.path.lexists(name)][:1]
        return list(dict.fromkeys(sidecars))

    def name_sidecar(self, image: str) -> str:
        """The name of a new sidecar: `IMG.xmp` of a raw file, which Lightroom reads too; else `IMG.JPG.xmp`."""
        stem, suffix = os.path.splitext(image)
        return f"{stem}.xmp" if suffix.lower() in CAMERA_SUFFIXES and self._owns_stem(image) else f"{image}.xmp"

    def _owns_stem(self, image: str) -> bool:
        """Whether `IMG.xmp` is of this image: the only raw file of that stem, or the only image where none is raw."""
        folder, name = os.path.split(image)
        if folder not in self._names:
            self._names[folder] = _list_images(folder)
        images = self._names[folder].get(os.path.splitext(name)[0], [])
        raw = [other for other in images if os.path.splitext(other)[1].lower() in CAMERA_SUFFIXES]
        return (raw or images) in ([], [name])


def _list_images(folder: str) -> dict[str, list[str]]:
    """The image files of a folder by their stems."""
    stems: defaultdict[str, list[str]] = defaultdict(list)
    with suppress(OSError):
        for name in os.listdir(folder or "."):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in SUFFIXES | CAMERA_SUFFIXES:
                stems[stem].append(name)
    return stems


def rename_sidecar(sidecar: str, image: str, target: str) -> str:
    """The name that a sidecar of an image has once the image is called `target`.

    >>> rename_sidecar("a.jpg.xmp", "a.jpg", "to/a (2).jpg"), rename_sidecar("a.xmp", "a.jpg", "to/a (2).jpg")
    ('to/a (2).jpg.xmp', 'to/a (2).xmp')
    """
    end = sidecar[-len(".xmp") :]
    return (target if sidecar == image + end else os.path.splitext(target)[0]) + end
