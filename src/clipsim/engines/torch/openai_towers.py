"""An OpenCLIP model → the same model with the calls, the attributes and the layout of OpenAI's `clip` package.

Code written for OpenAI's package calls the parts of a model one by one, with (length, n, width) sequences, and relies
on the causal mask inside the text tower's blocks. OpenCLIP's take (n, length, width), and the mask as an argument.
Towers that have all of OpenAI's parts get OpenAI's layout; the parts of others raise an AttributeError when they are
read, since a computation with them would give other numbers than the model's.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import open_clip
import torch
from open_clip.modified_resnet import Bottleneck, ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transformer import (
    LayerNorm,
    QuickGELU,
    ResidualAttentionBlock,
    TextTransformer,
    Transformer,
    VisionTransformer,
)
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from torch.nn.functional import normalize as unit
from torch.utils.checkpoint import checkpoint

from clipsim.engines.torch.build import BuiltModel
from clipsim.engines.torch.tokenizer import Tokenizer
from clipsim.errors import TextError, WeightsError
from clipsim.models.configs import DEFAULTS, DESCRIPTION_KEY, describe_model
from clipsim.models.files import ModelFiles

START, END = 49406, 49407  # the markers of CLIP's vocabulary
_TEXT_PARTS = ("transformer", "token_embedding", "positional_embedding", "ln_final", "text_projection")
_IMAGE_PARTS = (
    "conv1", "class_embedding", "positional_embedding", "ln_pre", "transformer", "ln_post", "proj",
    "layer1", "layer2", "layer3", "layer4", "attnpool",
)  # fmt: skip
_TOKENIZER_TEXTS = ("a photo of a cat", "Two dogs, it's 42!", "naïve café")


def adapt_model(built: BuiltModel, files: ModelFiles, *, guarded: bool = True) -> Any:
    """The model of `built`, changed in place, with OpenAI's calls, attributes and, where it can, layout.

    Without `guarded`, parts that are not OpenAI's can be read, as a trace does.
    """
    model, config = built.model, built.config
    text = config["text_cfg"]
    if files.tokenizer is None and text.get("vocab_size", END + 1) <= END:
        raise WeightsError(f"this model has a vocabulary of {text['vocab_size']:,} tokens and names no tokenizer")
    _adapt_image_tower(model.visual, guarded)
    if type(model) is open_clip.CLIP and _has_text_parts(model):
        model.__class__ = OpenAICLIP
        _adapt_text_parts(model)
    else:
        model.__class__ = _GUARDED_MODELS[type(model)] if guarded else _OPEN_MODELS[type(model)]
    model.vocab_size = text.get("vocab_size", END + 1)  # some of OpenCLIP's classes lack it
    _describe(model, config, asdict(built.preprocessing), files)
    return model


def _describe(model: Any, config: dict[str, Any], preprocess: dict[str, Any], files: ModelFiles) -> None:
    """Give the model what it says of itself when it is saved, and what its tokenizer is made of."""
    model._description = describe_model(config, preprocess)
    model._text_settings, model._files = json.dumps({"text_cfg": config["text_cfg"]}), files


def place_model(model: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """The model on the device in that type of numbers.

    In fp16, a model with OpenAI's towers has matrices in fp16, norms and embeddings in fp32, as OpenAI's code has.
    """
    if dtype != torch.float16 or not (type(model) is OpenAICLIP and isinstance(model.visual, _OPENAIS)):
        return model.to(device, dtype)
    open_clip.convert_weights_to_fp16(model)
    return model.to(device)


def _has_text_parts(model: Any) -> bool:
    """Whether the text tower ends as OpenAI's does, at the greatest id and by a matrix, and has plain blocks."""
    return (
        model.text_pool_type == "argmax"
        and isinstance(model.text_projection, nn.Parameter)
        and all(type(block) is ResidualAttentionBlock for block in model.transformer.resblocks)
    )


def _adapt_image_tower(tower: Any, guarded: bool) -> None:
    if type(tower) is ModifiedResNet:
        tower.__class__ = OpenAIResNet
        _adapt_resnet_parts(tower)
        return
    if (
        type(tower) is VisionTransformer
        and (tower.attn_pool, tower.pool_type, tower.final_ln_after_pool) == (None, "tok", False)
        and all(type(block) is ResidualAttentionBlock for block in tower.transformer.resblocks)
    ):
        tower.__class__ = OpenAIVisionTransformer
        _adapt_vit_parts(tower)
        return
    _name_resolution(tower)
    if guarded:
        tower.__class__ = GuardedVisionTransformer if type(tower) is VisionTransformer else GuardedTimmModel


def _adapt_resnet_parts(tower: Any) -> None:
    _name_resolution(tower)
    for block in tower.modules():
        if type(block) is Bottleneck:
            block.__class__ = OpenAIBottleneck


def _adapt_vit_parts(tower: Any) -> None:
    _name_resolution(tower)
    tower.transformer.__class__ = OpenAITransformer
    _adapt_blocks(tower.transformer, None)
    _adapt_norms(tower)


def _adapt_text_parts(model: Any) -> None:
    model.transformer.__class__ = OpenAITransformer
    _adapt_blocks(model.transformer, model.attn_mask)
    _adapt_norms(model.ln_final)


def _name_resolution(tower: Any) -> None:
    """OpenAI's name of the size of images: one number where they are square."""
    size = tower.image_size
    tower.input_resolution = size if isinstance(size, int) or size[0] != size[1] else size[0]


def _adapt_blocks(transformer: Any, mask: Tensor | None) -> None:
    """Give the blocks OpenAI's layout, and the mask that they hold."""
    transformer.batch_first = False
    transformer.resblocks = nn.Sequential(*transformer.resblocks)  # which can be called, as OpenAI's can
    for block in transformer.resblocks:
        block.__class__ = OpenAIBlock
        block.attn.batch_first = False
        block.attn_mask = mask
    _adapt_norms(transformer)


def _adapt_norms(module: nn.Module) -> None:
    for part in module.modules():
        if type(part) is LayerNorm:
            part.__class__ = OpenAILayerNorm


class OpenAILayerNorm(LayerNorm):  # type: ignore[misc]  # of OpenCLIP, which has no types, as all bases below
    """A layer norm that computes in fp32, whatever it is given."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis; the type of numbers is kept."""
        weight, bias = (None if part is None else part.float() for part in (self.weight, self.bias))
        return layer_norm(x.float(), self.normalized_shape, weight, bias, self.eps).to(x.dtype)


class OpenAIBlock(ResidualAttentionBlock):  # type: ignore[misc]
    """A block that takes (length, n, width) and holds its mask."""

    def __init__(self, d_model: int, n_head: int, attn_mask: Tensor | None = None) -> None:
        super().__init__(d_model, n_head, act_layer=QuickGELU, norm_layer=OpenAILayerNorm, batch_first=False)
        self.attn_mask = attn_mask

    def attention(
        self, q_x: Tensor, k_x: Tensor | None = None, v_x: Tensor | None = None, attn_mask: Tensor | None = None
    ) -> Tensor:
        """Attend, under the block's own mask unless another is given."""
        mask = self.attn_mask if attn_mask is None else attn_mask
        mask = None if mask is None else mask.to(q_x.device, q_x.dtype)
        attended: Tensor = super().attention(q_x, k_x, v_x, attn_mask=mask)
        return attended


class OpenAITransformer(Transformer):  # type: ignore[misc]
    """Blocks one after the other, on (length, n, width)."""

    def __init__(self, width: int, layers: int, heads: int, attn_mask: Tensor | None = None) -> None:
        super().__init__(width, layers, heads, act_layer=QuickGELU)
        _adapt_blocks(self, attn_mask)

    def forward(self, x: Tensor, attn_mask: Tensor | None = None) -> Tensor:
        """Run the blocks, under their own masks unless another is given."""
        for block in self.resblocks:
            if self.grad_checkpointing:
                x = checkpoint(block, x, None, None, attn_mask, use_reentrant=False)
            else:
                x = block(x, attn_mask=attn_mask)
        return x


class OpenAIVisionTransformer(VisionTransformer):  # type: ignore[misc]
    """OpenCLIP's image tower around blocks of OpenAI's layout."""

    def __init__(
        self, input_resolution: int, patch_size: int, width: int, layers: int, heads: int, output_dim: int
    ) -> None:
        super().__init__(
            input_resolution, patch_size, width, layers, heads, 4.0, output_dim=output_dim, act_layer=QuickGELU
        )
        _adapt_vit_parts(self)

    def forward(self, x: Tensor) -> Any:
        """(n, 3, h, w) → (n, embed_dim), and the tokens where the configuration wants them."""
        hidden = self.transformer(self._embeds(x).permute(1, 0, 2)).permute(1, 0, 2)
        pooled, tokens = self._pool(hidden)
        if self.proj is not None:
            pooled = pooled @ self.proj
        return (pooled, tokens) if self.output_tokens else pooled


class _ReluNames:
    """OpenAI's names of the activations in a ResNet."""

    def __getattr__(self, name: str) -> Any:
        openclips_name = "act1" if name == "relu" else name.replace("relu", "act") if name.startswith("relu") else name
        return super().__getattr__(openclips_name)  # type: ignore[misc]  # nn.Module has it


class OpenAIBottleneck(_ReluNames, Bottleneck):  # type: ignore[misc]
    """A block of a ResNet, with OpenAI's names."""


class OpenAIResNet(_ReluNames, ModifiedResNet):  # type: ignore[misc]
    """OpenCLIP's ResNet, which has OpenAI's layout, with OpenAI's names."""

    def __init__(
        self, layers: Sequence[int], output_dim: int, heads: int, input_resolution: int = 224, width: int = 64
    ) -> None:
        super().__init__(layers, output_dim, heads, input_resolution, width)
        _adapt_resnet_parts(self)


_OPENAIS = (OpenAIVisionTransformer, OpenAIResNet)


class _Guarded:
    """A module whose `_hidden` parts can be read by OpenCLIP's own methods only."""

    _openclips: ClassVar[Any]
    _hidden: ClassVar[tuple[str, ...]]
    _side: ClassVar[str]

    def __getattr__(self, name: str) -> Any:
        if name in self._hidden:
            raise AttributeError(
                f"this model's {self._side} tower is not built as OpenAI's are, so it has no '{name}' that code for "
                f"OpenAI's clip could call by hand; call encode_{self._side} instead"
            )
        return super().__getattr__(name)  # type: ignore[misc]  # nn.Module has it

    def _unguarded(self) -> Any:
        """The same module in OpenCLIP's class: its state is shared, not copied."""
        if not self._hidden:
            return self
        plain = self._openclips.__new__(self._openclips)
        object.__setattr__(plain, "__dict__", self.__dict__)
        return plain


class GuardedVisionTransformer(_Guarded, VisionTransformer):  # type: ignore[misc]
    """An image tower that pools otherwise than OpenAI's."""

    _openclips, _hidden, _side = VisionTransformer, _IMAGE_PARTS, "image"

    def forward(self, x: Tensor) -> Any:
        """As OpenCLIP's."""
        return VisionTransformer.forward(self._unguarded(), x)


class GuardedTimmModel(_Guarded, TimmModel):  # type: ignore[misc]
    """An image tower of timm's."""

    _openclips, _hidden, _side = TimmModel, _IMAGE_PARTS, "image"


class _Calls(_Guarded):
    """The call, the casts and the attributes of OpenAI's model, for any of OpenCLIP's classes."""

    _hidden: ClassVar[tuple[str, ...]] = ()
    _side = "text"

    @property
    def dtype(self) -> torch.dtype:
        """The numbers that the image tower computes in."""
        first = self.visual._modules.get("conv1")
        dtype: torch.dtype = self.logit_scale.dtype if first is None else first.weight.dtype
        return dtype

    def tokenize(self, texts: str | Sequence[str], truncate: bool = False) -> Tensor:
        """Texts → (n, context_length) ids of the model's own tokenizer.

        Raises TextError for a text that is too long, unless `truncate`.
        """
        text_list = [texts] if isinstance(texts, str) else list(texts)
        return _tokenizer(self._text_settings, self._files)(text_list, truncate=truncate)

    def encode_image(self, image: Tensor, normalize: bool = False) -> Tensor:
        """(n, 3, h, w) → (n, embed_dim)."""
        features: Tensor = self._openclips.encode_image(self._unguarded(), image.to(self.dtype), normalize=normalize)
        return features

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        """(n, context_length) token ids → (n, embed_dim)."""
        self._check_tokens(text)
        features: Tensor = self._openclips.encode_text(self._unguarded(), text, normalize=normalize)
        return features

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """The logits of images and texts, (n, m) and (m, n)."""
        images, texts = unit(self.encode_image(image), dim=-1), unit(self.encode_text(text), dim=-1)
        logits = self.logit_scale.exp() * images @ texts.T
        if getattr(self, "logit_bias", None) is not None:
            logits = logits + self.logit_bias
        return logits, logits.T

    def _check_tokens(self, tokens: Tensor) -> None:
        """Raise TextError for tokens that the model would take for other words, or that it has no room for."""
        length = tokens.shape[-1]
        if length > self.context_length:
            raise TextError(
                f"tokens of length {length} for a model that reads {self.context_length}; give "
                f"context_length={self.context_length} to tokenize, or use model.tokenize"
            )
        if self._files.tokenizer is None:
            return
        if _is_clips(tokens) and not _reads_clips_tokens(self._text_settings, self._files):
            raise TextError(
                "these are tokens of CLIP's vocabulary, and this model has another tokenizer, so they would be other "
                "words to it; use model.tokenize(texts) instead of clip.tokenize(texts)"
            )

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Save the model's description as metadata, which torch.save keeps, so that the file says what it is."""
        super()._save_to_state_dict(destination, prefix, keep_vars)  # type: ignore[misc]
        metadata = getattr(destination, "_metadata", {}).get(prefix[:-1])
        if metadata is not None:
            metadata[DESCRIPTION_KEY] = self._description


def _is_clips(tokens: Tensor) -> bool:
    """Whether each row begins with CLIP's first marker, and its last one is the greatest id."""
    return bool((tokens[..., 0] == START).all() and (tokens.amax(dim=-1) == END).all())


@lru_cache(maxsize=8)
def _tokenizer(settings: str, files: ModelFiles) -> Tokenizer:
    return Tokenizer(json.loads(settings), files)


@lru_cache(maxsize=8)
def _reads_clips_tokens(settings: str, files: ModelFiles) -> bool:
    """Whether the model's tokenizer gives CLIP's ids; what follows the end token is not compared."""
    tokenizer = _tokenizer(settings, files)
    model_tokens = tokenizer(_TOKENIZER_TEXTS, truncate=True)
    clip_tokens: Tensor = SimpleTokenizer()(list(_TOKENIZER_TEXTS), context_length=tokenizer.context_length)
    text = clip_tokens != 0
    return torch.equal(model_tokens[text], clip_tokens[text])


class OpenAICLIP(_Calls, open_clip.CLIP):  # type: ignore[misc]
    """A model whose text tower has OpenAI's parts and layout."""

    _openclips = open_clip.CLIP

    def __init__(
        self,
        embed_dim: int,
        image_resolution: int,
        vision_layers: int | Sequence[int],
        vision_width: int,
        vision_patch_size: int | None,
        context_length: int,
        vocab_size: int,
        transformer_width: int,
        transformer_heads: int,
        transformer_layers: int,
    ) -> None:
        """A model with random weights, by OpenAI's parameters."""
        vision: dict[str, Any] = {"image_size": image_resolution, "width": vision_width, "layers": vision_layers}
        if isinstance(vision_layers, int):
            vision["patch_size"] = vision_patch_size
        else:
            vision["layers"] = list(vision_layers)
        text = {
            "context_length": context_length,
            "vocab_size": vocab_size,
            "width": transformer_width,
            "heads": transformer_heads,
            "layers": transformer_layers,
        }
        config = {"embed_dim": embed_dim, "quick_gelu": True, "vision_cfg": vision, "text_cfg": text}
        super().__init__(**config)
        _adapt_image_tower(self.visual, guarded=True)
        _adapt_text_parts(self)
        _describe(self, config, DEFAULTS, ModelFiles(Path()))

    def encode_text(self, text: Tensor, normalize: bool = False) -> Tensor:
        """(n, context_length) token ids → (n, embed_dim)."""
        self._check_tokens(text)
        hidden = self.token_embedding(text).type(self.dtype) + self.positional_embedding.type(self.dtype)
        hidden = self.ln_final(self.transformer(hidden.permute(1, 0, 2)).permute(1, 0, 2))
        # the number of texts by `shape`, which a trace does not make a constant of
        ends = hidden[torch.arange(hidden.shape[0], device=hidden.device), text.argmax(dim=-1)]
        features: Tensor = ends @ self.text_projection
        return unit(features, dim=-1) if normalize else features

    def initialize_parameters(self) -> None:
        """Replace the weights by random ones, of the distributions that OpenAI's code has."""
        self.cls_emb = None  # a part of OpenCLIP's text tower that OpenAI's lacks
        TextTransformer.init_parameters(self)
        if isinstance(self.visual, ModifiedResNet):
            self.visual.init_parameters()

    def build_attention_mask(self) -> Tensor:
        """The causal mask: (context_length, context_length), minus infinity above the diagonal."""
        size = (self.context_length, self.context_length)
        return torch.full(size, float("-inf")).triu_(1)


class OpenCLIPModel(_Calls, open_clip.CLIP):  # type: ignore[misc]
    """A model of OpenCLIP's usual class whose text tower ends otherwise than OpenAI's."""

    _openclips = open_clip.CLIP


class CustomTextModel(_Calls, open_clip.CustomTextCLIP):  # type: ignore[misc]
    """A model whose text tower is a module of its own."""

    _openclips = open_clip.CustomTextCLIP


class CoCaModel(_Calls, open_clip.CoCa):  # type: ignore[misc]
    """A model that also writes captions."""

    _openclips = open_clip.CoCa


class GuardedOpenCLIPModel(OpenCLIPModel):
    """Its text tower's parts cannot be read."""

    _hidden = _TEXT_PARTS


class GuardedCustomTextModel(CustomTextModel):
    """Its text tower's parts cannot be read."""

    _hidden = _TEXT_PARTS


class GuardedCoCaModel(CoCaModel):
    """Its text tower's parts cannot be read."""

    _hidden = _TEXT_PARTS


_OPEN_MODELS: dict[Any, Any] = {kind._openclips: kind for kind in (OpenCLIPModel, CustomTextModel, CoCaModel)}
_GUARDED_MODELS: dict[Any, Any] = {
    kind._openclips: kind for kind in (GuardedOpenCLIPModel, GuardedCustomTextModel, GuardedCoCaModel)
}
