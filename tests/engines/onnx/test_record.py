"""Tests of `engines.onnx.record`: an export that is read is whole, or the cause is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exports import write_fake_export

from clipsim.engines.onnx.exports import FACTS_FILE, Export, list_exports


def with_digest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the facts and record the digest of what they are now."""
    facts = json.loads((folder / FACTS_FILE).read_text())
    schema, _ = facts.pop("schema"), facts.pop("digest")
    change(facts)
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    (folder / FACTS_FILE).write_text(json.dumps({"schema": schema, **facts, "digest": digest}))


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
        (lambda folder: (folder / FACTS_FILE).unlink(), r"its export\.json cannot be read"),
        (lambda folder: (folder / FACTS_FILE).write_text('{"schema"'), r"its export\.json cannot be read"),
        (lambda folder: (folder / FACTS_FILE).write_text("[" * 10**6), r"its export\.json cannot be read"),
        (lambda folder: (folder / FACTS_FILE).write_bytes(b"\xff{}"), r"its export\.json cannot be read"),
        (lambda folder: (folder / FACTS_FILE).write_text("[]"), "another version of clipsim"),
        (lambda folder: (folder / FACTS_FILE).write_text('{"schema": "clipsim.export/9"}'), "another version"),
        (lambda folder: (folder / FACTS_FILE).write_text('{"schema": "clipsim.export/2"}'), "is damaged"),
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
