"""Tests of `engines.torch.tokenizer` with a tokenizer that `transformers` loads, as SigLIP's models have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import transformers
from checkpoints import open_path
from transformers_folders import write_clip
from vocabularies import SIGLIP_CONTEXT, write_siglip

import clipsim
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.errors import TextError
from clipsim.models.catalogue import BUNDLED_PATH

PROMPTS = ["a cat", "A Photo, of a CAT!", "the_lazy dog's maze", "ünknown 猫 signs", "  spaces   between  "]
LONG = "a photo of a cat and a dog and a maze near the sea " * 3


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random model that has SigLIP's head, padding and cleaning of texts."""
    return write_siglip(tmp_path_factory.mktemp("siglip"))


@pytest.fixture(scope="module")
def encoder(siglip: Path) -> ClipEncoder:
    """The model as clipsim opens it."""
    return open_path(siglip, device="cpu")


def test_tokens_and_vectors_are_openclips(siglip: Path, encoder: ClipEncoder) -> None:
    """What OpenCLIP's own calls give for the same folder, to 1e-5 in cosine."""
    theirs = open_clip.get_tokenizer(f"local-dir:{siglip}")
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{siglip}")
    model.eval()
    tokens = encoder.tokenizer(PROMPTS, truncate=False)

    assert torch.equal(tokens, theirs(PROMPTS))
    assert tokens.shape == (len(PROMPTS), SIGLIP_CONTEXT)
    with torch.no_grad():
        expected = model.encode_text(theirs(PROMPTS), normalize=True).numpy()
    features = encoder.encode_texts(PROMPTS)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert np.abs(features @ features.T - expected @ expected.T).max() < 1e-5
    assert np.abs((features * expected).sum(axis=1) - 1).max() < 1e-5
    assert encoder.facts.head == "sigmoid"
    assert encoder.facts.logit_bias == pytest.approx(-10)


def test_the_context_is_counted_in_this_tokenizers_tokens(siglip: Path, encoder: ClipEncoder) -> None:
    """A text of exactly the context is accepted, one token more is an error with the count, and `truncate` cuts it."""
    theirs = open_clip.get_tokenizer(f"local-dir:{siglip}")
    reference = transformers.AutoTokenizer.from_pretrained(siglip)
    texts = (LONG[:end].strip() for end in range(1, len(LONG) + 1))
    lengths = {len(reference(text).input_ids): text for text in texts}

    assert {SIGLIP_CONTEXT, SIGLIP_CONTEXT + 1} <= set(lengths)
    for count, text in lengths.items():
        if count <= SIGLIP_CONTEXT:
            assert torch.equal(encoder.tokenizer([text], truncate=False), theirs([text]))
        else:
            with pytest.raises(TextError, match=f"has {count} tokens and this model reads {SIGLIP_CONTEXT}"):
                encoder.tokenizer(["a cat", text], truncate=False)
            assert torch.equal(encoder.tokenizer([text], truncate=True), theirs([text]))


def test_tokens_are_counted_without_padding(siglip: Path, encoder: ClipEncoder) -> None:
    """By this tokenizer, whose padding is its end token; what is cut does not count."""
    reference = transformers.AutoTokenizer.from_pretrained(siglip)
    clean = open_clip.get_tokenizer(f"local-dir:{siglip}").clean_fn

    assert encoder.count_tokens(PROMPTS) == [len(reference(clean(prompt)).input_ids) for prompt in PROMPTS]
    assert encoder.count_tokens([LONG], truncate=True) == [SIGLIP_CONTEXT]


def test_a_megabyte_of_text_is_refused_or_cut(encoder: ClipEncoder) -> None:
    """Whatever tokenizer the model has."""
    with pytest.raises(TextError, match="tokens"):
        encoder.tokenizer(["cat " * 250_000], truncate=False)
    assert encoder.tokenizer(["cat " * 250_000], truncate=True).shape == (1, SIGLIP_CONTEXT)


def test_markers_in_a_text_are_the_tokenizers_own(tmp_path: Path) -> None:
    """OpenAI's spelling is ordinary characters to OpenCLIP's, and the end to transformers' and clipsim.tokenize."""
    texts = ["a cat <|endoftext|> dog", "a cat <end_of_text> dog"]
    bundled = open_path(BUNDLED_PATH, device="cpu").tokenizer(texts, truncate=False)
    of_transformers = open_path(write_clip(tmp_path / "clip"), device="cpu").tokenizer(texts, truncate=False)
    openais = clipsim.tokenize(texts)

    assert torch.equal(bundled, open_clip.get_tokenizer("ViT-B-32")(texts))
    assert [(row == 49407).sum() for row in bundled] == [1, 2]
    assert [(row == 49407).sum() for row in openais] == [2, 1]
    assert of_transformers[0, :6].tolist() == openais[0, :6].tolist() == [49406, 320, 2368, 49407, 1929, 49407]
