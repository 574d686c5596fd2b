"""The main job in one call: images and texts → `RankResult`; what `clipsim.rank` is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipsim.cache import EmbeddingCache
from clipsim.devices import check_device, check_precision, default_batch_size
from clipsim.embed import Encoder
from clipsim.engines import check_engine, choose_export
from clipsim.errors import UsageError
from clipsim.hub import ModelFiles, find_files, needs_timm
from clipsim.identity import package_version
from clipsim.lazy import LazyEncoder, open_lazily
from clipsim.lean import import_open_clip
from clipsim.models import ModelSpec
from clipsim.names import printable
from clipsim.paths import find_images
from clipsim.ranking import RankResult, collect, rank_sources
from clipsim.settings import cache_folder, choose_model
from clipsim.texts import LONGEST_SHOWN, check_templates, distinct_prompts

if TYPE_CHECKING:
    from PIL import Image

    from clipsim.encoder import ClipEncoder

NO_SHARE = (
    "with one text there is no probability: it is a share among texts; give another, such as --text 'something else'"
)


def open_encoder(spec: ModelSpec, device: str = "auto", precision: str | None = None) -> ClipEncoder:
    """Find or download a model's files and load it; the first call imports torch."""
    check_device(device)  # before anything is downloaded
    return _load(spec, find_files(spec), device, precision)


def _load(spec: ModelSpec, files: ModelFiles, device: str, precision: str | None, lean: bool = False) -> ClipEncoder:
    if lean:
        import_open_clip(timm=needs_timm(spec, files))
    from clipsim.encoder import ClipEncoder

    return ClipEncoder(spec, files, device=device, precision=precision)


def open_cached(
    spec: ModelSpec,
    device: str = "auto",
    precision: str | None = None,
    *,
    engine: str = "auto",
    exact: bool = False,
    cache: bool = True,
    lean: bool = False,
) -> tuple[LazyEncoder, EmbeddingCache | None]:
    """As `open_encoder`, but the model is loaded only when a vector is missing in the cache that comes with it.

    `engine` is "auto", "torch", "onnx" or "onnx-int8"; on an export, no torch is imported. `lean` imports open_clip
    without what this model does not need, which a program of other people's may need later.
    """
    check_device(device)
    if precision is not None:
        check_precision(precision)
    check_engine(engine, device, precision)
    files = find_files(spec)
    export = choose_export(spec, files, engine, device, precision)

    def open_model(target: str) -> Encoder:
        if export is None:
            return _load(spec, files, target, precision, lean)
        from clipsim.onnx import OnnxEncoder

        return OnnxEncoder(spec, export)

    return open_lazily(
        spec,
        files,
        open_model,
        engine=export.engine if export else "torch",
        runtime=f"{package_version('onnxruntime')} {export.made}" if export else package_version("torch"),
        device="cpu" if export else device,
        precision=export.precision if export else precision,
        identity=export.identity if export else None,
        exact=exact,
        folder=cache_folder() if cache else None,
    )


def repeated_notices(repeated: Sequence[str]) -> list[str]:
    """What to tell of prompts that were given more than once."""
    if not repeated:
        return []
    shown = ", ".join(f"'{printable(prompt, LONGEST_SHOWN)}'" for prompt in repeated[:3])
    more = f" and {len(repeated) - 3} others" if len(repeated) > 3 else ""
    return [f"given more than once, counted once: {shown}{more}"]


def rank(
    images: Iterable[str | Path | Image.Image] | str | Path | Image.Image,
    texts: Iterable[str] | str,
    *,
    model: str | Path | None = None,
    weights: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    engine: str = "auto",
    templates: Sequence[str] = (),
    batch_size: int | None = None,
    workers: int | None = None,
    on_error: Literal["skip", "fail"] = "skip",
    truncate: bool = False,
    sort_by: str | None = None,
    exact: bool = False,
    cache: bool = True,
) -> RankResult:
    """Score every image against every text.

    Images are paths (files, directories, globs) or PIL pictures; `model` is what `--model` accepts, None the
    default. `engine` is "auto" (an fp32 export of the model where there is one), "torch", "onnx" or "onnx-int8". An
    image that cannot be used is in the result's `errors`, or raises ImageError with on_error="fail".
    `exact` decodes large JPEGs in full; `cache` finds and keeps the vectors of files and texts in the user's cache.

    Raises UsageError for no texts, an empty text or a `sort_by` that is none of the texts, PromptError, ModelError
    and DeviceError as the command line reports them.

    >>> from PIL import Image
    >>> picture = Image.new("RGB", (64, 48), "white")
    >>> rank(picture, ["maze", "cat"], model="clipsim-mini").similarity.shape
    (2, 1)
    """
    prompts, repeated = distinct_prompts([texts] if isinstance(texts, str) else texts)
    check_request(prompts, templates, sort_by)
    if (batch_size is not None and batch_size < 1) or (workers is not None and workers < 1):
        raise UsageError("batch_size and workers are at least 1")
    if on_error not in ("skip", "fail"):
        raise UsageError(f"on_error is 'skip' or 'fail', not {printable(repr(on_error), 40)}")
    sources = list(_expand(images))
    spec, _ = choose_model(None if model is None else str(model), weights)
    encoder, store = open_cached(spec, str(device), precision, engine=engine, exact=exact, cache=cache)
    try:
        notices = repeated_notices(repeated)
        if len(prompts) == 1 and encoder.head == "softmax":
            notices.append(NO_SHARE)
        batches = rank_sources(
            encoder,
            sources,
            prompts,
            templates,
            batch_size=batch_size or default_batch_size(encoder.device),
            workers=workers,
            exact=exact,
            truncate=truncate,
            fail=on_error == "fail",
            cache=store,
        )
        return collect(encoder, prompts, batches, templates=templates, warnings=notices, sort_by=sort_by)
    finally:
        if store is not None:
            store.close()


def _expand(images: Iterable[object] | object) -> Iterator[str | Image.Image]:
    from PIL import Image

    given = images if isinstance(images, Iterable) and not isinstance(images, str | Image.Image) else [images]
    for image in given:
        if isinstance(image, str | Path):
            yield from find_images([str(image)])
        elif isinstance(image, Image.Image):
            yield image
        else:
            raise UsageError(f"an image is a path or a PIL picture, not {type(image).__name__}")


def check_request(prompts: Sequence[str], templates: Sequence[str], sort_by: str | None) -> None:
    """Raise UsageError for a request that contradicts itself, before anything is loaded."""
    if not prompts:
        raise UsageError("no texts to compare with; give --text TEXT or --text-file FILE")
    check_templates(templates)
    if sort_by is not None and sort_by not in prompts:
        raise UsageError(f"--sort-by '{printable(sort_by, LONGEST_SHOWN)}' is none of the texts given")
