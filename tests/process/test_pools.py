"""Sessions in the processes of joblib and of PyTorch's data loaders: what docs/python.md says of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skips import needs_fork

FUNCTIONS = """
from functools import cache

import clipsim
import numpy as np
from torch.utils.data import Dataset


@cache
def open_session():
    return clipsim.open("clipsim-mini", device="cpu")


def encode(paths):
    return open_session().encode_images(paths)


class Vectors(Dataset):
    def __init__(self, session, paths):
        self.session, self.paths = session, paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.session.encode_images(self.paths[index])[0]


class Pixels(Vectors):
    def __getitem__(self, index):
        from PIL import Image

        return np.array(Image.open(self.paths[index]))
"""

PROGRAM = """
import sys

import clipsim
import numpy as np
from functions import Pixels, Vectors, encode
from joblib import Parallel, delayed
from torch.utils.data import DataLoader

if __name__ == "__main__":
    paths = sys.argv[1:]
    with clipsim.open("clipsim-mini", device="cpu") as session:
        expected = session.encode_images(paths)

        def agree(vectors):
            print(vectors.shape == expected.shape and np.abs(vectors - expected).max() < 1e-6)

        parts = [paths[:2], paths[2:]]
        agree(np.concatenate(Parallel(n_jobs=2)(delayed(encode)(part) for part in parts)))
        agree(np.concatenate(Parallel(n_jobs=2)(delayed(session.encode_images)(part) for part in parts)))
        threads = Parallel(n_jobs=2, prefer="threads")
        agree(np.concatenate(threads(delayed(session.encode_images)(part) for part in parts)))

        loader = DataLoader(Pixels(None, paths), batch_size=2, num_workers=2, multiprocessing_context="fork")
        agree(session.encode_images(image for batch in loader for image in batch))
        try:
            next(iter(DataLoader(Vectors(session, paths), num_workers=1, multiprocessing_context="fork")))
        except clipsim.UsageError as error:
            print("opened before this process was forked" in str(error))
        spawned = DataLoader(Vectors(session, paths), batch_size=4, num_workers=1, multiprocessing_context="spawn")
        agree(np.concatenate([batch.numpy() for batch in spawned]))
"""


@needs_fork
def test_pools_of_processes_and_threads(tmp_path: Path) -> None:
    """Each process opens a session of its own; the workers of a loader that are forked only decode."""
    pytest.importorskip("joblib")
    rng = np.random.default_rng(1)
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")

    paths = sorted(map(str, tmp_path.glob("*.png")))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), *paths],
        env=environment, capture_output=True, text=True, timeout=600,
    )  # fmt: skip

    assert done.stdout.splitlines() == ["True"] * 6, done.stderr
