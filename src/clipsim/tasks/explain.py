"""One image and texts → which parts of the image speak for each text: parts are hidden, one after the other."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from clipsim.embedding.embedder import Embedder
from clipsim.embedding.pipeline import Pipeline
from clipsim.embedding.preparation import Prepared, find_fault, read_thumbnails
from clipsim.engines.encoder import Pixels
from clipsim.errors import Failure, NoInputError, UsageError, printable
from clipsim.files import rename_over
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import check_templates, clean_labels
from clipsim.results.explain import ExplainResult, Peak, TextMap
from clipsim.tasks.arguments import WordInputs
from clipsim.tasks.progress import Progress, ProgressCallback, ignore_progress
from clipsim.tasks.rank import describe_model, make_text_vectors
from clipsim.vectors.occlusion import CELLS, Heat, Patch, find_peak, hide_patch, list_patches, map_drops
from clipsim.vectors.similarity import Vectors, cosine, unit_rows

PICTURE_SIDE = 1024  # pixels of the longer side of a picture with a heat map
MAX_PICTURES = 16  # side by side in one file
LEAST_DROP = 1e-6  # of a cosine: less is no difference


@dataclass(frozen=True)
class ExplainRequest:
    """The arguments of an explanation, checked before a model is opened; `words` is what each text stands for."""

    source: Source
    texts: tuple[str, ...]
    templates: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] | None = None
    notices: tuple[str, ...] = ()

    @classmethod
    def check(cls, sources: Iterable[Source], texts: WordInputs, templates: Iterable[str] | str = ()) -> ExplainRequest:
        """Strip the texts, and drop repeated ones.

        Raises UsageError for no texts, an empty one or one that is not a string, a template without `{}`, and several
        images; NoInputError for none.
        """
        given = clean_labels(texts)
        if not given.labels:
            raise UsageError("none given", parameter="texts", hint="give at least one")
        checked = check_templates(templates)
        named = list(islice(sources, 2))
        if not named:
            raise NoInputError("no image to explain; give one")
        if len(named) > 1:
            names = f"{printable(named[0].name, 60)} and {printable(named[1].name, 60)}"
            raise UsageError(f"one image is explained at a time, and several are named: {names}")
        return cls(named[0], given.labels, checked, given.words, given.notices)


def run(embedder: Embedder, request: ExplainRequest, progress: ProgressCallback = ignore_progress) -> ExplainResult:
    """Hide parts of the image, and measure by how much the cosine of each text falls.

    What is hidden is a part of the pixels that the model takes. Vectors of hidden images are not kept in the cache.

    Raises TextError for a text that is too long, NoInputError for an image that cannot be used.
    """
    progress(Progress("loading the model", 0, None, notices=(*embedder.notices, *request.notices)))
    encoder = embedder.encoder
    pipeline = Pipeline(
        encoder,
        [request.source],
        rules=embedder.decoding,
        batch_size=1,
        workers=1,
        measure=True,
        own_process=embedder.own_process,
    )  # without the cache, which has vectors and no pixels
    with closing(pipeline):
        pipeline.start()  # the image is decoded while the model is loaded for the texts
        embedded = make_text_vectors(embedder, request.texts, request.templates, words=request.words)
        kept = embedded.distinct
        notices = [*request.notices, *embedded.notices]
        if alike := embedded.name_alike(request.texts):
            notices.append(f"the same text to this model, counted once: {alike}")
        pixels, size = _check(next(prepared for prepared in pipeline if prepared is not None))
    similarity, heat, peaks = _measure(embedder, request.source, embedded.vectors[kept], pixels, progress)
    facts = embedder.facts
    frame = facts.preprocessing.find_frame(size)
    maps = tuple(
        TextMap(request.texts[index], float(similarity[row]), _place(peaks[row], frame, size), heat[row])
        for row, index in enumerate(kept)
    )
    return ExplainResult(
        model=describe_model(facts),
        device=facts.device,
        precision=facts.precision,
        engine=facts.engine,
        templates=request.templates,
        image=request.source.name,
        width=size[0],
        height=size[1],
        frame=frame,
        maps=maps,
        warnings=tuple(dict.fromkeys((*embedder.notices, *notices))),
    )


def _check(prepared: Prepared) -> tuple[Pixels, tuple[int, int]]:
    """The pixels of an image, and its width and height. Raises NoInputError where it cannot be used."""
    if prepared.error is not None:
        failure = Failure(prepared.name, str(prepared.error), prepared.index)
        raise NoInputError(f"{printable(prepared.name)}: {prepared.error}", (failure,)) from prepared.error
    if prepared.pixels is None or prepared.size is None:
        raise UsageError(f"{printable(prepared.name)} is a vector; only an image can be explained")
    return prepared.pixels, prepared.size


def _measure(
    embedder: Embedder, source: Source, texts: Vectors, pixels: Pixels, progress: ProgressCallback
) -> tuple[Vectors, Heat, list[tuple[Patch, float] | None]]:
    """The cosines of m texts with the image, their maps, and of each the patch that matters most, with its drop."""
    patches = list_patches()
    variants: list[Patch | None] = [None, *patches]
    rows = []
    progress(Progress("hiding parts of the image", 0, len(variants), notices=embedder.notices))
    for start in range(0, len(variants), embedder.batch_size):
        part = variants[start : start + embedder.batch_size]
        batch = np.stack([pixels if patch is None else hide_patch(pixels, patch) for patch in part])
        features = embedder.encoder.encode_images(batch)
        if cause := find_fault(features):
            raise NoInputError(f"{printable(source.name)}: {cause}", (Failure(source.name, cause, source.index),))
        rows.append(cosine(texts, unit_rows(features)).T)
        progress(Progress("hiding parts of the image", start + len(part), len(variants)))
    similarity = np.concatenate(rows).astype(np.float64)  # (1 + p, m)
    drops = similarity[0] - similarity[1:]
    heat = map_drops(patches, drops)
    peaks: list[tuple[Patch, float] | None] = []
    for row, own in enumerate(heat):
        best = find_peak(patches, own)
        drop = float(drops[best, row])
        peaks.append((patches[best], drop) if drop >= LEAST_DROP else None)
    return similarity[0].astype(np.float32), heat, peaks


def _place(peak: tuple[Patch, float] | None, frame: tuple[float, ...], size: tuple[int, int]) -> Peak | None:
    """A patch in pixels of the upright image; None where it lies in what pads the image."""
    if peak is None:
        return None
    (patch, drop), (left, top, right, bottom), (width, height) = peak, frame, size
    across, down = (right - left) / CELLS, (bottom - top) / CELLS
    box = (
        max(0, math.floor(left + patch.left * across + 1e-6)),
        max(0, math.floor(top + patch.top * down + 1e-6)),
        min(width, math.ceil(left + (patch.left + patch.side) * across - 1e-6)),
        min(height, math.ceil(top + (patch.top + patch.side) * down - 1e-6)),
    )
    return Peak(*box, drop) if box[0] < box[2] and box[1] < box[3] else None


def draw_maps(result: ExplainResult, source: Source, rules: ThumbnailRules | None = None) -> list[bytes]:
    """An image file for each text: the image under its heat map.

    With `rules` these are thumbnails; else there is one PNG file, with the maps side by side in the order of the texts.
    None of them where the image can no longer be read. Raises UsageError for more than `MAX_PICTURES` in one file.
    """
    from clipsim.images.heat_maps import draw_heat_map, join_side_by_side  # imports Pillow

    if rules is None and len(result.maps) > MAX_PICTURES:
        raise UsageError(f"{len(result.maps):,} maps are more than the {MAX_PICTURES} that a PNG file holds")
    shown = read_thumbnails([source], ThumbnailRules(PICTURE_SIDE, "png")).get(source.name)
    if shown is None:
        return []
    left, top, right, bottom = result.frame
    frame = (left / result.width, top / result.height, right / result.width, bottom / result.height)
    pictures = [draw_heat_map(shown, one.heat, frame) for one in result.maps]
    return [join_side_by_side(pictures)] if rules is None else [make_thumbnail(one, rules) for one in pictures]


def save_maps(result: ExplainResult, source: Source, path: Path) -> None:
    """Write the PNG file of `draw_maps`, or replace it, in one step. Raises UsageError where it cannot be written."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        for picture in draw_maps(result, source):
            draft.write_bytes(picture)
            rename_over(str(draft), str(path))
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        cause = error.strerror or error
        raise UsageError(f"cannot write it: {cause}", parameter="output", value=str(path)) from error
