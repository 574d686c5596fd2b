"""Templates and named sets of them, as a caller gives them → the sets to run, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from clipsim.errors import UsageError, printable
from clipsim.inputs.lists import list_given
from clipsim.inputs.prompts import PLACE, check_templates

PUBLISHED = ("simple", "imagenet")
BUILT_IN = ("plain", *PUBLISHED)
TemplateSets = Mapping[str, Iterable[str] | None] | Iterable[str]


@dataclass(frozen=True)
class TemplateSet:
    """Templates that are averaged; `name` is None for those of a run that has one set only."""

    name: str | None
    templates: tuple[str, ...]


def find_template_sets(templates: Iterable[str] | str, sets: TemplateSets | str | None) -> tuple[TemplateSet, ...]:
    """The sets to run: those that are named, else one of the templates given, which may be none.

    `sets` maps names to templates, None standing for a built-in set, or is a list of names of built-in ones: "plain",
    the text as it is; "simple" and "imagenet", which OpenCLIP publishes. Raises UsageError for a name that is not built
    in, a set without templates, a template without `{}`, and for templates beside sets.
    """
    own = check_templates(templates)
    if not sets:
        return (TemplateSet(None, own),)
    if own:
        raise UsageError("there are templates beside template sets; make them a set of their own")
    named = sets if isinstance(sets, Mapping) else dict.fromkeys(list_given(sets, "template_sets"))
    return tuple(
        _find(name, None if given is None else list(list_given(given, "template_sets")))
        for name, given in named.items()
    )


def _find(name: object, given: list[object] | None) -> TemplateSet:
    shown = printable(str(name), 40)
    if given is not None:
        if not given or not name:
            raise UsageError(f"the template set '{shown}' has no {'templates' if name else 'name'}")
        return TemplateSet(str(name), check_templates(given))
    if not isinstance(name, str) or name not in BUILT_IN:
        raise UsageError(f"no template set is called '{shown}'; built in are {', '.join(BUILT_IN)}")
    if name not in PUBLISHED:
        return TemplateSet(name, (PLACE,))
    from clipsim.engines.torch.published_templates import read_published_templates

    return TemplateSet(name, read_published_templates(name))
