"""Tables of text as rows: delimiters, quotes, marks at the beginning, sizes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from clipsim.errors import DataError
from clipsim.inputs.rows import MAX_LINE_LENGTH, Row, RowTable, read_table
from clipsim.inputs.texts import is_text


def table(tmp_path: Path, content: str | bytes, name: str = "t.csv") -> RowTable:
    """The table in a file with this content."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(str(path))


def rows_of(found: RowTable) -> list[Row]:
    """All rows of a table, which is closed then."""
    with found:
        return list(found.read(found.columns))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_the_header_decides_the_delimiter(tmp_path: Path, delimiter: str) -> None:
    """Whatever the suffix; quoted values may have it in them."""
    found = table(tmp_path, f'a{delimiter} b \n1{delimiter}"x{delimiter}y, z"\n')

    assert found.columns == ("a", "b")
    assert [row.values for row in rows_of(found)] == [{"a": "1", "b": f"x{delimiter}y, z"}]


def test_line_ends_blank_lines_and_the_mark_at_the_beginning(tmp_path: Path) -> None:
    """Files of any system; rows are numbered as an editor counts lines, also after a value of several lines."""
    found = table(tmp_path, b'\xef\xbb\xbfa,b\r\n\r\n1,"two\r\nlines"\r\n\r\n3,4\r\nbad\r\n')

    assert found.columns == ("a", "b")
    rows = rows_of(found)
    assert [(row.number, row.error is None) for row in rows] == [(3, True), (6, True), (7, False)]
    assert rows[0].values["b"] == "two\r\nlines"


def test_long_values_are_read(tmp_path: Path) -> None:
    """Captions may be longer than the 128 kB that Python's reader takes by itself."""
    (row,) = rows_of(table(tmp_path, "a,b\n1," + "x" * 300_000 + "\n"))
    assert len(row.values["b"]) == 300_000


def test_objects_may_have_other_keys_than_the_first(tmp_path: Path) -> None:
    """The first decides the columns."""
    found = table(tmp_path, '{"a": 1}\n{"b": 2, "a": 3}\n', "t.ndjson")

    assert found.columns == ("a",)
    assert [row.values for row in rows_of(found)] == [{"a": 1}, {"b": 2, "a": 3}]


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder, a missing file, an empty one."""
    for name in (".", "none.csv"):
        with pytest.raises(DataError, match="cannot read it"):
            read_table(str(tmp_path / name))
    with pytest.raises(DataError, match="the file is empty"):
        table(tmp_path, " \n\n")


def test_a_line_that_is_too_long(tmp_path: Path) -> None:
    """A line that is too long is a row with an error, and those after it are read."""
    found = table(tmp_path, "a\n1\n2\n" + "x" * (3 * MAX_LINE_LENGTH + 1) + "\n3\n")

    with found:
        rows = found.read(found.columns)
        assert [next(rows).values, next(rows).values] == [{"a": "1"}, {"a": "2"}]
        long, last = rows
        assert long.number == 4
        assert "exceeds the limit" in str(long.error)
        assert last == Row(5, {"a": "3"})


def test_lines_that_are_no_objects(tmp_path: Path) -> None:
    """A file without a single object is no table; the first line says why."""
    with pytest.raises(DataError, match=r"not a table: row 2: not a JSON object but list"):
        table(tmp_path, "\n[1]\n{\n", "t.jsonl")


def test_parquet(tmp_path: Path) -> None:
    """Its columns by name; of its rows, the columns that are wanted."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"a": [1, 2], "b": ["x", None], "c": [b"", b""]}), tmp_path / "t.parquet")

    with read_table(str(tmp_path / "t.parquet")) as found:
        assert found.columns == ("a", "b", "c")
        assert list(found.read(["a", "b"])) == [Row(1, {"a": 1, "b": "x"}), Row(2, {"a": 2, "b": None})]


def test_text_is_told_from_bytes() -> None:
    """What is not UTF-8 came in as surrogates."""
    assert is_text("名前")
    assert not is_text("caf\udce9")
    assert not is_text(3)


def swallowing_table(delimiter: str, first: str, last: str) -> str:
    """A table of 100 rows where row 31 begins a quote that row 70 closes."""
    lines = [f"img{number}.jpg{delimiter}caption {number}" for number in range(1, 101)]
    lines[30] = f"img31.jpg{delimiter}{first}"
    lines[69] = f"img70.jpg{delimiter}{last}"
    return "\n".join([f"image{delimiter}caption", *lines]) + "\n"


@pytest.mark.parametrize("last", ['a dog"', '"a dog"', "a dog"])
def test_a_stray_quote_takes_no_other_row(tmp_path: Path, last: str) -> None:
    """The row that it stands in is named, and all others are read, whether a later row closes it or none."""
    rows = rows_of(table(tmp_path, swallowing_table(",", '"a cat', last)))

    assert [row.number for row in rows] == list(range(2, 102))
    assert [row.number for row in rows if row.error] == [32]
    assert "a quote is not closed before the next row" in str(rows[30].error)
    assert rows[69].values["image"] == "img70.jpg"


@pytest.mark.parametrize(("text", "read"), [('"a cat', '"a cat'), ('12" wide', '12" wide'), ('"a" cat', '"a" cat')])
def test_quotes_in_a_table_of_tabs_are_text(tmp_path: Path, text: str, read: str) -> None:
    """Where they do not enclose a value; no row is lost."""
    rows = rows_of(table(tmp_path, swallowing_table("\t", text, 'a dog"'), "t.tsv"))

    assert len(rows) == 100
    assert not [row for row in rows if row.error]
    assert rows[30].values["caption"] == read


def test_every_line_of_a_damaged_table_is_accounted_for(tmp_path: Path) -> None:
    """Quotes at random places: a row is read or named, and rows and their lines add up."""
    random = Random(5)
    for trial in range(60):
        lines = [f"d/{number}.png,caption {number}" for number in range(200)]
        for _ in range(random.randrange(1, 6)):
            number = random.randrange(200)
            place = random.randrange(len(lines[number]) + 1)
            lines[number] = lines[number][:place] + '"' + lines[number][place:]
        rows = rows_of(table(tmp_path, "\n".join(["image,caption", *lines]), f"{trial}.csv"))

        assert [row.number for row in rows] == list(range(2, 202))


def test_text_of_several_lines(tmp_path: Path) -> None:
    """A quoted value may hold line ends, delimiters and doubled quotes; lines may end in CR alone."""
    content = 'image,caption\ra.jpg,"one\rtwo, ""three""\r\rfour"\rb.jpg,x\r'

    rows = rows_of(table(tmp_path, content))
    assert [row.values for row in rows] == [
        {"image": "a.jpg", "caption": 'one\rtwo, "three"\r\rfour'}, {"image": "b.jpg", "caption": "x"},
    ]  # fmt: skip
    assert [row.number for row in rows] == [2, 6]


def test_utf_16_is_named(tmp_path: Path) -> None:
    """As spreadsheets write it."""
    with pytest.raises(DataError, match="the text is UTF-16; save the file as UTF-8"):
        table(tmp_path, "image,caption\na.jpg,x\n".encode("utf-16"))
