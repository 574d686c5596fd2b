"""Images and texts a second by plain and by packed layers on this CPU, in turn, and how far their vectors are apart.

`python -m benchmarks.packed [ARCHITECTURE …] [--precision bf16] [--rounds 7]`. The weights are random. The last figure
of a line is the share of what oneDNN reaches with a large matrix, measured between the others. A family whose texts
another tokenizer makes is measured with its images alone. With `--vectors`, the vectors of clipsim's packed towers are
compared with those of OpenCLIP's plain ones instead, each architecture in a fresh process → a table.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import open_clip
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

from clipsim.engines.torch import trials
from clipsim.engines.torch.encoder import Towers
from clipsim.engines.torch.packed import PackableTower, PackedLinear

ARCHITECTURES = (
    "ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16", "ViT-L-14-CLIPA", "RN50", "convnext_base", "ViT-B-16-SigLIP",
    "EVA02-B-16", "MobileCLIP-S1", "coca_ViT-B-32", "ViTamin-S", "vit_medium_patch16_gap_256", "roberta-ViT-B-32",
)  # fmt: skip
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
LARGE = 4096  # rows and columns of the matrix that shows what oneDNN can do


def make_model(architecture: str) -> Any:
    """An OpenCLIP model with random weights; a text tower of transformers gets the shape of RoBERTa's."""
    if not open_clip.get_model_config(architecture)["text_cfg"].get("hf_model_name"):
        return open_clip.create_model(architecture).eval().requires_grad_(False)
    from transformers import RobertaConfig

    with tempfile.TemporaryDirectory() as folder:
        RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1).save_pretrained(folder)
        config = open_clip.get_model_config(architecture)
        config["text_cfg"] |= {"hf_model_name": folder, "hf_tokenizer_name": folder}
        path = Path(folder) / "local.json"
        path.write_text(json.dumps(config), encoding="utf-8")
        open_clip.add_model_config(path)
        return open_clip.create_model("local", pretrained_hf=False).eval().requires_grad_(False)


def size_of(model: Any) -> tuple[int, int]:
    """Height and width of a model's images."""
    size = model.visual.image_size
    return size if isinstance(size, tuple) else (size, size)


def measure(architecture: str, dtype: torch.dtype, batch: int, rounds: int) -> list[str]:
    """A line for each tower of the architecture."""
    torch.manual_seed(0)
    model: Any = make_model(architecture).to(dtype)
    other = copy.deepcopy(model)
    images = torch.randn(batch, 3, *size_of(model)).to(dtype)
    towers: list[tuple[str, Tensor, Callable[[Tensor], Tensor], Any]] = [
        ("images", images, model.encode_image, other.encode_image)
    ]
    text = open_clip.get_model_config(architecture)["text_cfg"]
    if not {"hf_model_name", "hf_tokenizer_name"} & text.keys():
        sentence = "a photograph of a cat and two dogs on the table " * 8
        tokens = open_clip.tokenize([f"{number} {sentence}" for number in range(batch)], model.context_length)
        towers.append(("texts", tokens, model.encode_text, other.encode_text))
    return [
        f"{architecture:20} {name:6} {compare(inputs, plain, other, packed, rounds)}"
        for name, inputs, plain, packed in towers
    ]


def compare(
    inputs: Tensor, plain: Callable[[Tensor], Tensor], model: Any, packed: Callable[[Tensor], Tensor], rounds: int
) -> str:
    """The rates of one tower, which is packed here, and the greatest difference of a number of its unit vectors."""
    tower = PackableTower(model, packed)
    torch.backends.mha.set_fastpath_enabled(False)  # its operations are not counted
    with FlopCounterMode(display=False) as counter:
        expected = plain(inputs)
    torch.backends.mha.set_fastpath_enabled(True)
    tower(inputs)
    difference = (normalize(tower(inputs).float()) - normalize(expected.float())).abs().max()
    left = torch.randn(LARGE, LARGE).to(expected.dtype)
    right = trials.pack_weight(torch.randn_like(left), LARGE)
    steps: dict[str, Callable[[], Any]] = {
        "plain": lambda: plain(inputs),
        "packed": lambda: tower(inputs),
        "matrix": lambda: trials.multiply(left, right, None),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            begun = time.thread_time()  # of this thread, which works as long as the others: busy machines change little
            step()
            seconds[name].append(time.thread_time() - begun)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    limit = 2 * LARGE**3 / medians["matrix"]
    share = counter.get_total_flops() / medians["packed"] / limit
    layers = sum(isinstance(layer, PackedLinear) for layer in model.modules())
    tower.keep_plain()
    return (
        f"{layers:3} layers, {float(difference):.1e} apart; plain {len(inputs) / medians['plain']:6.1f}/s, packed "
        f"{len(inputs) / medians['packed']:6.1f}/s, x {medians['plain'] / medians['packed']:.2f}; {share:.2f} of "
        f"{limit / 1e9:.0f} GFLOP/s"
    )


def compare_vectors(architecture: str, batch: int) -> list[str]:
    """A row of the table: packed layers, the greatest differences of a number of unit vectors and of a cosine."""
    prepare()
    torch.manual_seed(0)
    plain = make_model(architecture)
    towers = Towers(copy.deepcopy(plain), torch.device("cpu"), torch.float32)
    fields = torch.randn(batch, 3, 8, 8)  # images that differ in more than their grain
    images = (
        torch.nn.functional.interpolate(fields, size_of(plain), mode="bicubic") + torch.randn(3, *size_of(plain)) / 4
    )
    text = open_clip.get_model_config(architecture)["text_cfg"]
    if {"hf_model_name", "hf_tokenizer_name"} & text.keys():
        tokens = torch.randint(4, 32_000, (batch, text.get("context_length", 64)))
    else:
        words = [f"{number} " + "a photograph of a cat and two dogs " * (1 + number % 3) for number in range(batch)]
        tokens = open_clip.tokenize(words, plain.context_length)
    with torch.inference_mode():
        for _ in range(3):  # layers are packed once that pays
            packed = towers.encode_images(images), towers.encode_texts(tokens)
        expected = plain.encode_image(images), plain.encode_text(tokens)
    ours, theirs = (tuple(normalize(part.double()) for part in parts) for parts in (packed, expected))
    apart = [float((own - other).abs().max()) for own, other in zip(ours, theirs, strict=True)]
    cosines = [
        float((ours[0] @ part.T - theirs[0] @ other.T).abs().max()) for part, other in zip(ours, theirs, strict=True)
    ]
    layers = sum(isinstance(layer, PackedLinear) for layer in towers.model.modules())
    least = float((theirs[0] @ theirs[0].T).min())
    return [architecture, str(layers), *(f"{figure:.1e}" for figure in (*apart, *cosines)), f"{least:.3f}"]


def print_vectors(architectures: list[str], batch: int) -> None:
    """The table of `compare_vectors`."""
    table = Table("architecture", "packed layers", "images", "texts", "image × image", "image × text", "least cosine")
    with get_context("spawn").Pool(1, maxtasksperchild=1) as apart:
        for architecture in architectures:
            row = apart.apply(compare_vectors, (architecture, batch))
            table.add_row(*row)
    Console(width=120).print(table)


def prepare() -> None:
    """Pack all layers, also where plain ones are faster, and do not say that the weights are random."""
    logging.disable(logging.WARNING)
    trials.try_shape = lambda *_: True


def main() -> None:
    """Measure the architectures one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--vectors", action="store_true", help="compare vectors with OpenCLIP's instead")
    arguments = parser.parse_args()
    if arguments.vectors:
        print_vectors(arguments.architectures, arguments.batch)
        return
    prepare()
    with torch.inference_mode():
        for architecture in arguments.architectures:
            for line in measure(architecture, DTYPES[arguments.precision], arguments.batch, arguments.rounds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
