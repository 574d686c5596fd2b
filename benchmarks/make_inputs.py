"""Weights and pictures to time things on: random with a fixed seed, for neither speed nor agreement needs training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

ARCHITECTURE = "ViT-B-32"
TEXTS = ("a maze", "a photo of a cat", "a dog", "a bar chart")


def make_weights(folder: Path, architecture: str = ARCHITECTURE) -> Path:
    """A state dict in OpenCLIP's layout, its features spread enough for a wrong number to show."""
    path = folder / f"{architecture.lower()}.safetensors"
    if not path.exists():
        import open_clip
        import torch
        from safetensors.torch import save_file

        torch.manual_seed(0)
        model = open_clip.create_model(architecture, load_weights=False)
        state = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
        for name, tensor in state.items():
            if tensor.dim() > 1 and "embedding" not in name:
                tensor.mul_(1.5)
        state["logit_scale"].fill_(np.log(100.0))
        save_file(state, path)
    return path


def make_pictures(folder: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """JPEGs like photos in what they cost: smooth fields, some edges, grain."""
    folder = folder / f"{size[0]}x{size[1]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for number, path in enumerate(paths):
        if not path.exists():
            rng = np.random.default_rng(number)
            fields = Image.fromarray(rng.integers(0, 256, (8, 10, 3), dtype=np.uint8)).resize(
                size, Image.Resampling.BICUBIC
            )
            edges = Image.fromarray(rng.integers(0, 256, (size[1] // 20, size[0] // 20, 3), dtype=np.uint8))
            mixed = Image.blend(fields, edges.resize(size).filter(ImageFilter.GaussianBlur(1)), 0.3)
            grain = rng.normal(0, 5, (size[1], size[0], 1)).astype(np.float32)
            noisy = np.clip(np.asarray(mixed, np.float32) + grain, 0, 255).astype(np.uint8)
            Image.fromarray(noisy).save(path, quality=90)
    return paths


def make_elsewhere(call: str) -> None:
    """Run a call of this module in a process of its own: what is measured later must not inherit its memory."""
    code = f"from pathlib import Path; from benchmarks.make_inputs import make_pictures, make_weights; {call}"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])
