"""Tests of `tasks.kept_copies`: which files of a group are kept, and which may go."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from pictures import draw_smooth

from clipsim.inputs.sources import FileSource
from clipsim.tasks.keep_rules import KeepRules
from clipsim.tasks.kept_copies import ArrangedGroup, arrange


def arrange_files(*paths: Path, near: bool = True) -> ArrangedGroup:
    """The files as one group, whose images are all near each other unless not `near`."""
    digests = [hashlib.sha256(path.read_bytes()).digest() if path.exists() else None for path in paths]
    sources = [FileSource(str(path)) for path in paths]
    return arrange(range(len(paths)), sources, digests, (lambda *_: 0.0) if near else None, KeepRules(()))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture."""
    draw_smooth(0).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_a_copy_of_the_bytes_may_go(picture: Path) -> None:
    copy = picture.with_name("copy.png")
    shutil.copy(picture, copy)
    group = arrange_files(picture, copy, near=False)
    assert len(group.copy_of) == 1
    assert group.removable == set(group.copy_of)


def test_a_jpeg_of_it_may_go_and_another_image_stays(picture: Path) -> None:
    coded, other = picture.with_name("coded.jpg"), picture.with_name("other.png")
    draw_smooth(0).save(coded, quality=90)
    draw_smooth(1).save(other)
    group = arrange_files(coded, picture, other)
    assert group.copy_of == {0: 1}
    assert group.removable == frozenset({0})
    assert arrange_files(coded, picture, other, near=False).copy_of == {}


def test_a_link_to_the_same_file_never_goes(picture: Path) -> None:
    hard, soft = picture.with_name("hard.png"), picture.with_name("soft.png")
    os.link(picture, hard)
    soft.symlink_to(picture)
    group = arrange_files(picture, hard, soft, near=False)
    assert len(group.copy_of) == 2
    assert group.removable == frozenset()


def test_a_file_that_has_changed_since_or_is_gone(picture: Path) -> None:
    copy = picture.with_name("copy.png")
    shutil.copy(picture, copy)
    digest = hashlib.sha256(picture.read_bytes()).digest()
    draw_smooth(1).save(copy)
    sources = [FileSource(str(path)) for path in (picture, copy, picture.with_name("gone.png"))]
    group = arrange([0, 1, 2], sources, [digest, digest, digest], None, KeepRules(()))
    assert len(group.copy_of) == 1
    assert (group.removable, group.changed) == (frozenset(), 1)
    assert group.rows[-1] == 2, "what is gone comes last"
