"""OpenAI's `clip.clip` over OpenCLIP models: `available_models`, `load`, `tokenize`, and what scripts import with them.

`_tokenizer`, `SimpleTokenizer` and `build_model` are here too, as in OpenAI's module; they import torch when they are
first read.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsim.errors import (
    DownloadError,
    ModelError,
    TextError,
    UsageError,
    first_line,
    issue_warnings,
    printable,
)
from clipsim.files import CHUNK_BYTES, digest_file, rename_over
from clipsim.inputs.lists import as_list
from clipsim.inputs.texts import MAX_QUOTED
from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.models.files import explain_model, find_files
from clipsim.models.settings import choose_model
from clipsim.options import ModelOptions, check_path

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import IntTensor, Tensor

    from clipsim.simple_tokenizer import SimpleTokenizer
else:
    Image = IntTensor = Tensor = Any  # in type hints: torch is imported by the calls

__all__ = ["available_models", "load", "tokenize"]

# Where OpenAI publishes its models, each in a folder that is named after the SHA-256 of its file.
_MODELS = {
    name: f"https://openaipublic.azureedge.net/clip/models/{sha256}/{re.sub('[/@]', '-', name)}.pt"
    for name, sha256 in {
        "RN50": "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        "RN101": "8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599",
        "RN50x4": "7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd",
        "RN50x16": "52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa",
        "RN50x64": "be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c",
        "ViT-B/32": "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
        "ViT-B/16": "5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f",
        "ViT-L/14": "b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836",
        "ViT-L/14@336px": "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
    }.items()
}
CONTEXT_LENGTH = 77
_tracing = threading.Lock()


def available_models() -> list[str]:
    """List the models that `load` accepts by name, as `clip.available_models` does.

    Returns
    -------
    list of str
        OpenAI's nine names, the bundled model, then OpenCLIP's published models as ARCH/TAG.
    """
    return [*OPENAI_NAMES, *(model.name for model in list_models())]


def load(
    name: str | os.PathLike[str], device: Any = None, jit: bool = False, download_root: str | None = None
) -> tuple[Any, Callable[[Image], Tensor]]:
    """Load a model by name or from a checkpoint file, as `clip.load` does.

    The model computes in fp16 on CUDA and in fp32 elsewhere. Assumptions about it are issued as ClipsimWarnings.

    Parameters
    ----------
    name
        A name that `available_models` lists, `hf-hub:ORG/REPO`, a model folder or a checkpoint file.
    device
        "cpu", "cuda", "cuda:1", "mps", a GPU's number or a torch.device; by default CUDA if available, else the CPU.
    jit
        Return a traced module with the same methods.
    download_root
        A folder for downloads in place of the Hugging Face cache.

    Returns
    -------
    model
        Its methods take and return tensors on its device: `encode_image`, (n, 3, h, w) pixels → (n, d) vectors;
        `encode_text`, (m, 77) tokens → (m, d) vectors; the vectors are not normalised. `model(images, tokens)`
        returns `logits_per_image` (n, m) and `logits_per_text` (m, n): scale × cosine, plus the bias of a SigLIP model.
    preprocess
        PIL image → (3, h, w) float32 tensor, resized, cropped and normalised for the model; a Compose, whose steps are
        in `transforms`. As OpenAI's, it leaves the EXIF orientation to the caller (`PIL.ImageOps.exif_transpose`).

    Raises
    ------
    ModelError
        The model is unknown, cannot be downloaded, or cannot be loaded; a RuntimeError.
    DeviceError
        The device is not available.
    """
    import torch

    from clipsim.engines.torch.build import build_model, make_transform
    from clipsim.engines.torch.devices import choose_device, choose_precision
    from clipsim.engines.torch.openai_towers import adapt_model, place_model

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    target = choose_device(f"cuda:{device}" if isinstance(device, int) else str(device))
    _, dtype = choose_precision("fp16" if target.type == "cuda" else "fp32", target)  # as OpenAI's, on any GPU
    spec, _ = choose_model(ModelOptions(check_path("name", name)))
    files = find_files(spec, download_root)
    if jit and files.tokenizer is not None:
        raise ModelError(
            f"{printable(spec.name)}: has a tokenizer of its own, and a traced model cannot tell its tokens from "
            "CLIP's; leave out jit"
        )
    # not mapped: a script may well save over the file that it has loaded
    built = build_model(spec, files, mapped=False)
    model = place_model(adapt_model(built, files, guarded=not jit), target, dtype)
    if jit:
        model = _trace(model)
    issue_warnings([*explain_model(spec, files), *built.notices])
    return model, make_transform(built.preprocessing)


def _trace(model: Any) -> Any:
    """A TorchScript module with `encode_image`, `encode_text` and `forward`, for any batch size."""
    import torch

    resolution, context_length = model.visual.input_resolution, model.context_length
    height, width = (resolution, resolution) if isinstance(resolution, int) else resolution
    parameter = model.logit_scale
    # several rows, and different numbers of them: tracing makes a constant of a batch of one
    images = torch.zeros(2, 3, height, width, device=parameter.device, dtype=parameter.dtype)
    tokens = torch.zeros(3, context_length, dtype=torch.long, device=parameter.device)
    tokens[:, 0], tokens[:, 1] = 1, 2  # any text with an end token, which has the greatest id
    inputs = {"forward": (images, tokens), "encode_image": (images,), "encode_text": (tokens,)}
    with _tracing, warnings.catch_warnings(), torch.no_grad():  # the filters are those of the whole process
        warnings.simplefilter("ignore")  # tracing is deprecated, and warns of shapes that are constant anyway
        trace: Any = torch.jit.trace_module
        traced = trace(model, inputs, check_trace=False)
    # an archive that is saved says what it is, as a state dict does
    traced._c._register_attribute("clipsim", torch._C.StringType.get(), model._description)
    traced.visual.input_resolution = resolution
    # tensors, as in OpenAI's archives, where scripts read them with `.item()`
    traced.input_resolution, traced.context_length = torch.tensor(resolution), torch.tensor(context_length)
    traced.vocab_size = torch.tensor(model.vocab_size)
    return traced


def _convert_image_to_rgb(image: Image) -> Image:
    return image.convert("RGB")


def _transform(n_px: int) -> Callable[[Image], Tensor]:
    """OpenAI's preprocessing for images of `n_px` pixels a side: a Compose of Resize, CenterCrop, … and Normalize."""
    from clipsim.engines.preprocessing import Preprocessing
    from clipsim.engines.torch.build import make_transform

    return make_transform(Preprocessing.of(n_px, {}))


def _download(url: str, root: str | os.PathLike[str] | None = None) -> str:
    """Download one of `_MODELS` into a folder, by default ~/.cache/clip, unless it is there; the path of the file.

    `load` does not use it: it takes the same weights from the Hugging Face cache. Raises UsageError for an address
    without the SHA-256 of the file, DownloadError where it cannot be downloaded, or is another file.
    """
    from urllib.error import HTTPError
    from urllib.request import urlopen

    address, _, sha256 = str(url).rpartition("/")[0].rpartition("/")
    if not (re.match("https?://", address) and re.fullmatch("[0-9a-f]{64}", sha256)):
        raise UsageError(
            "not the address of one of OpenAI's models, which names the SHA-256 of its file", parameter="url", value=url
        )
    folder = Path.home() / ".cache" / "clip" if root is None else Path(check_path("root", root))
    target = folder / Path(url).name
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if target.is_file() and digest_file(target) == sha256:
            return str(target)
        folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with urlopen(url) as answer, draft.open("wb") as file:
            while chunk := answer.read(CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
        if digest.hexdigest() != sha256:
            raise DownloadError(f"{printable(url)}: the download has another SHA-256 than its address says; try again")
        rename_over(str(draft), str(target))
    except (OSError, ValueError) as error:
        if isinstance(error, HTTPError):  # the server's answer too, with a file of its own
            error.close()
        raise DownloadError(f"{printable(url)}: cannot be downloaded ({first_line(error, 160)})") from error
    finally:
        with suppress(OSError):
            draft.unlink()
    return str(target)


@cache
def _shared_tokenizer() -> SimpleTokenizer:
    from clipsim.simple_tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def __getattr__(name: str) -> Any:
    """The names of OpenAI's module that need torch, imported when they are first read."""
    if name == "_tokenizer":
        return _shared_tokenizer()
    if name == "SimpleTokenizer":
        from clipsim.simple_tokenizer import SimpleTokenizer

        return SimpleTokenizer
    if name == "build_model":
        from clipsim.model import build_model

        return build_model
    raise AttributeError(f"module 'clipsim.clip' has no attribute '{name}'")


def tokenize(texts: str | Sequence[str], context_length: int = CONTEXT_LENGTH, truncate: bool = False) -> IntTensor:
    """Turn texts into tokens of OpenAI's byte-pair vocabulary, as `clip.tokenize` does.

    Parameters
    ----------
    texts
        One text or a list of n texts.
    context_length
        The length of a row, in tokens; 77 for all of OpenAI's models.
    truncate
        Cut a text that is too long; its end token is kept.

    Returns
    -------
    torch.IntTensor
        (n, context_length) int32 ids, padded with zeros.

    Raises
    ------
    TextError
        A text is too long, and `truncate` is not set; a RuntimeError.
    """
    import torch

    tokenizer = _shared_tokenizer()
    checked: list[str] = []
    for text in as_list(texts, "texts"):
        if not isinstance(text, str):
            raise UsageError(f"{printable(repr(text), MAX_QUOTED)} is not a string", parameter="texts")
        checked.append(text)
    result = torch.zeros(len(checked), context_length, dtype=torch.int)
    for row, text in zip(result, checked, strict=True):
        ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
        if len(ids) > context_length:
            if not truncate:
                quoted = printable(text, MAX_QUOTED)
                raise TextError(f"Input '{quoted}' is too long for context length {context_length}: {len(ids)} tokens")
            ids = [*ids[: context_length - 1], tokenizer.eot_token_id]
        row[: len(ids)] = torch.tensor(ids)
    return result  # type: ignore[return-value]  # an IntTensor by its dtype
