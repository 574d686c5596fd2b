"""Pictures from seeds that training never uses → the scores on clipsim-mini's card: `python -m training.evaluate`."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray

from .draw import THINGS
from .draw.captions import NUMBERS, add_article, make_plural
from .draw.colours import COLOURS
from .draw.scene import EVALUATION_SEEDS, Picture, draw_picture
from .network import MODEL_FOLDER

MARKERS = ("<!-- {}: begin -->", "<!-- {}: end -->")


@dataclass(frozen=True)
class Figures:
    """The model's scores; shares are 0 to 1.

    `top1` is over all things by their bare names, `colour` over all colours ("a red cat"), `count` over one to three
    ("two cats"); `pairs` lists (drawn, taken for, share of the drawn) of the worst confusions.
    """

    pictures: int
    things: int
    top1: float
    top5: float
    colour: float
    count: float
    thing: dict[str, float]
    pairs: list[tuple[str, str, float]]


class Scorer:
    """Loads a model folder through OpenCLIP and encodes pictures and words with it."""

    def __init__(self, folder: Path) -> None:
        name = f"local-dir:{folder}"
        self.model, _, self.transform = open_clip.create_model_and_transforms(name)
        self.tokenize = open_clip.get_tokenizer(name)
        self.model.eval()

    @torch.inference_mode()
    def encode_images(self, pictures: list[Picture]) -> NDArray[np.float32]:
        """Return unit image features, (n, d)."""
        parts = [
            self.model.encode_image(
                torch.stack([self.transform(p.image) for p in pictures[i : i + 128]]), normalize=True
            )
            for i in range(0, len(pictures), 128)
        ]
        features: NDArray[np.float32] = torch.cat(parts).float().numpy()
        return features

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> NDArray[np.float32]:
        """Return unit text features, (n, d)."""
        features: NDArray[np.float32] = self.model.encode_text(self.tokenize(texts), normalize=True).float().numpy()
        return features

    def choose(self, images: NDArray[np.float32], texts: list[str]) -> NDArray[np.int64]:
        """Return the index of the best text of each image."""
        best: NDArray[np.int64] = (images @ self.encode_texts(texts).T).argmax(axis=1)
        return best


def score_model(folder: Path, per_thing: int) -> Figures:
    """Score the model in a folder on `per_thing` pictures of each thing."""
    scorer = Scorer(folder)
    names = sorted(THINGS)
    pictures = [
        draw_picture(EVALUATION_SEEDS + i * per_thing + k, name)
        for i, name in enumerate(names)
        for k in range(per_thing)
    ]
    features = scorer.encode_images(pictures)
    order = np.argsort(-(features @ scorer.encode_texts(names).T), axis=1)
    truth = np.repeat(np.arange(len(names)), per_thing)
    right = order[:, 0] == truth
    mistakes = Counter((names[t], names[g]) for t, g in zip(truth, order[:, 0], strict=True) if t != g)
    colours, colour_right, counts, count_right = list(COLOURS), [], [], []
    for i, picture in enumerate(pictures):
        feature = features[i : i + 1]
        if picture.colour:
            best = scorer.choose(feature, [add_article(f"{colour} {picture.thing}") for colour in colours])
            colour_right.append(colours[int(best[0])] == picture.colour)
        if not THINGS[picture.thing].whole:
            texts = [f"{NUMBERS[n]} {picture.thing if n == 1 else make_plural(picture.thing)}" for n in sorted(NUMBERS)]
            count_right.append(int(scorer.choose(feature, texts)[0]) + 1 == picture.count)
            counts.append(picture.count)
    balanced = [np.mean([ok for ok, n in zip(count_right, counts, strict=True) if n == number]) for number in NUMBERS]
    return Figures(
        pictures=len(pictures),
        things=len(names),
        top1=float(right.mean()),
        top5=float((order[:, :5] == truth[:, None]).any(axis=1).mean()),
        colour=float(np.mean(colour_right)),
        count=float(np.mean(balanced)),
        thing={name: float(right[truth == i].mean()) for i, name in enumerate(names)},
        pairs=[(a, b, n / per_thing) for (a, b), n in mistakes.most_common(15)],
    )


def format_figures(figures: Figures) -> str:
    """Return the figures as the card's Markdown."""
    lines = [
        f"On {figures.pictures} pictures of {figures.things} things, drawn from seeds that training never used:",
        "",
        "| figure | score |",
        "|---|---|",
        f"| right thing first, among all {figures.things} bare names | {figures.top1:.1%} |",
        f"| right thing among the first five | {figures.top5:.1%} |",
        f'| right colour of {len(COLOURS)} ("a red cat"), where one was asked for | {figures.colour:.1%} |',
        f'| right count of three ("two cats"), mean over the counts | {figures.count:.1%} |',
        "",
        "The worst confusions:",
        "",
        "| drawn | taken for | share of its pictures |",
        "|---|---|---|",
        *(f"| {drawn} | {taken} | {share:.1%} |" for drawn, taken, share in figures.pairs),
        "",
        "The things it recognises least often: "
        + ", ".join(f"{name} {share:.0%}" for name, share in sorted(figures.thing.items(), key=lambda t: t[1])[:12])
        + ".",
    ]
    return "\n".join(lines)


def format_things() -> str:
    """Return the sentence that lists what can be drawn."""
    return f"It knows {len(THINGS)} things: {', '.join(sorted(THINGS, key=str.lower))}."


def fill_between(text: str, name: str, content: str) -> str:
    r"""Replace the part of a text between the two markers of a name.

    >>> fill_between("a <!-- x: begin --> old <!-- x: end --> b", "x", "new")
    'a <!-- x: begin -->\nnew\n<!-- x: end --> b'
    """
    begin, end = MARKERS[0].format(name), MARKERS[1].format(name)
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{content}\n{end}{after}"


def update_card(card: Path, figures: Figures) -> None:
    """Write the figures and the list of things into a card, between their markers."""
    text = fill_between(card.read_text(encoding="utf-8"), "figures", format_figures(figures))
    if MARKERS[0].format("things") in text:
        text = fill_between(text, "things", textwrap.fill(format_things(), 120))
    card.write_text(text, encoding="utf-8")


def main() -> None:
    """Read the options, score, and print or write the figures."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="model folder to score")
    parser.add_argument("--count", type=int, default=40, help="pictures of each thing")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-card", action="store_true", help="print the figures only")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures = score_model(options.model, options.count)
    result: dict[str, Any] = asdict(figures)
    print(json.dumps(result) if options.json else format_figures(figures))
    if not options.no_card:
        update_card(options.model / "README.md", figures)


if __name__ == "__main__":
    main()
