"""Drawn pictures and captions → clipsim-mini, trained from scratch: `python -m training.train`."""

from __future__ import annotations

import argparse
import functools
import math
import multiprocessing
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP

from .batches import Batch, make_batch
from .network import MODEL_CONFIG, MODEL_FOLDER, build_network, encode_captions, write_model
from .pool import NAMES, Pool, fill_pool, open_pool, refill_forever


@dataclass(frozen=True)
class Recipe:
    """How to train: `minutes` ends the run, and its learning-rate schedule, by the clock where it is given."""

    steps: int = 8000
    minutes: float | None = None
    batch_size: int = 192
    rate: float = 1e-3
    warm_up: int = 200
    weight_decay: float = 0.05
    pool_size: int = 40_000
    refill_share: float = 0.3
    save_minutes: float = 5.0
    seed: int = 0


def tokenizer() -> Any:
    """Return OpenCLIP's default tokenizer, which caches the tokens of captions."""
    tokenize = open_clip.get_tokenizer("RN50")
    cached = functools.lru_cache(maxsize=200_000)(lambda words: tokenize([words])[0])
    return lambda captions: torch.stack([cached(words) for words in captions])


def contrast(model: CLIP, batch: Batch) -> torch.Tensor:
    """Return the contrastive loss; captions that may be true without being the target are no negatives.

    Captions that name a colour are also compared with themselves in the other colours alone, the second term.
    """
    with torch.autocast("cpu", torch.bfloat16):
        image_features = model.visual(batch.images)
        text_features = encode_captions(model, batch.tokens)
    image_features = torch.nn.functional.normalize(image_features.float(), dim=-1)
    logits = model.logit_scale.exp() * image_features @ text_features.float().T
    by_image = logits.masked_fill(batch.ignore_texts, -torch.inf)
    by_text = logits.masked_fill(batch.ignore_images, -torch.inf).T[batch.owned]
    own = torch.nn.functional.one_hot(batch.target, len(batch.tokens)).T.bool()[batch.owned]
    text_loss = (by_text.logsumexp(dim=-1) - by_text.masked_fill(~own, -torch.inf).logsumexp(dim=-1)).mean()
    loss: torch.Tensor = (torch.nn.functional.cross_entropy(by_image, batch.target) + text_loss) / 2
    if len(batch.coloured):
        by_colour = logits[batch.coloured[:, None], batch.colours]
        loss = loss + torch.nn.functional.cross_entropy(by_colour, torch.zeros_like(batch.coloured)) / 2
    return loss


class Trainer:
    """A network with its optimisers: takes steps, and saves what a later run needs to continue."""

    def __init__(self, config: dict[str, Any], recipe: Recipe, checkpoint: Path) -> None:
        self.config, self.recipe, self.checkpoint = config, recipe, checkpoint
        self.step = 0
        self.model = build_network(config, recipe.seed)
        words = self.model.token_embedding.weight
        scale = self.model.logit_scale
        others = [p for p in self.model.parameters() if p is not words and p is not scale]
        groups = [
            {"params": [p for p in others if p.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0},
            {"params": [scale], "weight_decay": 0.0, "factor": 4.0},
        ]
        self.optimisers = [
            torch.optim.AdamW(groups, lr=recipe.rate, betas=(0.9, 0.98), fused=True),
            torch.optim.SparseAdam([words], lr=recipe.rate, betas=(0.9, 0.98)),
        ]

    def resume(self) -> None:
        """Continue from the checkpoint; the schedule starts again."""
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.step = state["step"]
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)

    def save(self, folder: Path) -> None:
        """Write the checkpoint and the model folder."""
        state = {
            "model": self.model.state_dict(),
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
        loss = contrast(self.model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            optimiser.step()
        with torch.no_grad():
            self.model.logit_scale.clamp_(0, math.log(100))
        self.step += 1
        return float(loss.detach())


def fill_first(pool: Pool, folder: Path, recipe: Recipe, processes: int) -> None:
    """Fill an empty pool, with several processes."""
    size = pool.pictures.shape[1]
    if (pool.facts[:, 0] >= 0).all():
        return
    if processes <= 1:
        fill_pool(pool, recipe.seed, 0, stop=len(pool.facts))
        return
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=_fill_part, args=(str(folder), len(pool.facts), size, recipe.seed, first, processes))
        for first in range(processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _fill_part(folder: str, count: int, size: int, seed: int, first: int, step: int) -> None:
    """Fill every `step`-th slot of the pool once."""
    fill_pool(open_pool(Path(folder), count, size), seed, first, step, stop=len(range(first, count, step)))


def train(
    recipe: Recipe,
    work: Path,
    folder: Path,
    config: dict[str, Any] | None = None,
    *,
    resume: bool = False,
    processes: int = 2,
) -> list[float]:
    """Train by the recipe, write the model into `folder`, and return the loss of each step.

    `work` holds the pool of pictures and the checkpoint. With fewer than two processes nothing runs beside the
    training, and the same recipe gives the same model on the same machine.
    """
    config = config or MODEL_CONFIG
    size = config["vision_cfg"]["image_size"]
    pool = open_pool(work / "pool", recipe.pool_size, size)
    fill_first(pool, work / "pool", recipe, processes)
    trainer = Trainer(config, recipe, work / "checkpoint.pt")
    if resume:
        trainer.resume()
    refill = None
    if processes > 1:
        context = multiprocessing.get_context("spawn")
        first = recipe.seed + recipe.pool_size * (1 + trainer.step)
        args = (str(work / "pool"), recipe.pool_size, size, first, 0, 1, recipe.refill_share)
        refill = context.Process(target=refill_forever, args=args, daemon=True)
        refill.start()
    tokenize = tokenizer()
    losses: list[float] = []
    started = saved = time.monotonic()
    trainer.model.train()
    while len(losses) < recipe.steps:
        progress = len(losses) / recipe.steps
        if recipe.minutes is not None:
            progress = (time.monotonic() - started) / 60 / recipe.minutes
            if progress >= 1:
                break
        batch = make_batch(pool, recipe.batch_size, recipe.seed + trainer.step, tokenize)
        losses.append(trainer.take_step(batch, progress, (len(losses) + 1) / recipe.warm_up))
        if len(losses) % 50 == 0:
            recent = sum(losses[-50:]) / 50
            pace = (time.monotonic() - started) / len(losses)
            scale = float(trainer.model.logit_scale.detach().exp())
            print(
                f"step {trainer.step} loss {recent:.3f} scale {scale:.1f} {pace:.2f} s/step {progress:.0%}", flush=True
            )
        if time.monotonic() - saved > 60 * recipe.save_minutes:
            trainer.save(folder)
            saved = time.monotonic()
    trainer.save(folder)
    if refill:
        refill.terminate()
    return losses


def main() -> None:
    """Read the options and train."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument("--steps", type=int, default=Recipe.steps)
    parser.add_argument("--minutes", type=float, help="end by the clock, schedule included")
    parser.add_argument("--rate", type=float, default=Recipe.rate, help="highest learning rate")
    parser.add_argument("--seed", type=int, default=Recipe.seed)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--refill-share", type=float, default=Recipe.refill_share, help="share of a core that draws")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "clipsim-mini", help="pool, checkpoint"
    )
    parser.add_argument("--out", type=Path, default=MODEL_FOLDER, help="model folder to write")
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --work")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = Recipe(
        steps=options.steps,
        minutes=options.minutes,
        rate=options.rate,
        seed=options.seed,
        refill_share=options.refill_share,
    )
    print(f"{len(NAMES)} things; {recipe}", flush=True)
    train(recipe, options.work, options.out, resume=options.resume)


if __name__ == "__main__":
    main()
