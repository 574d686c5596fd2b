"""Known images as Python names them → how good a model is: the methods of `Session` that measure."""

from __future__ import annotations

import os
from collections.abc import Iterable

import clipsim
from clipsim import tasks
from clipsim.errors import issue_warnings
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.label_words import LabelWords
from clipsim.options import check_path
from clipsim.session.base import SessionBase
from clipsim.tasks.arguments import EvaluationData, ImageCaptions, ImageInputs, ImageLabels, TextInputs
from clipsim.tasks.progress import ProgressCallback, check_progress


class MeasuringMethods(SessionBase):
    """The methods of `Session` that measure a model on images whose labels or captions are known."""

    def evaluate(
        self,
        data: EvaluationData | None = None,
        *,
        images: ImageInputs | None = None,
        task: str = "auto",
        image_column: str | None = None,
        label_column: str | None = None,
        caption_column: str | None = None,
        reference_column: str | None = None,
        root: str | os.PathLike[str] | None = None,
        labels: LabelWords | ImageLabels | str | os.PathLike[str] | None = None,
        captions: ImageCaptions | None = None,
        texts: TextInputs | None = None,
        folder_labels: str | None = None,
        templates: Iterable[str] | str = (),
        template_sets: tasks.TemplateSets | None = None,
        none: str | None = None,
        min_similarity: float | None = None,
        min_probability: float | None = None,
        thresholds: tasks.Thresholds | None = None,
        top_k: Iterable[int] | int | None = None,
        recall_k: Iterable[int] | int | None = None,
        clipscore_prefix: bool = False,
        baseline: tasks.Result | None = None,
        classifier: tasks.ClassifierInput | None = None,
        seed: int = 0,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
        progress: ProgressCallback | None = None,
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

        report = check_progress(progress)
        request = EvaluationRequest.check(
            data,
            images=images,
            task=task,
            image_column=image_column,
            label_column=label_column,
            caption_column=caption_column,
            reference_column=reference_column,
            root=root,
            labels=labels,
            captions=captions,
            texts=texts,
            folder_labels=folder_labels,
            templates=templates,
            template_sets=template_sets,
            none=none,
            min_similarity=min_similarity,
            min_probability=min_probability,
            thresholds=thresholds,
            top_k=top_k,
            recall_k=recall_k,
            clipscore_prefix=clipscore_prefix,
            baseline=baseline,
            classifier=classifier,
            seed=seed,
            include=include,
            exclude=exclude,
        )
        result = evaluate.run([self.embedder], request, report)
        issue_warnings(result.warnings)
        return result

    def fit(
        self,
        data: EvaluationData,
        output: str | os.PathLike[str] | None = None,
        *,
        shots: int | None = None,
        image_column: str | None = None,
        label_column: str | None = None,
        root: str | os.PathLike[str] | None = None,
        labels: LabelWords | str | os.PathLike[str] | None = None,
        folder_labels: str | None = None,
        templates: Iterable[str] | str = (),
        seed: int = 0,
        include: Iterable[str] | str = (),
        exclude: Iterable[str] | str = (),
        progress: ProgressCallback | None = None,
    ) -> clipsim.Classifier:
        """Make a classifier of labelled images.

        Parameters
        ----------
        data and all others
            As for `clipsim.fit`.

        Returns
        -------
        Classifier
            The vectors of the labels, and how good they are; give it to `rank` or `evaluate` as `classifier`.

        Raises
        ------
        UsageError, DataError, NoInputError
            As `clipsim.fit` does.
        """
        from clipsim.tasks import fit

        report = check_progress(progress)
        request = fit.FitRequest.check(
            data,
            shots=shots,
            image_column=image_column,
            label_column=label_column,
            root=root,
            labels=labels,
            folder_labels=folder_labels,
            templates=templates,
            seed=seed,
            include=include,
            exclude=exclude,
        )
        target = None if output is None else fit.check_output(check_path("output", output))
        classifier = fit.run(self.embedder, request, report)
        if target is not None:
            fit.save_classifier(classifier, target)
        issue_warnings(classifier.warnings)
        return classifier

    def threshold(
        self,
        texts: TextInputs,
        positives: ImageInputs,
        negatives: ImageInputs = (),
        *,
        recall: float | None = None,
        false_alarms: float | None = None,
        false_alarms_any: float | None = None,
        templates: Iterable[str] | str = (),
        deduplicate: bool = True,
        progress: ProgressCallback | None = None,
    ) -> clipsim.ThresholdResult:
        """Find the cosine from which on an image counts as showing a text, with a promise about new images.

        Parameters
        ----------
        texts, positives, negatives, recall, false_alarms, false_alarms_any
            As for `clipsim.threshold`.
        templates, deduplicate, progress
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

        report = check_progress(progress)
        matching = list(make_sources(positives, "positives"))
        others = make_sources(negatives, "negatives", first=len(matching))
        request = threshold.ThresholdRequest.check(
            texts, matching, others, templates, recall, false_alarms, false_alarms_any, deduplicate=deduplicate
        )
        result = threshold.run(self.embedder, request, report)
        issue_warnings(result.warnings)
        return result
