"""A model → an accepted export in its folder: both towers written, compared with torch, and only then put in place."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clipsim.encoder import ClipEncoder
from clipsim.encoder.graphs import ImageTower, check_pictures, export_tower, text_tower
from clipsim.encoder.vocabulary import write_vocabulary
from clipsim.errors import ClipsimError, ModelError
from clipsim.exports import FACTS_FILE, TOKENIZER_FILE, Check, Export, describe_source, now
from clipsim.hub import ModelFiles
from clipsim.identity import digest_file, identify_model, package_version
from clipsim.models import ModelSpec
from clipsim.names import printable
from clipsim.onnx import OnnxEncoder

# What the cosines between the export's vectors and torch's must reach: the least of all in fp32, the mean in int8.
LEAST, LEAST_MEAN = 0.9999, 0.98
PACKAGES = ("clipsim", "torch", "open_clip_torch", "onnx", "onnxruntime", "tokenizers")
_UNFINISHED = ".unfinished-"
_ABANDONED = 24 * 3600  # seconds after which nobody is still writing
CHECK_TEXTS = (
    "cat", "a photo of a dog", "!", "A small, red house by the sea; two boats & a lighthouse in the evening light.",
    "naïve café 猫 😀", "x", "the quick brown fox jumps over the lazy dog " * 3, "word " * 200,
)  # fmt: skip


def export_model(
    spec: ModelSpec,
    files: ModelFiles,
    folder: Path,
    *,
    int8: bool,
    tell: Callable[[str], None] = lambda _: None,
) -> Export:
    """Write a model's export under `folder`, in place of an earlier one of the same model; `tell` is told each step.

    Raises ModelError and its family for a model that cannot be loaded or exported, that comes out too different from
    what torch computes, or that cannot be written; nothing of it is left then.
    """
    engine = "onnx-int8" if int8 else "onnx"
    shown = printable(spec.name)
    digests: dict[Path, str] = {}
    try:
        begun = time.time_ns()
        identity = identify_model(spec, files, lambda path: digests.setdefault(path, digest_file(path)))
        source = describe_source(files.weights, digests[files.weights], begun)
        with _unfinished(folder, 3 * files.weights.stat().st_size) as draft:
            tell("loading the model")
            encoder = ClipEncoder(spec, files, device="cpu", precision="fp32")
            rules = write_vocabulary(encoder.tokenizer, draft / TOKENIZER_FILE)
            shorten = _write_towers(encoder, draft, rules.own, int8, tell)
            export = Export(
                folder=draft,
                engine=engine,
                identity=identity,
                name=spec.name,
                kind=spec.kind,
                embed_dim=encoder.embed_dim,
                image_size=encoder.image_size,
                logit_scale=encoder.logit_scale,
                logit_bias=encoder.logit_bias,
                head=encoder.head,
                preprocessing=asdict(encoder.preprocessing),
                token_rules=asdict(rules),
                texts_shorten=shorten,
                images=Check(0, 0, 0),
                texts=Check(0, 0, 0),
                source=source,
                files={path.name: path.stat().st_size for path in sorted(draft.iterdir())},
                versions={name: package_version(name) for name in PACKAGES},
                made=now(),
            )
            tell("comparing it with torch")
            export = _check(encoder, spec, export)
            (draft / FACTS_FILE).write_text(json.dumps(export.to_dict(), indent=1) + "\n", encoding="utf-8")
            return _put_in_place(export, folder / f"{identity}-{engine}")
    except ClipsimError:
        raise
    except OSError as error:
        where = printable(str(error.filename or folder))
        raise ModelError(f"{where}: cannot write the export: {error.strerror or error}") from error
    except Exception as error:
        said = printable(str(error).strip().split("\n")[0] or type(error).__name__, 160)
        raise ModelError(f"{shown}: this model cannot be exported ({said}); --engine torch runs it") from error


def _write_towers(encoder: ClipEncoder, draft: Path, own: bool, int8: bool, tell: Callable[[str], None]) -> bool:
    """Write image.onnx and text.onnx; whether the latter takes shortened rows."""
    size = encoder.preprocessing.size
    tell("exporting the image tower")
    pixels = torch.zeros((2, *size, 3), dtype=torch.uint8)
    export_tower(ImageTower(encoder.towers.model, encoder.preprocessing), pixels, (0,), draft / "image.onnx", int8=int8)
    tell("exporting the text tower")
    tower, shorten = text_tower(encoder.towers.model, padded_with_zeros=own)
    tokens = encoder.tokenizer(["a cat", "two dogs"], truncate=True)
    if shorten:
        tokens = tokens[:, : max(4, tokens.shape[1] // 2)]  # a length that is none of the model's own
    export_tower(tower, tokens, (0, 1) if shorten else (0,), draft / "text.onnx", int8=int8)
    return shorten


def _check(encoder: ClipEncoder, spec: ModelSpec, export: Export) -> Export:
    """The export with its figures, which are good enough; raises ModelError if they are not."""
    made = OnnxEncoder(spec, export)
    pictures = check_pictures(*encoder.preprocessing.size)
    images = _compare(encoder.encode_images(pictures), _in_batches(made.encode_images, pictures))
    texts = _compare(
        encoder.encode_texts(CHECK_TEXTS, truncate=True),
        _in_batches(lambda part: made.encode_texts(part, truncate=True), CHECK_TEXTS),
    )
    for what, check in (("images", images), ("texts", texts)):
        figure, least = (check.mean, LEAST_MEAN) if export.engine == "onnx-int8" else (check.least, LEAST)
        if not figure >= least:  # nor is a NaN
            raise ModelError(
                f"{printable(spec.name)}: the {export.engine} export of its {what} is too far from torch "
                f"(cosine {figure:.6f}, needed {least}), so it is not kept; --engine torch runs it"
            )
    return replace(export, images=images, texts=texts)


def _in_batches(encode: Callable[[Any], NDArray[np.float32]], inputs: Any) -> NDArray[np.float32]:
    """Eight inputs in batches of one and of three."""
    return np.concatenate([encode(inputs[start:end]) for start, end in ((0, 1), (1, 4), (4, 7), (7, 8))])


def _compare(wanted: NDArray[np.float32], given: NDArray[np.float32]) -> Check:
    a, b = wanted.astype(np.float64), given.astype(np.float64)
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return Check(len(cosines), round(float(cosines.min()), 7), round(float(cosines.mean()), 7))


@contextmanager
def _unfinished(folder: Path, needed: int) -> Iterator[Path]:
    """A folder to write in, gone afterwards unless it was renamed; what killed exports have left goes too."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob(f"{_UNFINISHED}*"):
        if path.stat().st_mtime < time.time() - _ABANDONED:
            shutil.rmtree(path, ignore_errors=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{printable(str(folder))}: an export needs {needed / 1e9:.1f} GB while it is written, and only "
            f"{free / 1e9:.1f} GB are free; CLIPSIM_CACHE_DIR moves it"
        )
    draft = folder / f"{_UNFINISHED}{os.getpid()}-{time.time_ns()}"
    draft.mkdir()
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put_in_place(export: Export, target: Path) -> Export:
    """Rename the folder to its final name, in place of an earlier one."""
    old = export.folder.with_name(f"{export.folder.name}-old")
    if target.exists():
        target.replace(old)
    export.folder.replace(target)
    shutil.rmtree(old, ignore_errors=True)
    return Export.read(target)
