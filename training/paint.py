"""Tiles → pictures as they come in files: turned, recoloured, outlined, counted, on backgrounds, blurred, as JPEGs.

Everything is done for a whole batch at once, in torch.
"""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate, max_pool2d

from .draw.colours import COLOURS, any_colour, difference, mix, pick_colour
from .draw.registry import RGB
from .draw.scene import PLACES

COLOUR_NAMES = tuple(COLOURS)
SHARES = {2: 0.48, 3: 0.38}  # of the frame, of each of two or three pictures
PLAIN = 0.6  # of the tiles that are shown as they came, on white: most pictures are, and they are learned from soonest
_LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


@dataclass
class Look:
    """How one tile is shown.

    `colour` and `paper` are indices of named colours that a caption may say, or -1; `filled` says whether an outline is
    white within, `arrangement` how two or three are placed.
    """

    style: str  # "plain", "ink", "gray", "silhouette" or "outline"
    ink: RGB
    ground: RGB
    background: str  # "plain", "gradient", "blotches" or "stripes"
    count: int
    colour: int
    paper: int
    filled: bool = True
    arrangement: int = 0


def choose_look(ink: bool, whole: bool, colour: int, rng: random.Random) -> Look:
    """Return a random look of a tile: of one colour or not, filling its frame or not, with a main colour or -1."""
    ground, paper = _choose_ground(rng)
    background = rng.choices(("plain", "gradient", "blotches", "stripes"), (82, 9, 6, 3))[0]
    if whole:
        return Look("plain", (0, 0, 0), ground, "plain", 1, colour, -1)
    if rng.random() < PLAIN:
        white = COLOUR_NAMES.index("white")
        return Look("ink" if ink else "plain", (rng.randrange(40),) * 3, (255, 255, 255), "plain", 1, colour, white)
    style = "ink" if ink else rng.choices(("plain", "gray", "silhouette", "outline"), (80, 5, 5, 10))[0]
    tone, said = (0, 0, 0), -1
    if style in ("ink", "silhouette", "outline"):
        tone, said = _choose_ink(style, ground, rng)
    elif style == "plain":
        said = colour
    if background not in ("plain", "gradient") or style == "outline":
        said = said if style == "plain" else -1
    count = rng.choices((1, 2, 3), (90, 5, 5))[0]
    paper = paper if background == "plain" else -1
    return Look(style, tone, ground, background, count, said, paper, rng.random() < 0.6, rng.randrange(6))


def _choose_ground(rng: random.Random) -> tuple[RGB, int]:
    """Return a colour for what is behind, and its index where it has a name."""
    kind = rng.random()
    if kind < 0.55:
        return (255, 255, 255), COLOUR_NAMES.index("white")
    if kind < 0.62:
        return (245 + rng.randrange(11),) * 3, COLOUR_NAMES.index("white")
    if kind < 0.78:
        number = rng.randrange(len(COLOUR_NAMES))
        return pick_colour(COLOUR_NAMES[number], rng), number
    if kind < 0.92:
        return mix(any_colour(rng), (255, 255, 255), 0.75), -1
    return mix(any_colour(rng), (0, 0, 0), 0.5), -1


def _choose_ink(style: str, ground: RGB, rng: random.Random) -> tuple[RGB, int]:
    """Return a colour of strokes or of a silhouette that is seen on the ground, and its index where captions say it."""
    light = difference(ground, (255, 255, 255)) < 130
    if rng.random() < (0.5 if style == "ink" else 0.75):
        gray = rng.randrange(40) if light else 255 - rng.randrange(20)
        # black on white is how ink comes, and nobody says so; it may be said all the same
        return (gray,) * 3, COLOUR_NAMES.index("black" if light else "white") if rng.random() < 0.3 else -1
    for _ in range(8):
        number = rng.randrange(len(COLOUR_NAMES))
        tone = pick_colour(COLOUR_NAMES[number], rng)
        if difference(tone, ground) > 60:
            return tone, number
    return ((0, 0, 0) if light else (255, 255, 255)), -1


def _rows(values: list[RGB]) -> torch.Tensor:
    """Return colours as (n, 3, 1, 1) between 0 and 1."""
    return torch.tensor(values, dtype=torch.float32).view(-1, 3, 1, 1) / 255


def _restyle(tiles: torch.Tensor, looks: list[Look]) -> torch.Tensor:
    """Return (n, 4, t, t) tiles with straight alpha, restyled."""
    tiles = tiles.clone()
    ink = _rows([look.ink for look in looks])
    for style in ("gray", "ink", "outline"):
        rows = [
            i for i, look in enumerate(looks) if look.style == style or (style == "ink" and look.style == "silhouette")
        ]
        if not rows:
            continue
        colours, alpha = tiles[rows, :3], tiles[rows, 3:]
        if style == "gray":
            tiles[rows, :3] = (colours * _LUMA).sum(1, keepdim=True).expand(-1, 3, -1, -1)
        elif style == "ink":
            tiles[rows, :3] = ink[rows].expand_as(colours)
        else:
            # what differs from its surroundings is a stroke; the rest is paper, seen through or not
            grey = torch.cat([colours * alpha, alpha], 1)
            edge = (max_pool2d(grey, 3, 1, 1) + max_pool2d(-grey, 3, 1, 1)).amax(1, keepdim=True)
            stroke = (edge * 3 - 0.5).clamp(0, 1)
            fill = torch.tensor([float(looks[i].filled) for i in rows]).view(-1, 1, 1, 1)
            tiles[rows, :3] = ink[rows] * stroke + (1 - stroke)
            tiles[rows, 3:] = torch.maximum(stroke, alpha * fill)
    return tiles


def _place(look: Look, number: int, rng: random.Random) -> tuple[tuple[float, float], float]:
    """Return the centre of one of a look's pictures and its share of the frame."""
    if look.count == 1:
        share = rng.uniform(0.75, 1.02) if rng.random() < 0.8 else rng.uniform(0.5, 0.75)
        room = max(0.0, 1 - share) * 0.8 + 0.03
        return (rng.uniform(-room, room), rng.uniform(-room, room)), share
    x, y = PLACES[look.count][look.arrangement % len(PLACES[look.count])][number]
    return (x + rng.uniform(-0.05, 0.05), y + rng.uniform(-0.05, 0.05)), SHARES[look.count] * rng.uniform(0.85, 1.08)


def _matrix(centre: tuple[float, float], share: float, flip: bool, rng: random.Random) -> list[list[float]]:
    """Return the matrix that takes places of the frame to places of the tile."""
    turn = rng.gauss(0, 5) if rng.random() < 0.85 else rng.uniform(-20, 20)
    angle, shear = np.radians(turn), rng.gauss(0, 0.04)
    wide, tall = share * np.exp(rng.gauss(0, 0.07)), share * np.exp(rng.gauss(0, 0.07))
    forward = np.array(
        [
            [wide * np.cos(angle), tall * (shear - np.sin(angle))],
            [wide * np.sin(angle), tall * (np.cos(angle) + shear * np.sin(angle))],
        ]
    )
    if flip:
        forward[:, 0] *= -1
    back = np.linalg.inv(forward)
    move = -back @ np.array(centre)
    return [[*back[0], move[0]], [*back[1], move[1]]]


def _sample(tiles: torch.Tensor, matrices: list[list[list[float]]], size: int, padding: str) -> torch.Tensor:
    """Return (n, c, size, size): tiles seen through matrices, averaged first where many pixels fall into one."""
    theta = torch.tensor(np.array(matrices), dtype=torch.float32)
    grid = affine_grid(theta, [len(tiles), tiles.shape[1], size, size], align_corners=False)
    small = theta[:, :, :2].det().abs().sqrt() * tiles.shape[-1] / size > 1.6
    out = torch.empty(len(tiles), tiles.shape[1], size, size)
    for rows, source in ((small, avg_pool2d(tiles[small], 2)), (~small, tiles[~small])):
        if rows.any():
            out[rows] = grid_sample(source, grid[rows], padding_mode=padding, align_corners=False)
    return out


def _paint_grounds(looks: list[Look], size: int, rng: random.Random) -> torch.Tensor:
    """Return (n, 3, size, size): what is behind each picture."""
    ground = _rows([look.ground for look in looks]).expand(-1, -1, size, size).clone()
    ramp = torch.linspace(0, 1, size)
    for i, look in enumerate(looks):
        if look.background == "plain":
            continue
        other = _rows([mix(look.ground, any_colour(rng), rng.uniform(0.1, 0.5))])[0]
        if look.background == "gradient":
            share = ramp.view(-1, 1).expand(size, size) if rng.random() < 0.6 else ramp.view(1, -1).expand(size, size)
            share = share.flip(0) if rng.random() < 0.5 else share
        elif look.background == "stripes":
            angle, pace = rng.uniform(0, 3.14), rng.uniform(4, 16)
            wave = np.cos(angle) * ramp.view(1, -1) + np.sin(angle) * ramp.view(-1, 1)
            share = ((wave * pace) % 1 > 0.5).float() * rng.uniform(0.2, 0.7)
        else:
            cells = rng.choice((3, 5, 8, 12))
            coarse = torch.rand(1, 3, cells, cells, generator=torch.Generator().manual_seed(rng.getrandbits(31)))
            share = interpolate(coarse, (size, size), mode="bicubic")[0].clamp(0, 1)
        ground[i] = ground[i] * (1 - share) + other * share
    return ground


def _wear(pictures: torch.Tensor, rng: random.Random) -> torch.Tensor:
    """Return pictures of which some are lighter or darker, blurred, noisy or pressed into a JPEG."""
    size = pictures.shape[-1]
    source = torch.Generator().manual_seed(rng.getrandbits(31))
    count = len(pictures)
    gain = 1 + 0.08 * torch.randn(count, 1, 1, 1, generator=source).clamp(-2, 2)
    shift = 0.03 * torch.randn(count, 3, 1, 1, generator=source).clamp(-2, 2)
    worn = torch.rand(count, generator=source) < 0.5
    pictures[worn] = pictures[worn] * gain[worn] + shift[worn]
    for _ in range(2):
        rows = torch.rand(count, generator=source) < 0.08
        if rows.any():
            coarse = interpolate(pictures[rows], scale_factor=rng.uniform(0.45, 0.85), mode="area")
            pictures[rows] = interpolate(coarse, (size, size), mode="bicubic")
    rows = torch.rand(count, generator=source) < 0.08
    pictures[rows] += 0.04 * torch.randn(int(rows.sum()), 3, size, size, generator=source)
    pictures = pictures.clamp_(0, 1)
    for i in range(count):
        if rng.random() < 0.25:
            buffer = io.BytesIO()
            pixels = (pictures[i] * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
            Image.fromarray(pixels).save(buffer, "JPEG", quality=rng.randint(40, 95))
            pressed = np.asarray(Image.open(buffer).convert("RGB"))
            pictures[i] = torch.from_numpy(pressed.copy()).permute(2, 0, 1).float() / 255
    return pictures


def paint(
    tiles: NDArray[np.uint8], looks: list[Look], whole: NDArray[np.bool_], fixed: list[bool], size: int, seed: int
) -> torch.Tensor:
    """Return (n, 3, size, size) pictures between 0 and 1.

    `whole` tiles fill their frames; `fixed` ones are never mirrored, since they would be another thing then.
    """
    rng = random.Random(seed)
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 255
    frames = np.flatnonzero(whole)
    free = np.flatnonzero(~whole)
    pictures = torch.empty(len(tiles), 3, size, size)
    if len(frames):
        matrices = [_matrix((rng.uniform(-0.06, 0.06),) * 2, rng.uniform(0.94, 1.12), False, rng) for _ in frames]
        pictures[frames] = _sample(pixels[frames, :3], matrices, size, "border")
    if len(free):
        shown = [looks[i] for i in free]
        restyled = _restyle(pixels[free], shown)
        restyled[:, :3] *= restyled[:, 3:]
        scene = _paint_grounds(shown, size, rng)
        for number in range(3):
            rows = [i for i, look in enumerate(shown) if look.count > number]
            if rows:
                places = [_place(shown[i], number, rng) for i in rows]
                matrices = [
                    _matrix(centre, share, not fixed[free[i]] and rng.random() < 0.3, rng)
                    for i, (centre, share) in zip(rows, places, strict=True)
                ]
                layer = _sample(restyled[rows], matrices, size, "zeros")
                scene[rows] = scene[rows] * (1 - layer[:, 3:]) + layer[:, :3]
        pictures[free] = scene
    return _wear(pictures, rng)
