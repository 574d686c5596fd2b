"""`clipsim fit`: its options, its run, and its table, JSON or file of a classifier."""

from __future__ import annotations

import sys
from typing import Annotated

from clipsim.cli import parameters as shared
from clipsim.cli.collections import end_with_failures, multiply_in_one_thread, run_task
from clipsim.cli.output import print_message, print_table, write
from clipsim.cli.parameters import INPUTS, OUTPUT, argument, option
from clipsim.errors import printable


@shared.with_run_options()
def fit_command(
    data: Annotated[
        str, argument("DATA", "Labelled images as `clipsim evaluate` takes them: a folder for each class.")
    ],
    save: Annotated[
        str | None, option("--output -o", "FILE", OUTPUT, "Write the classifier to a file for --classifier.")
    ] = None,
    shots: Annotated[
        int | None, option("--shots", "N", INPUTS, "Draw N images of each label. [default: all]", min=1)
    ] = None,
    image_column: shared.ImageColumn = None,
    label_column: shared.LabelColumn = None,
    root: shared.TableRoot = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    labels: shared.LabelWords = None,
    folder_labels: shared.FolderLabels = None,
    template: shared.Templates = None,
    seed: shared.Seed = 0,
    output: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    *,
    run: shared.Run,
) -> None:
    """Make a classifier of labelled images, and measure by cross-validation whether it is better than words.

    Example: `clipsim fit photos/ -o classifier.json`, then `clipsim rank new/ --classifier classifier.json`
    """
    multiply_in_one_thread()
    notices = run.notices()
    from clipsim.tasks import fit

    request = fit.FitRequest.check(
        data,
        shots=shots,
        image_column=image_column,
        label_column=label_column,
        root=root,
        labels=labels,
        folder_labels=folder_labels,
        templates=template or (),
        seed=seed,
        include=include or (),
        exclude=exclude or (),
    )
    if save is not None:
        fit.check_output(save)
    classifier = run_task(fit.run, request, run, notices, run.model)
    if shared.choose_format(output, as_json) == "json":
        from clipsim.render.json import format_json

        write(format_json(classifier))
    else:
        from clipsim.render.classifier_table import build_classifier

        print_table(*build_classifier(classifier, whole_names=not sys.stdout.isatty()))
    if save is not None:
        fit.save_classifier(classifier, save)
    if not run.quiet and output == "table" and not as_json:
        kept = "not kept; give --output FILE (-o)" if save is None else f"written to {printable(save)}"
        print_message("note", f"the classifier is {kept}")
    end_with_failures(len(classifier.errors), classifier.examples)
