"""`clipsim embed` and `rank`, the usual loop, decoding alone and the model alone on the same pictures → their rates.

`python -m benchmarks.embed [--pictures N] [--size 640x480] [--runs N] [--sides SIDE …] [--growth]`. Each side runs as a
fresh process, in turn; its clock starts when the model has run (that of `rank`, when the first batch is written), and
the figures are medians. Decoding and the model share the cores: embedding cannot take less than both together where
each alone keeps all cores busy. `--growth` compares the peak memory of embedding 2,000 and 20,000 small pictures with
the bundled model instead.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench import BATCH, HERE
from benchmarks.make_inputs import ARCHITECTURE, TEXTS, make_elsewhere, make_pictures, make_weights

ENGINES = ("torch", "onnx")
SIDES = ("by hand", "decoding alone", *(f"{part}, {e}" for e in ENGINES for part in ("model alone", "embed", "rank")))


class Clock:
    """Seconds since it was started, on the wall and of all cores; the latter hold on a machine that is shared too."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self) -> dict[str, float]:
        """Both."""
        return {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


def run_by_hand(weights: str, paths: list[str], output: Path) -> tuple[dict[str, float], Any]:
    """The usual loop: open, preprocess, stack, encode, save. Seconds, and the unit vectors."""
    import open_clip
    import torch
    from PIL import Image

    model, _, preprocess = open_clip.create_model_and_transforms(ARCHITECTURE, pretrained=weights)
    model.eval()
    clock = Clock()
    features = []
    with torch.no_grad():
        for start in range(0, len(paths), BATCH):
            pixels = [preprocess(Image.open(path)) for path in paths[start : start + BATCH]]
            encoded = model.encode_image(torch.stack(pixels))
            features.append((encoded / encoded.norm(dim=-1, keepdim=True)).numpy())
    vectors = np.concatenate(features)
    np.save(output / "vectors.npy", vectors)
    return clock.stop(), vectors


def run_decoding_alone(paths: list[str]) -> tuple[dict[str, float], dict[str, float]]:
    """The pipeline with nothing behind it. Seconds, and those of one thread for each step of a few pictures, in ms."""
    from clipsim.embedding.pipeline import Pipeline
    from clipsim.engines.preprocessing import Preprocessing
    from clipsim.images.decode import configure_pillow, decoded_file
    from clipsim.images.limits import DecodingRules
    from clipsim.inputs.expand import find_sources

    preprocessing = Preprocessing.of(224, {})

    class Preparing:
        """What a pipeline needs of a model."""

        image_size = 224

        def prepare_image(self, image: Any) -> Any:
            return preprocessing.prepare(image)

        def encode_images(self, pixels: Any) -> Any:
            raise NotImplementedError

    def pipeline(part: list[str]) -> Pipeline:
        return Pipeline(Preparing(), find_sources(part), rules=DecodingRules(), batch_size=BATCH, own_process=True)

    for _ in pipeline(paths[:8]):
        pass
    clock = Clock()
    for _ in pipeline(paths):
        pass
    seconds = clock.stop()
    configure_pillow()
    steps = {"decode": 0.0, "resize": 0.0}
    few = paths[:32]
    for path in few:
        with Path(path).open("rb") as file:
            begun = time.thread_time()
            with decoded_file(file, 2 * 224) as image:
                decoded = time.thread_time()
                preprocessing.prepare(image)
                steps["resize"] += time.thread_time() - decoded
                steps["decode"] += decoded - begun
    return seconds, {step: 1000 * spent / len(few) for step, spent in steps.items()}


def run_model_alone(weights: str, paths: list[str], engine: str) -> tuple[dict[str, float], Any]:
    """The encoder on pixels that are prepared already. Seconds, and the unit vectors."""
    import clipsim
    from clipsim.images.decode import load_image
    from clipsim.vectors.similarity import unit_rows

    with clipsim.open(ARCHITECTURE, weights=weights, device="cpu", engine=engine, cache=False) as session:
        pixels = np.stack([session.embedder.encoder.prepare_image(load_image(path)) for path in paths])
        warm_up(session.embedder.encoder)
        clock = Clock()
        features = [session.embedder.encoder.encode_images(pixels[n : n + BATCH]) for n in range(0, len(pixels), BATCH)]
        seconds = clock.stop()
    return seconds, unit_rows(np.concatenate(features))


def warm_up(encoder: Any) -> None:
    """Encode some batches: a CPU's layers are packed once that pays."""
    height, width = encoder.facts.preprocessing.size
    for _ in range(2):
        encoder.encode_images(np.zeros((BATCH, height, width, 3), np.uint8))


def run_embed(weights: str, paths: list[str], output: Path, engine: str) -> tuple[dict[str, float], Any]:
    """`tasks.embed.run`, from the moment when the model is loaded. Seconds, and the vectors."""
    from clipsim.embedding.embedder import Embedder
    from clipsim.inputs.expand import find_sources
    from clipsim.options import ModelOptions, RunOptions
    from clipsim.store.dataset import Dataset
    from clipsim.tasks.embed import EmbedRequest, run

    model = ModelOptions(ARCHITECTURE, weights, device="cpu", engine=engine)
    with Embedder(model, RunOptions(batch_size=BATCH, cache=False), own_process=True) as embedder:
        warm_up(embedder.encoder)
        clock = Clock()
        run(embedder, EmbedRequest(find_sources(paths), str(output / "out"), dtype="fp32"))
        seconds = clock.stop()
    return seconds, np.concatenate([block.vectors for block in Dataset(output / "out").blocks()])


class TimedBytes(io.RawIOBase):
    """The standard output of results, which are not kept: a clock runs from the first write to the last."""

    def __init__(self) -> None:
        self.lines = self.first_lines = 0
        self.seconds: dict[str, float] = {}
        self._clock: Clock | None = None

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Count the lines, and note how long they took since the first ones."""
        data = bytes(data)
        self.lines += data.count(b"\n")
        if self._clock is None:
            self._clock, self.first_lines = Clock(), self.lines
        self.seconds = self._clock.stop()
        return len(data)


def run_rank(weights: str, paths: list[str], engine: str) -> dict[str, float]:
    """`clipsim rank --format jsonl`, from the first batch that it writes to the last. Seconds, for all pictures."""
    from clipsim.cli.app import command_line

    command = ["rank", *paths, "-m", ARCHITECTURE, "--weights", weights, "--device", "cpu", "--engine", engine]
    command += [*(part for text in TEXTS for part in ("-t", text)), "--batch-size", str(BATCH)]
    output, stdout = TimedBytes(), sys.stdout
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(output), encoding="utf-8")
    try:
        command_line()([*command, "--no-cache", "--format", "jsonl"], prog_name="clipsim", standalone_mode=False)
    finally:
        sys.stdout = stdout
    timed = output.lines - BATCH  # the first ones came before the clock
    return {kind: seconds * len(paths) / timed for kind, seconds in output.seconds.items()}


def run_side(side: str, weights: str, folder: str, count: int) -> None:
    """Run one side in this process, and print what it took and where its vectors are."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command line sets it
    paths = [str(path) for path in sorted(Path(folder).glob("*.jpg"))[:count]]
    with tempfile.TemporaryDirectory() as output:
        engine = side.rpartition(", ")[2]
        steps: dict[str, float] = {}
        vectors: Any = []
        if side == "decoding alone":
            seconds, steps = run_decoding_alone(paths)
        elif side == "by hand":
            seconds, vectors = run_by_hand(weights, paths, Path(output))
        elif side.startswith("model"):
            seconds, vectors = run_model_alone(weights, paths, engine)
        elif side.startswith("rank"):
            seconds = run_rank(weights, paths, engine)
        else:
            seconds, vectors = run_embed(weights, paths, Path(output), engine)
        rates = {kind: len(paths) / value for kind, value in seconds.items()}
        print(json.dumps({**rates, "steps": steps, "sample": np.asarray(vectors[:8], float).tolist()}))


def compare(options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """The median rates of each side, in pictures a second and a core's second; warns where vectors differ."""
    inputs = options.inputs.resolve()
    make_elsewhere(f"make_weights(Path({str(inputs)!r}))")
    weights, environment = make_weights(inputs), os.environ | {"CLIPSIM_CACHE_DIR": str(inputs / "cache")}
    exported = all(map(find_spec, ("onnxruntime", "onnx", "tokenizers")))
    if exported and any("onnx" in side for side in options.sides):
        export = ["models", "export", ARCHITECTURE, "--weights", str(weights)]
        subprocess.run([sys.executable, "-m", "clipsim", *export], check=True, cwd=HERE.parent, env=environment)
    size = tuple(map(int, options.size.split("x")))
    make_elsewhere(f"make_pictures(Path({str(inputs)!r}), {options.pictures}, {size})")
    folder = str(inputs / f"{size[0]}x{size[1]}")
    sides = [side for side in options.sides if exported or "onnx" not in side]
    rates: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    reference: Any = None
    for _ in range(options.runs):
        for side, found in rates.items():
            command = [sys.executable, "-m", "benchmarks.embed", "--side", side, "--pictures", str(options.pictures)]
            command += ["--weights", str(weights), "--folder", folder]
            done = subprocess.run(command, check=True, cwd=HERE.parent, env=environment, stdout=subprocess.PIPE)
            result = json.loads(done.stdout)
            found.append((result["wall"], result["cpu"]))
            if steps := ", ".join(f"{step} {spent:.1f} ms" for step, spent in result["steps"].items()):
                print(f"{side}: {steps} of one thread a picture")
            if not result["sample"]:
                continue
            sample = np.array(result["sample"])
            reference = sample if reference is None else reference
            if (difference := float(np.abs(sample - reference).max())) > 1e-3:
                print(f"{side}: vectors differ by {difference:.1e}", file=sys.stderr)
    return {
        side: (statistics.median(wall for wall, _ in found), statistics.median(cpu for _, cpu in found))
        for side, found in rates.items()
    }


def measure_growth(inputs: Path, counts: tuple[int, ...] = (2000, 20_000)) -> dict[int, float]:
    """Peak memory in MB of `clipsim embed` with the bundled model on so many pictures of 160 × 120."""
    source = make_pictures(inputs.resolve(), 500, (160, 120))
    folder = Path(tempfile.mkdtemp(dir=inputs))
    peaks = {}
    try:
        for count in counts:
            part = folder / str(count)
            part.mkdir()
            for number in range(count):
                os.link(source[number % len(source)], part / f"{number:05}.jpg")
            command = [sys.executable, "-m", "clipsim", "embed", str(part), "-o", str(folder / f"out{count}")]
            command += ["-m", "clipsim-mini", "--device", "cpu", "--engine", "torch", "--no-cache", "-q"]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=HERE.parent)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                raise SystemExit(f"status {process.returncode}")
            peaks[count] = usage.ru_maxrss / 1024
    finally:
        shutil.rmtree(folder)
    return peaks


def main() -> None:
    """Run the sides in turn and print their rates, or the growth of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=256)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--runs", type=int, default=3, help="of each side")
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=SIDES, metavar="SIDE", help="some of the sides")
    parser.add_argument("--growth", action="store_true", help="measure memory instead")
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs", help="where weights and pictures are kept")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--weights", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        run_side(options.side, options.weights, options.folder, options.pictures)
        return
    options.inputs.mkdir(parents=True, exist_ok=True)
    if options.growth:
        for count, peak in measure_growth(options.inputs).items():
            print(f"{count:,} pictures: {peak:,.0f} MB")
        return
    rates = compare(options)
    for side, (wall, cpu) in rates.items():
        times = f" ({wall / rates['by hand'][0]:.2f} × by hand)" if "by hand" in rates else ""
        print(f"{side:20} {wall:7.1f} pictures a second{times}, {cpu:6.1f} a core's second")
    for side in (f"{command}, {engine}" for engine in ENGINES for command in ("embed", "rank")):
        parts = [side, "decoding alone", f"model alone, {side.rpartition(', ')[2]}"]
        if not rates.keys() >= set(parts):
            continue
        for kind, (whole, *alone) in zip(
            ("second", "core's second"), zip(*(rates[part] for part in parts), strict=True), strict=True
        ):
            both = 1 / sum(1 / rate for rate in alone)
            print(f"{side}, a {kind}: {whole / min(alone):.2f} of the slower part, {whole / both:.2f} of both")


if __name__ == "__main__":
    main()
