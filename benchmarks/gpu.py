"""Pictures a second on a GPU (or whatever --device names): end to end, the model alone, decoding alone, by batch size.

`python -m benchmarks.gpu [--device cuda] [--architectures ViT-B-32 ViT-L-14] [--batches 32 128 512] [--json]`. The
weights are random: they cost what trained ones cost.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.make_inputs import make_pictures, make_weights
from clipsim.embedding.encode import embed_images
from clipsim.embedding.pipeline import Pipeline
from clipsim.engines.choice import default_workers
from clipsim.engines.torch.encoder import ClipEncoder
from clipsim.images.limits import DecodingRules
from clipsim.inputs.sources import FileSource
from clipsim.models.files import find_files
from clipsim.models.names import find_model

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Speed:
    """Pictures a second, of one model in one precision at one batch size."""

    architecture: str
    device: str
    precision: str
    batch_size: int
    end_to_end: float
    model_alone: float
    decoding_alone: float

    @property
    def share(self) -> float:
        """End to end as a share of what the model could do."""
        return self.end_to_end / self.model_alone

    @property
    def bottleneck(self) -> str:
        """What is slower by itself."""
        return "decoding" if self.decoding_alone < self.model_alone else "the model"


def rate(count: int, work: Callable[[], object], device: str, rounds: int = 3) -> float:
    """Pictures a second of work on `count` pictures: the median of some rounds, after one to warm up."""
    seconds = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return count / statistics.median(seconds[1:])


def measure(encoder: ClipEncoder, paths: list[str], batch_size: int, workers: int) -> Speed:
    """All three rates."""

    def pipeline() -> Pipeline:
        sources = map(FileSource, paths)
        return Pipeline(encoder, sources, rules=DecodingRules(), batch_size=batch_size, workers=workers)

    pixels = np.random.default_rng(0).integers(
        0, 256, (batch_size, *encoder.facts.preprocessing.size, 3), dtype=np.uint8
    )
    batches = max(1, min(20, len(paths) // batch_size))
    return Speed(
        encoder.facts.name,
        encoder.facts.device,
        encoder.facts.precision,
        batch_size,
        rate(len(paths), lambda: list(embed_images(encoder, pipeline(), batch_size=batch_size)), encoder.facts.device),
        rate(
            batch_size * batches, lambda: [encoder.encode_images(pixels) for _ in range(batches)], encoder.facts.device
        ),
        rate(len(paths), lambda: list(pipeline()), "cpu"),
    )


@contextmanager
def memory_for(device: str) -> Iterator[None]:
    """Give a GPU's memory back afterwards."""
    yield
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--architectures", nargs="+", default=["ViT-B-32", "ViT-L-14"])
    parser.add_argument("--precisions", nargs="+", default=["fp16", "bf16"])
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 128, 512])
    parser.add_argument("--pictures", type=int, default=2048)
    parser.add_argument("--size", nargs=2, type=int, default=[640, 480], help="width and height of the JPEGs")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    paths = [str(path) for path in make_pictures(options.inputs, options.pictures, tuple(options.size))]
    speeds = []
    for architecture in options.architectures:
        weights = make_weights(options.inputs, architecture)
        for precision in options.precisions:
            with memory_for(options.device):
                spec = find_model(architecture, str(weights))
                encoder = ClipEncoder(spec, find_files(spec), device=options.device, precision=precision)
                speeds += [measure(encoder, paths, batch, options.workers) for batch in options.batches]
                del encoder
    if options.json:
        print(json.dumps([asdict(speed) | {"bottleneck": speed.bottleneck} for speed in speeds], indent=1))
        return
    table = Table("model", "device", "precision", "batch", "end to end", "model", "decoding", "share", "bottleneck")
    for speed in speeds:
        rates = (f"{figure:,.0f}/s" for figure in (speed.end_to_end, speed.model_alone, speed.decoding_alone))
        table.add_row(
            speed.architecture, speed.device, speed.precision, str(speed.batch_size), *rates, f"{speed.share:.0%}",
            speed.bottleneck,
        )  # fmt: skip
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
