"""Tables of text as rows: delimiters, quotes, marks at the beginning, sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clipsim.errors import DataError
from clipsim.inputs.rows import MAX_LINE_BYTES, Row, RowTable, read_table
from clipsim.inputs.text_files import is_text


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


def test_only_the_rows_that_are_asked_for_are_read(tmp_path: Path) -> None:
    """A line that is too long ends the table where it stands."""
    found = table(tmp_path, "a\n1\n2\n" + "x" * (MAX_LINE_BYTES + 1) + "\n3\n")

    with found:
        rows = found.read(found.columns)
        assert [next(rows).values, next(rows).values] == [{"a": "1"}, {"a": "2"}]
        (last,) = rows
        assert last.number == 4
        assert "exceeds the limit" in str(last.error)


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
