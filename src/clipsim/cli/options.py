"""The choices behind the options of `clipsim rank`, and the request that they make up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Format(str, Enum):
    """What standard output carries."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


class Precision(str, Enum):
    """What the model computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class OnError(str, Enum):
    """What an input that cannot be used does to the run."""

    skip = "skip"
    fail = "fail"


@dataclass(frozen=True)
class RankRequest:
    """What the user typed, in the library's terms; `None` where the library chooses."""

    images: tuple[str, ...]
    texts: tuple[str, ...]
    text_files: tuple[str, ...]
    templates: tuple[str, ...]
    model: str | None
    weights: str | None
    device: str
    precision: str | None
    engine: str
    batch_size: int | None
    workers: int | None
    from_file: str | None
    null: bool
    format: Format
    top: int | None
    sort_by: str | None
    fail: bool
    exact: bool
    cache: bool
    truncate: bool
    quiet: bool
