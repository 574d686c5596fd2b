"""Properties of `similarity` and `texts` that hold for whatever comes in."""

from __future__ import annotations

import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clipsim.errors import UNSAFE, printable
from clipsim.scoring.similarity import best_text, cosine, mean_of_templates, order_texts, probabilities, unit_rows
from clipsim.inputs.prompts import distinct_prompts, fill_templates, read_prompts

NUMBERS = st.floats(-1e3, 1e3, width=32)
COSINES = arrays(np.float32, st.tuples(st.integers(2, 9), st.integers(1, 6)), elements=st.floats(-1, 1, width=32))


@given(arrays(np.float32, (5, 7), elements=NUMBERS), arrays(np.float32, (3, 7), elements=NUMBERS), st.floats(0.01, 100))
def test_cosine_is_symmetric_bounded_and_blind_to_length(left: np.ndarray, right: np.ndarray, factor: float) -> None:
    """Scaling a vector changes nothing; swapping the sides transposes."""
    assume((np.linalg.norm(left, axis=1) > 1e-3).all() and (np.linalg.norm(right, axis=1) > 1e-3).all())
    similarity = cosine(unit_rows(left), unit_rows(right))

    assert np.abs(similarity).max() <= 1
    assert np.allclose(cosine(unit_rows(right), unit_rows(left)).T, similarity, atol=1e-5)
    assert cosine(unit_rows(left * factor), unit_rows(right)) == pytest.approx(similarity, abs=1e-5)


@given(COSINES, st.floats(0.1, 1000))
def test_softmax_is_a_distribution_that_keeps_the_order(similarity: np.ndarray, scale: float) -> None:
    """Columns sum to one, nothing is negative, a greater cosine never has a smaller share."""
    shares = probabilities(similarity, head="softmax", logit_scale=scale)

    assert shares is not None
    assert (shares >= 0).all()
    assert shares.sum(axis=0) == pytest.approx(np.ones(similarity.shape[1]))
    for column in range(similarity.shape[1]):
        assert (np.diff(shares[order_texts(similarity[:, column]), column]) <= 1e-12).all()
        assert similarity[best_text(similarity)[column], column] == similarity[:, column].max()


@given(COSINES, st.floats(0.1, 1000), st.floats(-50, 50))
def test_sigmoid_does_not_look_at_the_others(similarity: np.ndarray, scale: float, bias: float) -> None:
    """A row alone has the probabilities that it has among the rest."""
    whole = probabilities(similarity, head="sigmoid", logit_scale=scale, logit_bias=bias)
    alone = probabilities(similarity[:1], head="sigmoid", logit_scale=scale, logit_bias=bias)

    assert whole is not None
    assert alone is not None
    assert ((whole >= 0) & (whole <= 1)).all()
    assert (whole[:1] == alone).all()


@given(arrays(np.float32, (2, 3, 5), elements=st.floats(0.125, 10, width=32)))
def test_the_order_of_templates_does_not_matter(features: np.ndarray) -> None:
    """And the mean has length one."""
    mean = mean_of_templates(features)

    assert np.linalg.norm(mean, axis=1) == pytest.approx(np.ones(2), abs=1e-5)
    assert mean_of_templates(features[:, ::-1]) == pytest.approx(mean, abs=1e-5)


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip() != "")


@given(st.lists(TEXTS))
def test_distinct_prompts_are_distinct_and_lose_none(prompts: list[str]) -> None:
    """Every prompt given is among them, once, in its first place."""
    distinct, repeated = distinct_prompts(prompts)

    assert distinct == list(dict.fromkeys(prompts))
    assert set(repeated) == {prompt for prompt in prompts if prompts.count(prompt) > 1}


@given(TEXTS, st.text(st.characters(codec="utf-8")))
def test_a_template_holds_the_prompt_whole(prompt: str, around: str) -> None:
    """Whatever characters either has."""
    assume("{}" not in around and not around.endswith("{"))

    assert fill_templates(prompt, [around + "{}"]) == [around + prompt]


@given(st.lists(TEXTS.filter(lambda text: not set(text) & set("\r\n") and text[0] != "\ufeff"), min_size=1))
def test_a_prompt_file_gives_its_lines_back(prompts: list[str]) -> None:
    """What was written a line each is read as it was."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "prompts"
        file.write_bytes(io.BytesIO("\n".join(prompts).encode()).getvalue())
        assert read_prompts(str(file)) == prompts


@given(st.text(st.characters()), st.integers(1, 50))
def test_printable_is_harmless_and_short(text: str, limit: int) -> None:
    """Nothing unsafe is left, and the limit holds."""
    shown = printable(text, limit)

    assert UNSAFE.search(shown) is None
    assert len(shown) <= limit
    assert shown.isprintable() or not text.isprintable()
