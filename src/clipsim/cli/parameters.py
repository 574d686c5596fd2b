"""The options that several commands share, each declared once, and the records of what was chosen with them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import Enum
from functools import cache, wraps
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from clipsim.cli.output import NoticePrinter
from clipsim.errors import UsageError, printable
from clipsim.inputs.paths import STANDARD_INPUT
from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.options import ENGINES, MAX_BATCH_SIZE, MAX_WORKERS, ModelOptions, RunOptions

if TYPE_CHECKING:
    from clipsim.inputs.paths import NameFilter

PANELS = INPUTS, TEXTS, MODEL, OUTPUT, RUN = "Inputs", "Texts", "Model", "Output", "Run"  # the groups of --help

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


class ReportFormat(str, Enum):
    """What standard output carries, of results that are measured as a whole."""

    table = "table"
    json = "json"
    html = "html"


class WholeFormat(str, Enum):
    """What standard output carries, of results that fill one table."""

    table = "table"
    json = "json"


class Precision(str, Enum):
    """What the model computes in."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"


class OnError(str, Enum):
    """What happens when an input cannot be used."""

    skip = "skip"
    fail = "fail"


# Inputs

Images = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGES",
        help="Image files, folders (searched for images), quoted globs, or addresses; `-` reads paths from standard "
        "input.",
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
FromFile = Annotated[
    str | None,
    typer.Option(
        "--from-file",
        help="Read image paths from a file, one a line, or separated by NUL.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=INPUTS,
    ),
]
Include = Annotated[
    list[str] | None,
    typer.Option(
        "--include",
        metavar="GLOB",
        help="Only files matching this glob (repeatable).",
        show_default=False,
        rich_help_panel=INPUTS,
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="GLOB",
        help="No files matching this glob (repeatable).",
        show_default=False,
        rich_help_panel=INPUTS,
    ),
]

# Texts

Texts = Annotated[
    list[str] | None,
    typer.Option(
        "--text",
        "-t",
        metavar="TEXT",
        help="A text to compare with (repeatable).",
        show_default=False,
        rich_help_panel=TEXTS,
    ),
]
TextFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--text-file",
        metavar="FILE",
        help="A UTF-8 file with one text a line (repeatable); `-` is standard input.",
        show_default=False,
        rich_help_panel=TEXTS,
    ),
]
Templates = Annotated[
    list[str] | None,
    typer.Option(
        "--template",
        metavar="TEMPLATE",
        help="Put each text in place of the `{}`, as in 'a photo of a {}.' (repeatable; several are averaged).",
        show_default=False,
        rich_help_panel=TEXTS,
    ),
]
Truncate = Annotated[
    bool, typer.Option("--truncate", help="Cut texts that are too long for the model.", rich_help_panel=TEXTS)
]

# Model

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
        rich_help_panel=MODEL,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="A name as `rank --model` takes it (repeatable). CLIPSIM_MODEL sets one too.",
        autocompletion=complete_model,
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="An OpenCLIP state dict for the named architecture.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Preprocess = Annotated[
    str | None,
    typer.Option(
        metavar="tag|default|FILE",
        help="How images are resized and normalised: as the published weights of the architecture, as OpenCLIP's "
        "default, or by the settings in a JSON file. [default: the model's own]",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where the model runs: auto (CUDA, else MPS, else the CPU), cpu, cuda, cuda:N or mps.",
        envvar="CLIPSIM_DEVICE",
        metavar="DEVICE",
        autocompletion=complete_device,
        rich_help_panel=MODEL,
    ),
]
PrecisionOption = Annotated[
    Precision | None,
    typer.Option(
        "--precision",
        help="What the model computes in. [default: fp16 on CUDA, fp32 elsewhere]",
        show_default=False,
        rich_help_panel=MODEL,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="What runs the model: auto, torch, onnx or onnx-int8. auto uses an fp32 export where there is one "
        "(`clipsim models export`).",
        metavar="ENGINE",
        autocompletion=complete_engine,
        rich_help_panel=MODEL,
    ),
]

# Output

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.", rich_help_panel=OUTPUT)]
FormatJson = Annotated[bool, typer.Option("--json", help="Short for --format json.", rich_help_panel=OUTPUT)]
FormatOption = Annotated[Format, typer.Option("--format", help="What to print.", rich_help_panel=OUTPUT)]
ReportFormatOption = Annotated[ReportFormat, typer.Option("--format", help="What to print.", rich_help_panel=OUTPUT)]
WholeFormatOption = Annotated[WholeFormat, typer.Option("--format", help="What to print.", rich_help_panel=OUTPUT)]
NamesOnly = Annotated[
    bool, typer.Option("--paths", "-l", help="Print the names of the images alone.", rich_help_panel=OUTPUT)
]
EndInNull = Annotated[
    bool,
    typer.Option("--null", "-0", help="With -l: end names in NUL, as `xargs -0` reads them.", rich_help_panel=OUTPUT),
]
MinSimilarity = Annotated[
    float | None,
    typer.Option(
        metavar="S",
        help="Only images with at least this cosine.",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Thresholds = Annotated[
    str | None,
    typer.Option(
        help="A file of `clipsim threshold`: the best text of an image is one that passes, or none.",
        metavar="FILE",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]

# Run

BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_BATCH_SIZE,
        metavar="N",
        help="Images or texts per step of the model. [default: 32, on a GPU 128]",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MAX_WORKERS,
        metavar="N",
        help="Number of decoding threads. [default: one per core, at most 8]",
        show_default=False,
        rich_help_panel=RUN,
    ),
]
OnErrorOption = Annotated[
    OnError,
    typer.Option("--on-error", help="Skip an input that cannot be used, or fail at the first.", rich_help_panel=RUN),
]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact",
        help="Decode JPEGs of more than 4 megapixels in full: slower, nearly the same numbers.",
        rich_help_panel=RUN,
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Neither read nor keep vectors in the cache.", rich_help_panel=RUN)
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Random seed (bootstrap intervals).", rich_help_panel=RUN)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No notices and no progress bar.", rich_help_panel=RUN)]


@dataclass(frozen=True)
class Run:
    """What was chosen in the panels Model and Run; `with_run_options` gives these options to a command."""

    model: Model = None
    weights: Weights = None
    preprocess: Preprocess = None
    device: Device = "auto"
    precision: PrecisionOption = None
    engine: Engine = "auto"
    batch_size: BatchSize = None
    workers: Workers = None
    on_error: OnErrorOption = OnError.skip
    exact: Exact = False
    no_cache: NoCache = False
    truncate: Truncate = False
    quiet: Quiet = False

    def model_options(self, model: str | None) -> ModelOptions:
        """The options with another model than `--model`. Raises UsageError for what contradicts itself."""
        precision = None if self.precision is None else self.precision.value
        return ModelOptions(model, self.weights, self.device, precision, self.engine, self.preprocess)

    def run_options(self) -> RunOptions:
        """How inputs are read, batched and kept."""
        return RunOptions(
            batch_size=self.batch_size,
            workers=self.workers,
            exact=self.exact,
            truncate=self.truncate,
            on_error=self.on_error.value,
            cache=not self.no_cache,
        )

    def notices(self) -> NoticePrinter:
        """What prints notices, unless `--quiet`."""
        return NoticePrinter(quiet=self.quiet)


def with_run_options(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the options of `Run`, except some, after its own; it receives them as its last parameter, `run`.

    Typer reads a command's options from its signature, so the command gets one that has them all.
    """

    def add(command: Callable[..., None]) -> Callable[..., None]:
        keyword = inspect.Parameter.KEYWORD_ONLY
        shared = {field.name: field.default for field in fields(Run) if field.name not in without}
        own = [
            parameter.replace(kind=keyword)
            for name, parameter in inspect.signature(command, eval_str=True).parameters.items()
            if name != "run"
        ]
        hints = _run_hints()
        added = [
            inspect.Parameter(name, keyword, default=default, annotation=hints[name])
            for name, default in shared.items()
        ]

        @wraps(command)
        def call(**values: Any) -> None:
            chosen = {name: values.pop(name) for name in shared if name in values}
            command(**values, run=Run(**chosen))

        parameters = sorted((*own, *added), key=_panel)  # the order of the groups in --help
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return add


def _panel(parameter: inspect.Parameter) -> int:
    """Where the group of a parameter stands; arguments come first."""
    panel = getattr(parameter.annotation.__metadata__[0], "rich_help_panel", None)
    return 0 if panel is None else 1 + PANELS.index(panel)


@cache
def _run_hints() -> dict[str, Any]:
    return get_type_hints(Run, include_extras=True)


def choose_format(output: Format, as_json: bool, paths: bool = False, null: bool = False) -> Format:
    """The format that options ask for together. Raises UsageError where they contradict each other."""
    if as_json and output not in (Format.json, Format.table):
        raise UsageError(f"--json and --format {output.value} contradict each other; give one")
    if paths and (as_json or output is not Format.table):
        raise UsageError("--paths (-l) prints names alone; give it without --format and --json")
    if null and not paths:
        raise UsageError("--null (-0) ends the names that --paths (-l) prints; give both")
    return Format.json if as_json else output


def check_standard_input(*names: str | None, what: str = "") -> None:
    """Raise UsageError where standard input (`-`) would be read twice."""
    if names.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read only once" + (f": {what}" if what else ""))


def choose_names(include: Iterable[str] | None, exclude: Iterable[str] | None) -> NameFilter | None:
    """The filter of `--include` and `--exclude`; None where neither is given. Raises UsageError for a bad glob."""
    from clipsim.inputs.paths import NameFilter

    return NameFilter(tuple(include or ()), tuple(exclude or ())) if include or exclude else None
