"""The main job in one call: images and texts → `RankResult`; what `clipsim.rank` is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clipsim.embed import BATCH_SIZE, embed_images
from clipsim.errors import UsageError
from clipsim.hub import find_files
from clipsim.models import ModelSpec, choose_model
from clipsim.names import printable
from clipsim.paths import find_images
from clipsim.ranking import RankResult, collect, encode_prompts, score_images
from clipsim.texts import LONGEST_SHOWN, check_templates, distinct_prompts

if TYPE_CHECKING:
    from PIL import Image

    from clipsim.encoder import ClipEncoder

NO_SHARE = (
    "with one text there is no probability: it is a share among texts; give another, such as --text 'something else'"
)


def open_encoder(spec: ModelSpec, device: str = "auto", precision: str | None = None) -> ClipEncoder:
    """Find or download a model's files and load it; the first call imports torch."""
    files = find_files(spec)
    from clipsim.encoder import load_encoder

    return load_encoder(spec, files, device=device, precision=precision)


def repeated_notices(repeated: Sequence[str]) -> list[str]:
    """What to tell of prompts that were given more than once."""
    if not repeated:
        return []
    shown = ", ".join(f"'{printable(prompt, LONGEST_SHOWN)}'" for prompt in repeated[:3])
    more = f" and {len(repeated) - 3} others" if len(repeated) > 3 else ""
    return [f"given more than once, counted once: {shown}{more}"]


def rank(
    images: Sequence[str | Path | Image.Image] | str | Path | Image.Image,
    texts: Sequence[str] | str,
    *,
    model: str | None = None,
    weights: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    templates: Sequence[str] = (),
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    on_error: Literal["skip", "fail"] = "skip",
    truncate: bool = False,
    sort_by: str | None = None,
) -> RankResult:
    """Score every image against every text.

    Images are paths (files, directories, globs) or PIL pictures; `model` is what `--model` accepts, None the
    default. An image that cannot be used is in the result's `errors`, or raises ImageError with on_error="fail".

    Raises UsageError for no texts, an empty text or a `sort_by` that is none of the texts, PromptError, ModelError
    and DeviceError as the command line reports them.

    >>> from PIL import Image
    >>> picture = Image.new("RGB", (64, 48), "white")
    >>> rank(picture, ["maze", "cat"], model="clipsim-mini").similarity.shape
    (2, 1)
    """
    given = [images] if isinstance(images, str) or not isinstance(images, Sequence) else images
    prompts, repeated = distinct_prompts([texts] if isinstance(texts, str) else texts)
    check_request(prompts, templates, sort_by)
    sources: list[str | Image.Image] = []
    for image in given:
        sources.extend(find_images([str(image)]) if isinstance(image, str | Path) else [image])
    spec, _ = choose_model(model, weights)
    encoder = open_encoder(spec, device, precision)
    vectors = encode_prompts(encoder, prompts, templates, batch_size=batch_size, truncate=truncate)
    batches = embed_images(encoder, sources, batch_size=batch_size, workers=workers, fail=on_error == "fail")
    notices = repeated_notices(repeated)
    if len(prompts) == 1 and encoder.head == "softmax":
        notices.append(NO_SHARE)
    return collect(
        encoder,
        prompts,
        score_images(encoder, vectors, batches),
        templates=templates,
        warnings=notices,
        sort_by=sort_by,
    )


def check_request(prompts: Sequence[str], templates: Sequence[str], sort_by: str | None) -> None:
    """Raise UsageError for a request that contradicts itself, before anything is loaded."""
    if not prompts:
        raise UsageError("no texts to compare with; give --text TEXT or --text-file FILE")
    check_templates(templates)
    if sort_by is not None and sort_by not in prompts:
        raise UsageError(f"--sort-by '{printable(sort_by, LONGEST_SHOWN)}' is none of the texts given")
