"""Everything that decides a vector → its keys in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from clipsim.models.identity import package_version


def text_space_key(*, identity: str, engine: str, device: str, precision: str, runtime: str | None) -> bytes:
    """The key of a model's text vectors.

    `identity` is the model's digest (`models.identity`), `runtime` the version of what runs it. Of the device, only
    the kind counts: "cuda:0" and "cuda:1" give the same vectors.
    """
    return _digest(_space(identity, engine, device, precision, runtime))


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
