"""Small random folders as `transformers` writes them, and the cosines of its own classes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import tokenizers
import torch
import transformers
from numpy.typing import NDArray
from PIL import Image
from vocabularies import CORPUS

TEXTS = ["a photo of a cat", "Two dogs &amp; a maze", "naïve café"]
TEXT = {"hidden_size": 64, "intermediate_size": 200, "num_attention_heads": 2, "num_hidden_layers": 2}
VISION = {"hidden_size": 96, "intermediate_size": 300, "num_attention_heads": 3, "num_hidden_layers": 2}


def write_clip(folder: Path, *, size: dict[str, int] | None = None, **changes: Any) -> Path:
    """A small random CLIPModel with CLIP's vocabulary, its image processor and its tokenizer."""
    vocabulary = open_clip.tokenizer.SimpleTokenizer()
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    folder.mkdir(parents=True, exist_ok=True)
    words = {names.get(word, word): number for word, number in vocabulary.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(words), encoding="utf-8")
    merges = ["#version: 0.2", *map(" ".join, vocabulary.bpe_ranks)]
    (folder / "merges.txt").write_text("\n".join(merges) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "CLIPTokenizer"}', encoding="utf-8")
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    config = transformers.CLIPConfig(
        text_config=TEXT | {"eos_token_id": 49407, "bos_token_id": 49406} | changes,
        vision_config=VISION | {"image_size": 48, "patch_size": 16} | changes,
        projection_dim=40,
    )
    torch.manual_seed(0)
    model = transformers.CLIPModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embedding" not in name:
                parameter.mul_(6)
    model.save_pretrained(folder)
    crop = size is None
    transformers.CLIPImageProcessor(
        size=size or {"shortest_edge": 48}, crop_size={"height": 48, "width": 48}, do_center_crop=crop
    ).save_pretrained(folder)
    return folder


SIGLIP_TEXTS = ["A photo of a CAT!", "two dogs, a maze", "a red house near the blue sea"]


def write_siglip_model(folder: Path, *, tokenizer: str = "sentencepiece", mask: bool = False, **changes: Any) -> Path:
    """A small random SiglipModel, its image processor, and SigLIP's tokenizer, or with "gemma" that of SigLIP 2."""
    folder.mkdir(parents=True, exist_ok=True)
    words = _write_sentencepiece(folder) if tokenizer == "sentencepiece" else _write_gemma(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {} if mask else {"model_input_names": ["input_ids"]}  # as the published ones have it
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    text = TEXT | {"hidden_size": 96, "num_attention_heads": 3, "vocab_size": words, "max_position_embeddings": 24}
    config = transformers.SiglipConfig(
        text_config=text | {"bos_token_id": 0, "eos_token_id": 1} | changes.get("text", {}),
        vision_config=VISION | {"image_size": 50, "patch_size": 16} | changes.get("vision", {}),
    )
    torch.manual_seed(0)
    model = transformers.SiglipModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embedding" not in name:
                parameter.mul_(1.7)
            elif name.endswith("bias"):
                parameter.normal_(0, 0.3)
        model.logit_scale.fill_(2.3)
        model.logit_bias.fill_(-4.0)
    model.save_pretrained(folder)
    size = {"height": 50, "width": 50}
    transformers.SiglipImageProcessor(**{"size": size} | changes.get("processor", {})).save_pretrained(folder)
    return folder


def _write_sentencepiece(folder: Path) -> int:
    """The tokenizer of the first SigLIP: pieces, without punctuation and capitals."""
    import sentencepiece

    with (folder / "spiece.model").open("wb") as model:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS), model_writer=model, vocab_size=120, hard_vocab_limit=False, minloglevel=2,
            pad_id=-1, bos_id=-1, eos_id=1, unk_id=2,
        )  # fmt: skip
    tokenizer = transformers.SiglipTokenizer(str(folder / "spiece.model"))
    tokenizer.save_pretrained(folder)
    return int(tokenizer.vocab_size)


def _write_gemma(folder: Path) -> int:
    """The tokenizer of SigLIP 2: that of Gemma, which tells capitals apart, and pads behind its end token."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split(" ", "merged_with_previous")
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=200, special_tokens=["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"], show_progress=False
    )
    tokenizer.train_from_iterator([*CORPUS, *SIGLIP_TEXTS], trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 1)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>"
    )
    fast.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def siglip_reference(folder: Path, pictures: list[Image.Image], texts: list[str]) -> tuple[Any, Any]:
    """The cosines and the probabilities of transformers' own classes, with texts padded as SigLIP is trained."""
    model = transformers.SiglipModel.from_pretrained(folder).eval()
    length = model.config.text_config.max_position_embeddings
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt")
    with torch.no_grad():
        output = model(input_ids=tokens.input_ids, **pixels)
    return (output.text_embeds @ output.image_embeds.T).numpy(), output.logits_per_text.sigmoid().numpy()


def read_model(folder: Path) -> tuple[Any, Any]:
    """The model of a folder in transformers' own class, and the tokens of `TEXTS`."""
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    return model, transformers.AutoTokenizer.from_pretrained(folder)(TEXTS, return_tensors="pt", padding=True)


read_model_once = cache(read_model)


def reference(folder: Path, pictures: list[Image.Image], copied: Path | None = None) -> NDArray[np.float32]:
    """The cosines of transformers' own classes.

    Where the model and tokenizer are copies of those of another folder, these are read there, once for all tests.
    """
    model, tokens = read_model(folder) if copied is None else read_model_once(copied)
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)(pictures, return_tensors="pt")
    with torch.no_grad():
        output = model(**tokens, **pixels)
    cosines: NDArray[np.float32] = (output.text_embeds @ output.image_embeds.T).numpy()
    return cosines
