"""A few lines of text → small models whose tokenizer, and text tower, are ones that `transformers` loads."""

from __future__ import annotations

from pathlib import Path

import tokenizers
import transformers
from checkpoints import CONFIGS, PREPROCESS, VIT, write_model

SIGLIP_CONTEXT = 24
CORPUS = [
    "a photo of a cat", "a drawing of a maze", "the quick brown fox jumps over the lazy dog", "two dogs, three cats!",
    "a red house near the blue sea", "numbers 1 2 3 4 5 6 7 8 9", "unbelievable circumstances of photography",
]  # fmt: skip


def write_unigram_tokenizer(folder: Path) -> int:
    """A unigram tokenizer that ends a text as T5's does, as SigLIP's models have; returns its vocabulary's size."""
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


def write_byte_pair_tokenizer(folder: Path) -> int:
    """A byte-pair tokenizer with RoBERTa's markers; returns its vocabulary's size."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        CORPUS, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False
    )
    tokenizer.post_processor = tokenizers.processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer._tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>",
        cls_token="<s>", sep_token="</s>", mask_token="<mask>",
    )  # fmt: skip
    fast.save_pretrained(folder)
    return int(tokenizer.get_vocab_size())


def write_roberta_config(folder: Path, vocab_size: int) -> None:
    """The configuration of a small text tower of RoBERTa's kind."""
    config = transformers.RobertaConfig(
        vocab_size=vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=70, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    config.save_pretrained(folder)


def write_siglip(folder: Path) -> Path:
    """A model with SigLIP's head and pooling, and with a tokenizer that cleans and pads as SigLIP's does."""
    folder.mkdir(exist_ok=True)
    text = CONFIGS["siglip"]["text_cfg"] | {"vocab_size": write_unigram_tokenizer(folder)}
    text |= {"context_length": SIGLIP_CONTEXT, "hf_tokenizer_name": "any/name"}
    text |= {"tokenizer_kwargs": {"clean": "canonicalize"}}
    return write_model(folder, CONFIGS["siglip"] | {"text_cfg": text}, PREPROCESS["siglip"])


def write_hugging_face_text(folder: Path) -> Path:
    """A model whose text tower `transformers` builds, from a configuration in a local folder."""
    folder.mkdir(exist_ok=True)
    write_roberta_config(folder / "text", write_byte_pair_tokenizer(folder))
    text: dict[str, object] = {
        "hf_model_name": str(folder / "text"),
        "hf_tokenizer_name": "any/name",
        "hf_pooler_type": "mean_pooler",
    }
    text |= {"hf_model_pretrained": False, "hf_proj_type": "mlp", "context_length": 60}
    return write_model(folder, {"embed_dim": 32, "vision_cfg": VIT, "text_cfg": text, "custom_text": True}, {})
