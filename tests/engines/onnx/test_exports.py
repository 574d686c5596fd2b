"""Tests of `engines.onnx.exports`: a model's export, its record, and what is done about a damaged one."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exports import ExportedModel, write_fake_export
from PIL import Image

import clipsim
from clipsim.engines.onnx.encoder import OnnxEncoder
from clipsim.engines.onnx.exports import INFO_FILE, VERIFIED_FILE, Export, find_export, list_exports
from clipsim.errors import ModelError
from clipsim.files import digest_file, digest_files
from clipsim.models.files import find_files
from clipsim.models.names import find_model

# Tests that need torch import it themselves: `make test-quick` leaves them out, and runs the others.

FAKE_FILES = ("image.onnx", "image.onnx.data", "text.onnx", "text.onnx.data", "tokenizer.json", INFO_FILE)


@pytest.fixture
def exact_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of files are taken for exact at once, and not after two seconds; `flip_byte` makes them so."""
    monkeypatch.setattr("clipsim.files.CLOCK_TICK", -(10**18))


def flip_byte(file: Path, position: int, change: int) -> None:
    """Change one byte in place; the size stays, and the time of the change is another one."""
    content, before = bytearray(file.read_bytes()), file.stat().st_mtime_ns
    content[position] ^= change
    while file.stat().st_mtime_ns == before:  # a kernel's clock ticks every few milliseconds
        with file.open("r+b") as stream:
            stream.write(content)


def test_an_export_is_found_by_the_models_content(copied: ExportedModel, tmp_path: Path) -> None:
    """Also under another path; not for other weights, and not in int8."""
    from checkpoints import write_folder

    moved = tmp_path / "moved"
    shutil.copytree(copied.folder, moved)
    spec = find_model(str(moved))

    assert find_export(copied.spec, copied.files, "onnx") == copied.export
    found = find_export(spec, find_files(spec), "onnx")
    assert found == copied.export
    assert OnnxEncoder(spec, found).facts.name == str(moved)
    assert find_export(copied.spec, copied.files, "onnx-int8") is None
    other = find_model(str(write_folder(tmp_path / "other", "vit", seed=1)))
    assert find_export(other, find_files(other), "onnx") is None


def test_unchanged_weights_are_not_read_again(copied: ExportedModel, exact_clock: None) -> None:
    """Where they were old enough, when the export was made, for any later change to show in their times."""
    from clipsim.engines.onnx.export import export_model

    export = export_model(copied.spec, copied.files, copied.base, int8=False)
    read: list[Path] = []

    def read_digests(paths: Iterable[Path]) -> dict[Path, str]:
        digests = digest_files(paths)
        read.extend(digests)
        return digests

    assert find_export(copied.spec, copied.files, "onnx", read_digests=read_digests) == export
    assert copied.files.weights not in read
    os.utime(copied.files.weights, (1, 1))
    assert find_export(copied.spec, copied.files, "onnx", read_digests=read_digests) == export
    assert copied.files.weights in read


def test_unchanged_files_are_not_verified_again(
    tmp_path: Path, exact_clock: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their digests are compared once, and again after a file's stamp has changed."""
    spec, files, export = write_fake_export(tmp_path / "fake")
    read: list[str] = []

    def digest(path: Path) -> str:
        read.append(path.name)
        return digest_file(path)

    monkeypatch.setattr("clipsim.engines.onnx.exports.digest_file", digest)
    for expected in (5, 0, 0):
        read.clear()
        assert find_export(spec, files, "onnx", tmp_path / "fake" / "exports") == export
        assert len(read) == expected
    os.utime(export.folder / "text.onnx", (1, 1))
    assert find_export(spec, files, "onnx", tmp_path / "fake" / "exports") == export
    assert len(read) == 5


def test_files_that_were_just_written_are_verified_again(tmp_path: Path) -> None:
    """A change within the same tick of the clock does not show in their times."""
    spec, files, export = write_fake_export(tmp_path / "fake")

    assert find_export(spec, files, "onnx", tmp_path / "fake" / "exports") == export
    assert not (export.folder / VERIFIED_FILE).exists()


@pytest.mark.parametrize("name", FAKE_FILES)
def test_any_flipped_byte_is_found(tmp_path: Path, exact_clock: None, name: str) -> None:
    """Also after the digests were compared once: the export is set aside with one notice, and is not used again."""
    source = random.Random(name)
    spec, files, export = write_fake_export(tmp_path / "fake")
    pristine, base = tmp_path / "fake" / "exports", tmp_path / "exports"
    for _ in range(25):
        shutil.rmtree(base, ignore_errors=True)
        shutil.copytree(pristine, base)
        if source.random() < 0.5:
            assert find_export(spec, files, "onnx", base)
            assert (base / export.folder.name / VERIFIED_FILE).exists()
        file = base / export.folder.name / name
        where, change = source.randrange(file.stat().st_size), source.randrange(1, 256)
        flip_byte(file, where, change)
        notices: list[str] = []
        found = find_export(spec, files, "onnx", base, on_notice=notices.append)

        if found is not None:  # white space between facts that became other white space
            assert name == INFO_FILE
            assert found == Export.read(base / export.folder.name)
            assert vars(found) == vars(export) | {"folder": found.folder}
            continue
        assert len(notices) == 1, (where, change)
        assert "is not used: " in notices[0]
        assert [path.name for path in base.iterdir()] == [f".damaged-{export.folder.name}"]
        assert find_export(spec, files, "onnx", base, on_notice=notices.append) is None
        assert len(notices) == 1


def test_damage_to_what_was_verified_only_verifies_again(tmp_path: Path, exact_clock: None) -> None:
    """Whatever byte of the file changes."""
    notices: list[str] = []
    spec, files, export = write_fake_export(tmp_path / "fake")
    base = tmp_path / "fake" / "exports"
    for position in range(0, 200, 9):
        assert find_export(spec, files, "onnx", base) == export
        flip_byte(export.folder / VERIFIED_FILE, position, 1 + position)
        assert find_export(spec, files, "onnx", base, on_notice=notices.append) == export

    assert notices == []


@pytest.mark.parametrize("name", ["image.onnx.data", "text.onnx", "tokenizer.json", INFO_FILE])
def test_a_run_with_a_damaged_export_gives_torchs_numbers(
    copied: ExportedModel, pictures: list[Image.Image], name: str
) -> None:
    """With one notice; where the export is asked for by name, its absence is the error."""
    texts = ["a cat", "a dog"]
    expected = clipsim.rank(pictures, texts, model=copied.folder, engine="torch", cache=False).similarity
    assert clipsim.rank(pictures, texts, model=copied.folder, device="cpu", cache=False).engine == "onnx"
    file = copied.export.folder / name
    flip_byte(file, file.stat().st_size // 2, 64)
    result = clipsim.rank(pictures, texts, model=copied.folder, device="cpu", cache=False)

    assert result.engine == "torch"
    assert (result.similarity == expected).all()
    (notice,) = result.warnings
    assert "is not used: its " in notice
    with pytest.raises(ModelError, match="there is no onnx export"):
        clipsim.rank(pictures, texts, model=copied.folder, engine="onnx", cache=False)


def test_a_damaged_export_of_another_model_costs_nothing(tmp_path: Path) -> None:
    """It is set aside at once; the weights of the model that runs are not read to tell whose it is."""
    spec, files, export = write_fake_export(tmp_path / "fake")
    (export.folder / INFO_FILE).write_text("{")

    def refuse(paths: Iterable[Path]) -> dict[Path, str]:
        raise AssertionError(list(paths))

    assert find_export(spec, files, "onnx", tmp_path / "fake" / "exports", read_digests=refuse) is None
    assert not export.folder.exists()


def test_an_export_that_another_process_is_replacing_is_left_alone(tmp_path: Path) -> None:
    """A folder without a record is not a damaged export."""
    spec, files, export = write_fake_export(tmp_path / "fake")
    (export.folder / INFO_FILE).unlink()

    notices: list[str] = []
    assert find_export(spec, files, "onnx", tmp_path / "fake" / "exports", on_notice=notices.append) is None
    assert export.folder.exists()
    assert notices == []


def test_an_export_of_other_weights_stays_with_a_notice(copied: ExportedModel, tmp_path: Path) -> None:
    """Where a model was trained further in its folder, the vectors must be the new ones."""
    from checkpoints import write_folder

    from clipsim.engines.onnx.export import export_model

    folder = tmp_path / "model"
    shutil.copytree(copied.folder, folder)
    spec = find_model(str(folder))
    export = export_model(spec, find_files(spec), copied.base, int8=False)
    shutil.rmtree(folder)
    write_folder(folder, "vit", seed=1)

    notices: list[str] = []
    assert find_export(spec, find_files(spec), "onnx", on_notice=notices.append) is None
    assert "have changed since it was made" in notices[0]
    assert export.folder.exists()
    assert np.isfinite(export.facts["logit_scale"])


def with_digest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the facts and record the digest of what they are now."""
    facts = json.loads((folder / INFO_FILE).read_text())
    schema, _ = facts.pop("schema"), facts.pop("digest")
    change(facts)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    (folder / INFO_FILE).write_text(json.dumps({"schema": schema, **facts, "digest": digest}))


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Every field, through JSON and back."""
    _, _, export = write_fake_export(tmp_path / "fake")

    assert Export.read(export.folder) == export
    assert export.bytes == 300
    assert list(list_exports(export.folder.parent)) == [export]


@pytest.mark.parametrize(
    ("damage", "cause"),
    [
        (lambda folder: (folder / "text.onnx.data").unlink(), r"its text\.onnx\.data is missing or incomplete"),
        (lambda folder: (folder / "image.onnx").write_bytes(b"x"), r"its image\.onnx is missing or incomplete"),
        (lambda folder: (folder / INFO_FILE).unlink(), r"its export\.json cannot be read"),
        (lambda folder: (folder / INFO_FILE).write_text('{"schema"'), r"its export\.json cannot be read"),
        (lambda folder: (folder / INFO_FILE).write_text("[" * 10**6), r"its export\.json cannot be read"),
        (lambda folder: (folder / INFO_FILE).write_bytes(b"\xff{}"), r"its export\.json cannot be read"),
        (lambda folder: (folder / INFO_FILE).write_text("[]"), "another version of clipsim"),
        (lambda folder: (folder / INFO_FILE).write_text('{"schema": "clipsim.export/9"}'), "another version"),
        (lambda folder: (folder / INFO_FILE).write_text('{"schema": "clipsim.export/2"}'), "is damaged"),
        (lambda folder: with_digest(folder, lambda facts: facts.update(source=None)), "is incomplete"),
        (lambda folder: with_digest(folder, lambda facts: facts["source"].update(stamp=1)), "is incomplete"),
        (lambda folder: with_digest(folder, lambda facts: facts.update(images=None)), "is incomplete"),
        (lambda folder: with_digest(folder, lambda facts: facts.update(files=["x"])), "is incomplete"),
        (lambda folder: with_digest(folder, lambda facts: facts["digests"].clear()), "is incomplete"),
        (lambda folder: with_digest(folder, lambda facts: facts.update(more=1)), "is incomplete"),
        (lambda folder: with_digest(folder, lambda facts: facts.pop("head")), "is incomplete"),
    ],
)  # fmt: skip
def test_a_damaged_export_is_not_read(tmp_path: Path, damage: Callable[[Path], object], cause: str) -> None:
    """The cause is a phrase for a notice, whatever the damage."""
    _, _, export = write_fake_export(tmp_path / "fake")
    damage(export.folder)

    with pytest.raises(ValueError, match=cause):
        Export.read(export.folder)
    assert list(list_exports(export.folder.parent)) == []
