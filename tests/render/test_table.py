"""Tests of `render.table`: tables that fit the terminal, whole names without one, the best images of each text."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from made_results import NASTY_NAMES, make_result
from rich.cells import cell_len
from rich.console import Console

from clipsim.render.json import format_top_images_csv, format_top_images_lines
from clipsim.render.table import build_table, build_top_images_table
from clipsim.results.base import ModelRecord
from clipsim.results.rank import ImageScores, RankResult


def draw(result: RankResult, width: int, top: int | None = None, *, whole_names: bool = False) -> list[str]:
    """The lines of title, table and caption; whole names may need more than `width`."""
    console = Console(width=1000 if whole_names else width, color_system=None, highlight=False)
    with console.capture() as capture:
        for part in build_table(result, width, top, whole_names=whole_names):
            console.print(part)
    return capture.get().splitlines()


def test_a_column_an_image_while_they_fit() -> None:
    """Two images stand side by side on 80 columns, the best marked; the folder that they share is left out."""
    lines = draw(make_result(["images/maze.jpg", "images/cat.jpg"], ["maze", "cat"]), 80)

    assert lines[0] == "ViT-B-32 · openai · cpu · fp32"
    assert lines[1].split() == ["maze.jpg", "cat.jpg"]
    assert lines[3].split()[:4] == ["maze", "*", "0.3500", "50.0%"]
    assert lines[4].split()[3:] == ["*", "0.3500", "50.0%"]
    assert "One row a text, one column an image" in " ".join(lines[5:])
    assert "softmax, scale 100" in " ".join(lines[5:])


def test_a_row_an_image_where_columns_do_not_fit() -> None:
    """Seven images on 80 columns."""
    lines = draw(make_result([f"{number}.jpg" for number in range(7)], ["maze", "cat"]), 80)

    assert lines[1].split() == ["maze", "cat"]
    assert [line.split()[0] for line in lines[3:10]] == [f"{number}.jpg" for number in range(7)]
    assert "One row an image, one column a text" in " ".join(lines[10:])


def test_the_engine_is_named_unless_it_is_torch() -> None:
    """As the numbers of an export may differ a little."""
    result = make_result(["a.png"], ["maze"])
    exported = RankResult(**{**vars(result), "engine": "onnx-int8"})

    assert draw(exported, 80)[0] == "ViT-B-32 · openai · cpu · fp32 · onnx-int8"


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("images", [1, 2, 7, 40])
@pytest.mark.parametrize("texts", [1, 2, 5, 30])
@pytest.mark.parametrize("top", [None, 2])
def test_tables_fit(width: int, images: int, texts: int, top: int | None) -> None:
    """Nothing is wider than the terminal, and every image and every number is whole."""
    names = [f"some/folder/picture_with_a_long_name_{number:03d}.jpeg" for number in range(images)]
    result = make_result(names, [f"a photo of thing number {number}" for number in range(texts)])
    lines = draw(result, width, top)

    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    assert text.count("0.3500") >= images
    for number in range(images):
        assert images == 1 or f"{number:03d}" in text


@pytest.mark.parametrize("width", [80, 160])
def test_names_cannot_break_the_table(width: int) -> None:
    """Markup is text, controls are escaped, and all rows are equally wide."""
    lines = draw(make_result(NASTY_NAMES, NASTY_NAMES[:2]), width)
    text = "\n".join(lines)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]" in text
    rule = next(line for line in lines if set(line.strip()) == {"─"})
    rows = lines[lines.index(rule) + 1 :][: 2 if width == 160 else len(NASTY_NAMES)]
    assert {cell_len(row) for row in rows} == {cell_len(rule)}


def test_wide_characters_take_two_cells() -> None:
    """Names and texts in CJK are cut by what they take, and no number is ever cut."""
    names = [f"東京タワーの写真と夜景の素晴らしい眺め{number}.jpg" for number in range(4)]
    for texts in (["cat", "dog"], ["猫がいる部屋の写真とても長い", "dog", "bird"]):
        for width in (60, 80, 100):
            lines = draw(make_result(names, texts), width)
            assert max(map(cell_len, lines)) <= width
            assert not any("…" in cell for line in lines for cell in line.split() if cell[:2] in ("0.", "-0", "*"))
            assert "\n".join(lines).count("0.3500") == 4


def test_names_stay_different() -> None:
    """Labels that would look alike are shown from where they differ, whatever else is in the table."""
    names = [f"holiday_2024_beach_IMG_000{n}_edited_final_version_for_print.jpg" for n in (1, 2, 3)]
    lines = draw(make_result([*names, "x.jpg"], ["maze", "cat"]), 80)

    assert len({line.split()[0] for line in lines[3:7]}) == 4


@pytest.mark.parametrize("top", [None, 2])
@pytest.mark.parametrize("texts", [1, 2, 30])
@pytest.mark.parametrize("images", [1, 2, 40])
def test_whole_names_can_be_found_with_grep(images: int, texts: int, top: int | None) -> None:
    """Off a terminal, names are neither shortened nor stripped of their folder, however long; controls are escaped."""
    names = [f"some/folder/with a picture of {'long ' * 20}name {number:03d}.jpeg" for number in range(images)]
    prompts = [f"{'a photo of a very long ' * 5}thing {number}" for number in range(texts)]
    lines = draw(make_result(names, prompts), 80, top, whole_names=True)
    text = "\n".join(lines)

    assert "…" not in text
    for name in names:
        assert name in text
    if texts <= (top or 1):
        assert all(prompt in text for prompt in prompts)
    assert text.count("0.3500") >= images
    assert "a\\x1b[2Jb\\n.png" in "\n".join(draw(make_result(NASTY_NAMES, ["x"]), 80, whole_names=True))


def test_what_was_asked_for_is_shown() -> None:
    """--top 5 on a narrow terminal gives five lines an image; without it, the caption says what is left out."""
    names = [f"picture {number}.jpg" for number in range(7)]
    result = make_result(names, [f"a text of some length {n}" for n in range(9)])

    asked = draw(result, 80, top=5)
    assert sum("%" in line and "text" in line for line in asked) == 35
    assert "The best 5 of 9 texts for each image, a line each" in " ".join(asked)
    assert "(--top 9 shows all)" in " ".join(draw(result, 80))


def test_more_texts_than_there_are_is_all_of_them() -> None:
    """`top` larger than their number."""
    lines = draw(make_result(["a.png", "b.png"], ["x", "y"]), 100, top=9)

    assert "Each image's texts, best first" in " ".join(lines)
    assert "\n".join(lines).count("0.3500") == 2


@pytest.mark.parametrize("top", [None, 1, 3])
@pytest.mark.parametrize("width", [30, 100])
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_a_single_text_has_no_best(head: str, width: int, top: int | None) -> None:
    """No star, and no word of the best one of one."""
    lines = draw(make_result(["a.png", "b.png"], ["maze"], head=head), width, top)
    text = " ".join(" ".join(lines).split())

    assert "*" not in text
    assert "of 1 texts" not in text
    assert "best first" not in text
    assert text.count("0.3500") == 2


def test_the_caption_says_what_the_probability_is() -> None:
    """Softmax, sigmoid with and without a bias, and a single text each have their sentence."""
    sigmoid = make_result(["a.png"], ["x", "y"], head="sigmoid")
    plain = RankResult(**{**vars(sigmoid), "model": type(sigmoid.model)(**{**vars(sigmoid.model), "logit_bias": None})})
    single = " ".join(draw(make_result(["a.png"], ["x"]), 160))

    assert "each pair by itself (sigmoid, scale 100, bias -10); * is" in " ".join(draw(sigmoid, 160))
    assert "each pair by itself (sigmoid, scale 100); * is" in " ".join(draw(plain, 160))
    assert "a single text has no probability" in single
    assert "%" not in single


MODEL = ModelRecord("ViT-B-32", "openai", 512, 224, 100.0, None, "softmax")


def result_of(*cosines: tuple[float, float]) -> RankResult:
    """Images a.png, b.png, … against the texts maze and cat."""
    scores = tuple(
        ImageScores(
            f"pictures/{chr(97 + number)}.png",
            np.array(pair, np.float32),
            np.array([0.5, 0.5]),
            int(np.argmax(pair)),
        )
        for number, pair in enumerate(cosines)
    )
    return RankResult(
        model=MODEL, device="cpu", precision="fp32", engine="torch", templates=(), texts=("maze", "cat"), scores=scores
    )


RESULT = result_of((0.25, 0.5), (0.75, 0.125), (0.5, 0.25))


def test_each_text_has_its_best_images_best_first() -> None:
    """A line of JSON a text; equals keep the order given."""
    lines = [json.loads(line) for line in format_top_images_lines(RESULT, 2).splitlines()]

    assert [line["text"] for line in lines] == ["maze", "cat"]
    assert [image["image"] for image in lines[0]["images"]] == ["pictures/b.png", "pictures/c.png"]
    assert lines[1]["images"][0] == {"image": "pictures/a.png", "similarity": 0.5, "probability": 0.5}
    assert [scores.image for scores in result_of((0.5, 0), (0.5, 0)).top_images(0, 2)] == [
        "pictures/a.png",
        "pictures/b.png",
    ]


def test_csv_has_a_line_a_pair_grouped_by_text() -> None:
    """With the header of the other CSV."""
    assert format_top_images_csv(RESULT, 1) == (
        "image,text,similarity,probability\npictures/b.png,maze,0.75,0.5\npictures/a.png,cat,0.5,0.5\n"
    )


def test_the_table_names_each_text_once() -> None:
    """Places are counted, names are whole where that is asked for, and no best text is spoken of."""
    title, table, legend = build_top_images_table(RESULT, 5, 100, whole_names=True)
    console = Console(file=io.StringIO(), width=100)
    console.print(title, table, legend)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO

    assert drawn.count("maze") == 1
    assert drawn.count("pictures/b.png") == 2
    assert "The best 3 of 3 images for each text" in drawn
    assert "*" not in drawn


def test_a_row_a_pair_for_data_frames() -> None:
    """Plain Python values."""
    rows = RESULT.to_rows()

    assert len(rows) == 6
    assert rows[0] == {
        "image": "pictures/a.png", "index": None, "text": "maze", "similarity": 0.25, "probability": 0.5,
        "best": False,
    }  # fmt: skip
    assert rows[1]["best"] is True


def test_a_long_name_goes_last_off_a_terminal() -> None:
    """Where whole names do not fit beside the scores, they stand behind them, so that one does not pad all rows."""
    names = ["short.png", "long " * 40 + ".png"]
    _, heading, _, first, second, *_ = draw(make_result(names, ["maze", "cat"]), 80, whole_names=True)

    assert heading.split() == ["maze", "cat", "image"]
    assert first.rstrip().endswith("%   short.png")
    assert second.rstrip().endswith(f"%   {names[1]}")
    assert first.index("short.png") < 50


def test_folders_are_kept_where_there_is_room() -> None:
    """Beside the scores whole paths, else without the folder that all share, else without their first folders."""
    names = [f"photos/holiday/{year}/beach/IMG_{number:04}.jpeg" for year in (2023, 2024) for number in range(4)]
    result = make_result(names, ["maze", "cat"])

    assert names[0] in "\n".join(draw(result, 90))
    assert "\n 2023/beach/IMG_0000.jpeg " in "\n".join(draw(result, 70))
    assert "\n …/2023/…/IMG_0000.jpeg " in "\n".join(draw(result, 60))
