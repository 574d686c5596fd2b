"""An encoder → the record of the model that results carry."""

from __future__ import annotations

from clipsim.engines.encoder import Encoder
from clipsim.scoring.records import ModelRecord


def describe_model(encoder: Encoder) -> ModelRecord:
    """The record of the model that results carry."""
    return ModelRecord(
        name=encoder.name,
        pretrained=encoder.pretrained,
        embed_dim=encoder.embed_dim,
        image_size=encoder.image_size,
        logit_scale=encoder.logit_scale,
        logit_bias=encoder.logit_bias,
        head=encoder.head,
        preprocess=tuple((name, _as_tuple(value)) for name, value in encoder.preprocessing.to_dict().items()),
    )


def _as_tuple(value: object) -> object:
    """A list as a tuple, so that records can be hashed; JSON writes both alike."""
    return tuple(value) if isinstance(value, list) else value
