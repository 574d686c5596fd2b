"""Collections of images as Python names them → what is in them: the methods of `Session` for many images."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import date
from functools import partial

import clipsim
from clipsim import tasks
from clipsim.errors import NoInputError, UsageError, issue_warnings
from clipsim.inputs.arguments import make_sources, make_weighted_sources
from clipsim.inputs.paths import NameFilter
from clipsim.inputs.sources import Source
from clipsim.options import check_flag, check_path, explain_unused_device
from clipsim.session.base import SessionBase, finish
from clipsim.tasks.arguments import ImageInputs, TextInputs, WeightedImages, WeightedTexts
from clipsim.tasks.progress import ProgressCallback, check_progress
from clipsim.tasks.rank import NOTHING_USABLE


class CollectionMethods(SessionBase):
    """The methods of `Session` that search, compare, group and embed many images."""

    def search(
        self,
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
    ) -> clipsim.SearchResult:
        """Find the images that are nearest to each text and each image.

        Parameters
        ----------
        where
            What is searched: folders that `embed` or clip-retrieval wrote, and images as `rank` takes them; or vectors.
        texts, images
            The queries, at least one, or their vectors. An image of the queries that is among those searched comes
            first in its answer.
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
        progress
            As for `rank`.

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
        from clipsim.tasks.search_targets import VectorTarget, find_targets

        report = check_progress(progress)
        names = NameFilter.of(include, exclude)
        chosen = names if names.include or names.exclude else None
        vectors = VectorTarget.of(where)
        if vectors is not None and (after is not None or before is not None):
            raise UsageError("vectors have no dates", parameter="before" if after is None else "after")
        if chosen is not None or unique:
            vectors = None  # they are looked at one by one
        request = search.SearchRequest.check(
            find_targets(where, chosen) if vectors is None else [vectors],
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
        result = search.run(self.embedder, request, report)
        return finish(result, result.searched if result.queries else 0)

    def duplicates(
        self,
        where: ImageInputs,
        *,
        min_similarity: float | None = None,
        pixels: bool = True,
        exact_files: bool = False,
        all_pairs: bool = False,
        progress: ProgressCallback | None = None,
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
        all_pairs
            Whether every two of more than 200,000 images are compared, which takes hours for a million; otherwise only
            those in lists of near ones are.
        progress
            As for `rank`.

        Returns
        -------
        DuplicatesResult
            The groups, those of the same bytes first, in each the best image first. An image has its `index` as for
            `search`. Images that cannot be used are in `errors`; `recall` is the share of an image's near ones that
            were found.

        Raises
        ------
        UsageError
            `min_similarity` is not a cosine.
        NoInputError, DatasetError
            As `search` does.
        """
        from clipsim.tasks import duplicates, same_files
        from clipsim.tasks.search_targets import find_targets

        report = check_progress(progress)
        check_flag("exact_files", exact_files)
        request = duplicates.DuplicatesRequest(find_targets(where), min_similarity, pixels, all_pairs=all_pairs)
        if exact_files:
            result = same_files.run(request.targets, report)
        else:
            result = duplicates.run(self.embedder, request, report)
        return finish(result, result.compared)

    def embed(
        self,
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
        image_column, caption_column
            The columns of paths and of captions in tables; None for those with usual names.
        dtype
            The type of the vectors on disk, "fp16" or "fp32".
        vectors
            "npy", or "parquet" for tables of the metadata with a column of vectors beside these files.
        shard_size
            The number of images of a shard.
        include, exclude
            Patterns of the names of the images that are embedded, and of those that are not.
        overwrite
            Whether a data set that exists is replaced, once the first new shard is ready.
        runner
            "local", or "ray", which distributes the shards.
        ray_address
            The address of a Ray cluster; None for the one that this program is connected to, that of `RAY_ADDRESS`, or
            Ray on this machine.
        actors
            The number of Ray's encoders, or the least and the most; None for one a GPU, or one for eight cores.
        cpus_per_worker
            The cores of each of Ray's encoders.
        devices
            Devices of this machine, such as "cuda:0" and "cuda:1", for each of which a process makes shards; a script
            needs `if __name__ == "__main__":` then.
        verify
            Whether every file of the folder is read to find damage, rather than those that have changed.
        retry_failed
            Which inputs that failed in earlier runs are tried again: None for those that a store or server refused or
            did not answer, "transient" also for those of which an earlier version did not record the kind, "all" for
            all of them.
        max_failures
            A percentage of the inputs, such as "5%"; the call ends once more have failed.
        plan
            A list of images that `clipsim embed --plan-only` made; addresses that it has are not listed again.
        list_again
            Whether addresses are listed anew of which an earlier call, which was not finished, left a list.
        progress
            As for `rank`.

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
            The folder holds something else, or cannot be written; more inputs failed than `max_failures`.
        TransientError
            A folder of a store, a tar or a table cannot be listed; nothing is written.
        MissingPackageError
            The packages of an extra are not installed.
        """
        from clipsim.inputs.expand import make_collection
        from clipsim.tasks import embed

        report = check_progress(progress)
        sources = partial(
            make_collection,
            images,
            NameFilter.of(include, exclude),
            captions=captions,
            image_column=image_column,
            caption_column=caption_column,
        )
        output = check_path("output", output)
        request = embed.EmbedRequest(
            sources,
            output,
            captions,
            dtype,
            shard_size,
            overwrite,
            runner,
            ray_address,
            actors,
            verify,
            vectors,
            (devices,) if isinstance(devices, str) else tuple(devices),
            retry_failed,
            max_failures,
            cpus_per_worker,
            None if plan is None else check_path("plan", plan),
            list_again,
        )
        issue_warnings(explain_unused_device(self.embedder.model_options.device, request.devices))
        result = embed.run(self.embedder, request, report)
        if result.images == 0:
            raise NoInputError(f"{NOTHING_USABLE}; errors.jsonl in {output} says why")
        issue_warnings(result.warnings)
        return result

    def overview(
        self,
        where: ImageInputs,
        *,
        groups: int | None = None,
        texts: Iterable[str] | str = (),
        templates: Iterable[str] | str = (),
        seed: int = 0,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
        progress: ProgressCallback | None = None,
    ) -> clipsim.OverviewResult:
        """Say what a collection holds: groups of images that are alike, typical images, and the words that fit them.

        Parameters
        ----------
        where
            As for `search`.
        groups
            The number of groups; None for the number, up to 12, that divides the images best.
        texts
            What the words are chosen from; without any, some 780 everyday things, places and kinds of images.
        templates
            As for `rank`.
        seed
            Where the search for groups starts; the same images and seed give the same groups.
        include, exclude
            Patterns of the names of the images that are looked at, and of those that are not.
        progress
            As for `rank`.

        Returns
        -------
        OverviewResult
            The groups, the largest first. Images that cannot be used are in `errors`.

        Raises
        ------
        UsageError
            A number is out of range, a text empty, or a template has no `{}`.
        NoInputError, TextError, DatasetError
            As `search` does.
        """
        from clipsim.tasks import overview
        from clipsim.tasks.search_targets import find_targets

        report = check_progress(progress)
        names = NameFilter.of(include, exclude)
        targets = find_targets(where, names if names.include or names.exclude else None)
        request = overview.OverviewRequest.check(targets, groups=groups, texts=texts, templates=templates, seed=seed)
        result = overview.run(self.embedder, request, report)
        return finish(result, result.images)
