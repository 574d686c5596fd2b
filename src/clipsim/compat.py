"""The API of OpenAI's `clip` package over OpenCLIP models: `available_models`, `load`, `tokenize`."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from clipsim.errors import ClipsimError, ModelError, TextError, UsageError, issue_warnings, printable
from clipsim.inputs.lists import as_list
from clipsim.inputs.texts import MAX_QUOTED
from clipsim.models.catalogue import OPENAI_NAMES, list_models
from clipsim.models.files import explain_model, find_files
from clipsim.models.settings import choose_model
from clipsim.options import check_path

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import LongTensor, Tensor
else:
    Image = LongTensor = Tensor = Any  # in type hints: torch is imported by the calls

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
        `encode_text`, (m, 77) int64 tokens → (m, d) vectors; the vectors are not normalised. `model(images, tokens)`
        returns `logits_per_image` (n, m) and `logits_per_text` (m, n): scale × cosine, plus the bias of a SigLIP model.
    preprocess
        PIL image → (3, h, w) float32 tensor, resized, cropped and normalised for the model.

    Raises
    ------
    ModelError
        The model is unknown, cannot be downloaded, or cannot be loaded; a RuntimeError.
    DeviceError
        The device is not available.
    """
    import torch

    from clipsim.engines.torch.build import build_model, make_transform
    from clipsim.engines.torch.encoder import choose_device, choose_precision
    from clipsim.engines.torch.openai_towers import adapt_model, place_model

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "cpu"
    target = choose_device(f"cuda:{device}" if isinstance(device, int) else str(device))
    _, dtype = choose_precision(None, target)
    spec, _ = choose_model(check_path("name", name))
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


@cache
def _tokenizer() -> Any:
    """OpenCLIP's byte-pair tokenizer with OpenAI's spelling of the two markers, which it reads inside a text too.

    Raises ClipsimError where OpenCLIP's pattern does not have its own spelling in the expected place.
    """
    import regex
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer()
    markers = {"<|startoftext|>": tokenizer.sot_token_id, "<|endoftext|>": tokenizer.eot_token_id}
    tokenizer.encoder |= markers
    tokenizer.cache = {marker: marker for marker in markers}
    original = tokenizer.pat.pattern
    pattern = original.replace("<start_of_text>|<end_of_text>", "|".join(map(regex.escape, markers)))
    if pattern == original:
        raise ClipsimError(
            "the installed open_clip splits texts by a pattern that clipsim does not know; install open_clip_torch 3.3"
        )
    tokenizer.pat = regex.compile(pattern, regex.IGNORECASE)
    return tokenizer


def tokenize(texts: str | Sequence[str], context_length: int = CONTEXT_LENGTH, truncate: bool = False) -> LongTensor:
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
    torch.LongTensor
        (n, context_length) int64 ids, padded with zeros.

    Raises
    ------
    TextError
        A text is too long, and `truncate` is not set; a RuntimeError.
    """
    import torch

    tokenizer = _tokenizer()
    checked: list[str] = []
    for text in as_list(texts, "texts"):
        if not isinstance(text, str):
            raise UsageError(f"{printable(repr(text), MAX_QUOTED)} is not a string", parameter="texts")
        checked.append(text)
    result = torch.zeros(len(checked), context_length, dtype=torch.long)
    for row, text in zip(result, checked, strict=True):
        ids = [tokenizer.sot_token_id, *tokenizer.encode(text), tokenizer.eot_token_id]
        if len(ids) > context_length:
            if not truncate:
                quoted = printable(text, MAX_QUOTED)
                raise TextError(f"Input '{quoted}' is too long for context length {context_length}: {len(ids)} tokens")
            ids = [*ids[: context_length - 1], tokenizer.eot_token_id]
        row[: len(ids)] = torch.tensor(ids)
    return result  # type: ignore[return-value]  # a LongTensor by its dtype
