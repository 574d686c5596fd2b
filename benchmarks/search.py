"""`clipsim search` over a folder and over vectors on disk, exact and by an index → seconds, memory and recall.

`python -m benchmarks.search [--folder N] [--vectors N]... [--index] [--texts N]... [--runs N] [--inputs DIR]`. The
model is ViT-B-32 with random weights and an export; every run is a fresh process with a new text. `--folder` draws N
pictures whose vectors are in the cache, `--vectors` makes a data set of N synthetic vectors of 512 numbers in fp16
(1 GB a million), and `--index` builds its index. `--texts` also searches for N texts at once, whose own vectors
are cached. Inputs are kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.make_inputs import ARCHITECTURE, make_weights
from benchmarks.make_vectors import DIMENSIONS, Distribution, write_vectors

HERE = Path(__file__).parent
WATCH = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules, file=sys.stderr)); "
START = WATCH + "sys.argv[0] = 'clipsim'; from clipsim.cli import main; main()"


def run(command: Sequence[str | Path], cache: Path) -> dict[str, Any]:
    """Run clipsim in a fresh process: its seconds on the wall and of all cores, its peak memory, and its streams."""
    env = {**os.environ, "CLIPSIM_CACHE_DIR": str(cache)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", START, *map(str, command)], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = process.stdout.read().decode(), process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{err}")
    return {
        "wall": time.perf_counter() - begun,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss / 1000,
        "torch": err.rstrip().endswith("True"),
        "out": out,
    }


def measure(where: Path, model: Sequence[str | Path], cache: Path, runs: int, known: int = 0) -> dict[str, Any]:
    """Medians over searches; whether any of them imported torch.

    Each is for a text that no run before had, or for so many known ones: the same in each run.
    """
    done = []
    texts = [f"text {number} of those that are known" for number in range(known)]
    for number in range(runs + 1):
        searched = texts or [f"a new text, number {number} at {time.time_ns()}"]
        options = [part for text in searched for part in ("-t", text)]
        done.append(run(["search", where, *options, *model, "--json", "-q"], cache))
    done = done[1:]  # the first one reads from the disk
    return {
        **{name: round(statistics.median(one[name] for one in done), 3) for name in ("wall", "cpu", "memory")},
        "torch": any(one["torch"] for one in done),
        "searched": json.loads(done[0]["out"])["searched"],
    }


def prepare_model(inputs: Path, cache: Path) -> tuple[list[str | Path], str, Any]:
    """The options that name the model, its digest and its record; it is exported when it is not yet."""
    from clipsim.embedding.embedder import Embedder
    from clipsim.options import ModelOptions, RunOptions
    from clipsim.tasks.rank import describe_model

    weights = make_weights(inputs)
    options: list[str | Path] = ["-m", ARCHITECTURE, "--weights", weights]
    if not (cache / "exports").exists():
        run(["models", "export", ARCHITECTURE, "--weights", weights], cache)
    with Embedder(ModelOptions(ARCHITECTURE, str(weights), engine="onnx"), RunOptions()) as embedder:
        return options, embedder.identity, describe_model(embedder.facts)


def make_folder(folder: Path, count: int, weights: str) -> None:
    """So many small pictures, and random vectors of them in the cache: what a search costs does not depend on them."""
    from PIL import Image

    from clipsim.cache.vectors import FileKeys
    from clipsim.embedding.embedder import Embedder
    from clipsim.files import FileStamp, digest_file
    from clipsim.options import ModelOptions, RunOptions

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            colours = np.random.default_rng(number).integers(0, 256, (3, 4, 3), dtype=np.uint8)
            Image.fromarray(colours).resize((64, 48)).save(path)
    vectors = Distribution().draw_images(count, 0)
    with Embedder(ModelOptions(ARCHITECTURE, weights, engine="onnx"), RunOptions()) as embedder:
        assert embedder.cache is not None
        for start in range(0, count, 1000):
            part = paths[start : start + 1000]
            digests = [bytes.fromhex(digest_file(path)) for path in part]  # without metadata: the keys
            stamps = [FileStamp.of(path.stat()) for path in part]
            keys = [FileKeys(digest, digest) for digest in digests]
            files = list(zip(map(str, part), stamps, keys, strict=True))
            embedder.cache.images.add(dict(zip(digests, vectors[start : start + 1000], strict=True)), files)


def main() -> None:
    """Read the options, measure, and print a line of JSON for each case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--folder", type=int, metavar="N", help="pictures of a folder whose vectors are cached")
    parser.add_argument("--vectors", type=int, metavar="N", action="append", default=[], help="vectors on disk")
    parser.add_argument("--index", action="store_true", help="build an index of the vectors too")
    parser.add_argument("--texts", type=int, metavar="N", action="append", default=[], help="known texts at once")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs")
    options = parser.parse_args()
    options.inputs.mkdir(parents=True, exist_ok=True)
    cache = options.inputs / "search-cache"
    os.environ["CLIPSIM_CACHE_DIR"] = str(cache)
    # in processes of their own: what is measured later would inherit their memory
    with get_context("spawn").Pool(1, maxtasksperchild=1) as apart:
        model, digest, record = apart.apply(prepare_model, (options.inputs, cache))
        if options.folder:
            place = options.inputs / f"folder-{options.folder}"
            apart.apply(make_folder, (place, options.folder, str(model[-1])))
        for count in options.vectors:
            place = options.inputs / f"vectors-{count}"
            apart.apply(write_vectors, (place, count), {"model": record, "digest": digest})
    if options.folder:
        folder = options.inputs / f"folder-{options.folder}"
        print(json.dumps({"case": "folder", **measure(folder, model, cache, options.runs)}), flush=True)
    for count in options.vectors:
        folder = options.inputs / f"vectors-{count}"
        case = {"vectors": count, "megabytes": count * DIMENSIONS * 2 / 1e6}
        run(["index", folder, "--kind", "exact", "-q"], cache)
        print(json.dumps({"case": "exact", **case, **measure(folder, model, cache, options.runs)}), flush=True)
        for texts in options.texts:
            figures = measure(folder, model, cache, options.runs, texts)
            print(json.dumps({"case": f"exact, {texts} known texts", **case, **figures}), flush=True)
        if options.index:
            built = run(["index", folder, "--kind", "ivf", "--json", "-q"], cache)
            facts = {
                name: value for name, value in json.loads(built["out"]).items() if name not in ("schema", "folder")
            }
            print(json.dumps({"case": "building", **facts, "cpu": built["cpu"], "memory": built["memory"]}), flush=True)
            print(json.dumps({"case": "index", **case, **measure(folder, model, cache, options.runs)}), flush=True)


if __name__ == "__main__":
    main()
