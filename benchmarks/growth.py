"""An index that is added to, beside one that is built anew; duplicates of very many vectors → seconds, memory, recall.

`python -m benchmarks.growth [--vectors N --add M] [--duplicates N] [--inputs DIR]`. `--vectors` and `--add` write a
data set of N synthetic vectors of 512 numbers, in shards of 10,000, and index it; M are added to both, and the index is
built anew, by the command. The recall is that of new image and text queries. `--duplicates` writes a
data set of N vectors, 100 in each shard of which are near copies of others, and groups those over 0.94 without looking
at pixels. Inputs are kept in DIR.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.make_vectors import SHARD, Distribution, find_copies, write_vectors
from benchmarks.search import run
from clipsim.results.base import ModelRecord

HERE = Path(__file__).parent
MODEL = ModelRecord("synthetic", None, 512, 224, 100.0, None, "softmax")
QUERIES = 200  # of images, and of texts
NEAREST = 10
COPIES = 100  # in each shard
THRESHOLD = 0.94
FACTS = ("seconds", "added", "lists", "probes", "recall_images", "recall_texts")


def write(folder: Path, count: int, **options: Any) -> Path:
    """A data set of so many vectors, as no model made them."""
    return write_vectors(folder, count, model=MODEL, digest="synthetic", **options)


def measure_index(folder: Path, cache: Path, *options: str) -> dict[str, Any]:
    """What `clipsim index` says of its work on a data set, the seconds of the whole run, and its peak memory."""
    done = run(["index", folder, "--kind", "ivf", *options, "--json", "-q"], cache)
    result = json.loads(done["out"])
    return {
        "wall": round(done["wall"], 2),
        "cpu": round(done["cpu"], 2),
        "memory": round(done["memory"]),
        **{name: result[name] for name in FACTS},
    }


def measure_recall(folder: Path) -> dict[str, float]:
    """The shares of the ten nearest that a search by the index finds, for queries that are not in the data set."""
    from clipsim.store.dataset import Dataset, scan
    from clipsim.store.index import load_index

    dataset = Dataset(folder)
    index, fault = load_index(dataset)
    assert index is not None, fault
    drawn = Distribution()
    shares = {}
    for kind, queries in (
        ("images", drawn.draw_images(QUERIES, 1 << 30)),
        ("texts", drawn.draw_texts(QUERIES, 1 << 30)),
    ):
        exact, _ = scan(dataset, queries, NEAREST, workers=2)
        nearest = index.find(queries, NEAREST)
        found = [len(set(a) & set(b)) / NEAREST for a, b in zip(exact.rows, nearest.rows, strict=True)]
        shares[kind] = round(float(np.mean(found)), 4)
    return shares


def measure_growth(inputs: Path, count: int, added: int) -> None:
    """Print a line of JSON for building the first index, adding to it, and building it anew; and their ratio."""
    cache = inputs / "growth-cache"
    folder = write(inputs / f"growth-{count}", count, grow=True)
    print(json.dumps({"case": "built", "vectors": count, **measure_index(folder, cache, "--rebuild")}), flush=True)
    write(folder, count + added, grow=True)
    lines = {}
    for case, options in (("added to", ()), ("built anew", ("--rebuild",))):
        lines[case] = {**measure_index(folder, cache, *options), "recall": measure_recall(folder)}
        print(json.dumps({"case": case, "vectors": count + added, **lines[case]}), flush=True)
    extended, rebuilt = lines["added to"], lines["built anew"]
    difference = {kind: round(extended["recall"][kind] - rebuilt["recall"][kind], 4) for kind in ("images", "texts")}
    print(json.dumps({"ratio": round(extended["wall"] / rebuilt["wall"], 3), "recall difference": difference}))


def measure_duplicates(folder: Path, count: int) -> dict[str, Any]:
    """The seconds and peak memory of grouping near vectors, the stated recall, and the share of copies in groups."""
    from clipsim.store.dataset import Dataset
    from clipsim.tasks.near_images import group_images
    from clipsim.tasks.progress import ignore_progress
    from clipsim.tasks.search_targets import EmbeddedCollection

    begun = time.perf_counter()
    collection = EmbeddedCollection(MODEL.embed_dim)
    dataset = Dataset(folder)
    collection.vectors.add_dataset(dataset)
    collection.add_dataset(dataset)
    near = group_images(collection, THRESHOLD, None, ignore_progress, all_pairs=False)
    together = [near.groups.together(first, second) for first, second in find_copies(count, COPIES).tolist()]
    return {
        "case": "duplicates",
        "vectors": count,
        "wall": round(time.perf_counter() - begun, 2),
        "memory": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000),
        "pairs": near.pairs,
        "stated recall": near.recall,
        "copies": len(together),
        "share in groups": round(float(np.mean(together)), 4),
        "notices": near.notices,
    }


def main() -> None:
    """Read the options, measure, and print a line of JSON for each case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--vectors", type=int, metavar="N", help="vectors of the first index")
    parser.add_argument("--add", type=int, metavar="M", default=100_000, help="vectors that are added to it")
    parser.add_argument("--duplicates", type=int, metavar="N", help="vectors with copies among them")
    parser.add_argument("--inputs", type=Path, default=HERE / "inputs")
    options = parser.parse_args()
    if any((count or 0) % SHARD for count in (options.vectors, options.add, options.duplicates)):
        parser.error(f"give multiples of {SHARD}")
    options.inputs.mkdir(parents=True, exist_ok=True)
    if options.vectors:
        measure_growth(options.inputs, options.vectors, options.add)
    if options.duplicates:
        folder = write(options.inputs / f"copies-{options.duplicates}", options.duplicates, copies=COPIES)
        with get_context("spawn").Pool(1) as apart:  # the memory is that of this case alone
            print(json.dumps(apart.apply(measure_duplicates, (folder, options.duplicates))), flush=True)


if __name__ == "__main__":
    main()
