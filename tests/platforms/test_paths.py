"""Names of files as Windows and macOS have them: drives, backslashes, line ends, capitals, accents in two parts."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from clipsim.cli.first_words import _looks_like_path
from clipsim.errors import install_command, join_words
from clipsim.files import escape_name, fold_name, unescape_name
from clipsim.inputs.expand import find_sources
from clipsim.inputs.label_words import find_label_words
from clipsim.inputs.labelled_layouts import read_folder
from clipsim.inputs.paths import NameFilter, find_images, read_path_list
from clipsim.inputs.sources import FileSource
from clipsim.inputs.texts import read_texts
from clipsim.inputs.urls import as_path, file_suffix, is_table, is_tar, is_url, join_location
from clipsim.models.names import find_model
from clipsim.render.file_links import quote_for_shell
from clipsim.render.page import split_name
from clipsim.tasks.file_plans import TargetNames, _link_text
from clipsim.tasks.sort import name_folders

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Café") for form in ("NFC", "NFD"))
Windows = Callable[..., None]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("thumbs", r"C:\photos\thumbs\a.jpg"),
        ("*.JPG", r"photos\a.jpg"),
        ("2024/**/*.{jpg,png}", r"photos\2024\may\trip\a.png"),
        (r"2024\*\a.jpg", r"photos\2024\may\a.jpg"),
        (r"2024\*\a.jpg", "photos/2024/may/a.jpg"),
        ("thumbs\\", r"photos\thumbs\a.jpg"),
    ],
)
def test_patterns_match_names_with_backslashes(windows: Windows, pattern: str, name: str) -> None:
    """A pattern has either separator, and so has a name; `*` stops at both."""
    windows("clipsim.inputs.paths", paths=True)

    assert NameFilter(include=(pattern,)).accepts(name)
    assert not NameFilter(include=("C:/*/a.jpg",)).accepts(r"C:\photos\thumbs\a.jpg")


def test_a_backslash_is_part_of_a_name_elsewhere() -> None:
    """So that a pattern with one means the character after it, and a name is one part."""
    assert not NameFilter(include=("thumbs",)).accepts(r"photos\thumbs\a.jpg")


@pytest.mark.parametrize(
    ("table", "name", "location"),
    [
        (r"C:\data\table.csv", r"images\a.jpg", r"C:\data\images\a.jpg"),
        (r"C:\data\table.csv", "images/a.jpg", r"C:\data\images/a.jpg"),
        (r"C:\data\table.csv", r"D:\a.jpg", r"D:\a.jpg"),
        (r"C:\data\table.csv", r"\a.jpg", r"C:\a.jpg"),
        (r"C:\data\table.csv", r"\\server\share\a.jpg", r"\\server\share\a.jpg"),
        ("file:///C:/data/table.csv", "a.jpg", r"C:/data\a.jpg"),
        ("s3://bucket/table.csv", "a.jpg", "s3://bucket/a.jpg"),
        ("table.csv", r"C:\a.jpg", r"C:\a.jpg"),
    ],
)
def test_paths_in_tables_have_drives_and_backslashes(windows: Windows, table: str, name: str, location: str) -> None:
    """They are relative to the folder of the table unless they begin at a drive, a root or a share."""
    windows("clipsim.inputs.urls", paths=True)

    assert join_location(table, name) == location


def test_a_drive_is_not_an_address(windows: Windows) -> None:
    """Whichever separator follows; a `file://` address of one is its path, and one of a share keeps its name."""
    for name in (r"C:\a.jpg", "C:/a.jpg", "c:a.jpg", r"\\server\share\a.jpg"):
        assert not is_url(name)
    windows("clipsim.inputs.urls", paths=True)

    assert as_path("file:///C:/a%20b.jpg") == "C:/a b.jpg"
    assert as_path("file:////server/share/a.jpg") == "//server/share/a.jpg"
    assert (file_suffix(r"C:\my.data\part"), is_tar(r"C:\a.b\part.TAR"), is_table(r"C:\t.csv")) == (
        r".data\part",
        True,
        True,
    )


def test_names_on_pages_and_in_hints_have_folders(windows: Windows) -> None:
    """Both separators divide a name."""
    windows("clipsim.render.page", "clipsim.cli.first_words", paths=True)

    assert split_name(r"photos\2024/a.png") == ("photos\\2024/", "a.png")
    assert _looks_like_path(r"photos\a")
    assert _looks_like_path("photos/a")


def test_a_checkpoint_that_is_not_there_is_a_path(windows: Windows) -> None:
    """Not a model with an odd name, whichever separator it was typed with."""
    from clipsim.errors import UnknownModelError

    windows("clipsim.models.names", paths=True)
    for name in (r"models\vit.pt", "models/vit.pt"):
        with pytest.raises(UnknownModelError, match="no such file"):
            find_model(name)


def test_commands_are_quoted_for_the_shells_of_windows(windows: Windows) -> None:
    """cmd.exe takes single quotes for characters; PowerShell knows double ones too."""
    windows("clipsim.errors", "clipsim.render.file_links")

    assert join_words(["clipsim", "undo", r"C:\My Files\a.jsonl"]) == r'clipsim undo "C:\My Files\a.jsonl"'
    assert join_words(["a", "", 'say "x"']) == r'a "" "say \"x\""'
    assert install_command("onnx") == "pip install clipsim[onnx]"
    assert quote_for_shell("/a b.png") == '"/a b.png"'


def test_a_link_to_another_drive_is_absolute(windows: Windows) -> None:
    """There is no relative path to it."""
    windows("clipsim.tasks.file_plans", paths=True)

    assert _link_text(r"C:\photos\a.jpg", r"D:\sorted") == r"C:\photos\a.jpg"


def test_a_relative_name_on_another_drive(windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """The drive is that of the working folder."""
    windows("clipsim.tasks.file_plans", paths=True)
    monkeypatch.setattr("clipsim.tasks.file_plans._real_folder", lambda _: r"C:\photos")

    assert _link_text("a.jpg", r"D:\sorted") == r"C:\photos\a.jpg"


@pytest.mark.parametrize(
    "pair", [("a.JPG", "A.jpg"), (f"{COMPOSED}.jpg", f"{DECOMPOSED}.jpg"), ("Straße", "STRASSE")], ids=ascii
)
def test_names_that_a_file_system_does_not_tell_apart(pair: tuple[str, str]) -> None:
    """The second gets a number, in a plan on any system: what was sorted may be copied to another one."""
    names = TargetNames()
    first, second = (next(names.candidates("sorted", name)) for name in pair)

    assert first == os.path.join("sorted", pair[0])
    assert second.startswith(os.path.join("sorted", os.path.splitext(pair[1])[0] + " (2)"))
    assert fold_name(pair[0]) == fold_name(pair[1])


def test_labels_that_are_one_folder_on_macos() -> None:
    """By their capitals, or by accents in one code point and in two; and those that are devices on Windows."""
    folders = name_folders([COMPOSED, DECOMPOSED, "cat", "Cat", "nul", "com1.txt", "console", "a cat..."])

    assert folders == [COMPOSED, f"{DECOMPOSED} (2)", "cat", "Cat (2)", "nul_", "com1.txt_", "console", "a cat"]


@pytest.mark.parametrize(("pattern", "name"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_accents_match_however_they_are_written(pattern: str, name: str) -> None:
    """A terminal gives one code point where an old disk of macOS has two."""
    assert NameFilter(include=(f"{pattern}*.jpg",)).accepts(f"photos/{name} 1.jpg")
    assert NameFilter(exclude=("Caf?.jpg",)).accepts(f"photos/{name}s.jpg")
    assert not NameFilter(exclude=("Caf?.jpg",)).accepts(f"photos/{name}.jpg")


def test_lines_may_end_as_windows_ends_them(tmp_path: Path) -> None:
    """Texts, lists of paths, the words of classes and tables; names keep their backslashes."""

    def write(name: str, *lines: str) -> str:
        (tmp_path / name).write_bytes("".join(f"{line}\r\n" for line in lines).encode("utf-8-sig"))
        return str(tmp_path / name)

    assert read_texts(write("texts.txt", "a cat", "", "a café")) == ["a cat", "a café"]
    assert list(read_path_list(write("list.txt", r"C:\a.jpg", r"C:\b c.jpg"))) == [r"C:\a.jpg", r"C:\b c.jpg"]
    words = find_label_words(write("labels.tsv", "a\ta cat", "b\ta dog|a hound"), ["a", "b"])
    assert [own.words for own in words.values()] == [("a cat",), ("a dog", "a hound")]
    table = write("table.csv", "image,caption", r"sub\a.jpg,a cat", '"b.jpg","a, b"')
    assert [(source.name, source.caption) for source in find_sources([table])] == [
        (str(tmp_path / r"sub\a.jpg"), "a cat"),
        (str(tmp_path / "b.jpg"), "a, b"),
    ]
    lines = write("table.jsonl", r'{"file_name": "sub\\a.jpg", "text": "a cat"}')
    assert list(find_sources([lines])) == [FileSource(str(tmp_path / r"sub\a.jpg"), caption="a cat")]


def test_a_list_that_is_not_utf_8_is_refused_by_name_on_windows(
    tmp_path: Path, windows: Windows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names are not bytes: PowerShell and cmd.exe write other encodings."""
    from clipsim.errors import ImageError

    (tmp_path / "list.txt").write_bytes("café.jpg\r\n".encode("cp1252"))
    assert list(read_path_list(str(tmp_path / "list.txt"))) == ["caf\udce9.jpg"]
    windows("clipsim.inputs.paths")
    monkeypatch.setattr("clipsim.inputs.paths.os.fsdecode", lambda name: name.decode("utf-8", "surrogatepass"))
    with pytest.raises(ImageError, match=r"list\.txt: the list of paths is not UTF-8; save it as UTF-8"):
        list(read_path_list(str(tmp_path / "list.txt")))


def test_the_folder_of_labelled_images_may_end_in_any_separator(tmp_path: Path) -> None:
    """The folders right below stay the classes, and images beside them are named."""
    for name in ("cat", "dog"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "1.jpg").touch()
    (tmp_path / "data" / "stray.jpg").touch()
    for end in ("", os.sep, os.sep + os.sep, f"{os.sep}.{os.sep}"):
        reading = read_folder(f"{tmp_path / 'data'}{end}", "label")
        assert [image.label for image in reading.images] == ["cat", "dog"]
        assert [os.path.basename(failure.image) for failure in reading.failures] == ["stray.jpg"]


def test_junctions_are_not_followed(tmp_path: Path, windows: Windows, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are links to folders, which may lead in circles, and do not look like links."""
    for name in ("own", "junction"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.jpg").touch()
    inode = (tmp_path / "junction").stat().st_ino
    windows("clipsim.inputs.paths")
    monkeypatch.setattr("clipsim.inputs.paths.os.scandir", lambda folder: Listing(folder, inode))

    assert list(find_images([str(tmp_path)])) == [str(tmp_path / "own" / "a.jpg")]


class Listing:
    """What is in a folder, as Windows lists it; one of the folders is a junction."""

    def __init__(self, folder: str, junction: int) -> None:
        self._entries, self._junction = list(os.scandir(folder)), junction

    def __enter__(self) -> Listing:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[SimpleNamespace]:
        for entry in self._entries:
            tag = 0xA0000003 if entry.inode() == self._junction else 0
            found = {"stat": lambda follow_symlinks, tag=tag: SimpleNamespace(st_reparse_tag=tag)}
            found |= {name: getattr(entry, name) for name in ("name", "path", "is_dir", "is_symlink")}
            yield SimpleNamespace(**found)


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "file://a", "plain.jpg"])
def test_names_come_back_as_they_were(name: str) -> None:
    """Those that are not UTF-8 as well."""
    assert unescape_name(escape_name(name)) == name
