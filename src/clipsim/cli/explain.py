"""`clipsim explain`: its options, its run, and what speaks for each text: as a table, JSON, a page or a PNG."""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Literal

from clipsim.cli import parameters as shared
from clipsim.cli.collections import find_named_sources, run_task
from clipsim.cli.output import page_folder, print_table, table_width, write, write_bytes
from clipsim.cli.output_file import with_output_file
from clipsim.cli.parameters import argument
from clipsim.cli.preview import PreviewMode, PreviewOption, choose_preview, make_preview, thumbnail_rules
from clipsim.errors import UsageError
from clipsim.inputs.texts import read_texts

if TYPE_CHECKING:
    from clipsim.inputs.sources import Source
    from clipsim.results.explain import ExplainResult

ExplainFormat = Literal["table", "json", "html", "png"]


@with_output_file
@shared.with_run_options("workers", "on_error")
def explain_command(
    image: Annotated[str, argument("IMAGE", "The image: a file or an address.")],
    texts: Annotated[list[str] | None, argument("TEXT", "Texts, as with --text.")] = None,
    text: shared.Texts = None,
    text_file: shared.TextFiles = None,
    template: shared.Templates = None,
    output: Annotated[
        ExplainFormat, shared.format_option("table, json, html or png, the image under its heat maps")
    ] = "table",
    as_json: shared.FormatJson = False,
    preview: PreviewOption = "off",
    *,
    run: shared.Run,
) -> None:
    """Show which part of an image speaks for a text: parts are hidden, and the similarity without them is measured.

    Example: `clipsim explain photo.jpg -t 'a cat' -o map.png`
    """
    if output == "png" and as_json:
        raise UsageError("--json and --format png contradict each other; give one")
    if output == "png" and sys.stdout.isatty():
        raise UsageError("an image file is not for the terminal; write it to a file: -o map.png")
    table = output == "table" and not as_json
    if output != "png" and shared.choose_format(output, as_json) == "json":
        output = "json"
    preview = choose_preview(preview, "table") if table else "off"
    shared.check_standard_input(image, *(text_file or ()), what="for the image or for texts")
    from clipsim.tasks import explain

    named = list(chain(texts or (), text or (), *map(read_texts, text_file or ())))
    if not named:
        raise UsageError("no text to explain; give one: -t TEXT")
    request = explain.ExplainRequest.check(find_named_sources([image]), named, template or ())
    result = run_task(explain.run, request, run, run.notices(), run.model)
    _print_result(result, output, preview, request.source)


def _print_result(result: ExplainResult, output: ExplainFormat, preview: PreviewMode, source: Source) -> None:
    """Write the result; the image that a page, a preview or a PNG shows is decoded for it."""
    from clipsim.tasks.explain import draw_maps

    if output == "json":
        from clipsim.render.json import format_json

        write(format_json(result))
    elif output == "png":
        for picture in draw_maps(result, source):
            write_bytes(picture)
    elif output == "html":
        from clipsim.embedding.preparation import read_thumbnails
        from clipsim.images.thumbnails import ThumbnailRules
        from clipsim.render.explain_page import format_explain_page

        shown = read_thumbnails([source], ThumbnailRules(640)).get(source.name)
        for piece in format_explain_page(result, shown, page_folder=page_folder()):
            write(piece)
    elif (rules := thumbnail_rules("table", preview)) is not None:
        from clipsim.render.preview import build_preview_explain

        print_table(
            *build_preview_explain(result, draw_maps(result, source, rules), make_preview(preview), table_width())
        )
    else:
        from clipsim.render.explain import build_explain_table

        print_table(*build_explain_table(result, table_width(), whole_names=not sys.stdout.isatty()))
