"""Images and texts → results, one call each: a model is opened, used and closed; and `open`, which keeps it open."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any

import clipsim
from clipsim import tasks
from clipsim.embedding.embedder import Embedder
from clipsim.errors import UsageError, issue_warnings
from clipsim.inputs.sources import Source
from clipsim.options import ModelOptions, Module, ModuleOptions, OnError, RunOptions, is_module, make_options
from clipsim.results.rank import RankResult
from clipsim.session import Session
from clipsim.tasks.arguments import ImageInputs, TextInputs, WeightedImages, WeightedTexts
from clipsim.tasks.progress import ProgressCallback


def open(
    model: str | os.PathLike[str] | Module | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    weights_key: str | None = None,
    adapter: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | Callable[[Any], Any] | None = None,
    tokenizer: Callable[[list[str]], Any] | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    exact: bool = False,
    truncate: bool = False,
    on_error: OnError = "skip",
    cache: bool = True,
) -> Session:
    """Open a model once, for several calls: `with clipsim.open("ViT-B/32") as session: session.rank(images, texts)`.

    What has to be said of the model is issued as a ClipsimWarning: what is known without loading it here, and all of it
    by each call of the session.

    Parameters
    ----------
    model
        What `clipsim rank --model` accepts; None for the default model. Or a module of torch with `encode_image`,
        `encode_text` and `logit_scale`, as OpenCLIP and OpenAI's `clip` make them, with its transform as `preprocess`
        and its tokenizer: a copy of it runs, in evaluation mode, on its device and in its precision unless others are
        given; its vectors are not cached, and the session does not pickle.
    weights
        A state dict for the architecture in `model`.
    weights_key
        The state dict to read in a checkpoint that holds several, such as "state_dict_ema"; None for the usual one.
    adapter
        The folder of a LoRA adapter (`peft`'s layout), which is merged into the weights.
    device
        "auto", "cpu", "cuda", "cuda:1" and so on, or "mps".
    precision
        "fp32", "tf32", "fp16" or "bf16"; None for fp16 on CUDA GPUs with tensor cores, and fp32 elsewhere.
    engine
        "auto" (an fp32 export of the model where there is one), "torch", "onnx" or "onnx-int8".
    preprocess
        "tag" (as the published weights of the architecture), "default" (OpenCLIP's) or a JSON file of settings; None
        for the model's own. For a module its transform: an image of Pillow → a (3, h, w) tensor.
    tokenizer
        For a module only: a list of texts → a (n, k) tensor of token ids.
    batch_size
        Images or texts per step of the model; None for what suits the device.
    workers
        Threads that decode images; None for one per core, at most 8.
    exact
        Whether large JPEGs are decoded in full.
    truncate
        Whether texts that are too long are cut.
    on_error
        What becomes of images that cannot be used: with "skip" they are left out, with "raise" the first one raises
        ImageError, and with "nan" they keep their places among the images of `rank` (their cosines are NaN, their best
        text is None) and the queries of `search`. The result's `errors` have them in either case.
    cache
        Whether vectors are read from the user's cache and kept there.

    Returns
    -------
    Session
        The model, which is loaded with the first vector that is not in the cache.

    Raises
    ------
    UsageError
        Options contradict each other.
    ModelError
        The model, or one of its files, cannot be used.
    DeviceError
        The device cannot be used; raised when the model is loaded.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    if is_module(model):
        files = [None if path is None else os.fspath(path) for path in (weights, adapter)]
        of_module = ModuleOptions(
            None, files[0], weights_key, files[1], str(device), precision, engine,
            module=model, transform=preprocess, tokenizer=tokenizer,
        )  # fmt: skip
        options: tuple[ModelOptions, RunOptions] = of_module, RunOptions(*run)
    else:
        if tokenizer is not None:
            raise UsageError("goes with a module, not with the name of a model", parameter="tokenizer")
        named: Any = model, preprocess
        options = make_options(named[0], weights, weights_key, adapter, device, precision, engine, named[1], *run)
    session = Session(*options)
    issue_warnings(session.notices)
    return session


class OneCall(Session):
    """A session for one call, which opens its model once the arguments of the call have been checked."""

    def __init__(self, model: ModelOptions, run: RunOptions) -> None:
        self._options = model, run
        self._opened: Embedder | None = None

    @property
    def embedder(self) -> Embedder:
        """What makes vectors; its notices are those of the call's result."""
        if self._opened is None:
            self._opened = Embedder(*self._options)
        return self._opened

    def close(self) -> None:
        """Close the cache, where the model was opened."""
        if self._opened is not None:
            self._opened.close()


def rank(
    images: ImageInputs,
    texts: TextInputs = (),
    *,
    templates: Iterable[str] | str = (),
    sort_by: str | None = None,
    thresholds: tasks.Thresholds | None = None,
    classifier: tasks.ClassifierInput | None = None,
    deduplicate: bool = True,
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
) -> RankResult:
    """Score every image against every text, with a model that is opened and closed again.

    Parameters
    ----------
    images, texts, templates, sort_by, thresholds, classifier, deduplicate, progress
        As for `Session.rank`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    RankResult
        Cosines from -1 to 1 and probabilities from 0 to 1, both of shape (texts, images).

    Raises
    ------
    ClipsimError
        As `Session.rank` and `clipsim.open` do.

    Examples
    --------
    >>> from PIL import Image
    >>> image = Image.new("RGB", (64, 48), "white")
    >>> rank(image, ["maze", "cat"], model="clipsim-mini").similarity.shape
    (2, 1)
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.rank(
            images,
            texts,
            templates=templates,
            sort_by=sort_by,
            thresholds=thresholds,
            classifier=classifier,
            deduplicate=deduplicate,
            progress=progress,
        )


def search(
    where: ImageInputs,
    texts: TextInputs = (),
    *,
    images: ImageInputs = (),
    plus: WeightedTexts = (),
    minus: WeightedTexts = (),
    plus_images: WeightedImages = (),
    minus_images: WeightedImages = (),
    weight: float = 1.0,
    templates: Iterable[str] | str = (),
    top: int = 10,
    skip: int = 0,
    min_similarity: float | None = None,
    thresholds: tasks.Thresholds | None = None,
    deduplicate: bool = True,
    include: Iterable[str] | str = (),
    exclude: Iterable[str] | str = (),
    after: str | date | None = None,
    before: str | date | None = None,
    unique: bool = False,
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
) -> clipsim.SearchResult:
    """Find the images that are nearest to each text and each image, with a model that is opened and closed again.

    Parameters
    ----------
    where, texts, images, plus, minus, plus_images, minus_images, weight, templates, top, skip, min_similarity
        As for `Session.search`.
    thresholds, deduplicate, include, exclude, after, before, unique, progress
        As for `Session.search`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    SearchResult
        For each query its matches, the nearest first.

    Raises
    ------
    ClipsimError
        As `Session.search` and `clipsim.open` do.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.search(
            where,
            texts,
            images=images,
            plus=plus,
            minus=minus,
            plus_images=plus_images,
            minus_images=minus_images,
            weight=weight,
            templates=templates,
            top=top,
            skip=skip,
            min_similarity=min_similarity,
            thresholds=thresholds,
            deduplicate=deduplicate,
            include=include,
            exclude=exclude,
            after=after,
            before=before,
            unique=unique,
            progress=progress,
        )


def duplicates(
    where: ImageInputs,
    *,
    min_similarity: float | None = None,
    pixels: bool = True,
    exact_files: bool = False,
    all_pairs: bool = False,
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
) -> clipsim.DuplicatesResult:
    """Find groups of images that are alike, and which of them are copies, with a model that is opened and closed again.

    Parameters
    ----------
    where, min_similarity, pixels, exact_files, all_pairs, progress
        As for `Session.duplicates`; with `exact_files` no model is opened.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    DuplicatesResult
        The groups, those of the same bytes first, in each the best image first.

    Raises
    ------
    ClipsimError
        As `Session.duplicates` and `clipsim.open` do.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.duplicates(
            where,
            min_similarity=min_similarity,
            pixels=pixels,
            exact_files=exact_files,
            all_pairs=all_pairs,
            progress=progress,
        )


def overview(
    where: ImageInputs,
    *,
    groups: int | None = None,
    texts: Iterable[str] | str = (),
    templates: Iterable[str] | str = (),
    seed: int = 0,
    include: Iterable[str] | str = (),
    exclude: Iterable[str] | str = (),
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
) -> clipsim.OverviewResult:
    """Say what a collection of images holds, with a model that is opened and closed again.

    Parameters
    ----------
    where, groups, texts, templates, seed, include, exclude, progress
        As for `Session.overview`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    OverviewResult
        Groups of images that are alike, the largest first, with typical images and the words that fit them.

    Raises
    ------
    ClipsimError
        As `Session.overview` and `clipsim.open` do.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    options = make_options(model, weights, weights_key, adapter, device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.overview(
            where,
            groups=groups,
            texts=texts,
            templates=templates,
            seed=seed,
            include=include,
            exclude=exclude,
            progress=progress,
        )


def embed(
    images: Iterable[str | os.PathLike[str] | Source] | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    captions: bool = False,
    image_column: str | None = None,
    caption_column: str | None = None,
    dtype: str = "fp16",
    vectors: str = "npy",
    shard_size: int = 10_000,
    include: Iterable[str] | str = (),
    exclude: Iterable[str] | str = (),
    overwrite: bool = False,
    runner: str = "local",
    ray_address: str | None = None,
    actors: int | tuple[int, int] | None = None,
    cpus_per_worker: int | None = None,
    devices: Iterable[str] | str = (),
    verify: bool = False,
    retry_failed: str | None = None,
    max_failures: str | None = None,
    plan: str | os.PathLike[str] | None = None,
    list_again: bool = False,
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
) -> clipsim.EmbedResult:
    """Write the vectors of many images into a folder, with a model that is opened and closed again.

    Parameters
    ----------
    images, output, captions, image_column, caption_column, dtype, vectors, shard_size, include, exclude, overwrite,
    runner, ray_address, actors, cpus_per_worker, devices, verify, retry_failed, max_failures, plan, list_again,
    progress
        As for `Session.embed`.
    model, weights, weights_key, adapter, device, precision, engine, preprocess
        As for `clipsim.open`.
    batch_size, workers, exact, truncate, on_error, cache
        As for `clipsim.open`.

    Returns
    -------
    EmbedResult
        What is in the folder now; images that cannot be used are in its `errors.jsonl`.

    Raises
    ------
    ClipsimError
        As `Session.embed` and `clipsim.open` do.
    """
    run = batch_size, workers, exact, truncate, on_error, cache
    own_device = "cpu" if devices and device == "auto" else device  # this process opens no GPU for others
    options = make_options(model, weights, weights_key, adapter, own_device, precision, engine, preprocess, *run)
    with OneCall(*options) as session:
        return session.embed(
            images,
            output,
            captions=captions,
            image_column=image_column,
            caption_column=caption_column,
            dtype=dtype,
            vectors=vectors,
            shard_size=shard_size,
            include=include,
            exclude=exclude,
            overwrite=overwrite,
            runner=runner,
            ray_address=ray_address,
            actors=actors,
            cpus_per_worker=cpus_per_worker,
            devices=devices,
            verify=verify,
            retry_failed=retry_failed,
            max_failures=max_failures,
            plan=plan,
            list_again=list_again,
            progress=progress,
        )
