"""Tiles and captions → clipsim-mini, trained from scratch: `python -m training.train`, after `training.render`."""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from open_clip.model import CLIP

from .batches import Batch, Deck, make_batch, make_tokenize
from .muon import Muon
from .network import MODEL_CONFIG, MODEL_FOLDER, build_network, encode_captions, encode_pictures, write_model
from .render import open_tiles
from .sources import WORK


@dataclass(frozen=True)
class Recipe:
    """How to train. `batch_size` is for each process, whose gradients are averaged after each step."""

    steps: int = 6_000
    batch_size: int = 128
    rate: float = 1.5e-3  # of vectors and embeddings, by AdamW
    matrix_rate: float = 0.02  # of matrices and convolutions, by Muon
    warm_up: int = 200
    small_share: float = 0.8  # of the run that learns from smaller pictures, which are faster
    small_side: int = 64
    save_minutes: float = 5.0
    round_steps: int = 1_000  # after which processes are started anew: their memory grows by the minute
    seed: int = 0


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


class Learner(torch.nn.Module):
    """Both towers and the prototypes: a batch → its loss."""

    def __init__(self, model: CLIP, prototypes: Prototypes) -> None:
        super().__init__()
        self.model, self.prototypes = model, prototypes

    def forward(self, batch: Batch) -> torch.Tensor:
        """Return the contrastive loss; captions that may be true without being the target are no negatives.

        Further terms draw images and captions to the prototypes of their concepts, and compare captions that name a
        colour with themselves in the other colours.
        """
        with torch.autocast("cpu", torch.bfloat16):
            image_features = encode_pictures(self.model, batch.images)
            text_features = encode_captions(self.model, batch.tokens)
        image_features = torch.nn.functional.normalize(image_features.float(), dim=-1)
        text_features = text_features.float()
        scale = self.model.logit_scale.exp()
        captioned = len(batch.target)
        logits = scale * image_features[:captioned] @ text_features.T
        by_image = logits.masked_fill(batch.ignore, -torch.inf)
        by_text = by_image.T[batch.owned]
        own = torch.nn.functional.one_hot(batch.target, len(batch.tokens)).T.bool()[batch.owned]
        text_loss = (by_text.logsumexp(dim=-1) - by_text.masked_fill(~own, -torch.inf).logsumexp(dim=-1)).mean()
        loss: torch.Tensor = (torch.nn.functional.cross_entropy(by_image, batch.target) + text_loss) / 2
        loss = loss + self.prototypes.loss(image_features, batch.concepts, scale)
        loss = loss + self.prototypes.loss(text_features[batch.target], batch.concepts[:captioned], scale) / 2
        if len(batch.coloured):
            by_colour = logits[batch.coloured[:, None], batch.colours]
            loss = loss + torch.nn.functional.cross_entropy(by_colour, torch.zeros_like(batch.coloured)) / 4
        return loss


class Trainer:
    """A network with its optimisers: takes steps, and saves what a later run needs to continue."""

    def __init__(self, config: dict[str, Any], recipe: Recipe, work: Path, deck: Deck) -> None:
        self.config, self.recipe, self.checkpoint = config, recipe, work / "checkpoint.pt"
        self.step = 0
        self.model = build_network(config, recipe.seed)
        self.learner = Learner(self.model, Prototypes(deck, config["embed_dim"]))
        self.shared: torch.nn.Module = self.learner
        scale = self.model.logit_scale
        places = (self.model.positional_embedding, self.model.visual.attnpool.positional_embedding)
        apart = {id(p) for p in (self.model.token_embedding.weight, *places)}
        pool = self.model.visual.attnpool
        by_head = [pool.q_proj.weight, pool.k_proj.weight, pool.v_proj.weight]
        apart |= {id(p) for p in by_head}
        matrices = [p for p in self.model.parameters() if p.ndim > 1 and id(p) not in apart]
        known = {id(scale), *map(id, matrices), *map(id, by_head)}
        others = [p for p in self.learner.parameters() if id(p) not in known]
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": others, "rate": recipe.rate},
                    {"params": [scale], "rate": 4 * recipe.rate},
                ],
                betas=(0.9, 0.98),
                weight_decay=0.0,
                fused=True,
            ),
            Muon(
                [
                    {"params": matrices, "rate": recipe.matrix_rate},
                    {"params": by_head, "rate": recipe.matrix_rate, "heads": pool.num_heads},
                ],
                recipe.matrix_rate,
            ),
        ]
        if torch.distributed.is_initialized():
            self.shared = torch.nn.parallel.DistributedDataParallel(self.learner, broadcast_buffers=False)

    def resume(self) -> None:
        """Continue from the checkpoint."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.learner.load_state_dict(state["learner"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the model folder."""
        state = {
            "learner": self.learner.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "step": self.step,
        }
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(self.checkpoint)
        write_model(self.model, self.config, folder)

    def take_step(self, batch: Batch) -> float:
        """Learn from one batch at the rate of this step; return the loss."""
        progress, warm = self.step / self.recipe.steps, (self.step + 1) / self.recipe.warm_up
        share = min(1.0, warm) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = share * group["rate"]
            optimiser.zero_grad()
        loss: torch.Tensor = self.shared(batch)
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
    last: int | None = None,
    rank: int = 0,
    processes: int = 1,
) -> list[float]:
    """Train by the recipe, up to the step `last`; write the model, and return the loss of each step of this process.

    `work` holds the tiles and the checkpoint. Of several processes each has batches of its own; the first writes.
    """
    config = config or MODEL_CONFIG
    deck, tokenize = Deck(open_tiles(work / "tiles")), make_tokenize()
    trainer = Trainer(config, recipe, work, deck)
    if resume:
        trainer.resume()
    losses: list[float] = []
    started = saved = time.monotonic()
    trainer.model.train()
    while trainer.step < min(recipe.steps, last or recipe.steps):
        small = trainer.step < recipe.small_share * recipe.steps
        side = recipe.small_side if small else config["vision_cfg"]["image_size"]
        seed = (recipe.seed * 1_000_003 + trainer.step) * processes + rank
        losses.append(trainer.take_step(make_batch(deck, recipe.batch_size, side, seed, tokenize)))
        if rank == 0 and trainer.step % 100 == 0:
            recent, scale = sum(losses[-100:]) / len(losses[-100:]), float(trainer.model.logit_scale.detach().exp())
            pace = (time.monotonic() - started) / len(losses)
            print(f"step {trainer.step} loss {recent:.3f} scale {scale:.1f} {pace:.2f} s/step", flush=True)
        if rank == 0 and time.monotonic() - saved > 60 * recipe.save_minutes:
            trainer.save(folder)
            saved = time.monotonic()
    if rank == 0:
        trainer.save(folder)
    return losses


def _train_one(
    rank: int,
    processes: int,
    recipe: Recipe,
    work: Path,
    folder: Path,
    config: dict[str, Any],
    resume: bool,
    last: int,
) -> None:
    """Train in one of several processes, on one core."""
    # captions differ in length, and oneDNN would keep a program for each shape
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "256")
    torch.set_num_threads(1)
    meeting = work / "meeting"
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=processes)
    train(recipe, work, folder, config, resume=resume, last=last, rank=rank, processes=processes)
    torch.distributed.destroy_process_group()


def train_together(
    processes: int, recipe: Recipe, work: Path, folder: Path, config: dict[str, Any], *, resume: bool = False
) -> None:
    """Train in several processes, round by round. Raises SystemExit where one of them ends early."""
    context = multiprocessing.get_context("spawn")
    done = int(torch.load(work / "checkpoint.pt", weights_only=True)["step"]) if resume else 0
    while done < recipe.steps:
        (work / "meeting").unlink(missing_ok=True)
        last = done + recipe.round_steps
        arguments = (processes, recipe, work, folder, config, resume or done > 0, last)
        workers = [
            context.Process(target=_train_one, args=(rank, *arguments), daemon=True) for rank in range(processes)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if any(worker.exitcode for worker in workers):
            raise SystemExit("a process that trains ended early: --resume goes on from its checkpoint")
        done = last


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--rate", type=float, default=Recipe.rate, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--batch-size", type=int, default=Recipe.batch_size, help="of each process")
    parser.add_argument("--processes", type=int, default=2, help="a core for each")
    parser.add_argument("--work", type=Path, default=WORK, help="tiles, checkpoint")
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="model folder to write")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --work")
    options = parser.parse_args()
    recipe = Recipe(steps=options.steps, batch_size=options.batch_size, rate=options.rate, seed=options.seed)
    print(recipe, flush=True)
    train_together(options.processes, recipe, options.work, options.out, MODEL_CONFIG, resume=options.resume)


if __name__ == "__main__":
    main()
