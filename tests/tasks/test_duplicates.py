"""Tests of `api.duplicates` and `api.same_files`: copies are found and different pictures are not."""

from __future__ import annotations

import io
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pytest
from confusable_pictures import draw_form
from data_sets import random_vectors
from PIL import Image
from raw_files import make_dng

import clipsim
import clipsim.images.decode
from clipsim.embedding.embedder import Embedder
from clipsim.errors import NoInputError, UsageError
from clipsim.images.thumbnails import ThumbnailRules, make_thumbnail
from clipsim.inputs.paths import NameFilter
from clipsim.options import ModelOptions
from clipsim.tasks import duplicates, same_files
from clipsim.tasks.duplicates import DEFAULT_THRESHOLD, DuplicatesRequest
from clipsim.tasks.pixel_check import PixelCheck
from clipsim.tasks.progress import Progress
from clipsim.tasks.search_targets import EmbeddedCollection, find_targets

if TYPE_CHECKING:
    from conftest import Machine

    from clipsim.results.search import DuplicatesResult


def draw(seed: int, colour: str = "red") -> Image.Image:
    """A pattern of two colours whose mean, and so whose vector, is nearly the same for all seeds; 60 × 40."""
    rng = np.random.default_rng(seed)
    pattern = Image.fromarray(rng.permutation(np.repeat([0, 255], 48)).reshape(8, 12).astype(np.uint8))
    mask = pattern.resize((60, 40), Image.Resampling.NEAREST)
    return Image.composite(Image.new("RGB", mask.size, colour), Image.new("RGB", mask.size, "white"), mask)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten different pictures with nearly the same vector, copies of three of them, and two of another colour."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed in range(10):
        draw(seed).save(folder / f"{seed}.png")
    shutil.copy(folder / "1.png", folder / "1copy.png")
    shutil.copy(folder / "1.png", folder / "1again.png")
    draw(2).resize((120, 80), Image.Resampling.BICUBIC).save(folder / "2large.png")
    draw(2).save(folder / "2small.jpg", quality=80)
    shutil.copy(folder / "3.png", folder / "3copy.png")
    draw(3).crop((1, 0, 60, 38)).save(folder / "3cropped.webp", quality=90)
    draw(4, "blue").save(folder / "blue.png")
    return folder


GROUPS = {
    (True, ("1.png", "1copy.png", "1again.png")),
    (False, ("2.png", "2small.jpg", "2large.png")),
    (False, ("3.png", "3copy.png", "3cropped.webp")),
}


def groups_of(result: DuplicatesResult) -> list[tuple[bool, tuple[str, ...]]]:
    """Whether its files are the same, and the names of its pictures: for each group."""
    return [(group.same_bytes, tuple(Path(image.image).name for image in group.images)) for group in result.groups]


@pytest.mark.parametrize("place", ["folder", "vectors", "both"])
def test_copies_are_found_and_different_pictures_are_not(
    machine: Machine, pictures: Path, tmp_path: Path, place: str
) -> None:
    """Though all vectors are nearly equal; the same bytes first, the largest picture of a group first."""
    where: list[Path] = [pictures]
    with clipsim.open() as session:
        if place != "folder":
            pytest.importorskip("pyarrow")
            exclude = ["1copy.png", "2large.png"] if place == "both" else []
            session.embed(pictures, tmp_path / "vectors", dtype="fp32", shard_size=4, exclude=exclude)
            where = [tmp_path / "vectors", *(pictures / name for name in exclude)]
        result = session.duplicates(where)
    first = groups_of(result)[0]

    assert {(same, tuple(sorted(names))) for same, names in groups_of(result)} == {
        (same, tuple(sorted(names))) for same, names in GROUPS
    }
    assert first[0]
    assert result.compared == 17
    assert result.min_similarity == DEFAULT_THRESHOLD
    assert [image.similarity for image in result.groups[0].images] == [1.0] * 3
    large = next(group for group in result.groups if group.images[2].width == 120)
    assert [(image.width, image.height) for image in large.images] == [(60, 40), (60, 40), (120, 80)]
    assert all(0.99 < image.similarity <= 1 for group in result.groups for image in group.images)


def test_groups_are_in_order(machine: Machine, pictures: Path) -> None:
    """Of the places, and within a group copies first, then by size and place; copies are redundant."""
    with clipsim.open() as session:
        result = session.duplicates(pictures)

    assert groups_of(result) == [
        (True, ("1.png", "1copy.png", "1again.png")),
        (False, ("2.png", "2small.jpg", "2large.png")),
        (False, ("3.png", "3copy.png", "3cropped.webp")),
    ]
    assert [Path(name).name for name in result.redundant] == [
        "1copy.png", "1again.png", "2small.jpg", "3copy.png",
    ]  # fmt: skip


def test_large_groups_take_time_by_their_size(
    machine: Machine, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by its square: an image is looked at beside the kept ones with the nearest vectors, and copies are found."""
    calls: list[tuple[int, int]] = []
    distance = PixelCheck.distance

    def count(check: PixelCheck, first: int, second: int) -> float:
        calls.append((first, second))
        return distance(check, first, second)

    monkeypatch.setattr(PixelCheck, "distance", count)
    monkeypatch.setattr("clipsim.tasks.duplicates.MAX_KEPT_NEAR", 2)
    with clipsim.open("clipsim-mini") as session:
        (group,) = session.duplicates(pictures, pixels=False).groups

    assert len(group.images) == 16
    assert len(calls) <= 2 * 16
    assert {"1again.png", "1copy.png", "3copy.png"} <= {
        Path(image.image).name for image in group.images if image.removable
    }


def test_the_nearest_kept_images_of_a_large_group() -> None:
    """They are those whose vectors are nearest, whatever the order of the rows; of few, all are taken."""
    collection = EmbeddedCollection(8)
    vectors = random_vectors(500, 8)
    collection.vectors.add(vectors)
    rows = list(range(499, 99, -1))
    choose_near, kept = duplicates._near_chooser(collection, rows), list(range(480, 200, -2))
    nearest = sorted(kept, key=lambda row: -(vectors[row] @ vectors[123]))[:128]

    assert set(choose_near(123, kept)) == set(nearest)
    assert choose_near(123, kept[:128]) == kept[:128]
    assert duplicates._near_chooser(collection, [3, 1])(1, [3]) == [3]
    collection.close()


def test_a_caller_can_end_the_search_for_copies(machine: Machine, pictures: Path) -> None:
    """Whole images of every group are compared then, which takes longest: each group is a step."""
    steps: list[Progress] = []

    def end(progress: Progress) -> None:
        steps.append(progress)
        if progress == Progress("looking for copies in groups", 1, 3):
            raise KeyboardInterrupt

    with clipsim.open("clipsim-mini") as session, pytest.raises(KeyboardInterrupt):
        session.duplicates(pictures, progress=end)

    assert Progress("looking for copies in groups", 0, 3) in steps


def test_vectors_alone(machine: Machine, pictures: Path) -> None:
    """Without the pixels, all pictures of one colour are alike; the threshold is what separates them then."""
    with clipsim.open() as session:
        (group,) = session.duplicates(pictures, pixels=False).groups
        everything = session.duplicates(pictures, pixels=False, min_similarity=0.1).groups
        nothing = session.duplicates(pictures, min_similarity=1.0).groups

    assert len(group.images) == 16
    assert [len(group.images) for group in everything] == [17]
    assert [group.same_bytes for group in nothing] == [True, True]


def test_pictures_that_cannot_be_opened_any_more(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """Their vectors decide, with a notice, and their sizes are those of the data set."""
    pytest.importorskip("pyarrow")
    with clipsim.open("clipsim-mini") as session:
        session.embed(pictures, tmp_path / "vectors", dtype="fp32")
        shutil.rmtree(pictures)
        result = session.duplicates(tmp_path / "vectors")

    assert [len(group.images) for group in result.groups] == [16]
    assert (result.groups[0].images[0].width, result.groups[0].images[0].height) == (120, 80)
    assert len(result.warnings) == 1
    assert "pixel check skipped for" in result.warnings[0]


def test_the_same_bytes_alone(pictures: Path) -> None:
    """No model is opened; files are groups whose bytes are the same, whatever they are."""
    (pictures / "a.jpg").write_bytes(b"no picture")
    (pictures / "b.jpg").write_bytes(b"no picture")
    with clipsim.open() as session:
        result = session.duplicates([pictures, "none.png"], exact_files=True)

    assert groups_of(result) == [
        (True, ("1.png", "1copy.png", "1again.png")), (True, ("3.png", "3copy.png")), (True, ("a.jpg", "b.jpg")),
    ]  # fmt: skip
    assert (result.model, result.min_similarity, result.compared) == (None, None, 19)
    assert [(image.similarity, image.width) for group in result.groups for image in group.images[:1]] == [
        (1.0, 60), (1.0, 60), (1.0, None),
    ]  # fmt: skip
    assert [(failure.image, failure.error) for failure in result.errors] == [("none.png", "no such file")]


def test_the_same_bytes_in_data_sets_and_files(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """A data set has the digests of its files; files beside it are read whatever their size."""
    pytest.importorskip("pyarrow")
    shutil.copy(pictures / "5.png", tmp_path / "five.png")
    with clipsim.open() as session:
        session.embed(pictures, tmp_path / "vectors")
        shutil.rmtree(pictures)
        result = session.duplicates([tmp_path / "vectors", tmp_path / "five.png"], exact_files=True)

    assert groups_of(result) == [
        (True, ("1.png", "1again.png", "1copy.png")), (True, ("3.png", "3copy.png")), (True, ("five.png", "5.png")),
    ]  # fmt: skip


def test_names_that_are_left_out_of_a_data_set(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """None of them is in a group, nor counted: what was not meant must not be moved away."""
    pytest.importorskip("pyarrow")
    chosen = NameFilter(exclude=("1*", "2.png"))
    with clipsim.open("clipsim-mini") as session:
        session.embed(pictures, tmp_path / "vectors", dtype="fp32", shard_size=4)
        overview = session.overview(tmp_path / "vectors", groups=1, texts=["red"], exclude=["1*", "2.png"])
    targets = find_targets(tmp_path / "vectors", chosen)
    with Embedder(ModelOptions("clipsim-mini")) as embedder:
        result = duplicates.run(embedder, DuplicatesRequest(targets))
    same = same_files.run(find_targets(tmp_path / "vectors", chosen))
    (first, *_), _ = (group.images for group in result.groups)

    assert {(same, tuple(sorted(names))) for same, names in groups_of(result)} == {
        (False, ("2large.png", "2small.jpg")),
        (False, ("3.png", "3copy.png", "3cropped.webp")),
    }
    assert groups_of(same) == [(True, ("3.png", "3copy.png"))]
    assert result.compared == same.compared == overview.images == 13
    assert first.index == sorted(path.name for path in pictures.iterdir()).index(Path(first.image).name)


def test_only_files_of_equal_size_are_read(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terabyte of different sizes is compared by its listing."""
    read: list[int] = []

    def digest(stream: BinaryIO) -> str:
        read.append(os.fstat(stream.fileno()).st_size)
        return "00"

    monkeypatch.setattr("clipsim.tasks.same_files.digest_stream", digest)
    for number in range(4):
        (pictures / f"{number}.gif").write_bytes(bytes(5000 + number))
    with clipsim.open() as session:
        session.duplicates(pictures, exact_files=True)

    assert read
    assert max(read) < 5000


def test_inputs_that_cannot_be_used(machine: Machine, pictures: Path) -> None:
    """They are named, and the rest compared."""
    (pictures / "0.png").write_bytes(b"no picture")
    with clipsim.open() as session:
        result = session.duplicates([pictures, "none.png"])
        assert [Path(failure.image).name for failure in result.errors] == ["0.png", "none.png"]
        assert len(result.groups) == 3
        for exact_files in (False, True):
            with pytest.raises(NoInputError):
                session.duplicates(["none.png"], exact_files=exact_files)


def test_pictures_in_memory(machine: Machine) -> None:
    """They have no bytes to compare, and are compared by what they show."""
    with clipsim.open() as session:
        result = session.duplicates([draw(1), draw(2), draw(1).resize((90, 60))])

    assert groups_of(result) == [(False, ("image 3", "image 1"))]


def test_another_model_is_a_notice(machine: Machine, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default threshold was measured with the bundled one; whoever gives a threshold knows."""
    with clipsim.open("clipsim-mini") as session:
        assert session.duplicates(pictures).warnings == ()
        monkeypatch.setattr("clipsim.tasks.duplicates.BUNDLED", "another")
        (notice,) = session.duplicates(pictures).warnings
        assert session.duplicates(pictures, min_similarity=0.9).warnings == ()

    assert f"the default threshold of {DEFAULT_THRESHOLD} was measured with clipsim-mini" in notice


@pytest.mark.parametrize("threshold", [1.01, -2.0, float("nan"), "0.9"])
def test_a_threshold_is_a_cosine(threshold: float) -> None:
    """Anything else is refused before a model is opened."""
    with pytest.raises(UsageError, match="not a cosine"):
        DuplicatesRequest((), threshold)


def test_many_batches_of_pairs(machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are decoded ahead in small lots, forgotten and decoded again, and nothing is lost by it."""
    monkeypatch.setattr("clipsim.tasks.near_images.LOADED_PAIRS", 5)
    monkeypatch.setattr("clipsim.tasks.pixel_check.KEPT_IMAGES", 4)
    monkeypatch.setattr("clipsim.tasks.pixel_check.KEPT_WINDOWS", 2)
    monkeypatch.setattr("clipsim.vectors.pairs.BLOCK_ROWS", 3)
    for seed in range(4):
        draw(seed).save(tmp_path / f"{seed}.png")
        draw(seed).crop((0, 0, 57, 38)).save(tmp_path / f"{seed}x.png")
    with clipsim.open() as session:
        result = session.duplicates(tmp_path, min_similarity=0.9)

    assert groups_of(result) == [(False, (f"{seed}.png", f"{seed}x.png")) for seed in range(4)]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counter[str]:
    """How often each file in the folder, by its name, is decoded in full or in part."""
    counts: Counter[str] = Counter()
    decode = clipsim.images.decode._decode

    def count(file: BinaryIO, *rest: Any) -> Image.Image:
        file.seek(0)
        content = file.read()
        file.seek(0)
        counts.update(path.name for path in tmp_path.iterdir() if path.is_file() and path.read_bytes() == content)
        return decode(file, *rest)

    monkeypatch.setattr("clipsim.images.decode._decode", count)
    return counts


def test_how_often_files_are_decoded(machine: Machine, tmp_path: Path, decoded: Counter[str]) -> None:
    """Once for the vector, candidates once for their pixels, and copies and what they are copies of once in full."""
    layers = draw_form(1).convert("RGBA")
    layers.save(tmp_path / "same.png")
    layers.save(tmp_path / "kept.tif")
    for quality in (70, 80, 90):
        draw_form(1).save(tmp_path / f"{quality}.jpg", quality=quality)
    layers.crop((8, 8, layers.width, layers.height)).save(tmp_path / "cropped.png")
    Image.new("RGB", (60, 40), "blue").save(tmp_path / "other.png")
    with clipsim.open() as session:
        result = session.duplicates(tmp_path)
        first, second = Counter(decoded), session.duplicates(tmp_path)

    assert {Path(name).name for name in result.redundant} == {"same.png", "70.jpg", "80.jpg", "90.jpg"}
    assert second == result
    copies = dict.fromkeys(("kept.tif", "same.png", "70.jpg", "80.jpg", "90.jpg"), 3)
    assert first == {**copies, "cropped.png": 2, "other.png": 1}
    assert decoded - first == {**dict.fromkeys(copies, 2), "cropped.png": 1}  # vectors are cached now


@pytest.mark.parametrize(("side", "made"), [(96, True), (192, False)])
def test_thumbnails_are_made_as_pixels_are_compared(
    machine: Machine, tmp_path: Path, decoded: Counter[str], monkeypatch: pytest.MonkeyPatch, side: int, made: bool
) -> None:
    """Without another decoding; larger ones, and those past the limit, are left to who shows them."""
    monkeypatch.setattr("clipsim.tasks.duplicates.MAX_THUMBNAILS", 2)
    draw(1).save(tmp_path / "a.png")
    for way in ("BMP", "TIFF"):
        draw(1).save(tmp_path / f"a.{way}", way)
    rules = ThumbnailRules(side)
    with Embedder(ModelOptions("clipsim-mini")) as embedder:
        (group,) = duplicates.run(embedder, DuplicatesRequest(find_targets(tmp_path), thumbnails=rules)).groups

    thumbnails = [image.thumbnail for image in group.images]
    assert [thumbnail is not None for thumbnail in thumbnails] == [made, made, False]
    assert not made or thumbnails[0] == make_thumbnail(draw(1), rules)
    assert set(decoded.values()) == {3}
    assert "thumbnail" not in group.images[0].to_dict()


def test_a_rotated_photo_stays_upright(machine: Machine, tmp_path: Path) -> None:
    """A turn that the file's EXIF data asks for is done before pictures are compared, and sizes are upright."""
    draw(5).save(tmp_path / "a.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    draw(5).transpose(Image.Transpose.ROTATE_90).save(buffer, "JPEG", quality=95, exif=exif)
    (tmp_path / "b.jpg").write_bytes(buffer.getvalue())
    with clipsim.open() as session:
        (group,) = session.duplicates(tmp_path).groups

    assert [(image.width, image.height) for image in group.images] == [(60, 40), (60, 40)]
    assert repr(group) == f"DuplicateGroup({str(tmp_path / 'b.jpg')!r}, same_bytes=False, images=2)"


def test_the_best_is_kept(machine: Machine, tmp_path: Path) -> None:
    """Lossless before lossy, however large the file; an enlargement is not better; an animation is no copy."""
    image = draw_form(1)
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "b.png")
    image.resize((1240, 1754)).save(tmp_path / "c.jpg", quality=5)
    image.save(tmp_path / "d.gif", save_all=True, append_images=[draw_form(2)])
    draw_form(2).save(tmp_path / "e.png")
    with clipsim.open() as session:
        result = session.duplicates(tmp_path)
    (group,) = result.groups

    assert [Path(name).name for name in result.redundant] == ["a.jpg"]
    assert Path(group.images[0].image).name == "b.png"
    assert [image.copy_of for image in group.images] == [None, str(tmp_path / "b.png"), None, None, None]


def test_flat_pictures_of_the_same_pixels(machine: Machine, tmp_path: Path) -> None:
    """They are found, though nothing correlates with one colour; another colour is another picture."""
    for name, colour in (("a.png", "red"), ("a.bmp", "red"), ("b.png", "#f00000"), ("c.png", "#ff0a0a")):
        Image.new("RGB", (60, 40), colour).save(tmp_path / name)
    with clipsim.open() as session:
        (group,) = session.duplicates(tmp_path).groups

    assert {Path(image.image).name for image in group.images} == {"a.png", "a.bmp"}
    assert sum(image.removable for image in group.images) == 1


def test_hard_links_free_nothing(machine: Machine, pictures: Path) -> None:
    """They are shown, and listed only where all names of their file are."""
    (pictures / "5hard.png").hardlink_to(pictures / "5.png")
    (pictures / "6copy.png").write_bytes((pictures / "6.png").read_bytes())
    (pictures / "6hard.png").hardlink_to(pictures / "6copy.png")
    (pictures / "7copy.png").write_bytes((pictures / "7.png").read_bytes())
    (pictures.parent / "elsewhere.png").hardlink_to(pictures / "7copy.png")
    with clipsim.open() as session:
        result = session.duplicates(pictures, exact_files=True)
    listed = {Path(name).name for name in result.redundant}

    assert {"5.png", "5hard.png"} in [{Path(image.image).name for image in group.images} for group in result.groups]
    assert listed & {"5.png", "5hard.png", "7.png", "7copy.png"} == set()
    assert {"6copy.png", "6hard.png"} <= listed


def test_a_raw_file_and_its_jpeg_are_one_image(machine: Machine, tmp_path: Path) -> None:
    """They are no duplicates of each other; a RAW file that is alone is compared by its preview."""
    pytest.importorskip("rawpy")
    (tmp_path / "shot.dng").write_bytes(make_dng(draw(1)))
    (tmp_path / "alone.dng").write_bytes(make_dng(draw(2)))
    draw(1).save(tmp_path / "shot.jpg")
    draw(2).save(tmp_path / "other.jpg")
    with clipsim.open("clipsim-mini") as session:
        result = session.duplicates(tmp_path)

    assert result.compared == 3
    assert {name for _, names in groups_of(result) for name in names} == {"alone.dng", "other.jpg"}
    assert "1 RAW file left to the JPEG or HEIC beside it, which is compared instead" in result.warnings
    assert result.redundant == ()  # a preview does not show all that a RAW file holds


def test_many_images_are_compared_within_lists(
    machine: Machine, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The groups are those of all pairs; what that finds is estimated, and said; `all_pairs` compares all."""
    monkeypatch.setattr("clipsim.tasks.near_images.ALL_PAIRS_ROWS", 5)
    with clipsim.open("clipsim-mini") as session:
        result = session.duplicates(pictures, min_similarity=0.9)
        complete = session.duplicates(pictures, min_similarity=0.9, all_pairs=True)
    restored = type(result).from_dict(result.to_dict())

    assert set(groups_of(result)) == set(groups_of(complete)) == GROUPS
    assert (result.pairs, complete.pairs, complete.recall, complete.warnings) == ("lists", "all", 1.0, ())
    assert result.recall is not None
    assert result.recall >= 0.99
    assert (restored.pairs, restored.recall) == ("lists", result.recall)
    assert "images were compared within" in result.warnings[0]
    assert "which finds 100.0% of" in result.warnings[0]
