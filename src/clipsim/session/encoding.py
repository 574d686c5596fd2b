"""Images and texts as Python names them → arrays: the methods of `Session` that give vectors and cosines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clipsim.errors import Failure, UsageError, issue_warnings
from clipsim.inputs.arguments import is_path, make_sources
from clipsim.inputs.sources import Source
from clipsim.inputs.texts import check_templates, clean_labels, clean_texts
from clipsim.results.base import ModelRecord
from clipsim.session.base import SessionBase
from clipsim.tasks import encode
from clipsim.tasks.arguments import ImageInputs, QueryTexts, TextInputs, split_vectors
from clipsim.tasks.progress import ProgressCallback, check_progress
from clipsim.tasks.rank import describe_model


class EncodingMethods(SessionBase):
    """The methods of `Session` that give arrays."""

    @property
    def model(self) -> ModelRecord:
        """The model: name, `embed_dim`, `logit_scale`, `logit_bias`, `head`; it is loaded where these are not known."""
        return describe_model(self.embedder.facts)

    def encode_images(
        self,
        images: ImageInputs,
        *,
        on_error: Literal["raise", "nan"] | None = None,
        progress: ProgressCallback | None = None,
    ) -> NDArray[np.float32]:
        """Compute the unit vector of each image.

        Images are read as they are needed, and none is kept: those of a generator may be more than fit into memory.

        Parameters
        ----------
        images
            As for `rank`.
        on_error
            What becomes of an image that cannot be used: "raise" raises ImageError, "nan" makes its row NaN, with a
            warning. None for "nan" where the session was opened with that, else for "raise": no row is left out.
        progress
            As for `rank`.

        Returns
        -------
        ndarray
            (n, d) float32, a row an image in the order given, of length 1. A folder or pattern stands for its files;
            one image gives one row, and no image none.

        Raises
        ------
        ImageError
            An image cannot be used, and `on_error` is not "nan".
        UsageError
            What is passed is not an image.
        """
        report = check_progress(progress)
        rule = self._check_rows_rule(on_error)
        rows = encode.encode_images(self.embedder, _list_paths(images), report, on_error=rule)
        self._issue(failures=rows.failures)
        return rows.vectors

    def encode_texts(
        self,
        texts: TextInputs,
        *,
        templates: Iterable[str] | str = (),
        progress: ProgressCallback | None = None,
    ) -> NDArray[np.float32]:
        """Compute the unit vector of each text.

        Parameters
        ----------
        texts
            The texts, which are stripped at both ends; or labels and the words of each, as for `rank`. A repeated text
            has a row each time.
        templates
            As for `rank`.
        progress
            As for `rank`.

        Returns
        -------
        ndarray
            (m, d) float32, a row a text in the order given, of length 1. `rank` and `search` take it in place of texts.

        Raises
        ------
        UsageError
            A text is empty or not a string, or a template has no `{}`.
        TextError
            A text is too long for the model.
        """
        report = check_progress(progress)
        labels = clean_labels(texts, deduplicate=False)
        encoded = encode.encode_texts(
            self.embedder, labels.labels, check_templates(templates), report, words=labels.words
        )
        self._issue((*labels.notices, *encoded.notices))
        return encoded.vectors

    def score_pairs(
        self,
        images: ImageInputs,
        texts: QueryTexts,
        *,
        templates: Iterable[str] | str = (),
        on_error: Literal["raise", "nan"] | None = None,
        progress: ProgressCallback | None = None,
    ) -> NDArray[np.float32]:
        """Compute the cosine of each image with its own text: the first with the first, the second with the second.

        Parameters
        ----------
        images
            As for `rank`.
        texts
            A text for each image, or the vectors of such texts.
        templates
            As for `rank`.
        on_error
            As for `encode_images`: "nan" makes the cosine of an image that cannot be used NaN.
        progress
            As for `rank`.

        Returns
        -------
        ndarray
            (n,) float32 cosines from -1 to 1.

        Raises
        ------
        UsageError
            There are more or fewer texts than images.
        ImageError, TextError
            As `encode_images` and `encode_texts` do.
        """
        report = check_progress(progress)
        rule = self._check_rows_rule(on_error)
        texts, vectors = split_vectors(texts, templates, None)
        cleaned, notices = clean_texts(texts, deduplicate=False)
        sources = _list_paths(images)
        if vectors is None:
            distinct = list(dict.fromkeys(cleaned))
            rows = {text: row for row, text in enumerate(distinct)}
            encoded = encode.encode_texts(self.embedder, distinct, check_templates(templates)).vectors
            vectors = encoded[[rows[text] for text in cleaned]]
        else:
            self.embedder.check_width(vectors.shape[1], "texts")
        scores, failures = encode.score_pairs(self.embedder, sources, vectors, report, on_error=rule)
        self._issue(notices, failures)
        return scores

    def _check_rows_rule(self, on_error: str | None) -> Literal["raise", "nan"]:
        """What becomes of a row without a vector. Raises UsageError for what would leave it out."""
        if on_error is None:
            return "nan" if self.embedder.run_options.on_error == "nan" else "raise"
        if on_error not in ("raise", "nan"):
            raise UsageError("not 'raise' or 'nan', which keep the rows", parameter="on_error", value=on_error)
        return "nan" if on_error == "nan" else "raise"

    def _issue(self, notices: Sequence[str] = (), failures: Sequence[Failure] = ()) -> None:
        """Issue what has to be said of the model and of the inputs."""
        missing = [encode.describe_failures(failures)] if failures else []
        issue_warnings(dict.fromkeys((*self.embedder.notices, *notices, *missing)))


def _list_paths(images: ImageInputs) -> list[Source] | Iterator[Source]:
    """The sources of some images: a list, whose length is known, where they are paths; anything else is not kept."""
    paths = is_path(images) or (isinstance(images, list | tuple) and all(map(is_path, images)))
    return list(make_sources(images)) if paths else make_sources(images)
