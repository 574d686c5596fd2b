"""Images and texts a second by plain and by packed layers on this CPU, in turn, and how far their vectors are apart.

`python -m benchmarks.packed [ARCHITECTURE …] [--precision bf16] [--rounds 7]`. The weights are random. The last figure
of a line is the share of what oneDNN reaches with a large matrix, measured between the others. A family whose texts
another tokenizer makes is measured with its images alone.
"""

from __future__ import annotations

import argparse
import copy
import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import open_clip
import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.flop_counter import FlopCounterMode

from clipsim.engines.torch import trials
from clipsim.engines.torch.packed import PackableTower, PackedLinear

ARCHITECTURES = (
    "ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16", "ViT-L-14-CLIPA", "RN50", "convnext_base", "ViT-B-16-SigLIP",
    "EVA02-B-16", "MobileCLIP-S1", "coca_ViT-B-32", "ViTamin-S",
)  # fmt: skip
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
LARGE = 4096  # rows and columns of the matrix that shows what oneDNN can do


def measure(architecture: str, dtype: torch.dtype, batch: int, rounds: int) -> list[str]:
    """A line for each tower of the architecture."""
    torch.manual_seed(0)
    model: Any = open_clip.create_model(architecture).eval().requires_grad_(False).to(dtype)
    other = copy.deepcopy(model)
    size = model.visual.image_size
    images = torch.randn(batch, 3, *(size if isinstance(size, tuple) else (size, size))).to(dtype)
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
            begun = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begun)
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


def main() -> None:
    """Measure the architectures one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("architectures", nargs="*", default=ARCHITECTURES)
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)  # that the weights are random
    trials.try_shape = lambda *_: True  # also where plain layers are faster
    with torch.inference_mode():
        for architecture in arguments.architectures:
            for line in measure(architecture, DTYPES[arguments.precision], arguments.batch, arguments.rounds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
