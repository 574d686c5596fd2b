"""Tests of `inputs.paths`: files, folders, globs, lists of paths, and patterns that include and exclude names."""

from __future__ import annotations

import errno
import io
import os
import sys
from pathlib import Path

import pytest

from clipsim.errors import ImageError, TransientError, UsageError
from clipsim.inputs.paths import NameFilter, find_images, find_listed_images, read_path_list


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with pictures, other files, hidden ones and links; the working directory is its parent."""
    for name in ("b.JPG", "a.png", "notes.txt", "sub/c.webp", "sub/deep/d.tiff", ".hidden.png", ".cache/e.png"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "tree" / "loop").symlink_to(tmp_path / "tree")
    (tmp_path / "tree" / "z-dangling.png").symlink_to(tmp_path / "nowhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tree"


def test_a_folder_is_walked_in_order(tree: Path) -> None:
    """Image suffixes only, sorted, hidden files left out, links to folders not followed, broken links kept."""
    expected = ["tree/a.png", "tree/b.JPG", "tree/sub/c.webp", "tree/sub/deep/d.tiff", "tree/z-dangling.png"]
    assert list(find_images(["tree"])) == expected


def test_folders_of_the_system_are_searched_only_if_named(tmp_path: Path) -> None:
    """Thumbnails of a NAS, recycle bins and packages of JavaScript, in folders and below `**`, in any case."""
    left_out = (
        "@eaDir",
        ".git",
        "node_modules",
        ".thumbnails",
        "#recycle",
        "$Recycle.Bin",
        "System Volume Information",
    )
    for name in (*left_out, "kept"):
        (tmp_path / "tree" / name).mkdir(parents=True)
        (tmp_path / "tree" / name / "a.png").touch()
    kept = [str(tmp_path / "tree" / "kept" / "a.png")]

    assert list(find_images([str(tmp_path / "tree")])) == kept
    assert list(find_images([str(tmp_path / "tree" / "**" / "*.png")])) == kept
    for name in left_out:
        named = str(tmp_path / "tree" / name)
        assert list(find_images([named])) == list(find_listed_images([named])) == [f"{named}/a.png"]


def test_a_quoted_glob_is_expanded_and_sorted(tree: Path) -> None:
    """`*` stays in its folder, `**` reaches below; folders among the matches are left out."""
    assert list(find_images(["tree/*.[pJ]*"])) == ["tree/a.png", "tree/b.JPG", "tree/z-dangling.png"]
    assert list(find_images(["tree/sub/**"])) == ["tree/sub/c.webp", "tree/sub/deep/d.tiff"]


def test_a_file_whose_name_is_a_pattern_is_that_file(tree: Path) -> None:
    """What exists is never a pattern."""
    (tree / "a[1].png").touch()

    assert list(find_images(["tree/a[1].png"])) == ["tree/a[1].png"]


def test_what_cannot_be_expanded_is_returned(tree: Path) -> None:
    """Missing files, patterns without a match and folders without images are reported when they are opened."""
    (tree / "void").mkdir()

    assert list(find_images(["nope.png", "*.nope", "tree/void"])) == ["nope.png", "*.nope", "tree/void"]


def test_the_order_given_and_repetitions_are_kept(tree: Path) -> None:
    """Only the files found in a folder are sorted."""
    assert list(find_images(["tree/b.JPG", "tree/a.png", "tree/b.JPG"])) == ["tree/b.JPG", "tree/a.png", "tree/b.JPG"]


def test_listed_names_are_not_patterns(tree: Path) -> None:
    """Folders in a list are walked, but a name with a star is a file's name."""
    assert list(find_listed_images(["tree/*.png", "tree/sub"])) == [
        "tree/*.png",
        "tree/sub/c.webp",
        "tree/sub/deep/d.tiff",
    ]


def test_a_list_of_lines(tmp_path: Path) -> None:
    """Empty lines and carriage returns are dropped; bytes that are not UTF-8 are kept."""
    file = tmp_path / "list"
    file.write_bytes(b"a.png\r\n\nb c.png\ncaf\xe9.png")

    names = list(read_path_list(str(file)))

    assert names[:2] == ["a.png", "b c.png"]
    assert os.fsencode(names[2]) == b"caf\xe9.png"


def test_a_list_separated_by_nul(tmp_path: Path) -> None:
    """With NUL, a newline belongs to the name."""
    file = tmp_path / "list"
    file.write_bytes(b"a\nb.png\0\0c.png\r\0")

    assert list(read_path_list(str(file))) == ["a\nb.png", "c.png\r"]


def test_a_list_longer_than_one_read(tmp_path: Path) -> None:
    """Names that two chunks share are complete."""
    names = [f"folder/picture-{number:06d}.png" for number in range(20_000)]
    file = tmp_path / "list"
    file.write_text("\n".join(names))

    assert list(read_path_list(str(file))) == names


def test_a_list_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x.png\ny.png\n")))

    assert list(read_path_list("-")) == ["x.png", "y.png"]


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    """The error names the list."""
    with pytest.raises(ImageError, match="nope: cannot read the list of paths"):
        list(read_path_list(str(tmp_path / "nope")))


@pytest.mark.parametrize("start", [b"\xef\xbb\xbf", b""])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\0"])
def test_a_mark_at_the_beginning_is_no_part_of_a_name(tmp_path: Path, start: bytes, end: bytes) -> None:
    """Of UTF-8, as editors write it."""
    (tmp_path / "list").write_bytes(start + b"a.png" + end + b"# b.png " + end)

    assert list(read_path_list(str(tmp_path / "list"))) == ["a.png", "# b.png "]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_in_utf_16_is_named(tmp_path: Path, encoding: str) -> None:
    """With a mark or without; names of one letter that end in NUL are none."""
    (tmp_path / "list").write_bytes("a.png\nb.png\n".encode(encoding))
    with pytest.raises(ImageError, match="list: the list of paths is UTF-16; save it as UTF-8"):
        list(read_path_list(str(tmp_path / "list")))

    (tmp_path / "list").write_bytes(b"a\0b\0")
    assert list(read_path_list(str(tmp_path / "list"))) == ["a", "b"]


def test_links_to_a_parent_folder(tree: Path) -> None:
    """`**` follows no links to folders, so that it ends."""
    for number in range(5):
        (tree / f"loop{number}").symlink_to(tree)

    assert list(find_images(["tree/**/*.png"])) == ["tree/a.png", "tree/z-dangling.png"]
    assert list(find_images(["**/c.*"])) == ["tree/sub/c.webp"]


def test_names_that_the_system_refuses_are_returned() -> None:
    """A name that is too long or contains NUL is reported when it is opened."""
    assert list(find_images(["x" * 300, "a\0b"])) == ["x" * 300, "a\0b"]
    assert list(find_listed_images(["x" * 300])) == ["x" * 300]


def test_a_folder_that_cannot_be_read_is_returned(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is among the paths, and reported when it is opened."""
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)

    assert "tree/sub/deep" in list(find_images(["tree"]))


@pytest.mark.parametrize("name", ["tree", "tree/**/*.png"])
def test_a_folder_that_cannot_be_listed_for_now_ends_the_run(
    tree: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With too many open files its images would be left out, or it be recorded as bad."""
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("deep"):
            raise OSError(errno.EMFILE, "Too many open files")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)

    with pytest.raises(TransientError, match="deep: cannot list it: Too many open files; to be tried again"):
        list(find_images([name]))


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*.jpg", "a.jpg", True),
        ("*.jpg", "/data/photos/a.jpg", True),
        ("*.jpg", "a.jpg.png", False),
        ("*.jpg", "a.JPG", True),
        ("thumbs", "photos/thumbs/a.jpg", True),
        ("thumbs", "photos/thumbs2/a.jpg", False),
        ("2024/*.jpg", "photos/2024/a.jpg", True),
        ("2024/*.jpg", "photos/2024/may/a.jpg", False),
        ("2024/**/*.jpg", "photos/2024/a.jpg", True),
        ("2024/**", "2024/may/a.jpg", True),
        ("/data/*.jpg", "/data/a.jpg", True),
        ("/data/*.jpg", "old/data/a.jpg", False),
        ("a?.jpg", "ab.jpg", True),
        ("a?.jpg", "a/.jpg", False),
        ("[!a-c]*.jpg", "photos/d.jpg", True),
        ("[!a-c]*.jpg", "b.jpg", False),
        ("[^]]x", "ax", True),
        ("a[1].(jpg)", "a1.(jpg)", True),
        ("*.jpg", "part.tar/0001.jpg", True),
        ("part.tar", "data/part.tar/0001.jpg", True),
        ("x[", "x[", True),
        ("[]]x", "]x", True),
        ("a**b", "a/x/b", True),
        ("[\\d]", "d", True),
        ("[\\d]", "1", False),
        ("*.jpg", "photos/A.JPG", True),
        ("*.JPG", "photos/a.jpg", True),
        ("Thumbs", "photos/thumbs/a.jpg", True),
        ("*.{jpg,png}", "a.PNG", True),
        ("*.{jpg,png}", "a.gif", False),
        ("{2019,2020}/**", "photos/2020/may/a.jpg", True),
        ("{2019,2020}/**", "photos/2021/may/a.jpg", False),
        ("2019/**", "photos/2019/a.jpg", True),
        ("*/raw/*", "photos/may/raw/a.jpg", True),
        ("*/raw/*", "photos/may/raw/deep/a.jpg", False),
        ("{a}.jpg", "{a}.jpg", True),
        ("{a,b.jpg", "{a,b.jpg", True),
        ("a{,1}.jpg", "a.jpg", True),
        ("a{,1}.jpg", "a1.jpg", True),
        ("{a,{b,c}d}.jpg", "cd.jpg", True),
        ("{a,{b,c}d}.jpg", "c.jpg", False),
    ],
)
def test_a_pattern(pattern: str, name: str, matches: bool) -> None:
    """A pattern takes what .gitignore's rules say, alone and as an exclusion."""
    assert NameFilter(include=(pattern,)).accepts(name) is matches
    assert NameFilter(exclude=(pattern,)).accepts(name) is not matches


def test_exclusion_wins() -> None:
    """A name must match an inclusion, if there is one, and no exclusion."""
    chosen = NameFilter(include=("*.jpg", "*.png"), exclude=("b.*",))

    assert [name for name in ("a.jpg", "b.jpg", "c.png", "d.gif") if chosen.accepts(name)] == ["a.jpg", "c.png"]


@pytest.mark.parametrize(("pattern", "cause"), [("", "empty"), ("/", "empty"), ("//", "empty"), ("[z-a]", "not a"),
                                                  ("{a,b}" * 12, "more than 1,000")])  # fmt: skip
def test_what_is_no_pattern(pattern: str, cause: str) -> None:
    """A pattern that says nothing is a mistake, not one that matches nothing or everything."""
    with pytest.raises(UsageError, match=cause):
        NameFilter(exclude=(pattern,))
