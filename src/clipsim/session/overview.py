"""Images as Python names them → what there is among them: a method of `Session`."""

from __future__ import annotations

from collections.abc import Iterable

import clipsim
from clipsim.embedding.embedder import Embedder
from clipsim.inputs.paths import NameFilter
from clipsim.session.ends import finish
from clipsim.tasks.arguments import ImageInputs


class OverviewMethod:
    """The part of `Session` that groups images."""

    @property
    def embedder(self) -> Embedder:
        """What makes vectors of images and texts."""
        raise NotImplementedError

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

        names = NameFilter.of(include, exclude)
        targets = find_targets(where, names if names.include or names.exclude else None)
        request = overview.OverviewRequest.check(targets, groups=groups, texts=texts, templates=templates, seed=seed)
        result = overview.run(self.embedder, request)
        return finish(result, result.images)
