"""Tests of `engines.onnx.tokenizer`: the ids that the model's own tokenizer gives, and the same errors."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import ftfy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer

from clipsim.engines.onnx.tokenizer import PlainTokenizer, clean_text
from clipsim.engines.torch.tokenizer import TOKENIZER_CHECK_TEXTS, Tokenizer, write_vocabulary
from clipsim.errors import ModelError, TextError
from clipsim.models.files import ModelFiles

CLEANINGS = ("lower", "whitespace", "canonicalize")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WORDS = st.lists(st.sampled_from(["it's", "I'LL", "<end_of_text>", "&amp;", "_", "É", "猫", "42", "…", "\t", "a"])).map(
    "".join
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Tokenizer, PlainTokenizer]]:
    """OpenCLIP's tokenizer and ours, for each way of cleaning."""
    made = {}
    for clean in CLEANINGS:
        theirs = Tokenizer({"text_cfg": {"context_length": 20, "tokenizer_kwargs": {"clean": clean}}}, files())
        path = tmp_path_factory.mktemp("vocabulary") / "tokenizer.json"
        made[clean] = theirs, PlainTokenizer(path, write_vocabulary(theirs, path))
    return made


def files() -> ModelFiles:
    """A model's files without a tokenizer of its own."""
    return ModelFiles(Path("weights"))


@pytest.mark.parametrize("clean", CLEANINGS)
def test_the_check_texts_have_the_ids_that_openclip_gives(
    pairs: dict[str, tuple[Tokenizer, PlainTokenizer]], clean: str
) -> None:
    """Scripts, entities, controls, contractions, markers in the text, long words."""
    theirs, ours = pairs[clean]

    assert (theirs(TOKENIZER_CHECK_TEXTS, truncate=True).numpy() == ours(TOKENIZER_CHECK_TEXTS, truncate=True)).all()


@settings(deadline=None, max_examples=150)
@given(text=TEXTS | WORDS, clean=st.sampled_from(CLEANINGS))
def test_any_text_has_the_ids_that_openclip_gives(
    pairs: dict[str, tuple[Tokenizer, PlainTokenizer]], text: str, clean: str
) -> None:
    """The number of tokens too, for texts that are not cut."""
    theirs, ours = pairs[clean]

    tokens = theirs([text], truncate=True)
    assert tokens.tolist() == ours([text], truncate=True).tolist()
    counts = ours.count_read([text], truncate=True)
    assert counts == theirs.count_read([text], truncate=True) == [int((tokens != 0).nonzero()[-1, 1]) + 1]
    assert clean_text(text, clean) == theirs.tokenize.clean_fn(text)


@settings(deadline=None)
@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="&")))
def test_ftfy_leaves_plain_ascii_as_it_is(text: str) -> None:
    """So it is not imported for such texts."""
    assert ftfy.fix_text(text) == text


@pytest.mark.parametrize("text", ["cat " * 30, "x" * 5000, "猫" * 700, "&lt;" * 300, "9 " * 400])
def test_too_long_a_text_is_refused_in_the_same_words(
    pairs: dict[str, tuple[Tokenizer, PlainTokenizer]], text: str
) -> None:
    """The count of tokens, or of characters where there are too many to count; and cut at the same place."""
    theirs, ours = pairs["lower"]
    with pytest.raises(TextError) as wanted:
        theirs(["a cat", text], truncate=False)
    with pytest.raises(TextError) as given_:
        ours(["a cat", text], truncate=False)

    assert str(given_.value) == str(wanted.value)
    assert ours([text], truncate=True).tolist() == theirs([text], truncate=True).tolist()
    assert ours([text], truncate=True)[0, -1] == SimpleTokenizer().eot_token_id


def test_a_text_at_the_limit_is_not_refused(pairs: dict[str, tuple[Tokenizer, PlainTokenizer]]) -> None:
    """Eighteen words and the two markers."""
    _, ours = pairs["lower"]

    assert np.count_nonzero(ours(["cat " * 18], truncate=False)) == 20
    with pytest.raises(TextError, match="has 21 tokens and this model reads 20"):
        ours(["cat " * 19], truncate=False)


class Theirs:
    """The attributes that are used of a tokenizer of transformers."""

    is_fast = True
    pad_token_id, sep_token_id, padding_side = 1, 4, "right"

    def __init__(self) -> None:
        from tokenizers import Tokenizer, models, pre_tokenizers, processors

        words = {word: number for number, word in enumerate(["?", "<pad>", "a", "cat", "</s>", "dog"])}
        self.backend_tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
        self.backend_tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        self.backend_tokenizer.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 4)])


@pytest.mark.parametrize(("side", "strip"), [("right", False), ("left", False), ("right", True)])
def test_another_vocabulary_keeps_its_markers_and_padding(tmp_path: Path, side: str, strip: bool) -> None:
    """Padding and cutting as transformers' `padding="max_length", truncation=True`; a separator may become zero."""
    theirs = Theirs()
    theirs.padding_side = side

    given = SimpleNamespace(
        tokenizer=theirs, tokenizer_mode="", strip_sep_token=strip, clean_fn=lambda text: clean_text(text, "lower")
    )
    model = SimpleNamespace(is_openclips=False, context_length=5, tokenize=given)
    path = tmp_path / "tokenizer.json"
    ours = PlainTokenizer(path, write_vocabulary(model, path))  # type: ignore[arg-type]

    end = 0 if strip else 4
    assert ours(["A  cat"], truncate=False).tolist() == [[1, 1, 2, 3, end] if side == "left" else [2, 3, end, 1, 1]]
    assert ours(["a cat a dog a"], truncate=True).tolist() == [[2, 3, 2, 5, end]]
    with pytest.raises(TextError, match="has 6 tokens and this model reads 5"):
        ours(["a cat a dog a"], truncate=False)


def test_a_slow_tokenizer_cannot_be_exported(tmp_path: Path) -> None:
    """It has no file that another library reads."""
    theirs = SimpleNamespace(tokenizer=SimpleNamespace(is_fast=False), tokenizer_mode="")

    with pytest.raises(ModelError, match="needs 'transformers'"):
        write_vocabulary(SimpleNamespace(is_openclips=False, tokenize=theirs), tmp_path / "tokenizer.json")  # type: ignore[arg-type]
