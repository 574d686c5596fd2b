"""What names mean, and what tiles hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training import render, sources
from training.draw import COLOURS, THINGS
from training.names import Vocabulary, drop_tone, read_name

NEVER = ("noto", "noto-v1", "blob", "openmoji", "emojione-v1")
FREE = {"MIT", "ISC", "Apache-2.0", "CC0-1.0", "CC-BY-3.0", "CC-BY-4.0"}


def test_sources_are_free_without_share_alike_and_leave_out_what_judges() -> None:
    """Every licence is one of those that allow it, no package of Noto's emoji is there, and versions are exact."""
    assert {source.licence for source in sources.SOURCES} <= FREE
    assert not {source.name for source in sources.SOURCES} & set(NEVER)
    assert all(part.isdigit() for source in sources.SOURCES for part in source.version.split("."))


def test_at_least_three_families_are_kept_for_choosing() -> None:
    """No collection of a kept family is learned from, and emoji, colour and ink are among the kept."""
    assert len(render.KEPT) >= 3
    assert {source.kind for source in sources.SOURCES if source.kept} == {"emoji", "colour", "ink"}
    assert not {s.family for s in sources.SOURCES if not s.kept} & render.KEPT


def test_names_lose_styles_sizes_and_skin_tones() -> None:
    """Variants of one picture have one name; skin tones have none."""
    names = ["cat-2-outline", "cat-24-filled", "cat-bold-duotone", "cat"]
    assert {read_name(name) for name in names} == {"cat"}
    assert drop_tone("waving hand medium dark skin tone") is None
    assert drop_tone("woman cook light") is None
    assert drop_tone("light bulb") == "light bulb"


def test_pictures_of_one_thing_by_many_hands_are_one_concept(source_folder: Path) -> None:
    """Labels, short codes, Unicode names and countries' codes lead to the same concept."""
    vocabulary = Vocabulary(source_folder)
    assert {vocabulary.find_emoji(icon) for icon in ("red-apple", "redapple", "apple-1")} == {"red apple"}
    assert vocabulary.find_flag("fr") == "flag france"
    assert vocabulary.read_icon("apple") == "red apple"
    assert vocabulary.concepts["red apple"].words >= {"red apple", "apple", "fruit"}


def test_brands_and_signs_of_interfaces_are_dropped(source_folder: Path) -> None:
    """Neither a logo nor a crossed-out thing is a thing."""
    vocabulary = Vocabulary(source_folder)
    assert [vocabulary.read_icon(icon) for icon in ("acme", "acme-2", "cat-off", "user-plus")] == [None] * 4


def test_a_plan_has_what_three_hands_draw_and_no_themes(source_folder: Path) -> None:
    """An icon's concept needs three families; clip-arts belong to the concept of their titles."""
    jobs, concepts = render.plan_jobs(source_folder)
    names = {concept.name for concept in concepts}
    assert names == {"cat face", "red apple", "flag france", "anvil", *THINGS}
    assert {concept.name: concept for concept in concepts}["anvil"].tags >= {"forge", "smith"}
    cliparts = [job for job in jobs if job.family == render.CLIPART]
    assert [job.concept for job in cliparts] == ["red apple"]
    assert sum(job.family == render.OWN for job in jobs) == render.DRAWINGS * len(THINGS)


def test_tiles_are_square_cut_to_the_picture_and_know_their_colour(tiles: render.Tiles) -> None:
    """A disc fills its tile, a bar its width; the colour of both is found, and ink has none."""
    names = [concept.name for concept in tiles.concepts]
    rows = {
        (names[fact["concept"]], render.FAMILIES[fact["family"]]): row
        for row, fact in enumerate(tiles.facts)
        if fact["concept"] >= 0
    }
    disc, bar = tiles.pixels[rows["cat face", "twemoji"]], tiles.pixels[rows["cat face", "fxemoji"]]
    assert disc.shape == (render.SIDE, render.SIDE, 4)
    assert (disc[..., 3] > 128).mean() == pytest.approx(np.pi / 4, abs=0.08)
    solid = bar[..., 3] > 128
    assert solid.any(axis=0).sum() > 0.9 * render.SIDE
    assert solid.any(axis=1).sum() < 0.4 * render.SIDE
    colours = tiles.facts["colour"]
    assert list(COLOURS)[colours[rows["cat face", "twemoji"]]] == "red"
    assert list(COLOURS)[colours[rows["cat face", "fxemoji"]]] == "blue"
    assert colours[rows["anvil", "mdi"]] == -1


def test_a_file_without_a_picture_makes_no_tile() -> None:
    """An empty or broken SVG file is left out."""
    assert render.render_svg('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"></svg>') is None
    assert render.render_svg("no picture") is None
