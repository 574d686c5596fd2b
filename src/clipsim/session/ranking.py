"""Images and texts as Python names them → scores: the methods of `Session` that rank."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import clipsim
from clipsim import tasks
from clipsim.errors import issue_warnings
from clipsim.inputs.arguments import make_sources
from clipsim.options import OnError, check_path
from clipsim.results.rank import RankResult
from clipsim.session.base import SessionBase, finish
from clipsim.tasks import rank as rank_task
from clipsim.tasks.arguments import ImageInput, ImageInputs, TextInputs, WordInputs
from clipsim.tasks.progress import ProgressCallback, check_progress
from clipsim.tasks.rank import RankRequest


class RankingMethods(SessionBase):
    """The methods of `Session` that score images against texts, and explain the scores."""

    def rank(
        self,
        images: ImageInputs,
        texts: TextInputs = (),
        *,
        templates: Iterable[str] | str = (),
        sort_by: str | None = None,
        thresholds: tasks.Thresholds | None = None,
        classifier: tasks.ClassifierInput | None = None,
        deduplicate: bool = True,
        on_error: OnError | None = None,
        progress: ProgressCallback | None = None,
    ) -> RankResult:
        """Score every image against every text.

        Parameters
        ----------
        images
            Paths and addresses (files, folders, globs, tars, tables), the bytes of image files, files opened in binary
            mode, RGB arrays of shape (h, w, 3) and type uint8, tensors of that or of the shape (3, h, w), PIL images,
            or `{"bytes": …, "path": …}`. In place of images their vectors, of any length: an (n, d) array or tensor of
            floats, a list of (d,) ones, or a mapping of names to these.
        texts
            The texts, which are stripped at both ends; or a mapping of labels to the words of each, as in
            `{"cat": ["cat", "kitten"]}`: the unit vectors of a label's words are averaged. In place of texts their
            vectors, as those of images; `encode_texts` makes them.
        templates
            Texts with a `{}`: each text is put into every template, and the unit vectors are averaged.
        sort_by
            One of the texts, which orders the images, the best first.
        thresholds
            The result of `threshold`, or its file: the best text of an image is then one that reaches its threshold,
            or None.
        classifier
            What `fit` returned, its dictionary or its file, in place of texts, templates and thresholds: the texts are
            its labels, and each cosine is that of the image and the label's vector.
        deduplicate
            Whether a repeated text counts once.
        on_error
            What becomes of images that cannot be used, as for `clipsim.open`; None for what the session was opened
            with.
        progress
            Called with a `clipsim.Progress` as the work goes on: the `stage`, and how many of its parts are `done`, of
            `total` or None. What it raises ends the work.

        Returns
        -------
        RankResult
            Cosines from -1 to 1 and probabilities from 0 to 1, both of shape (texts, images). Each record has the
            `index` of its image: the position among the images given, from 0, where a folder or pattern stands for its
            files. Images that cannot be used are in `errors`.

        Raises
        ------
        UsageError
            There are no texts, one is empty, `sort_by` is not one of them, a template has no `{}`, or there are texts,
            templates or thresholds beside a classifier.
        NoInputError
            There is no image, or none can be used and none keeps its place.
        TextError
            A text is too long for the model.
        DataError
            The thresholds are of another model, precision, template or text, or the classifier of another model.
        ImageError
            An image cannot be used, and `on_error` is "raise".
        """
        report = check_progress(progress)
        request = RankRequest.check(
            list(make_sources(images)),
            texts,
            templates,
            sort_by,
            thresholds,
            classifier,
            deduplicate=deduplicate,
            on_error=on_error,
        )
        result = rank_task.run(self.embedder, request, report)
        return finish(result, len(result.scores))

    def explain(
        self,
        image: ImageInput,
        texts: WordInputs,
        *,
        templates: Iterable[str] | str = (),
        output: str | os.PathLike[str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> clipsim.ExplainResult:
        """Find the parts of an image that speak for each text: those without which the cosine falls most.

        Parts of what the model sees are hidden one after the other, in two sizes, under the colour around them.

        Parameters
        ----------
        image
            One image, as `rank` takes it.
        texts, templates, progress
            As for `rank`; vectors are not taken.
        output
            A PNG file for the image under its heat maps, side by side in the order of the texts.

        Returns
        -------
        ExplainResult
            For each text its cosine, a map of (14, 14) differences of the cosine, and the part that matters most, in
            pixels of the upright image.

        Raises
        ------
        UsageError
            There are no texts, one is empty, several images are given, or `output` cannot be written.
        NoInputError
            The image cannot be used.
        TextError
            A text is too long for the model.
        """
        from clipsim.tasks import explain

        report = check_progress(progress)
        path = None if output is None else Path(check_path("output", output))
        request = explain.ExplainRequest.check(make_sources(image, "image"), texts, templates)
        result = explain.run(self.embedder, request, report)
        if path is not None:
            explain.save_maps(result, request.source, path)
        issue_warnings(result.warnings)
        return result

    def rank_batches(
        self,
        images: ImageInputs,
        texts: TextInputs = (),
        *,
        templates: Iterable[str] | str = (),
        thresholds: tasks.Thresholds | None = None,
        classifier: tasks.ClassifierInput | None = None,
        deduplicate: bool = True,
        on_error: OnError | None = None,
        progress: ProgressCallback | None = None,
    ) -> Iterator[RankResult]:
        """Score images against texts, a batch at a time, in memory that does not grow with their number.

        Closing the iterator ends the work.

        Parameters
        ----------
        images
            As for `rank`; an iterable is read as its images are needed.
        texts, templates, thresholds, classifier, deduplicate, on_error, progress
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
        report = check_progress(progress)
        request = RankRequest.check(
            make_sources(images),
            texts,
            templates,
            None,
            thresholds,
            classifier,
            deduplicate=deduplicate,
            on_error=on_error,
        )
        warned = False
        with closing(rank_task.stream(self.embedder, request, report)) as batches:
            for batch in batches:
                result = rank_task.make_result(self.embedder, request, batch)
                if not warned:
                    issue_warnings(result.warnings)
                    warned = True
                yield result
