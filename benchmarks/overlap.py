"""The share of a device's speed that decoding and overlap leave: decoders that sleep, and a device that sleeps.

`python -m benchmarks.overlap [--rates 500 1000 2500] [--decoders 16] [--decode-ms 3.5] [--images 8192] [--json]`.
Sleeping takes no core: this shows what the queue of batches costs beside a GPU and enough cores, not what they do.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from clipsim.embedding.encode import embed_images
from clipsim.embedding.pipeline import Pipeline
from clipsim.engines.accelerator import SLOTS, BatchQueue
from clipsim.images.limits import DecodingRules
from clipsim.inputs.sources import PillowSource, Source

SIDE, DIMENSIONS = 224, 768


class SleepingDevice:
    """An `Accelerator` that computes one batch after the other, each in a time that is proportional to its rows."""

    slots = SLOTS

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._pixels: dict[int, Any] = {}
        self._ends = dict.fromkeys(range(SLOTS), 0.0)
        self._end = 0.0  # of the last batch
        self._lock = threading.Lock()

    def buffer(self, slot: int, shape: tuple[int, ...]) -> Any:
        """Kept."""
        if slot not in self._pixels or len(self._pixels[slot]) < shape[0]:
            self._pixels[slot] = np.zeros(shape, np.uint8)
        return self._pixels[slot]

    def copy(self, slot: int, count: int) -> None:
        """Takes no time."""

    def launch(self, slot: int, count: int) -> None:
        """Begins when the batch before it ends."""
        with self._lock:
            self._end = self._ends[slot] = max(self._end, time.perf_counter()) + count / self._rate

    def wait(self, slot: int) -> None:
        """Sleep until the batch ends."""
        time.sleep(max(0.0, self._ends[slot] - time.perf_counter()))

    def fetch(self, _slot: int, count: int) -> Any:
        """Ones."""
        return np.ones((count, DIMENSIONS), np.float32)


class SleepingEncoder:
    """An encoder whose images take one time to prepare and another to encode, with a queue or without."""

    image_size = SIDE

    def __init__(self, rate: float, seconds: float, overlap: bool) -> None:
        self._rate, self._seconds = rate, seconds
        self._prepared = np.zeros((SIDE, SIDE, 3), np.uint8)
        self.queue = BatchQueue(SleepingDevice(rate), _raise) if overlap else None

    def prepare_image(self, _image: Image.Image) -> Any:
        """Sleep, as decoding and resizing leave the interpreter to other threads."""
        time.sleep(self._seconds)
        return self._prepared.copy()

    def encode_images(self, pixels: Any) -> Any:
        """Sleep until the batch is computed."""
        time.sleep(len(pixels) / self._rate)
        return np.ones((len(pixels), DIMENSIONS), np.float32)


def _raise(error: Exception, _pixels: Any) -> Any:
    raise error


@dataclass(frozen=True)
class Share:
    """Images a second of a device, and of the whole run as a share of that, with the queue and without."""

    device: float
    with_queue: float
    without_queue: float


def measure(rate: float, decoders: int, seconds: float, images: int, batch_size: int) -> Share:
    """Both shares."""
    image = Image.new("RGB", (8, 8))

    def sources() -> Iterator[Source]:
        return (PillowSource(str(number), image) for number in range(images))

    shares = []
    for overlap in (True, False):
        encoder = SleepingEncoder(rate, seconds, overlap)
        pipeline = Pipeline(encoder, sources(), rules=DecodingRules(), batch_size=batch_size, workers=decoders)
        begun = time.perf_counter()
        assert sum(map(len, embed_images(encoder, pipeline, batch_size=batch_size))) == images
        shares.append(images / (time.perf_counter() - begun) / rate)
    return Share(rate, *shares)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", nargs="+", type=float, default=[500, 1000, 2500])
    parser.add_argument("--decoders", type=int, default=16)
    parser.add_argument("--decode-ms", type=float, default=3.5, help="of an image, in one decoder")
    parser.add_argument("--images", type=int, default=8192)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    shares = [
        measure(rate, options.decoders, options.decode_ms / 1000, options.images, options.batch)
        for rate in options.rates
    ]
    if options.json:
        print(json.dumps([asdict(share) for share in shares], indent=1))
        return
    table = Table("device", "with the queue", "without")
    for share in shares:
        table.add_row(f"{share.device:,.0f}/s", f"{share.with_queue:.3f}", f"{share.without_queue:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
