"""The options that several commands share, each declared once, and the records of what was chosen with them."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cache, cached_property, wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_type_hints

import typer

from clipsim.cli.exit_status import NOTHING_DONE, SOME_SKIPPED
from clipsim.cli.output import NoticePrinter, print_message
from clipsim.errors import UsageError, pluralise, printable
from clipsim.inputs.paths import STANDARD_INPUT
from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.options import ENGINES, MAX_BATCH_SIZE, MAX_WORKERS, ModelOptions, RunOptions
from clipsim.plugins import list_plugins

if TYPE_CHECKING:
    from clipsim.cache.skipped import SkippedFiles
    from clipsim.inputs.paths import NameFilter

FormatName = TypeVar("FormatName", bound=str)
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
    """Names of engines, those of installed packages too."""
    return _matching((*ENGINES, *list_plugins("engine")), incomplete)


def complete_format(incomplete: str) -> list[str]:
    """Names of formats of scores, those of installed packages too."""
    return _matching((*FORMATS, *list_plugins("format")), incomplete)


def check_format(name: str) -> str:
    """A format of scores, which may be one that an installed package adds. Raises BadParameter for another name."""
    if name in FORMATS or name in (added := list_plugins("format")):
        return name
    raise typer.BadParameter(f"{name!r} is not one of {', '.join((*FORMATS, *map(printable, added)))}.")


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.lower().startswith(incomplete.lower())]


def option(names: str, metavar: str | None, panel: str | None, text: str, **more: Any) -> Any:
    """Declare an option by its names (`--text -t`) in a panel of --help; one that takes a choice has no metavar."""
    return typer.Option(*names.split(), metavar=metavar, rich_help_panel=panel, help=text, **more)


def flag(names: str, panel: str | None, text: str) -> Any:
    """Declare an option that takes no value."""
    return option(names, None, panel, text)


def argument(metavar: str, text: str, **more: Any) -> Any:
    """Declare an argument."""
    return typer.Argument(metavar=metavar, help=text, show_default=False, **more)


# Inputs

Images = Annotated[
    list[str] | None,
    argument(
        "IMAGES",
        "Image files, folders (searched for images), quoted globs, or addresses; `-` reads paths from standard input.",
    ),
]
Where = Annotated[
    list[str] | None,
    argument(
        "WHERE",
        "Folders of images, images, quoted globs, or folders of vectors that `clipsim embed` wrote; `-` reads paths "
        "from standard input.",
    ),
]
FromFile = Annotated[
    str | None, option("--from-file", "FILE", INPUTS, "Read image paths from a file, one a line, or separated by NUL.")
]
ImageColumn = Annotated[
    str | None, option("--image-column", "COLUMN", INPUTS, "Column with the image paths of tables.")
]
CaptionColumn = Annotated[
    str | None,
    option("--caption-column", "COLUMN", INPUTS, "Column with the captions of tables."),
]
Include = Annotated[
    list[str] | None, option("--include", "GLOB", INPUTS, "Only files matching this glob (repeatable).")
]
Exclude = Annotated[list[str] | None, option("--exclude", "GLOB", INPUTS, "No files matching this glob (repeatable).")]

# Texts

Texts = Annotated[list[str] | None, option("--text -t", "TEXT", TEXTS, "A text to compare images with (repeatable).")]
TextFiles = Annotated[
    list[str] | None,
    option("--text-file", "FILE", TEXTS, "A UTF-8 file with one text a line (repeatable); `-` is standard input."),
]
Templates = Annotated[
    list[str] | None,
    option(
        "--template",
        "TEMPLATE",
        TEXTS,
        "Put each text in place of the `{}`, as in 'a photo of a {}.' (repeatable; several are averaged).",
    ),
]
Truncate = Annotated[bool, flag("--truncate", TEXTS, "Cut texts that are too long for the model.")]

# Model

ModelName = Annotated[str, argument("NAME", "A name as --model takes it.", autocompletion=complete_model)]


def model_option(text: str) -> Any:
    """Declare `--model`, which some commands take several times."""
    return option("--model -m", "NAME", MODEL, text, autocompletion=complete_model)


Model = Annotated[
    str | None,
    model_option(
        "A name from `clipsim models`, hf-hub:ORG/REPO, a model folder or a checkpoint file; CLIPSIM_MODEL sets it too."
    ),
]
Weights = Annotated[
    str | None, option("--weights", "FILE", MODEL, "An OpenCLIP state dict for the named architecture.")
]
WeightsKey = Annotated[
    str | None,
    option(
        "--weights-key", "NAME", MODEL, "Which state dict to read in a checkpoint that holds several (EMA weights)."
    ),
]
AdapterFolder = Annotated[
    str | None,
    option("--adapter", "FOLDER", MODEL, "A LoRA adapter, as peft saves it, to merge into the weights."),
]
Preprocess = Annotated[
    str | None,
    option(
        "--preprocess",
        "tag|default|FILE",
        MODEL,
        "How images are resized and normalised: as the published weights of the architecture, as OpenCLIP's default, "
        "or by the settings in a JSON file. [default: the model's own]",
    ),
]
Device = Annotated[
    str,
    option(
        "--device",
        "DEVICE",
        MODEL,
        "Where the model runs: auto (CUDA, else MPS, else the CPU), cpu, cuda, cuda:N or mps.",
        envvar="CLIPSIM_DEVICE",
        autocompletion=complete_device,
    ),
]
Precision = Annotated[
    Literal["fp32", "tf32", "fp16", "bf16"] | None,
    option(
        "--precision",
        None,
        MODEL,
        "What the model computes in. [default: fp16 on CUDA GPUs with tensor cores, fp32 elsewhere]",
    ),
]
Engine = Annotated[
    str,
    option(
        "--engine",
        "ENGINE",
        MODEL,
        "What runs the model: auto, torch, onnx, onnx-int8, or an engine that an installed package adds. auto uses an "
        "fp32 export where there is one (`clipsim models export`).",
        autocompletion=complete_engine,
    ),
]

# Output

Format = Literal["table", "json", "jsonl", "csv", "html"]
FORMATS: tuple[str, ...] = get_args(Format)
ReportFormat = Literal["table", "json", "html"]  # of results that are measured as a whole
WholeFormat = Literal["table", "json"]  # of results that fill one table


def format_option(words: str, **more: Any) -> Any:
    """Declare `--format`, of which each command has some."""
    return option("--format", "FORMAT", OUTPUT, f"What to print: {words}.", **more)


FormatOption = Annotated[Format, format_option("table, json, jsonl, csv or html")]
ScoresFormatOption = Annotated[
    str,
    format_option(
        "table, json, jsonl, csv, html, or a format that an installed package adds",
        callback=check_format,
        autocompletion=complete_format,
    ),
]
ReportFormatOption = Annotated[ReportFormat, format_option("table, json or html")]
WholeFormatOption = Annotated[WholeFormat, format_option("table or json")]
AsJson = Annotated[bool, flag("--json", OUTPUT, "Print JSON.")]
FormatJson = Annotated[bool, flag("--json", OUTPUT, "Short for --format json.")]
NamesOnly = Annotated[bool, flag("--paths -l", OUTPUT, "Print the names of the images alone.")]
EndInNull = Annotated[bool, flag("--null -0", OUTPUT, "With -l: end names in NUL, as `xargs -0` reads them.")]
Thresholds = Annotated[
    str | None,
    option(
        "--thresholds",
        "FILE",
        OUTPUT,
        "A file of `clipsim threshold`: an image shows a text only where it reaches the text's threshold.",
    ),
]
LabelColumn = Annotated[str | None, option("--label-column", "COLUMN", INPUTS, "Column with the labels.")]
TableRoot = Annotated[
    str | None,
    option("--root", "DIR", INPUTS, "The folder that the table's paths are relative to. [default: the table's own]"),
]
LabelWords = Annotated[
    str | None,
    option(
        "--labels",
        "FILE",
        TEXTS,
        "The text of each class: JSON, or a class, a tab or comma and a text a line. Several words of a class are "
        "a list in JSON, else words with | between them.",
    ),
]
FolderLabels = Annotated[
    Literal["first", "last", "path"] | None,
    option(
        "--folder-labels",
        "WHICH",
        INPUTS,
        "The folder that is an image's class: the first below DATA, the last, or the whole path. [default: first, "
        "or path where all images are deeper]",
    ),
]
ClassifierFile = Annotated[
    str | None,
    option("--classifier", "FILE", TEXTS, "A file of `clipsim fit`, whose labels stand in place of texts."),
]


def min_similarity(text: str) -> Any:
    """Declare `--min-similarity`, whose cosine is another one in each command."""
    return option("--min-similarity", "S", OUTPUT, text)


# Run

BatchSize = Annotated[
    int | None,
    option(
        "--batch-size",
        "N",
        RUN,
        "Images or texts per step of the model. [default: 32, on CUDA 128]",
        min=1,
        max=MAX_BATCH_SIZE,
    ),
]
Workers = Annotated[
    int | None,
    option(
        "--workers", "N", RUN, "Number of decoding threads. [default: one per core, at most 8]", min=1, max=MAX_WORKERS
    ),
]
OnError = Annotated[
    Literal["skip", "fail", "ignore"],
    option(
        "--on-error",
        None,
        RUN,
        "Skip an input that cannot be used (status 3), fail at the first, or ignore it (status 0, named only once).",
    ),
]
Exact = Annotated[
    bool, flag("--exact", RUN, "Decode JPEGs of more than 4 megapixels in full: slower, nearly the same numbers.")
]
NoCache = Annotated[bool, flag("--no-cache", RUN, "Neither read nor keep vectors in the cache.")]
Seed = Annotated[int, option("--seed", "N", RUN, "Seed of what is drawn at random.", min=0)]
Quiet = Annotated[bool, flag("--quiet -q", RUN, "No notices and no progress bar.")]


@dataclass(frozen=True)
class Run:
    """What was chosen in the panels Model and Run; `with_run_options` gives these options to a command."""

    model: Model = None
    weights: Weights = None
    weights_key: WeightsKey = None
    adapter: AdapterFolder = None
    preprocess: Preprocess = None
    device: Device = "auto"
    precision: Precision = None
    engine: Engine = "auto"
    batch_size: BatchSize = None
    workers: Workers = None
    on_error: OnError = "skip"
    exact: Exact = False
    no_cache: NoCache = False
    truncate: Truncate = False
    quiet: Quiet = False

    def options(self, *models: str | None) -> tuple[list[ModelOptions], RunOptions]:
        """The options of each model, and how inputs are read, batched and kept.

        Raises UsageError for what contradicts itself.
        """
        of_models = [
            ModelOptions(
                model,
                self.weights,
                self.weights_key,
                self.adapter,
                self.device,
                self.precision,
                self.engine,
                self.preprocess,
            )
            for model in models
        ]
        return of_models, RunOptions(
            batch_size=self.batch_size,
            workers=self.workers,
            exact=self.exact,
            truncate=self.truncate,
            on_error=self.library_on_error,
            cache=not self.no_cache,
        )

    @property
    def library_on_error(self) -> Literal["skip", "fail"]:
        """What the library does with an input that cannot be used: what is ignored is skipped."""
        return "skip" if self.on_error == "ignore" else self.on_error

    @cached_property
    def skipped(self) -> SkippedFiles | None:
        """The inputs that earlier runs have skipped, where those are not named again."""
        if self.on_error != "ignore":
            return None
        from clipsim.cache.skipped import SkippedFiles
        from clipsim.models.settings import cache_folder

        return SkippedFiles(None if self.no_cache else cache_folder())

    def notices(self) -> NoticePrinter:
        """What prints notices, unless `--quiet`, and inputs that are skipped."""
        return NoticePrinter(quiet=self.quiet, skipped=self.skipped)

    @contextmanager
    def ignoring_failures(self) -> Iterator[None]:
        """With `--on-error ignore`: inputs that are skipped do not change the exit status."""
        status = 0
        try:
            yield
        except typer.Exit as end:
            status = end.exit_code
            if self.skipped is None:
                raise
        if status == NOTHING_DONE and self.skipped is not None and self.skipped.known:
            inputs = pluralise(self.skipped.known, "input")
            print_message("note", f"an earlier run has named {inputs} of these; --on-error skip names all of them")
        if status not in (0, SOME_SKIPPED):
            raise typer.Exit(status)


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
            run = Run(**chosen)
            with run.ignoring_failures():
                command(**values, run=run)

        parameters = sorted((*own, *added), key=panel_of)  # the order of the groups in --help
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return call

    return add


def panel_of(parameter: inspect.Parameter) -> int:
    """Where the group of a parameter stands; arguments come first."""
    metadata = getattr(parameter.annotation, "__metadata__", (None,))  # Typer's context has none
    panel = getattr(metadata[0], "rich_help_panel", None)
    return 0 if panel is None else 1 + PANELS.index(panel)


@cache
def _run_hints() -> dict[str, Any]:
    return get_type_hints(Run, include_extras=True)


def choose_format(
    output: FormatName, as_json: bool, paths: bool = False, null: bool = False
) -> FormatName | Literal["json"]:
    """The format that options ask for together.

    Raises UsageError where they contradict each other, and where a page would be written to a terminal.
    """
    if as_json and output not in ("json", "table"):
        raise UsageError(f"--json and --format {output} contradict each other; give one")
    if paths and (as_json or output != "table"):
        raise UsageError("--paths (-l) prints names alone; give it without --format and --json")
    if null and not paths:
        raise UsageError("--null (-0) ends the names that --paths (-l) prints; give both")
    if output == "html" and sys.stdout.isatty():
        raise UsageError("a page is for a browser, not for the terminal; write it to a file: -o page.html, or --open")
    return "json" if as_json else output


def check_standard_input(*names: str | None, what: str = "") -> None:
    """Raise UsageError where standard input (`-`) would be read twice."""
    if names.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read only once" + (f": {what}" if what else ""))


def choose_names(include: Iterable[str] | None, exclude: Iterable[str] | None) -> NameFilter | None:
    """The filter of `--include` and `--exclude`; None where neither is given. Raises UsageError for a bad glob."""
    from clipsim.inputs.paths import NameFilter

    return NameFilter(tuple(include or ()), tuple(exclude or ())) if include or exclude else None
