"""Everything that decides a vector → its keys in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clipsim.models.identity import package_version

IDENTITY_NUMBERS = 7  # 112 bits; no model has vectors of this length, by which `cache.maintenance` tells the rows


def text_space_key(*, identity: str, engine: str, device: str, precision: str, runtime: str | None) -> bytes:
    """The key of a model's text vectors: by `text_key` what tokens a text has, by `tokens_key` the vector of tokens.

    `identity` is the model's digest (`models.identity`), `runtime` the version of what runs it. Of the device, only
    the kind counts: "cuda:0" and "cuda:1" give the same vectors.
    """
    return _digest({**_space(identity, engine, device, precision, runtime), "texts": "by tokens"})


def image_space_key(
    *,
    identity: str,
    engine: str,
    device: str,
    precision: str,
    runtime: str | None,
    decoding: Mapping[str, Any],
) -> bytes:
    """The key of a model's image vectors; `decoding` are the rules by which files are decoded."""
    rules = {**decoding, "pillow": package_version("pillow"), "heif": package_version("pillow_heif")}
    return _digest({**_space(identity, engine, device, precision, runtime), "decoding": rules})


def text_key(text: str, *, truncate: bool) -> bytes:
    """The key of one text within its space.

    Whether it may be cut is part of it: a text that is too long must be refused without `truncate`, cached or not.
    """
    return hashlib.sha256(text.encode("utf-8", "surrogatepass") + (b"\0cut" if truncate else b"")).digest()


def text_identity(tokens: NDArray[np.int64]) -> NDArray[np.float32]:
    """A digest of the token ids of a text, as `IDENTITY_NUMBERS` whole numbers below 65,536."""
    digest = hashlib.sha256(np.trim_zeros(tokens, "b").astype("<i8").tobytes()).digest()
    return np.frombuffer(digest[: 2 * IDENTITY_NUMBERS], "<u2").astype(np.float32)


def tokens_key(identity: NDArray[np.float32]) -> bytes:
    """The key of the vector of all texts that have the same token ids, within their space."""
    return hashlib.sha256(b"tokens\0" + identity.tobytes()).digest()


def _space(identity: str, engine: str, device: str, precision: str, runtime: str | None) -> dict[str, Any]:
    return {
        "model": identity,
        "engine": engine,
        "device": device.partition(":")[0],
        "precision": precision,
        "runtime": runtime,
    }


def _digest(facts: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(facts).encode()).digest()
