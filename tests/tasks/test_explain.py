"""Tests of `tasks.explain`: the part that matters most is where the thing is, in pixels of the upright image."""

from __future__ import annotations

import io
import json
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from checkpoints import write_folder
from conftest import Machine
from exports import ExportedModel
from PIL import Image

import clipsim
from clipsim import ExplainResult
from clipsim.errors import DataError, NoInputError, TextError, UsageError
from clipsim.results.explain import Peak, TextMap

IMAGES = Path(__file__).parents[2] / "images"
PAIRS = [("cat1", "butterfly"), ("house", "maze3"), ("sailboat", "maze1")]


def draw_pair(left: str, right: str) -> Image.Image:
    """Two of the example images side by side on white, each on its half, in a square."""
    pair = Image.new("RGB", (240, 240), "white")
    for place, name in enumerate((left, right)):
        with Image.open(IMAGES / f"{name}.jpeg") as image:
            pair.paste(image.resize((112, 112)), (4 + 120 * place, 64))
    return pair


def middle(peak: Peak | None) -> tuple[float, float]:
    """The middle of a peak."""
    assert peak is not None
    return (peak.left + peak.right) / 2, (peak.top + peak.bottom) / 2


@pytest.fixture(scope="module")
def session() -> clipsim.Session:
    """The bundled model, without a cache."""
    return clipsim.open("clipsim-mini", device="cpu", engine="torch", cache=False)


@pytest.mark.parametrize("pair", PAIRS)
def test_the_peak_is_on_the_side_of_the_thing(session: clipsim.Session, pair: tuple[str, str]) -> None:
    """Of both words, and with the things in either order."""
    for left, right in (pair, pair[::-1]):
        image = draw_pair(left, right)
        texts = [name.rstrip("123") for name in (left, right)]
        result = session.explain(image, texts)
        ranked = session.rank(image, texts)

        assert [one.text for one in result.maps] == texts
        assert [one.similarity for one in result.maps] == pytest.approx(ranked.similarity[:, 0].tolist(), abs=1e-6)
        assert middle(result.maps[0].peak)[0] < 120 < middle(result.maps[1].peak)[0]
        assert all(one.peak is not None and one.peak.drop > 0.02 for one in result.maps)
        assert (result.width, result.height, result.frame) == (240, 240, (0, 0, 240, 240))


def test_the_drop_is_what_hiding_the_part_costs(session: clipsim.Session) -> None:
    """Painting over the part in the image itself, in another colour, lowers the cosine by as much or twice that."""
    image = draw_pair("cat1", "butterfly")
    peak = session.explain(image, "butterfly").maps[0].peak
    assert peak is not None
    hidden = image.copy()
    hidden.paste("white", (peak.left, peak.top, peak.right, peak.bottom))
    whole, without = session.rank([image, hidden], "butterfly").similarity[0].tolist()

    assert 0.5 < (whole - without) / peak.drop < 2


def test_a_turned_jpeg_is_measured_upright(session: clipsim.Session, tmp_path: Path) -> None:
    """The peak is in pixels of the image as it is seen, whatever the camera's orientation."""
    image = draw_pair("cat1", "butterfly").crop((0, 20, 240, 220))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    result = session.explain(tmp_path / "turned.jpg", "butterfly")
    plain = session.explain(image, "butterfly")

    assert (result.width, result.height) == (240, 200)
    assert middle(result.maps[0].peak) == pytest.approx(middle(plain.maps[0].peak), abs=1)
    assert result.frame == plain.frame
    assert math.dist(middle(result.maps[0].peak), (180, 100)) < 60


def test_a_panorama_is_explained_by_its_middle(session: clipsim.Session) -> None:
    """What the model does not see cannot speak for a text; the frame says what it sees."""
    panorama = Image.new("RGB", (240, 2000), "white")
    panorama.paste(draw_pair("cat1", "butterfly"), (0, 880))
    result = session.explain(panorama, ["cat", "butterfly"])

    assert result.frame == pytest.approx((0, 880, 240, 1120), abs=5)
    for one, x in zip(result.maps, (60, 180), strict=True):
        assert math.dist(middle(one.peak), (x, 1000)) < 60


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (1, 300)])
def test_tiny_images(session: clipsim.Session, size: tuple[int, int]) -> None:
    """A peak, if there is one, lies within the image."""
    result = session.explain(Image.new("RGB", size, "white"), ["cat", "a red apple"])

    assert (result.width, result.height) == size
    for one in result.maps:
        assert np.isfinite(one.heat).all()
        if one.peak is not None:
            assert 0 <= one.peak.left < one.peak.right <= size[0]
            assert 0 <= one.peak.top < one.peak.bottom <= size[1]


@pytest.mark.parametrize(("family", "precision"), [("siglip", None), ("timm", None), ("vit", "fp16"), ("vit", "bf16")])
def test_other_models_and_precisions(tmp_path: Path, family: str, precision: str | None) -> None:
    """Whatever the towers and the head: the map is made of cosines."""
    model = write_folder(tmp_path / "model", family)
    image = draw_pair("cat1", "butterfly").crop((0, 40, 240, 200))
    with clipsim.open(model, precision=precision, device="cpu", cache=False) as session:
        result = session.explain(image, ["cat", "dog"], templates=["a {}", "two {}s"])

    assert result.templates == ("a {}", "two {}s")
    assert (result.precision, result.model.head) == (
        precision or "fp32",
        "sigmoid" if family == "siglip" else "softmax",
    )
    assert result.frame == ((0, 0, 240, 160) if family == "siglip" else pytest.approx((40, 0, 200, 160), abs=2))
    assert all(one.heat.shape == (14, 14) and np.ptp(one.heat) > 0 for one in result.maps)


def test_an_export_gives_the_same_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The map does not depend on what computes the vectors."""
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("CLIPSIM_CACHE_DIR", str(tmp_path))
    model = ExportedModel.of_family(tmp_path, "vit").folder
    by_onnx, by_torch = (
        clipsim.explain(draw_pair("cat1", "butterfly"), "cat", model=model, engine=engine, device="cpu", cache=False)
        for engine in ("onnx", "torch")
    )

    assert (by_onnx.engine, by_torch.engine) == ("onnx", "torch")
    assert by_onnx.maps[0].heat == pytest.approx(by_torch.maps[0].heat, abs=2e-6)


def test_batches_of_any_size_give_the_same_map(machine: Machine, tmp_path: Path) -> None:
    """The last of them may be smaller."""
    image = Image.new("RGB", (60, 60), "white")
    image.paste("red", (8, 22, 24, 38))
    image.paste("blue", (36, 22, 52, 38))
    results = []
    for batch_size in (3, 500):
        with clipsim.open("clipsim-mini", batch_size=batch_size, cache=False) as session:
            results.append(session.explain(image, ["red", "blue", "red"]))

    assert results[0] == results[1]
    assert max(machine.encoders[0].image_batches) == 3
    assert machine.encoders[1].image_batches == [206]
    assert [one.text for one in results[0].maps] == ["red", "blue"]
    assert middle(results[0].maps[0].peak)[0] < 30 < middle(results[0].maps[1].peak)[0]
    assert any("red" in notice for notice in results[0].warnings)


def test_hidden_images_are_not_kept(machine: Machine, tmp_path: Path) -> None:
    """The cache has the texts alone, and a vector that is in it does not stand in the way."""
    Image.new("RGB", (60, 60), "red").save(tmp_path / "a.png")
    with clipsim.open("clipsim-mini") as session:
        session.rank(tmp_path / "a.png", ["red", "blue"])
        before = list(machine.encoders[0].image_batches)
        session.explain(tmp_path / "a.png", "red")
        session.explain(tmp_path / "a.png", "red")
        again = session.rank(tmp_path / "a.png", ["red", "blue"])

    assert before == [1]
    assert sum(machine.encoders[0].image_batches) == 1 + 2 * 206
    assert sum(machine.encoders[0].text_batches) == 2
    assert again.similarity[0, 0] > again.similarity[1, 0]


def test_synonyms_and_texts_that_nothing_speaks_for(machine: Machine) -> None:
    """A label has the mean of its words; an image of one colour has no part that matters."""
    with clipsim.open("clipsim-mini", cache=False) as session:
        result = session.explain(Image.new("RGB", (40, 40), "red"), {"warm": ["red", "orange"], "cold": "blue"})

    assert [(one.text, one.peak) for one in result.maps] == [("warm", None), ("cold", None)]


def test_progress_and_its_end(machine: Machine) -> None:
    """Each step is reported; what the callback raises ends the work."""
    steps: list[clipsim.Progress] = []

    def stop(progress: clipsim.Progress) -> None:
        steps.append(progress)
        if progress.done >= 64:
            raise KeyboardInterrupt

    with clipsim.open("clipsim-mini", cache=False) as session, pytest.raises(KeyboardInterrupt):
        session.explain(Image.new("RGB", (40, 40), "red"), "red", progress=stop)
    assert [(step.stage, step.done, step.total) for step in steps][-2:] == [
        ("hiding parts of the image", 32, 206),
        ("hiding parts of the image", 64, 206),
    ]


def test_what_cannot_be_explained(machine: Machine, tmp_path: Path) -> None:
    """No text, an empty one, several images, none, a vector, a broken file, a text that is too long."""
    image = Image.new("RGB", (40, 40), "red")
    (tmp_path / "broken.png").write_bytes(b"no image")
    with clipsim.open("clipsim-mini", cache=False) as session:
        for texts in ([], [" "], [3]):
            with pytest.raises(UsageError):
                session.explain(image, texts)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="one image is explained at a time"):
            session.explain([image, image], "red")  # type: ignore[arg-type]
        with pytest.raises(NoInputError, match="no image"):
            session.explain([], "red")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="a vector"):
            session.explain(np.ones(4, np.float32), "red")
        with pytest.raises(NoInputError, match=r"broken\.png: ") as caught:
            session.explain(tmp_path / "broken.png", "red")
        assert len(caught.value.failures) == 1
        with pytest.raises(NoInputError, match="not finite"):
            session.explain(Image.new("RGB", (40, 40)), "red")
        with pytest.raises(TextError):
            session.explain(image, "one two three four five six")
        with pytest.raises(UsageError, match="output"):
            session.explain(image, "red", output=tmp_path / "no" / "map.png")


def test_the_picture_of_the_maps(machine: Machine, tmp_path: Path) -> None:
    """A PNG with a map a text, of the image as it was given; nothing else is left beside it."""
    image = Image.new("RGB", (120, 60), "white")
    image.paste("red", (36, 20, 54, 40))
    with clipsim.open("clipsim-mini", cache=False) as session:
        session.explain(image, ["red", "blue"], output=tmp_path / "map.png")
        with pytest.raises(UsageError, match="16"):
            session.explain(image, [f"red {number}" for number in range(17)], output=tmp_path / "many.png")

    assert [path.name for path in tmp_path.iterdir()] == ["map.png"]
    with Image.open(tmp_path / "map.png") as drawn:
        assert (drawn.format, drawn.size) == ("PNG", (240, 60))


RESULT = ExplainResult(
    model=clipsim.ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax"),
    device="cpu",
    precision="fp32",
    engine="torch",
    templates=("a {}",),
    image="a.png",
    width=640,
    height=480,
    frame=(80.0, 0.0, 560.0, 480.0),
    maps=(
        TextMap("cat", 0.25, Peak(80, 0, 218, 138, 0.0312345678), np.arange(196, dtype=np.float32).reshape(14, 14)),
        TextMap("dog", 0.125, None, np.zeros((14, 14), np.float32)),
    ),
    warnings=("a notice",),
)


def test_json_rows_and_equality() -> None:
    """Both ways, as a value; a damaged object is refused."""
    values = json.loads(json.dumps(RESULT.to_dict()))

    assert values["schema"] == "clipsim.explain/1"
    assert values["maps"][0]["peak"] == {"left": 80, "top": 0, "right": 218, "bottom": 138, "drop": 0.03123457}
    assert ExplainResult.from_dict(values).to_dict() == RESULT.to_dict()
    assert pickle.loads(pickle.dumps(RESULT)) == RESULT
    assert hash(RESULT) == hash(pickle.loads(pickle.dumps(RESULT)))
    assert RESULT.to_rows()[0] == {
        "image": "a.png", "text": "cat", "similarity": 0.25,
        "left": 80, "top": 0, "right": 218, "bottom": 138, "drop": 0.0312345678,
    }  # fmt: skip
    assert RESULT.to_rows()[1]["drop"] is None
    assert repr(RESULT) == "ExplainResult(model='ViT-B-32/openai', image='a.png', texts=('cat', 'dog'))"
    values["maps"][0]["heat"] = [[1, 2], [3]]
    with pytest.raises(DataError):
        ExplainResult.from_dict(values)


def test_the_page_of_a_result(tmp_path: Path) -> None:
    """With the image, where its file can be read now."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), "red").save(file, "png")
    (tmp_path / "a.png").write_bytes(file.getvalue())
    result = ExplainResult.from_dict(RESULT.to_dict() | {"image": str(tmp_path / "a.png")})

    assert "data:image/webp" in result.to_html()
    assert "data:image/webp" not in result.to_html(thumbnails=False)
    assert "<table" in result._repr_html_()


def test_the_function_is_the_method(machine: Machine) -> None:
    """With the warnings of the model."""
    image = Image.new("RGB", (40, 40), "red")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = clipsim.explain(image, "red", cache=False)
    with clipsim.open("clipsim-mini", cache=False) as session:
        assert session.explain(image, "red").maps == result.maps
    assert [str(one.message) for one in caught] == list(result.warnings)
