"""Pictures that look alike at a glance and differ in what they say: chats, forms, tickets, clocks, faces."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont

WORDS = (
    "see", "you", "at", "noon", "can", "we", "move", "it", "bring", "both", "keys", "train", "leaves", "nine", "thanks",
    "call", "me", "when", "there", "price", "went", "up", "again", "ask", "Ruth", "about", "lunch", "Friday", "works",
    "fine", "never", "mind", "sent", "photo", "please", "sign", "and", "return", "today",
)  # fmt: skip


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


def draw_chat(seed: int) -> Image.Image:
    """A screen of a messenger: the same bubbles, other words."""
    layout, words = random.Random(5), random.Random(seed)
    image = Image.new("RGB", (540, 960), "#ece5dd")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 540, 70), fill="#075e54")
    draw.text((24, 20), "Family", "white", _font(26))
    for row in range(9):
        left = 20 if layout.random() < 0.5 else 180
        top = 95 + 92 * row
        draw.rounded_rectangle((left, top, left + 330, top + 74), 14, fill="white" if left == 20 else "#dcf8c6")
        for line in range(2):
            said = " ".join(words.choices(WORDS, k=5))
            draw.text((left + 14, top + 10 + 26 * line), said[:30], "#222222", _font(19))
    return image


def draw_form(seed: int) -> Image.Image:
    """A form that is filled in: the same lines and boxes, other names, figures and ticks."""
    answers = random.Random(seed)
    image = Image.new("RGB", (620, 877), "white")
    draw = ImageDraw.Draw(image)
    draw.text((40, 30), "Application for a permit", "black", _font(28))
    for row in range(18):
        top = 90 + 42 * row
        draw.text((40, top), f"{row + 1}. {WORDS[row]} {WORDS[-row - 1]}", "black", _font(15))
        draw.rectangle((240, top - 6, 580, top + 26), outline="#888888")
        if row % 4 == 3:
            box = answers.randrange(3)
            for place in range(3):
                draw.rectangle((260 + 90 * place, top, 276 + 90 * place, top + 16), outline="black")
            draw.line((262 + 90 * box, top + 2, 274 + 90 * box, top + 14), "black", 2)
        else:
            draw.text((250, top), " ".join(answers.choices(WORDS, k=3)), "#1a2a6c", _font(16))
    return image


def draw_ticket(seed: int) -> Image.Image:
    """A ticket: the same print, another seat, date and bar code."""
    numbers = random.Random(seed)
    image = Image.new("RGB", (700, 300), "#f6d365")
    draw = ImageDraw.Draw(image)
    draw.rectangle((12, 12, 688, 288), outline="#8a5a00", width=4)
    draw.text((40, 34), "CITY OPERA", "#5a3a00", _font(44))
    draw.text((40, 110), "The Magic Flute", "#5a3a00", _font(28))
    draw.text((40, 170), f"{numbers.randrange(10, 28)} May 2024", "#5a3a00", _font(26))
    draw.text((40, 220), f"Row {numbers.randrange(1, 30)}  Seat {numbers.randrange(1, 60)}", "#5a3a00", _font(26))
    left = 470
    while left < 650:
        width = numbers.choice((2, 3, 5))
        draw.rectangle((left, 50, left + width - 1, 250), fill="black")
        left += width + numbers.choice((2, 3, 5))
    return image


def draw_clock(seed: int) -> Image.Image:
    """A clock: the same face, another time."""
    time = random.Random(seed).randrange(720)
    image = Image.new("RGB", (400, 400), "#f0f0ea")
    draw = ImageDraw.Draw(image)
    draw.ellipse((20, 20, 380, 380), fill="white", outline="#333333", width=8)
    for hour in range(12):
        angle = math.tau * hour / 12
        draw.line([(200 + r * math.sin(angle), 200 - r * math.cos(angle)) for r in (150, 168)], fill="#333333", width=6)
    for turn, length, width in ((time / 720, 90, 10), (time % 60 / 60, 140, 6)):
        angle = math.tau * turn
        draw.line(
            (200, 200, 200 + length * math.sin(angle), 200 - length * math.cos(angle)), fill="#222222", width=width
        )
    return image


def draw_face(seed: int) -> Image.Image:
    """A portrait drawing: the same head, other eyes, mouth, nose and brows."""
    look = random.Random(seed)
    image = Image.new("RGB", (400, 500), "#b9d7ea")
    draw = ImageDraw.Draw(image)
    draw.ellipse((80, 60, 320, 400), fill="#f1c9a5", outline="#8d5524", width=3)
    draw.pieslice((80, 40, 320, 300), 180, 360, fill="#4b3621")
    gap, size, lid = look.randrange(42, 64), look.randrange(14, 26), look.randrange(-14, 15)
    for side in (-1, 1):
        centre = 200 + side * gap
        draw.ellipse((centre - size, 215 - size // 2, centre + size, 215 + size // 2), fill="white", outline="black")
        draw.ellipse((centre - 7, 208, centre + 7, 222), fill=look.choice(("#2e536f", "#3d671d", "#4a2c0a")))
        draw.line((centre - 22, 190 + side * lid, centre + 22, 190 - side * lid), fill="#4b3621", width=6)
    draw.line((200, 225, 200 - look.randrange(8, 22), 280, 204, 284), fill="#8d5524", width=4)
    width, mouth = look.randrange(25, 60), look.randrange(-30, 31)
    draw.arc((200 - width, 330 - abs(mouth), 200 + width, 330 + abs(mouth) + 1), 0 if mouth > 0 else 180,
             180 if mouth > 0 else 360, fill="#a03030", width=6)  # fmt: skip
    return image


FAMILIES: dict[str, Callable[[int], Image.Image]] = {
    "chats": draw_chat, "forms": draw_form, "tickets": draw_ticket, "clocks": draw_clock, "faces": draw_face,
}  # fmt: skip


def change_detail(kind: str) -> tuple[Image.Image, Image.Image]:
    """Two pictures of a family that differ in one detail alone: a figure, a minute, a mole."""
    pair = FAMILIES[kind](1), FAMILIES[kind](1)
    for image, (time, price, seat, minute) in zip(
        pair, (("09:41", "1", "A3", 20), ("09:47", "7", "A8", 21)), strict=True
    ):
        draw = ImageDraw.Draw(image)
        if kind == "chats":
            draw.text((400, 940), time, "#222222", _font(12))
        elif kind == "forms":
            draw.text((500, 850), f"{price} 240.00", "#1a2a6c", _font(16))
        elif kind == "tickets":
            draw.text((300, 220), seat, "#5a3a00", _font(26))
        elif kind == "clocks":
            angle = math.tau * minute / 60
            end = 200 + 140 * math.sin(angle), 200 - 140 * math.cos(angle)
            draw.line(((200, 200), end), fill="#222222", width=6)
        elif image is pair[1]:
            draw.ellipse((208, 245, 214, 251), fill="#8d5524")
    return pair
