"""Tests of `encoder.tokens` with a tokenizer that `transformers` reads, as SigLIP's models have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from checkpoints import PREPROCESS, TEXT, VIT, state_of
from safetensors.torch import save_file

from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.errors import PromptError
from clipsim.models.files import find_files
from clipsim.models.names import find_model

transformers = pytest.importorskip("transformers", reason="needs 'clipsim[transformers]'")
tokenizers = pytest.importorskip("tokenizers", reason="needs 'clipsim[transformers]'")

CONTEXT = 24
CORPUS = [
    "a photo of a cat", "a drawing of a maze", "the quick brown fox jumps over the lazy dog", "two dogs, three cats!",
    "a red house near the blue sea", "numbers 1 2 3 4 5 6 7 8 9", "unbelievable circumstances of photography",
]  # fmt: skip
PROMPTS = ["a cat", "A Photo, of a CAT!", "the_lazy dog's maze", "ünknown 猫 signs", "  spaces   between  "]
LONG = "a photo of a cat and a dog and a maze near the sea " * 3


def write_tokenizer(folder: Path) -> int:
    """A unigram tokenizer trained on a few lines, that ends a text as T5's does; the size of its vocabulary."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.Unigram())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="</s>", eos_token="</s>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small random model that has SigLIP's head, padding and cleaning of texts."""
    folder = tmp_path_factory.mktemp("siglip")
    text = TEXT | {"context_length": CONTEXT, "vocab_size": write_tokenizer(folder), "hf_tokenizer_name": "any/name"}
    text |= {"tokenizer_kwargs": {"clean": "canonicalize"}, "no_causal_mask": True, "pool_type": "last"}
    model = {"embed_dim": 32, "init_logit_bias": -10, "custom_text": True, "vision_cfg": VIT, "text_cfg": text}
    config = {"model_cfg": model, "preprocess_cfg": PREPROCESS["siglip"]}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(3)
    arguments = {name: value for name, value in model.items() if name != "custom_text"}
    arguments["text_cfg"] = dict(text)
    built = open_clip.CustomTextCLIP(**arguments).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            if parameter.dim() > 1:
                parameter.mul_(1.6)
    save_file(state_of(built), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="module")
def encoder(siglip: Path) -> ClipEncoder:
    """The folder as clipsim opens it."""
    spec = find_model(str(siglip))
    return ClipEncoder(spec, find_files(spec), device="cpu")


def test_tokens_and_vectors_are_openclips(siglip: Path, encoder: ClipEncoder) -> None:
    """What OpenCLIP's own calls give for the same folder, to 1e-5 in cosine."""
    theirs = open_clip.get_tokenizer(f"local-dir:{siglip}")
    model, _ = open_clip.create_model_from_pretrained(f"local-dir:{siglip}")
    model.eval()
    tokens = encoder.tokenizer(PROMPTS, truncate=False)

    assert torch.equal(tokens, theirs(PROMPTS))
    assert tokens.shape == (len(PROMPTS), CONTEXT)
    with torch.no_grad():
        expected = model.encode_text(theirs(PROMPTS), normalize=True).numpy()
    features = encoder.encode_texts(PROMPTS)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    assert np.abs(features @ features.T - expected @ expected.T).max() < 1e-5
    assert np.abs((features * expected).sum(axis=1) - 1).max() < 1e-5
    assert encoder.head == "sigmoid"
    assert encoder.logit_bias == pytest.approx(-10)


def test_the_context_is_counted_in_this_tokenizers_tokens(siglip: Path, encoder: ClipEncoder) -> None:
    """A text of exactly the context is taken, one token more is an error with the count, and --truncate cuts it."""
    theirs = open_clip.get_tokenizer(f"local-dir:{siglip}")
    reference = transformers.AutoTokenizer.from_pretrained(siglip)
    texts = (LONG[:end].strip() for end in range(1, len(LONG) + 1))
    lengths = {len(reference(text).input_ids): text for text in texts}

    assert {CONTEXT, CONTEXT + 1} <= set(lengths)
    for count, text in lengths.items():
        if count <= CONTEXT:
            assert torch.equal(encoder.tokenizer([text], truncate=False), theirs([text]))
        else:
            with pytest.raises(PromptError, match=f"has {count} tokens and this model reads {CONTEXT}"):
                encoder.tokenizer(["a cat", text], truncate=False)
            assert torch.equal(encoder.tokenizer([text], truncate=True), theirs([text]))


def test_a_megabyte_is_no_prompt_here_either(encoder: ClipEncoder) -> None:
    """It is refused, or cut, in bounded time."""
    with pytest.raises(PromptError, match="tokens"):
        encoder.tokenizer(["cat " * 250_000], truncate=False)
    assert encoder.tokenizer(["cat " * 250_000], truncate=True).shape == (1, CONTEXT)
