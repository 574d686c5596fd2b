"""`clipsim sort`: its options, and the plan that gives each image a place in the folder of its label."""

from __future__ import annotations

from clipsim.cli import parameters as shared
from clipsim.cli.collections import run_task
from clipsim.cli.output_file import with_output_file
from clipsim.cli.plans import CopyTo, LinkTo, MinProbability, MoveTo, Yes, choose_folder, finish_plan
from clipsim.cli.rank import request_ranking
from clipsim.errors import UsageError


@with_output_file
@shared.with_run_options()
def sort_command(
    images: shared.Images = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    from_file: shared.FromFile = None,
    include: shared.Include = None,
    exclude: shared.Exclude = None,
    thresholds: shared.Thresholds = None,
    classifier: shared.ClassifierFile = None,
    min_probability: MinProbability = None,
    copy_to: CopyTo = None,
    link_to: LinkTo = None,
    move_to: MoveTo = None,
    output: shared.WholeFormatOption = "table",
    as_json: shared.FormatJson = False,
    yes: Yes = False,
    *,
    run: shared.Run,
) -> None:
    """Copy, link or move images into one folder a label. Without --yes, the plan is printed and nothing is changed.

    Example: `clipsim sort photos/ -t cat -t dog --copy-to sorted`
    """
    chosen = choose_folder(copy_to, link_to, move_to)
    if chosen is None:
        raise UsageError("give a folder to sort into: --copy-to DIR, --link-to DIR or --move-to DIR")
    as_json = as_json or output == "json"
    notices = run.notices()
    names = shared.choose_names(include, exclude)
    ranking = request_ranking("sort", images, text, text_file, template, from_file, names, thresholds, classifier)
    from clipsim.tasks import sort

    request = sort.SortRequest(ranking, *chosen, min_probability)
    plan = run_task(sort.run, request, run, notices, run.model)
    finish_plan(plan, as_json=as_json, yes=yes, run=run, notices=notices)
