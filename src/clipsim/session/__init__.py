"""Images and texts as Python names them → `Session`, with a method for each task.

- `ends`: a task's result → what a method returns
- `overview`: the method of that name
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import date
from typing import Any

import clipsim
from clipsim import tasks
from clipsim.embedding.embedder import Embedder
from clipsim.errors import NoInputError, issue_warnings
from clipsim.inputs.arguments import make_sources, make_weighted_sources
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import Source
from clipsim.options import ModelOptions, OnError, RunOptions, check_flag, check_path
from clipsim.results.rank import RankResult
from clipsim.session.ends import finish
from clipsim.session.overview import OverviewMethod
from clipsim.tasks import rank as rank_task
from clipsim.tasks.arguments import ImageInputs, WeightedImages, WeightedTexts
from clipsim.tasks.rank import NOTHING_USABLE, RankRequest


class Session(OverviewMethod):
    """A model that stays loaded, with a method for each task; `clipsim.open` makes one.

    A context manager, which closes the cache of vectors. Threads may share it. It pickles as its options, and the copy
    is opened anew; a forked process cannot use it. Each method issues what has to be said of the model and of the
    inputs as a ClipsimWarning.

    Parameters
    ----------
    model
        The model, and how it runs.
    run
        How images and texts are processed.

    Raises
    ------
    ClipsimError
        As for `clipsim.open`.
    """

    def __init__(self, model: ModelOptions | None = None, run: RunOptions | None = None) -> None:
        self._embedder = Embedder(model, run)

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of images and texts."""
        return self._embedder

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know of the model and of how it runs, as far as it is known without loading it."""
        return self.embedder.notices

    def rank(
        self,
        images: ImageInputs,
        texts: Iterable[str] | str,
        *,
        templates: Iterable[str] | str = (),
        sort_by: str | None = None,
        thresholds: tasks.Thresholds | None = None,
        deduplicate: bool = True,
        on_error: OnError | None = None,
    ) -> RankResult:
        """Score every image against every text.

        Parameters
        ----------
        images
            Paths and addresses (files, folders, globs, tars, tables), the bytes of image files, files opened in binary
            mode, RGB arrays of shape (h, w, 3) and type uint8, tensors of that or of the shape (3, h, w), PIL images,
            or `{"bytes": …, "path": …}`.
        texts
            The texts, which are stripped at both ends.
        templates
            Texts with a `{}`: each text is put into every template, and the unit vectors are averaged.
        sort_by
            One of the texts, which orders the images, the best first.
        thresholds
            The result of `threshold`, or its file: the best text of an image is then one that reaches its threshold,
            or None.
        deduplicate
            Whether a repeated text counts once.
        on_error
            What becomes of images that cannot be used, as for `clipsim.open`; None for what the session was opened
            with.

        Returns
        -------
        RankResult
            Cosines from -1 to 1 and probabilities from 0 to 1, both of shape (texts, images). Each record has the
            `index` of its image: the position among the images given, from 0, where a folder or pattern stands for its
            files. Images that cannot be used are in `errors`.

        Raises
        ------
        UsageError
            There are no texts, one is empty, `sort_by` is not one of them, or a template has no `{}`.
        NoInputError
            There is no image, or none can be used and none keeps its place.
        TextError
            A text is too long for the model.
        DataError
            The thresholds are of another model, precision, template or text.
        ImageError
            An image cannot be used, and `on_error` is "raise".
        """
        request = RankRequest.check(
            list(make_sources(images)),
            texts,
            templates,
            sort_by,
            thresholds,
            deduplicate=deduplicate,
            on_error=on_error,
        )
        result = rank_task.run(self.embedder, request)
        return finish(result, len(result.scores))

    def rank_batches(
        self,
        images: ImageInputs,
        texts: Iterable[str] | str,
        *,
        templates: Iterable[str] | str = (),
        thresholds: tasks.Thresholds | None = None,
        deduplicate: bool = True,
        on_error: OnError | None = None,
    ) -> Iterator[RankResult]:
        """Score images against texts, a batch at a time, in memory that does not grow with their number.

        Closing the iterator ends the work.

        Parameters
        ----------
        images
            As for `rank`; an iterable is read as its images are needed.
        texts, templates, thresholds, deduplicate, on_error
            As for `rank`.

        Yields
        ------
        RankResult
            The next images, in order, and those among them that cannot be used.

        Raises
        ------
        UsageError, TextError, DataError, ImageError
            As `rank` does.
        """
        request = RankRequest.check(
            make_sources(images), texts, templates, None, thresholds, deduplicate=deduplicate, on_error=on_error
        )
        warned = False
        with closing(rank_task.stream(self.embedder, request)) as batches:
            for batch in batches:
                result = rank_task.make_result(self.embedder, request, batch)
                if not warned:
                    issue_warnings(result.warnings)
                    warned = True
                yield result

    def search(
        self,
        where: ImageInputs,
        texts: Iterable[str] | str = (),
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
    ) -> clipsim.SearchResult:
        """Find the images that are nearest to each text and each image.

        Parameters
        ----------
        where
            What is searched: folders that `embed` wrote, and images as `rank` takes them.
        texts, images
            The queries, at least one. An image of the queries that is among those searched comes first in its answer.
        plus, minus, plus_images, minus_images, weight
            Texts and images that are added to and subtracted from every query, whose vector has length 1 again; a
            mapping has a weight for each text, or for each path of an image, in place of `weight`.
        templates, deduplicate
            As for `rank`.
        top, skip
            How many images are found for each query, after so many nearer ones are left out.
        min_similarity
            The least cosine of an image that is found, from -1 to 1.
        thresholds
            The result of `threshold`, or its file: images below their text's are not found. All queries are texts then.
        include, exclude
            Patterns of the names of the images that are searched, and of those that are not.
        after, before
            Only images taken from `after` on, and before `before` begins: dates, or "2019", "2019-06", "2019-06-15",
            "2019-06-15 14:30". An image without EXIF's DateTimeOriginal has the time of its file.
        unique
            Whether one of several copies is found, with their number; `duplicates` says what is alike.

        Returns
        -------
        SearchResult
            For each query its matches, the nearest first. A match has the `index` of its image: the position in
            `where`, from 0, a folder, pattern or data set standing for all its images. Images that cannot be used are
            in `errors`.

        Raises
        ------
        UsageError
            There is no query, a value is out of range, `plus` and `minus` cancel one out or go with `thresholds`.
        NoInputError
            None of the images, or none of the queries, can be used.
        TextError, DataError
            As `rank` does.
        DatasetError
            A folder of vectors is damaged, or was made by another model.
        """
        from clipsim.tasks import search
        from clipsim.tasks.search_targets import find_targets

        names = NameFilter.of(include, exclude)
        chosen = names if names.include or names.exclude else None
        request = search.SearchRequest.check(
            find_targets(where, chosen),
            texts,
            make_sources(images),
            plus=plus,
            minus=minus,
            plus_images=make_weighted_sources(plus_images, "plus_images"),
            minus_images=make_weighted_sources(minus_images, "minus_images"),
            templates=templates,
            weight=weight,
            top=top,
            skip=skip,
            min_similarity=min_similarity,
            thresholds=thresholds,
            chosen=chosen,
            after=after,
            before=before,
            unique=unique,
            deduplicate=deduplicate,
        )
        result = search.run(self.embedder, request)
        return finish(result, result.searched if result.queries else 0)

    def duplicates(
        self, where: ImageInputs, *, min_similarity: float | None = None, pixels: bool = True, exact_files: bool = False
    ) -> clipsim.DuplicatesResult:
        """Find groups of images that are alike, and which of them are copies by content: re-encoded or resized.

        Parameters
        ----------
        where
            As for `search`.
        min_similarity
            The least cosine of two images that are alike, from -1 to 1; None for 0.94, which suits the bundled model.
        pixels
            Whether small grey copies of two images must fit into each other too.
        exact_files
            Whether only files with the same bytes are found; the model is not needed then.

        Returns
        -------
        DuplicatesResult
            The groups, those of the same bytes first, in each the best image first. An image has its `index` as for
            `search`. Images that cannot be used are in `errors`.

        Raises
        ------
        UsageError
            `min_similarity` is not a cosine.
        NoInputError, DatasetError
            As `search` does.
        """
        from clipsim.tasks import duplicates, same_files
        from clipsim.tasks.search_targets import find_targets

        check_flag("exact_files", exact_files)
        request = duplicates.DuplicatesRequest(find_targets(where), min_similarity, pixels)
        result = same_files.run(request.targets) if exact_files else duplicates.run(self.embedder, request)
        return finish(result, result.compared)

    def embed(
        self,
        images: Iterable[str | os.PathLike[str] | Source] | str | os.PathLike[str],
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

        Parameters
        ----------
        images
            Paths and addresses of images, folders, globs, tar shards and tables.
        output
            The folder. Shards that are damaged are made again.
        captions
            Whether the text beside each image is embedded too.
        dtype
            The type of the vectors on disk, "fp16" or "fp32".
        shard_size
            The number of images of a shard.
        include, exclude
            Patterns of the names of the images that are embedded, and of those that are not.
        overwrite
            Whether a data set that exists is replaced, once the first new shard is ready.
        runner
            "local", or "ray", which distributes the shards.
        ray_address
            The address of a cluster of Ray.
        actors
            The number of Ray's processes on this machine.
        verify
            Whether every file of the folder is read to find damage, rather than those that have changed.

        Returns
        -------
        EmbedResult
            What is in the folder now; images that cannot be used are in its `errors.jsonl`.

        Raises
        ------
        UsageError
            A value is out of range.
        NoInputError
            There is no image, or none can be used.
        DatasetError
            The folder holds something else, or cannot be written.
        MissingPackageError
            The packages of an extra are not installed.
        """
        from clipsim.inputs.expand import make_collection
        from clipsim.tasks import embed

        sources = make_collection(images, NameFilter.of(include, exclude), captions=captions)
        output = check_path("output", output)
        request = embed.EmbedRequest(
            sources, output, captions, dtype, shard_size, overwrite, runner, ray_address, actors, verify
        )
        result = embed.run(self.embedder, request)
        if result.images == 0:
            raise NoInputError(f"{NOTHING_USABLE}; errors.jsonl in {output} says why")
        issue_warnings(result.warnings)
        return result

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
        min_similarity: float | None = None,
        top_k: Iterable[int] | int | None = None,
        recall_k: Iterable[int] | int | None = None,
        clipscore_prefix: bool = False,
        baseline: tasks.Result | None = None,
        seed: int = 0,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
    ) -> clipsim.EvaluationResult:
        """Measure this model on labelled images.

        Parameters
        ----------
        data and all others
            As for `clipsim.evaluate`.

        Returns
        -------
        EvaluationResult
            The figures, with their intervals.

        Raises
        ------
        UsageError, DataError, NoInputError
            As `clipsim.evaluate` does.
        """
        from clipsim.tasks import evaluate
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
            min_similarity=min_similarity,
            top_k=top_k,
            recall_k=recall_k,
            clipscore_prefix=clipscore_prefix,
            baseline=baseline,
            seed=seed,
            include=include,
            exclude=exclude,
        )
        result = evaluate.run([self.embedder], request)
        issue_warnings(result.warnings)
        return result

    def threshold(
        self,
        texts: Iterable[str] | str,
        positives: ImageInputs,
        negatives: ImageInputs = (),
        *,
        recall: float | None = None,
        false_alarms: float | None = None,
        templates: Iterable[str] | str = (),
        deduplicate: bool = True,
    ) -> clipsim.ThresholdResult:
        """Find the cosine from which on an image counts as showing a text, with a promise about new images.

        Parameters
        ----------
        texts, positives, negatives, recall, false_alarms
            As for `clipsim.threshold`.
        templates, deduplicate
            As for `rank`.

        Returns
        -------
        ThresholdResult
            The threshold of each text, a cosine; give it to `rank` as `thresholds`.

        Raises
        ------
        ClipsimError
            As `clipsim.threshold` does.
        """
        from clipsim.tasks import threshold

        matching = list(make_sources(positives, "positives"))
        others = make_sources(negatives, "negatives", first=len(matching))
        request = threshold.ThresholdRequest.check(
            texts, matching, others, templates, recall, false_alarms, deduplicate=deduplicate
        )
        result = threshold.run(self.embedder, request)
        issue_warnings(result.warnings)
        return result

    def close(self) -> None:
        """Close the cache; nothing can be computed afterwards. Closing twice does nothing."""
        self.embedder.close()

    def __enter__(self) -> Session:
        """The session itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the session."""
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the options."""
        return type(self), (self.embedder.model_options, self.embedder.run_options)
