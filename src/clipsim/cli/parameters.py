"""Sizes and ages as a user writes them → numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Annotated

import typer

from clipsim.errors import UsageError, printable
from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.options import ENGINES, MAX_BATCH_SIZE, MAX_WORKERS

_SECONDS: dict[str, float] = {"h": 3600, "d": 86_400, "w": 604_800}
_BYTES: dict[str, float] = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def parse_age(text: str) -> float:
    """An age in seconds. Raises UsageError.

    >>> parse_age("12h")
    43200.0
    """
    return _parse(text, _SECONDS, "an age is written like 12h, 30d or 8w")


def parse_size(text: str) -> int:
    """A size in bytes. Raises UsageError.

    >>> parse_size("32MB"), parse_size("500")
    (32000000, 500)
    """
    return int(_parse(text, _BYTES, "a size is written like 500MB or 2GB", "b?"))


def _parse(text: str, units: dict[str, float], rule: str, end: str = "") -> float:
    match = re.fullmatch(rf"(\d+(?:\.\d+)?) ?([a-z]?){end}", text.strip().lower())
    if match is None or match[2] not in units:
        raise UsageError(f"'{printable(text, 40)}': {rule}")
    return float(match[1]) * units[match[2]]


def complete_model(incomplete: str) -> list[str]:
    """Names of models."""
    return _matching([*OPENAI_NAMES, *(facts.name for facts in list_models())], incomplete)


def complete_device(incomplete: str) -> list[str]:
    """Names of devices."""
    return _matching(("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps"), incomplete)


def complete_engine(incomplete: str) -> list[str]:
    """Names of engines."""
    return _matching(ENGINES, incomplete)


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.lower().startswith(incomplete.lower())]


class Format(str, Enum):
    """What standard output carries."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"
    html = "html"


class WholeFormat(str, Enum):
    """What standard output carries, of results that are given as a whole."""

    table = "table"
    json = "json"


class ReportFormat(str, Enum):
    """As `WholeFormat`, and a page."""

    table = "table"
    json = "json"
    html = "html"


class Precision(str, Enum):
    """What the model computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class OnError(str, Enum):
    """What happens when an input cannot be used."""

    skip = "skip"
    fail = "fail"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelName = Annotated[
    str, typer.Argument(metavar="NAME", help="A name as --model takes it.", autocompletion=complete_model)
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A name from `clipsim models`, hf-hub:ORG/REPO, a model folder or a checkpoint file; CLIPSIM_MODEL sets "
        "it too.",
        autocompletion=complete_model,
        show_default=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A name as `rank --model` takes it; repeat it to compare models. CLIPSIM_MODEL sets one too.",
        autocompletion=complete_model,
        show_default=False,
    ),
]
ReportFormatOption = Annotated[ReportFormat, typer.Option("--format", help="What to print.")]
WholeFormatOption = Annotated[WholeFormat, typer.Option("--format", help="What to print.")]
FormatJson = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of what is drawn at random (intervals).")]
Weights = Annotated[
    str | None,
    typer.Option(help="An OpenCLIP state dict for the named architecture.", metavar="FILE", show_default=False),
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        metavar="tag|default|FILE",
        help="How pictures are resized and normalised: as the published weights of the architecture, as OpenCLIP's "
        "default, or by the settings in a JSON file; the model's own unless given.",
        show_default=False,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where the model runs: auto (CUDA, else MPS, else the CPU), cpu, cuda, cuda:N or mps.",
        envvar="CLIPSIM_DEVICE",
        metavar="DEVICE",
        autocompletion=complete_device,
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="What the model computes in; fp16 on CUDA and fp32 elsewhere unless given.",
        show_default=False,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="What runs the model: auto, torch, onnx or onnx-int8. auto uses an fp32 export where there is one "
        "(`clipsim models export`).",
        metavar="ENGINE",
        autocompletion=complete_engine,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_BATCH_SIZE,
        metavar="N",
        help="Images or texts per step of the model; 32 unless given, 128 on a GPU.",
        show_default=False,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_WORKERS,
        metavar="N",
        help="Threads that decode images; one per core, at most 8, unless given.",
        show_default=False,
    ),
]
OnErrorOption = Annotated[
    OnError, typer.Option("--on-error", help="Skip an input that cannot be used, or fail at the first.")
]
Exact = Annotated[
    bool,
    typer.Option("--exact", help="Decode JPEGs of more than 4 megapixels in full: slower, nearly the same numbers."),
]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Neither read nor keep vectors in the cache.")]
Truncate = Annotated[bool, typer.Option("--truncate", help="Cut texts that are too long for the model.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notices and no progress bar.")]
Texts = Annotated[
    list[str] | None,
    typer.Option("--text", "-t", metavar="TEXT", help="A text to compare with; repeat it.", show_default=False),
]
TextFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--text-file",
        metavar="FILE",
        help="A UTF-8 file with one text a line; `-` is standard input.",
        show_default=False,
    ),
]
Templates = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        metavar="TEMPLATE",
        help="Put each text in place of the `{}`, as in 'a photo of a {}.'; several are averaged.",
        show_default=False,
    ),
]
Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Image files, folders (searched for images), quoted globs, or addresses; `-` reads paths from standard "
        "input.",
        show_default=False,
    ),
]
FromFile = Annotated[
    str | None,
    typer.Option(
        "--from-file",
        help="Read image paths from a file, one a line, or separated by NUL.",
        metavar="FILE",
        show_default=False,
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="WHERE",
        help="Folders of images, images, quoted globs, or folders of vectors that `clipsim embed` wrote; `-` reads "
        "paths from standard input.",
        show_default=False,
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="What to print.")]
JsonFormat = Annotated[bool, typer.Option("--json", help="Short for --format json.")]
EndInNull = Annotated[bool, typer.Option("--null", "-0", help="With -l: end names in NUL, as `xargs -0` reads them.")]
Include = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="Only images with such a name; repeat it.", show_default=False),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="No images with such a name; repeat it.", show_default=False),
]
