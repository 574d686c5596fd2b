"""`clipsim rank`: what its options do and what it prints, with an encoder that knows colours."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from cli.conftest import Clipsim
from fake_encoder import FakeEncoder
from PIL import Image

from clipsim.cli.parameters import FORMATS

pytestmark = pytest.mark.usefixtures("colour_model")


@pytest.fixture(autouse=True)
def in_colours(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in the folder of coloured pictures."""
    monkeypatch.chdir(colours)


def test_a_table_of_colours(clipsim: Clipsim) -> None:
    """The default output is the table, and the notice about the bundled model goes to standard error."""
    done = clipsim("rank", "red.png", "blue.png", "-t", "red", "--text", "blue")

    assert done.status == 0
    assert done.out.splitlines()[0].startswith("clipsim-mini · bundled · cpu · fp32")
    assert "* 1.0000 100.0%" in done.out
    assert done.err.count("\n") == 1
    assert "using clipsim-mini" in done.err
    assert "clipsim models use" in done.err


def test_a_chosen_model_is_used_without_a_word(clipsim: Clipsim) -> None:
    """The notice is for those who chose nothing."""
    assert clipsim("rank", "red.png", "-t", "red", "-t", "blue", "-m", "clipsim-mini").err == ""


def test_quiet_leaves_the_notices_out(clipsim: Clipsim) -> None:
    """No notice is left with -q."""
    assert clipsim("rank", "red.png", "-t", "red", "-t", "red ", "-q").err == ""


def test_json_is_the_record(clipsim: Clipsim) -> None:
    """The object of the contract, with the notices in it."""
    done = clipsim("rank", ".", "-t", "red", "-t", "blue", "-t", "red", "--json")
    record = json.loads(done.out)

    assert done.status == 0
    assert list(record) == [
        "schema", "model", "device", "precision", "engine", "templates", "texts", "images", "indices",
        "similarity", "probabilities", "best", "errors", "warnings",
    ]  # fmt: skip
    assert record["images"] == ["./blue.png", "./green.png", "./red.png"]
    assert record["texts"] == ["red", "blue"]
    assert any("counted once: 'red'" in warning for warning in record["warnings"])


def test_json_lines_in_the_order_of_the_inputs(clipsim: Clipsim) -> None:
    """One line an input, a failed one in its place."""
    done = clipsim("rank", "red.png", "nope.png", "blue.png", "-t", "red", "-t", "blue", "--format", "jsonl", "-q")
    lines = [json.loads(line) for line in done.out.splitlines()]

    assert done.status == 3
    assert [line["image"] for line in lines] == ["red.png", "nope.png", "blue.png"]
    assert lines[1]["error"] == "no such file"
    assert lines[2]["best"] == "blue"
    assert [score["text"] for score in lines[2]["scores"]] == ["blue", "red"]
    assert "skipped: nope.png: no such file" in done.err


def test_csv_has_a_row_a_pair(clipsim: Clipsim) -> None:
    """Header and rows, images outside, texts inside."""
    done = clipsim("rank", "red.png", "blue.png", "-t", "red", "-t", "blue", "--format", "csv")
    rows = list(csv.reader(io.StringIO(done.out)))

    assert rows[0] == ["image", "text", "similarity", "probability"]
    assert [row[:2] for row in rows[1:]] == [
        ["red.png", "red"], ["red.png", "blue"], ["blue.png", "red"], ["blue.png", "blue"],
    ]  # fmt: skip


def test_top_and_sort_by(clipsim: Clipsim) -> None:
    """The K best texts of each image; the images by their similarity with one text."""
    arguments = ["rank", "red.png", "green.png", "blue.png", "-t", "red", "-t", "blue", "-t", "lime"]
    done = clipsim(*arguments, "--top", "1", "--sort-by", "blue", "--format", "csv")
    assert done.out.splitlines()[1].split(",")[:2] == ["blue.png", "blue"]
    assert len(done.out.splitlines()) == 4

    done = clipsim(*arguments, "--sort-by", "blue", "--format", "jsonl")
    assert json.loads(done.out.splitlines()[0])["image"] == "blue.png"

    assert "The best 2 of 3 texts" in clipsim(*arguments, "--top", "2").out

    done = clipsim(*arguments, "--top", "2", "--json")
    assert len(json.loads(done.out)["similarity"]) == 3
    assert "--top and --top-images do not apply" in done.err


def test_templates_keep_the_label(clipsim: Clipsim) -> None:
    """The label shown is the prompt as typed."""
    templates = ("--template", "a {} thing", "--template", "{}.")
    record = json.loads(clipsim("rank", "red.png", "-t", "red", "-t", "blue", *templates, "--json").out)

    assert record["texts"] == ["red", "blue"]
    assert record["templates"] == ["a {} thing", "{}."]
    assert record["similarity"][0][0] == pytest.approx(1, abs=1e-4)


def test_prompts_and_paths_from_files(clipsim: Clipsim, colours: Path) -> None:
    """--text-file adds to --text; --from-file adds to the images."""
    (colours / "prompts.txt").write_text("blue\nlime\n")
    (colours / "list.bin").write_bytes(b"green.png\0blue.png\0")
    lists = ("--text-file", "prompts.txt", "--from-file", "list.bin")
    record = json.loads(clipsim("rank", "red.png", "-t", "red", *lists, "--json", "-q").out)

    assert record["texts"] == ["red", "blue", "lime"]
    assert record["images"] == ["red.png", "green.png", "blue.png"]


def test_texts_and_paths_from_standard_input(clipsim: Clipsim) -> None:
    """`-` is standard input, for images or for texts."""
    record = json.loads(clipsim("rank", "-", "-t", "red", "--json", "-q", stdin=b"blue.png\r\nred.png\n").out)
    assert record["images"] == ["blue.png", "red.png"]

    record = json.loads(clipsim("rank", "red.png", "--text-file", "-", "--json", stdin=b"\xef\xbb\xbfred\nblue\n").out)
    assert record["texts"] == ["red", "blue"]


def test_a_single_text_is_explained(clipsim: Clipsim) -> None:
    """The probability is null, a notice says why, and no image has a star, which would say nothing."""
    done = clipsim("rank", "red.png", "-t", "red", "--format", "jsonl")
    assert json.loads(done.out)["scores"][0]["probability"] is None
    assert "there is no probability" in done.err

    for options in ([], ["--top", "1"]):
        out = clipsim("rank", ".", "-t", "red", *options).out
        assert "1.0000" in out
        assert "*" not in out
        assert "of 1 texts" not in out


def test_the_cache_is_kept_and_can_be_left_out(clipsim: Clipsim, colour_model: FakeEncoder) -> None:
    """A second run encodes nothing; --no-cache encodes again."""
    arguments = ("rank", ".", "-t", "red", "-t", "blue", "--json")
    first = clipsim(*arguments).out
    assert (sum(colour_model.image_batches), sum(colour_model.text_batches)) == (3, 2)

    assert clipsim(*arguments).out == first
    assert (sum(colour_model.image_batches), sum(colour_model.text_batches)) == (3, 2)

    assert clipsim(*arguments, "--no-cache").out == first
    assert (sum(colour_model.image_batches), sum(colour_model.text_batches)) == (6, 4)


def test_the_batch_size_is_what_was_asked_for(clipsim: Clipsim, colour_model: FakeEncoder) -> None:
    """No batch is larger."""
    clipsim("rank", ".", "-t", "red", "-t", "blue", "--batch-size", "2")

    assert colour_model.image_batches == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["red.png"], "no texts to compare with; give --text TEXT or --text-file FILE"),
        (["-t", "red"], "no images to rank"),
        (["red.png", "-t", " "], "--text: number 1 is empty"),
        (["red.png", "-t", "red", "--sort-by", "blue"], "--sort-by blue: not one of the texts"),
        (["red.png", "-t", "red", "--sort-by", "light blue"], "--sort-by 'light blue': not one of the texts"),
        (["red.png", "-t", "red", "--template", "x"], "--template: 'x' has no {}"),
        (["red.png", "-t", "red", "--format", "csv", "--json"], "--json and --format csv contradict each other"),
        (["-", "-t", "red", "--text-file", "-"], "can be read only once"),
        (["red.png", "-t", "red", "--device", "tpu"], "--device tpu: unknown device"),
        (["red.png", "-t", "red", "--engine", "onnx", "--device", "cuda"], "runs on the CPU only"),
    ],
)
def test_wrong_usage_is_status_2(clipsim: Clipsim, arguments: list[str], message: str) -> None:
    """Each contradiction is one line that says what it is, and nothing on standard output."""
    done = clipsim("rank", *arguments)

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("clipsim: error: ")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.png", "nope2.png", "-t", "red"], "none of the inputs could be used"),
        (["prompts.txt", "-t", "red"], "none of the inputs could be used"),
        (["red.png", "-t", "red", "--text-file", "nope.txt"], "nope.txt: cannot read the texts"),
        (["red.png", "-t", "red", "--model", "no-such-model"], "no model, file or folder is called 'no-such-model'"),
        (["red.png", "-t", "one two three four five six"], "has 6 words"),
        (["red.png", "nope.png", "-t", "red", "--on-error", "fail"], "nope.png: no such file"),
        (["red.png", "-t", "red", "--from-file", "nope"], "nope: cannot read the list"),
        (["--from-file", os.devnull, "-t", "red"], "the list of paths is empty"),
        (["x" * 300, "-t", "red"], "none of the inputs could be used"),
    ],
)
def test_nothing_done_is_status_1(clipsim: Clipsim, colours: Path, arguments: list[str], message: str) -> None:
    """A clear line says what and why; standard output stays empty."""
    (colours / "prompts.txt").write_text("no image")
    done = clipsim("rank", *arguments, "-q")

    assert (done.status, done.out) == (1, "")
    assert message in done.err
    assert "Traceback" not in done.err


def test_files_that_are_not_there_are_named_before_a_model_is_opened(
    clipsim: Clipsim, colour_model: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A typing error costs no import of torch."""
    monkeypatch.setattr(colour_model, "encode_texts", None)
    monkeypatch.setattr("clipsim.session.Session", None)
    done = clipsim("rank", "nope.png", "-t", "red")

    assert done.status == 1
    assert done.err.splitlines()[0] == "clipsim: skipped: nope.png: no such file"


def test_some_skipped_is_status_3(clipsim: Clipsim, colours: Path) -> None:
    """The good ones are ranked, the broken ones named and counted."""
    (colours / "broken.png").write_bytes((colours / "red.png").read_bytes()[:60])
    done = clipsim("rank", ".", "-t", "red", "-t", "blue", "-q")

    assert done.status == 3
    assert "red.png" in done.out
    assert "broken.png" not in done.out
    assert "skipped: ./broken.png: " in done.err
    assert "1 of 4 inputs skipped" in done.err


def test_names_cannot_act_on_the_terminal(clipsim: Clipsim, colours: Path) -> None:
    """Escapes in a file's name reach neither stream."""
    Image.new("RGB", (9, 5), "red").save(colours / "a\x1b[31m.png")
    (colours / "b\x1b]0;x\x07.png").touch()
    done = clipsim("rank", ".", "-t", "red", "-t", "blue", "-q")

    assert "\x1b" not in done.out + done.err
    assert "\\x1b[31m" in done.out
    assert "\\x1b]0;x\\x07" in done.err


def test_off_a_terminal_names_are_whole(clipsim: Clipsim, colours: Path) -> None:
    """A name of the table can be searched for, however long it is."""
    name = f"{'long ' * 30}name.png"
    Image.new("RGB", (9, 5), "red").save(colours / name)
    text = "a text that is too long for a column of the table of which there are several"
    done = clipsim("rank", ".", "-t", "red", "-t", text.removesuffix(" of which there are several"), "--truncate")

    assert name in done.out
    assert "…" not in done.out


def test_a_wrong_name_in_the_environment_is_named_as_such(clipsim: Clipsim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has typed the name, so the message says where it stands."""
    monkeypatch.setenv("CLIPSIM_MODEL", "nope")
    done = clipsim("rank", "red.png", "-t", "red")
    assert done.status == 1
    assert "'nope'" in done.err
    assert "CLIPSIM_MODEL" in done.err

    monkeypatch.setenv("CLIPSIM_MODEL", "")
    monkeypatch.setenv("CLIPSIM_DEVICE", "tpu")
    assert "--device tpu" in clipsim("rank", "red.png", "-t", "red").err


def test_a_bug_keeps_its_traceback(
    clipsim: Clipsim, colour_model: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not the user's fault is not presented as if it were."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(colour_model, "encode_images", broken)
    with pytest.raises(ZeroDivisionError):
        clipsim("rank", "red.png", "-t", "red")


def test_another_failure_of_the_system_is_not_a_failure_to_write(
    clipsim: Clipsim, colour_model: FakeEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only an error of standard output says that the results cannot be written."""

    def unreadable(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(colour_model, "encode_images", unreadable)
    with pytest.raises(OSError, match="Input/output error"):
        clipsim("rank", "red.png", "-t", "red")


def test_a_flag_with_a_value_is_explained(clipsim: Clipsim, colours: Path) -> None:
    """`--json true` makes `true` an image; one that exists is one."""
    done = clipsim("rank", colours, "--json", "true", "-t", "red")

    assert done.status == 2
    assert "flags such as --json take no value" in done.err


def test_the_best_images_of_each_text(clipsim: Clipsim, colours: Path) -> None:
    """Two texts, one image each; not together with the best texts of each image."""
    done = clipsim("rank", colours, "-t", "red", "-t", "blue", "--top-images", "1", "--format", "csv", "-q")
    rows = [line.split(",")[:2] for line in done.out.splitlines()[1:]]

    assert [(Path(image).stem, text) for image, text in rows] == [("red", "red"), ("blue", "blue")]
    assert clipsim("rank", colours, "-t", "red", "--top-images", "1", "--top", "1").status == 2


def test_quiet_leaves_the_legend_out(clipsim: Clipsim, colours: Path) -> None:
    """Off a terminal it is there each time otherwise."""
    for _ in range(2):
        assert "cosine similarity" in clipsim("rank", colours, "-t", "red", "-t", "blue").out
    assert "cosine similarity" not in clipsim("rank", colours, "-t", "red", "-t", "blue", "-q").out


class TestNames:
    """`rank -l`: the names of images alone, in the order of the answer."""

    @pytest.fixture(autouse=True)
    def in_colours(self, colour_model: FakeEncoder, colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Start in the folder of coloured images."""
        monkeypatch.chdir(colours)

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            ([], ["blue.png", "green.png", "red.png"]),
            (["--sort-by", "red"], ["red.png", "green.png", "blue.png"]),
            (["--top-images", "1"], ["red.png", "blue.png"]),
        ],
    )
    def test_the_order(self, clipsim: Clipsim, options: list[str], names: list[str]) -> None:
        """As given, by a text, or the best of each text, each once; ended by line feeds or by NUL."""
        asked = ("rank", "blue.png", "green.png", "red.png", "-t", "red", "-t", "blue", "-q", *options)

        assert clipsim(*asked, "-l").out == "".join(f"{name}\n" for name in names)
        assert clipsim(*asked, "-l", "-0").out == "".join(f"{name}\0" for name in names)

    @pytest.mark.parametrize("options", [[], ["--sort-by", "red"]])
    def test_with_thresholds(self, clipsim: Clipsim, options: list[str]) -> None:
        """Only images with a best text."""
        clipsim("threshold", "red", "--positives", "red.png", "--recall", "0.5", "-o", "t.json", "-q")
        ended = clipsim("rank", ".", "-t", "red", "--thresholds", "t.json", "-l", "-q", *options)

        assert (ended.status, ended.out) == (0, "./red.png\n")

    def test_an_image_that_cannot_be_used(self, clipsim: Clipsim) -> None:
        """Has no line, and the status says so."""
        ended = clipsim("rank", "red.png", "none.png", "-t", "red", "-l", "-q")

        assert (ended.status, ended.out) == (3, "red.png\n")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["-l", "--json"], "--paths (-l) prints names alone"),
            (["-l", "--format", "csv"], "--paths (-l) prints names alone"),
            (["-0"], "--null (-0)"),
            (["-l", "--top", "1"], "--top chooses texts"),
        ],
    )
    def test_what_does_not_go_together(self, clipsim: Clipsim, options: list[str], message: str) -> None:
        """One line, before a model is looked for."""
        ended = clipsim("rank", "red.png", "-t", "red", *options)

        assert (ended.status, ended.out) == (2, "")
        assert message in ended.err


def test_a_format_of_another_package(
    clipsim: Clipsim, colour_model: FakeEncoder, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints the whole result; one that fails is one line that names the package."""
    folder = tmp_path / "site" / "clipsim_tiny-1.5.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: clipsim-tiny\nVersion: 1.5\n")
    (folder / "entry_points.txt").write_text("[clipsim.formats]\nbest = tiny:best\nnumber = tiny:count\n")
    (folder.parent / "tiny.py").write_text(
        "def best(result):\n    return ''.join(f'{result.texts[s.best]}\\n' for s in result.scores)\n"
        "def count(result):\n    return 7\n"
    )
    monkeypatch.syspath_prepend(folder.parent)

    done = clipsim("rank", colours / "blue.png", colours / "red.png", "-t", "red", "-t", "blue", "--format", "best")
    assert (done.status, done.out) == (0, "blue\nred\n")
    done = clipsim("rank", colours, "-t", "red", "--format", "number")
    assert (done.status, done.out) == (1, "")
    assert "error: --format number: clipsim-tiny 1.5: it returns int, not str" in done.err
    done = clipsim("rank", colours, "-t", "red", "--format", "yaml")
    assert (done.status, done.out) == (2, "")
    assert f"'yaml' is not one of {', '.join(FORMATS)}, best, number" in done.err
