"""Images and texts → arrays, one call each: `encode_images`, `encode_texts`, `score_pairs` and `explain`."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

import clipsim
from clipsim.api.calls import OneCall
from clipsim.options import OnError, make_options
from clipsim.tasks.arguments import ImageInput, ImageInputs, QueryTexts, TextInputs, WordInputs
from clipsim.tasks.progress import ProgressCallback


def encode_images(
    images: ImageInputs,
    *,
    progress: ProgressCallback | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: Literal["raise", "nan"] = "raise",
    cache: bool = True,
) -> NDArray[np.float32]:
    """Compute the unit vector of each image, with a model that is opened and closed again.

    Parameters
    ----------
    images, progress
        As for `Session.encode_images`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`; an image that cannot be used raises ImageError, or with "nan" its row is NaN.

    Returns
    -------
    ndarray
        (n, d) float32, a row an image in the order given, of length 1.

    Raises
    ------
    ClipsimError
        As `Session.encode_images` and `clipsim.open` do.

    Examples
    --------
    >>> from PIL import Image
    >>> encode_images(Image.new("RGB", (64, 48), "white"), model="clipsim-mini").shape
    (1, 128)
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.encode_images(images, on_error=on_error, progress=progress)


def encode_texts(
    texts: TextInputs,
    *,
    templates: Iterable[str] | str = (),
    progress: ProgressCallback | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: Literal["raise", "nan"] = "raise",
    cache: bool = True,
) -> NDArray[np.float32]:
    """Compute the unit vector of each text, with a model that is opened and closed again.

    Parameters
    ----------
    texts, templates, progress
        As for `Session.encode_texts`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    ndarray
        (m, d) float32, a row a text in the order given, of length 1.

    Raises
    ------
    ClipsimError
        As `Session.encode_texts` and `clipsim.open` do.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.encode_texts(texts, templates=templates, progress=progress)


def score_pairs(
    images: ImageInputs,
    texts: QueryTexts,
    *,
    templates: Iterable[str] | str = (),
    progress: ProgressCallback | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: Literal["raise", "nan"] = "raise",
    cache: bool = True,
) -> NDArray[np.float32]:
    """Compute the cosine of each image with its own text, with a model that is opened and closed again.

    Parameters
    ----------
    images, texts, templates, progress
        As for `Session.score_pairs`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open` and `encode_images`.

    Returns
    -------
    ndarray
        (n,) float32 cosines from -1 to 1.

    Raises
    ------
    ClipsimError
        As `Session.score_pairs` and `clipsim.open` do.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.score_pairs(images, texts, templates=templates, on_error=on_error, progress=progress)


def explain(
    image: ImageInput,
    texts: WordInputs,
    *,
    templates: Iterable[str] | str = (),
    output: str | os.PathLike[str] | None = None,
    progress: ProgressCallback | None = None,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: OnError = "skip",
    cache: bool = True,
) -> clipsim.ExplainResult:
    """Find the parts of an image that speak for each text, with a model that is opened and closed again.

    Parameters
    ----------
    image, texts, templates, output, progress
        As for `Session.explain`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    ExplainResult
        For each text its cosine, a map of how much it falls where a part is hidden, and the part that matters most.

    Raises
    ------
    ClipsimError
        As `Session.explain` and `clipsim.open` do.
    """
    run = (batch_size, workers, exact, truncate, on_error, cache)
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.explain(image, texts, templates=templates, output=output, progress=progress)
