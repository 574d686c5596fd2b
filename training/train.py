"""Tiles and captions → clipsim-mini, trained from scratch: `python -m training.train`, after `training.render`."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP
from torch.utils.data import DataLoader, Dataset

from .batches import Batch, Deck, make_batch, make_tokenize
from .network import MODEL_CONFIG, MODEL_FOLDER, build_network, encode_captions, write_model
from .render import open_tiles
from .sources import WORK


@dataclass(frozen=True)
class Recipe:
    """How to train: `minutes` ends the run, and its learning-rate schedule, by the clock where it is given."""

    steps: int = 12_000
    minutes: float | None = None
    batch_size: int = 128
    rate: float = 1.5e-3
    warm_up: int = 200
    weight_decay: float = 0.1
    small_share: float = 0.55  # of the run that learns from smaller pictures, which are faster
    small_side: int = 64
    save_minutes: float = 5.0
    seed: int = 0


class Batches(Dataset[Batch]):
    """The batches of a recipe by their step, made in another process while the network learns."""

    def __init__(self, folder: Path, recipe: Recipe, side: int, first: int) -> None:
        self.folder, self.recipe, self.side, self.first = folder, recipe, side, first
        self.deck: Deck | None = None

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, step: int) -> Batch:
        if self.deck is None:
            self.deck, self.tokenize = Deck(open_tiles(self.folder)), make_tokenize()
        seed = self.recipe.seed * 1_000_003 + self.first + step
        return make_batch(self.deck, self.recipe.batch_size, self.side, seed, self.tokenize)


class Prototypes(torch.nn.Module):
    """A unit vector for each concept, learned beside the towers and thrown away: images and captions are drawn to it.

    It gives all concepts as negatives in each batch, and the towers a common aim from the first step on.
    """

    true: torch.Tensor

    def __init__(self, deck: Deck, width: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(0.25 * torch.randn(len(deck.names), width))
        true = np.stack([deck.true_of[name] for name in deck.names], axis=1)
        self.register_buffer("true", torch.from_numpy(true) & ~torch.eye(len(true), dtype=torch.bool), persistent=False)

    def loss(self, features: torch.Tensor, concepts: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Return the cross-entropy of (n, d) unit features with their concepts, less others that are true."""
        logits = scale * features @ torch.nn.functional.normalize(self.weight, dim=-1).T
        return torch.nn.functional.cross_entropy(logits.masked_fill(self.true[concepts], -torch.inf), concepts)


def contrast(model: CLIP, batch: Batch, prototypes: Prototypes) -> torch.Tensor:
    """Return the contrastive loss; captions that may be true without being the target are no negatives.

    Further terms draw images and their captions to the prototypes of their concepts, and compare captions that name a
    colour with themselves in the other colours.
    """
    with torch.autocast("cpu", torch.bfloat16):
        image_features = model.visual(batch.images)
        text_features = encode_captions(model, batch.tokens)
    image_features = torch.nn.functional.normalize(image_features.float(), dim=-1)
    text_features = text_features.float()
    scale = model.logit_scale.exp()
    logits = scale * image_features @ text_features.T
    by_image = logits.masked_fill(batch.ignore, -torch.inf)
    by_text = by_image.T[batch.owned]
    own = torch.nn.functional.one_hot(batch.target, len(batch.tokens)).T.bool()[batch.owned]
    text_loss = (by_text.logsumexp(dim=-1) - by_text.masked_fill(~own, -torch.inf).logsumexp(dim=-1)).mean()
    loss: torch.Tensor = (torch.nn.functional.cross_entropy(by_image, batch.target) + text_loss) / 2
    loss = loss + prototypes.loss(image_features, batch.concepts, scale)
    loss = loss + prototypes.loss(text_features[batch.target], batch.concepts, scale) / 2
    if len(batch.coloured):
        by_colour = logits[batch.coloured[:, None], batch.colours]
        loss = loss + torch.nn.functional.cross_entropy(by_colour, torch.zeros_like(batch.coloured)) / 4
    return loss


class Trainer:
    """A network with its optimisers: takes steps, and saves what a later run needs to continue."""

    def __init__(self, config: dict[str, Any], recipe: Recipe, checkpoint: Path, deck: Deck) -> None:
        self.config, self.recipe, self.checkpoint = config, recipe, checkpoint
        self.prototypes = Prototypes(deck, config["embed_dim"])
        self.step = 0
        self.model = build_network(config, recipe.seed)
        words = self.model.token_embedding.weight
        scale = self.model.logit_scale
        others = [p for p in self.model.parameters() if p is not words and p is not scale]
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
            {"params": [scale], "weight_decay": 0.0, "factor": 4.0},
            {"params": [self.prototypes.weight], "weight_decay": 0.0},
        ]
        self.optimisers = [
            torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), fused=True),
            torch.optim.SparseAdam([words], lr=recipe.rate, betas=(0.9, 0.98)),
        ]

    def resume(self) -> None:
        """Continue from the checkpoint; the schedule starts again."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.prototypes.load_state_dict(state["prototypes"])
        self.step = state["step"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the model folder."""
        state = {
            "model": self.model.state_dict(),
            "prototypes": self.prototypes.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
        }
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(self.checkpoint)
        write_model(self.model, self.config, folder)

    def take_step(self, batch: Batch, progress: float, warm: float) -> float:
        """Learn from one batch at the rate that belongs to `progress` and `warm`, both 0 to 1; return the loss."""
        rate = self.recipe.rate * min(1.0, warm) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("factor", 1.0)
            optimiser.zero_grad()
        loss = contrast(self.model, batch, self.prototypes)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        self.step += 1
        return float(loss.detach())


def train(
    recipe: Recipe,
    work: Path,
    folder: Path,
    config: dict[str, Any] | None = None,
    *,
    resume: bool = False,
    processes: int = 1,
) -> list[float]:
    """Train by the recipe, write the model into `folder`, and return the loss of each step.

    `work` holds the tiles and the checkpoint. The same recipe gives the same batches, whatever makes them.
    """
    config = config or MODEL_CONFIG
    deck = Deck(open_tiles(work / "tiles"))
    trainer = Trainer(config, recipe, work / "checkpoint.pt", deck)
    if resume:
        trainer.resume()
    losses: list[float] = []
    started = saved = time.monotonic()
    trainer.model.train()
    for share, side in ((recipe.small_share, recipe.small_side), (1.0, config["vision_cfg"]["image_size"])):
        data = Batches(work / "tiles", recipe, side, trainer.step)
        context = "spawn" if processes else None
        for batch in DataLoader(data, batch_size=None, num_workers=processes, multiprocessing_context=context):
            progress = len(losses) / recipe.steps
            if recipe.minutes is not None:
                progress = (time.monotonic() - started) / 60 / recipe.minutes
            if progress >= share:
                break
            losses.append(trainer.take_step(batch, progress, (len(losses) + 1) / recipe.warm_up))
            if len(losses) % 50 == 0:
                _report(trainer, losses, time.monotonic() - started, progress)
            if time.monotonic() - saved > 60 * recipe.save_minutes:
                trainer.save(folder)
                saved = time.monotonic()
    trainer.save(folder)
    return losses


def _report(trainer: Trainer, losses: list[float], seconds: float, progress: float) -> None:
    """Print how the last steps went."""
    recent, scale = sum(losses[-50:]) / 50, float(trainer.model.logit_scale.detach().exp())
    pace = f"{seconds / len(losses):.2f} s/step"
    print(f"step {trainer.step} loss {recent:.3f} scale {scale:.1f} {pace} {progress:.0%}", flush=True)


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--minutes", type=float, help="end by the clock, schedule included")
    parser.add_argument("--rate", type=float, default=Recipe.rate, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", type=Path, default=WORK, help="tiles, checkpoint")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="model folder to write")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --work")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe(steps=options.steps, minutes=options.minutes, rate=options.rate, seed=options.seed)
    print(recipe, flush=True)
    train(recipe, options.work, options.out, resume=options.resume)


if __name__ == "__main__":
    main()
