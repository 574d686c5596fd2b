"""A configuration → the small OpenCLIP network, and the model folder that OpenCLIP loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

MODEL_FOLDER = Path(__file__).parents[1] / "src" / "clipsim" / "mini" / "model"
WEIGHTS_FILE = "open_clip_model.safetensors"
MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
MODEL_CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 96, "layers": [1, 2, 2, 1], "width": 32, "patch_size": None},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 112, "heads": 4, "layers": 3},
}
PREPROCESS_CONFIG: dict[str, Any] = {
    "mean": list(MEAN),
    "std": list(STD),
    "interpolation": "bicubic",
    "resize_mode": "shortest",
}


def build_network(config: dict[str, Any], seed: int) -> CLIP:
    """Return a new network; token embeddings start near zero, so that words never trained on add little."""
    torch.manual_seed(seed)
    model = CLIP(
        embed_dim=config["embed_dim"], vision_cfg=dict(config["vision_cfg"]), text_cfg=dict(config["text_cfg"])
    )
    torch.nn.init.normal_(model.token_embedding.weight, std=0.004)
    return model.to(memory_format=torch.channels_last)


def encode_pictures(model: CLIP, images: torch.Tensor) -> torch.Tensor:
    """Return image features of (n, 3, s, s), where s may be smaller than the network's own side.

    The pooling's positions are those of its grid in between.
    """
    places, name = model.visual.attnpool.positional_embedding, "attnpool.positional_embedding"
    own, side = round((len(places) - 1) ** 0.5), images.shape[-1] // 32
    grid = places[1:].T.reshape(1, -1, own, own)
    fewer = torch.nn.functional.interpolate(grid, (side, side), mode="bilinear").flatten(2)[0].T
    seen = places if side == own else torch.cat([places[:1], fewer])
    features: torch.Tensor = torch.func.functional_call(model.visual, {name: seen}, (images,))
    return features


def encode_captions(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Return unit text features of (n, length) tokens.

    The shorter half and the longer half are each cut after their longest; the causal mask keeps them exact.
    """
    ends = tokens.argmax(dim=-1)
    order = ends.argsort()
    halves = [part for part in order.chunk(2) if len(part)]
    features = torch.cat([_encode_cut(model, tokens[part, : int(ends[part].max()) + 1]) for part in halves])
    return features[order.argsort()]


def _encode_cut(model: CLIP, tokens: torch.Tensor) -> torch.Tensor:
    """Return unit text features of (n, length) tokens that all end within the length."""
    length = tokens.shape[1]
    x = model.token_embedding(tokens) + model.positional_embedding[:length]
    x = model.ln_final(model.transformer(x, attn_mask=model.attn_mask[:length, :length]))
    ends = x[torch.arange(len(x)), tokens.argmax(dim=-1)]
    return torch.nn.functional.normalize(ends @ model.text_projection, dim=-1)


def write_model(model: CLIP, config: dict[str, Any], folder: Path) -> None:
    """Write configuration and half-precision weights into a folder, each under a temporary name first."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {
        name: (tensor.detach().half() if tensor.is_floating_point() else tensor.detach()).contiguous().clone()
        for name, tensor in model.state_dict().items()
    }
    weights = folder / WEIGHTS_FILE
    unfinished = weights.with_suffix(".unfinished")
    save_file(tensors, unfinished, metadata={"format": "pt"})
    unfinished.chmod(0o644)
    unfinished.replace(weights)
    text = json.dumps({"model_cfg": config, "preprocess_cfg": PREPROCESS_CONFIG}, indent=2) + "\n"
    settings = folder / "open_clip_config.json"
    unfinished = settings.with_suffix(".unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(settings)
