"""Models, images and texts as Python names them → `Session`, with a method a task, and `open`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray

import clipsim
from clipsim import tasks
from clipsim.embedding.embedder import Embedder
from clipsim.errors import Failure, NoInputError, issue_warnings, printable
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.lists import keep_iterator
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import Source
from clipsim.options import ModelOptions, OnError, RunOptions, check_flag, check_path
from clipsim.results.rank import RankResult
from clipsim.tasks.rank import NOTHING_USABLE, Ranking, RankRequest

if TYPE_CHECKING:
    from PIL.Image import Image
else:
    Image = object  # a PIL image, in whose place type hints have any object: Pillow is not imported for them

Picture: TypeAlias = Union[  # noqa: UP007 (which evaluates where one of them is `object`)
    str, os.PathLike[str], bytes, BinaryIO, NDArray[np.uint8], Image, Source, Mapping[str, object]
]
Pictures: TypeAlias = Iterable[Picture] | Picture


class SearchCalls(Embedder):
    """A model that stays loaded, and the calls that use it to find images."""

    def search(
        self,
        where: Pictures,
        texts: Iterable[str] | str = (),
        *,
        images: Pictures = (),
        plus: Iterable[str] | str = (),
        minus: Iterable[str] | str = (),
        weight: float = 1.0,
        templates: Iterable[str] | str = (),
        top: int = 10,
        min_similarity: float | None = None,
        deduplicate: bool = True,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
    ) -> clipsim.SearchResult:
        """Find the images that are nearest to each text and each image.

        `where` are folders that `embed` wrote, and images as `rank` takes them; `include` and `exclude` are patterns
        of names. `plus` and `minus` are texts that are added to and subtracted from every query, with the `weight`.
        The `top` best images of each query are found, and of these the ones of at least `min_similarity`; an image of
        the queries is not in its own answer. With `deduplicate` a repeated text is one query. Each match has its
        `index`: the position in `where`, from 0, a folder, pattern or data set standing for all its images.

        Images that cannot be used are in the result's `errors`; NoInputError is raised where none can be used. Raises
        UsageError for no query and for values out of range, TextError for a text that is too long, and DatasetError
        for a folder of vectors that is damaged or from another model.
        """
        from clipsim.inputs.paths import NameFilter
        from clipsim.tasks.search import SearchRequest
        from clipsim.tasks.search_targets import find_places

        request = SearchRequest.check(
            texts,
            make_sources(images),
            plus=plus,
            minus=minus,
            templates=templates,
            weight=weight,
            top=top,
            min_similarity=min_similarity,
            deduplicate=deduplicate,
        )
        accepted = NameFilter.of(include, exclude)
        chosen = accepted if accepted.include or accepted.exclude else None
        search = self.open_search(find_places(where, chosen), request, chosen)
        for _ in search:
            pass
        assert search.result is not None
        if not (search.result.searched and search.result.queries):
            raise NoInputError(nothing_usable(search.result.errors), search.result.errors)
        issue_warnings(search.result.warnings)
        return search.result

    def duplicates(
        self, where: Pictures, *, threshold: float | None = None, pixels: bool = True, exact_files: bool = False
    ) -> clipsim.DuplicatesResult:
        """Find groups of pictures that are alike, and which of them are copies by content: re-encoded or resized.

        `where` is as for `search`. Two pictures are alike whose cosine is over the `threshold` and, with `pixels`,
        whose small grey copies fit into each other; with `exact_files` only those whose files have the same bytes.
        Each picture of a group has its `index`: the position among all that are compared, as for `search`.

        Images that cannot be used are in the result's `errors`; NoInputError is raised where none can be used. Raises
        UsageError for a threshold that is not a cosine, and DatasetError as `search` does.
        """
        from clipsim.tasks.duplicates import DuplicatesRequest
        from clipsim.tasks.same_files import SameFiles
        from clipsim.tasks.search_targets import find_places

        check_flag("exact_files", exact_files)
        request = DuplicatesRequest(threshold, pixels)
        places = find_places(where)
        found = SameFiles(places) if exact_files else self.open_duplicates(places, request)
        for _ in found:
            pass
        assert found.result is not None
        if not found.result.compared:
            raise NoInputError(nothing_usable(found.result.errors), found.result.errors)
        issue_warnings(found.result.warnings)
        return found.result

    def open_search(
        self, places: Sequence[tasks.Place], request: tasks.SearchRequest, chosen: NameFilter | None = None
    ) -> tasks.Search:
        """A search to iterate over, in memory that does not grow with the number of images."""
        from clipsim.tasks.search import Search

        return Search(self, places, request, chosen)

    def open_duplicates(self, places: Sequence[tasks.Place], request: tasks.DuplicatesRequest) -> tasks.Duplicates:
        """A search for duplicates to iterate over."""
        from clipsim.tasks.duplicates import Duplicates

        return Duplicates(self, places, request)


def nothing_usable(failures: Sequence[Failure]) -> str:
    """What to say where no input could be used: the first failure, and how many more there are."""
    if not failures:
        return NOTHING_USABLE
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"{NOTHING_USABLE}: {printable(failures[0].image)}: {failures[0].error}{more}"


class Session(SearchCalls):
    """A model that stays loaded, and the calls that use it; see `clipsim.open`."""

    def rank(
        self,
        images: Pictures,
        texts: Iterable[str] | str,
        *,
        templates: Iterable[str] | str = (),
        sort_by: str | None = None,
        thresholds: tasks.Thresholds | None = None,
        deduplicate: bool = True,
        on_error: OnError | None = None,
    ) -> RankResult:
        """Score every image against every text; see `clipsim.rank`. `on_error` takes precedence over the session's."""
        request = RankRequest.check(texts, templates, sort_by, thresholds, deduplicate=deduplicate, on_error=on_error)
        sources = list(make_sources(images))
        if not sources:
            raise NoInputError("no images to rank; give at least one")
        result = self.open_ranking(sources, request).collect()
        if result.errors and not result.scores:
            raise NoInputError(nothing_usable(result.errors), result.errors)
        issue_warnings(result.warnings)
        return result

    def embed(
        self,
        images: Iterable[str | os.PathLike[str] | Source] | str | Path,
        output: str | os.PathLike[str],
        *,
        captions: bool = False,
        dtype: str = "fp16",
        shard_size: int = 10_000,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
        overwrite: bool = False,
        runner: str = "local",
        ray_address: str | None = None,
        actors: int | None = None,
        verify: bool = False,
    ) -> clipsim.EmbedResult:
        """Write the vectors of many images into a folder, or complete what an earlier call began there.

        `images` are paths and addresses of images, folders, globs, tar shards and tables; `include` and `exclude` are
        patterns of names. `captions` embeds the text beside each image too. `dtype` is "fp16" or "fp32". `runner` "ray"
        distributes the shards over a cluster at `ray_address`, or over `actors` processes of this machine. `overwrite`
        replaces a data set that is there once the first new shard is ready. Shards that are there and damaged are made
        again; with `verify` every file is read for that, else those that have changed since they were last read.

        Images that cannot be used are in the folder's `errors.jsonl`; NoInputError is raised where there is no image,
        or none can be used. Raises UsageError for values out of range, DatasetError where the folder holds something
        else or cannot be written, and MissingPackageError without the packages of an extra.
        """
        from clipsim.inputs.expand import make_collection
        from clipsim.inputs.paths import NameFilter
        from clipsim.tasks.embed import EmbedRequest

        request = EmbedRequest(
            check_path("output", output), captions, dtype, shard_size, overwrite, runner, ray_address, actors, verify
        )
        chosen = NameFilter.of(include, exclude)
        embedding = self.open_embedding(make_collection(images, chosen, captions=captions), request)
        for _ in embedding:
            pass
        assert embedding.result is not None
        if embedding.result.images == 0:
            raise NoInputError(f"{NOTHING_USABLE}; errors.jsonl in {request.output} says why")
        issue_warnings(embedding.result.warnings)
        return embedding.result

    def open_embedding(self, sources: Iterable[Source], request: tasks.EmbedRequest) -> tasks.Embedding:
        """A data set to make by iterating, in memory that does not grow with the number of sources."""
        from clipsim.tasks.embed import Embedding

        return Embedding(self, sources, request)

    def open_ranking(
        self,
        sources: Iterable[Source],
        request: RankRequest,
        *,
        live: bool = False,
        thumbnails: ThumbnailRules | None = None,
    ) -> Ranking:
        """A ranking to iterate over, in memory that does not grow with the number of sources.

        With `live`, results do not wait for sources that have not come yet, as from a pipe. With `thumbnails`, each
        image's scores hold a small image file; every source is then decoded, even where its vector is cached.
        """
        return Ranking(self, sources, request, live, thumbnails)

    def evaluate(
        self,
        data: str | os.PathLike[str],
        *,
        task: str = "auto",
        image_column: str | None = None,
        label_column: str | None = None,
        caption_column: str | None = None,
        root: str | os.PathLike[str] | None = None,
        labels: str | os.PathLike[str] | None = None,
        templates: Iterable[str] | str = (),
        template_sets: tasks.TemplateSets | None = None,
        none: str | None = None,
        none_below: float | None = None,
        top_k: Iterable[int] | int | None = None,
        recall_k: Iterable[int] | int | None = None,
        clipscore_prefix: bool = False,
        baseline: tasks.Result | None = None,
        seed: int = 0,
    ) -> clipsim.EvaluationResult:
        """Measure this model on labelled pictures; see `clipsim.evaluate`."""
        from clipsim.tasks.evaluate import Evaluation
        from clipsim.tasks.evaluate_request import EvaluationRequest

        request = EvaluationRequest.check(
            data,
            task=task,
            image_column=image_column,
            label_column=label_column,
            caption_column=caption_column,
            root=root,
            labels=labels,
            templates=templates,
            template_sets=template_sets,
            none=none,
            none_below=none_below,
            top_k=top_k,
            recall_k=recall_k,
            clipscore_prefix=clipscore_prefix,
            baseline=baseline,
            seed=seed,
        )
        result = Evaluation([self], request).collect()
        issue_warnings(result.warnings)
        return result

    def threshold(
        self,
        texts: Iterable[str] | str,
        positives: Pictures,
        negatives: Pictures = (),
        *,
        recall: float | None = None,
        false_alarms: float | None = None,
        templates: Iterable[str] | str = (),
        deduplicate: bool = True,
    ) -> clipsim.ThresholdResult:
        """Find the threshold of each text for this model; see `clipsim.threshold`."""
        from clipsim.tasks.threshold import Thresholding, ThresholdRequest

        request = ThresholdRequest.check(texts, templates, recall, false_alarms, deduplicate=deduplicate)
        known = list(make_sources(positives, "positives"))
        others = list(make_sources(negatives, "negatives", first=len(known)))
        if not known:
            raise NoInputError("no positives; give pictures that show the text")
        result = Thresholding(self, request, known, others).collect()
        issue_warnings(result.warnings)
        return result


def open(
    model: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
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
) -> Session:
    """Open a model once, for several calls: `with clipsim.open("ViT-B/32") as session: session.rank(images, texts)`.

    `model` is what `clipsim rank --model` accepts, None the default model; `weights` a state dict for the architecture
    in `model`. `engine` is "auto" (an fp32 export of the model where there is one), "torch", "onnx" or "onnx-int8".
    `preprocess` is "tag" (as the published weights of the architecture), "default" (OpenCLIP's) or a JSON file of
    settings; None for the model's own.
    `exact` decodes large JPEGs in full; `truncate` cuts texts that are too long; `cache` reads and keeps vectors in
    the user's cache. `on_error` is for images that cannot be used: with "skip" they are left out, with "raise" the
    first one raises ImageError, and with "nan" they keep their places among the images of `rank` and the queries of
    `search`. The result's `errors` have them in either case.

    Raises UsageError for options that contradict each other, ModelError and its family for the model. DeviceError is
    raised when the model is loaded, with the first vector that is not in the cache. What has to be said of the model is
    issued as a ClipsimWarning: what is known without loading it here, and all of it by each call of the session.
    """
    session = open_session(
        model=model,
        weights=weights,
        device=device,
        precision=precision,
        engine=engine,
        preprocess=preprocess,
        batch_size=batch_size,
        workers=workers,
        exact=exact,
        truncate=truncate,
        on_error=on_error,
        cache=cache,
    )
    issue_warnings(session.notices)
    return session


def open_session(
    model: str | os.PathLike[str] | None = None,
    *,
    weights: str | os.PathLike[str] | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    preprocess: str | os.PathLike[str] | None = None,
    **run: Any,
) -> Session:
    """What `open` does, without warnings: those of the call that opens it follow."""
    return Session(
        ModelOptions(
            os.fspath(model) if isinstance(model, os.PathLike) else model,
            os.fspath(weights) if isinstance(weights, os.PathLike) else weights,
            str(device),  # a torch.device too
            precision,
            engine,
            None if preprocess is None else check_path("preprocess", preprocess),
        ),
        RunOptions(**run),
    )


def rank(
    images: Pictures,
    texts: Iterable[str] | str,
    *,
    templates: Iterable[str] | str = (),
    sort_by: str | None = None,
    thresholds: tasks.Thresholds | None = None,
    deduplicate: bool = True,
    model: str | os.PathLike[str] | None = None,
    weights: str | os.PathLike[str] | None = None,
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
    """Score every image against every text.

    Images are paths and addresses (files, folders, globs, tars, tables), the bytes of image files, files opened in
    binary mode, RGB arrays of shape (h, w, 3) and type uint8, tensors of that or of the shape (3, h, w), PIL pictures,
    or `{"bytes": …, "path": …}`. Texts are stripped at both ends, and with `deduplicate` a repeated one counts once.
    Each text is put into every template, and the unit vectors are averaged. `sort_by`, one of the texts, orders the
    images. With `thresholds` (the result of `clipsim.threshold`, or its file), an image none of whose texts reaches its
    threshold has no best text. The other options are those of `clipsim.open`, which opens the model and closes it
    again.

    An image that cannot be used is in the result's `errors`. Each record has the `index` of its image: the position
    among the images given, from 0, where a folder or pattern stands for its files. With `on_error="nan"` an image that
    cannot be used keeps its place: its cosines are NaN, and its best text is None. NoInputError is raised where there
    is no image, or where none can be used and none keeps its place. Raises UsageError for no texts, an empty text or a
    `sort_by` that is not one of the texts, TextError for a text that is too long, DataError for thresholds of another
    model or other texts, and what `clipsim.open` raises.

    >>> from PIL import Image
    >>> picture = Image.new("RGB", (64, 48), "white")
    >>> rank(picture, ["maze", "cat"], model="clipsim-mini").similarity.shape
    (2, 1)
    """
    texts, templates = keep_iterator(texts), keep_iterator(templates)
    RankRequest.check(texts, templates, sort_by, thresholds, deduplicate=deduplicate)  # before a model is looked for
    with open_session(
        model,
        weights=weights,
        device=device,
        precision=precision,
        engine=engine,
        preprocess=preprocess,
        batch_size=batch_size,
        workers=workers,
        exact=exact,
        truncate=truncate,
        on_error=on_error,
        cache=cache,
    ) as session:
        return session.rank(
            images,
            texts,
            templates=templates,
            sort_by=sort_by,
            thresholds=thresholds,
            deduplicate=deduplicate,
        )
