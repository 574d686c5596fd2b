"""Tests of `tasks.export_vectors` and `store.databases`: each engine finds the nearest images that NumPy finds."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from data_sets import random_vectors, write_data_set
from numpy.typing import NDArray

import clipsim
from clipsim.errors import DatasetError, UsageError
from clipsim.store.databases import read_rows, row_id
from clipsim.store.metadata import Row
from clipsim.tasks.export_vectors import ExportRequest, run

parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
ROWS, DIMENSIONS = 2500, 8
QUERY = random_vectors(1, DIMENSIONS, seed=9)[0]
VECTORS = random_vectors(ROWS, DIMENSIONS)
NAMES = [f"s3://bucket/{number}.jpg" for number in range(ROWS)]


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    """A data set in three shards, with captions and facts."""
    rows = [
        Row(name, f"image {number}", json.dumps({"label": number % 3}), 8, 6, "00" * 32, 100, 7)
        for number, name in enumerate(NAMES)
    ]
    write_data_set(tmp_path / "vectors", VECTORS, rows=rows)
    return tmp_path / "vectors"


def nearest(count: int = 10) -> list[str]:
    """The names of the nearest images, as NumPy finds them."""
    order = np.argsort(-(VECTORS @ QUERY), kind="stable")[:count]
    return [NAMES[row] for row in order]


def export(vectors: Path, to: str, output: Path, **options: Any) -> tuple[int, tuple[str, ...]]:
    result = clipsim.export_vectors(vectors, to, output, **options)
    return result.vectors, result.warnings


def change(vectors: Path, names: list[str], numbers: NDArray[np.float32]) -> None:
    """Write another data set in place of one."""
    for path in sorted(vectors.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    write_data_set(vectors, numbers, rows=[Row(name) for name in names])


def test_parquet(vectors: Path, tmp_path: Path) -> None:
    """A row has its id, name, caption, facts and vector; an export again leaves one row an image."""
    output = tmp_path / "table"
    assert export(vectors, "parquet", output) == (ROWS, ())
    table = parquet.read_table(output)
    first = table.slice(0, 1).to_pylist()[0]
    assert uuid.UUID(first["id"]) == uuid.UUID(row_id(NAMES[0]))
    assert (first["image_path"], first["caption"], first["facts"]) == (NAMES[0], "image 0", '{"label": 0}')
    assert np.allclose(first["vector"], VECTORS[0])
    assert len(set(table["id"].to_pylist())) == ROWS
    assert {path.name for path in output.iterdir()} == {f"part_{number:05d}.parquet" for number in range(3)}

    change(vectors, NAMES[:2], VECTORS[:2])
    assert export(vectors, "parquet", output) == (2, ())
    assert parquet.read_table(output)["id"].to_pylist() == table["id"].to_pylist()[:2]


def test_parquet_in_duckdb(vectors: Path, tmp_path: Path) -> None:
    """DuckDB reads the files as one table."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    export(vectors, "parquet", tmp_path / "table")
    order = f"list_cosine_similarity(vector::FLOAT[], {QUERY.tolist()}::FLOAT[])"
    query = f"SELECT image_path FROM '{tmp_path}/table/*.parquet' ORDER BY {order} DESC LIMIT 10"
    assert [name for (name,) in duckdb.sql(query).fetchall()] == nearest()


def test_lancedb(vectors: Path, tmp_path: Path) -> None:
    """A table of LanceDB; rows that are exported again take the place of the earlier ones."""
    lancedb = pytest.importorskip("lancedb", reason="lancedb is not installed")
    output = tmp_path / "database"

    def find() -> list[str]:
        table = lancedb.connect(output).open_table("images")
        rows = table.search(QUERY).distance_type("cosine").limit(10).to_list()
        return [row["image_path"] for row in rows]

    assert export(vectors, "lance", output) == (ROWS, ())
    assert find() == nearest()
    assert export(vectors, "lance", output) == (ROWS, ())
    assert find() == nearest()
    change(vectors, [*NAMES[:2], "new.jpg"], np.stack([*VECTORS[:2], QUERY]))
    assert export(vectors, "lance", output)[1] == (
        f"{output}: 'images' holds 2,498 rows that are not of this data set",
    )
    assert find()[0].endswith("new.jpg")
    write_data_set(tmp_path / "other", random_vectors(3, 4))
    with pytest.raises(DatasetError, match="table 'images' has other columns, or vectors of another length"):
        export(tmp_path / "other", "lance", output)
    assert export(vectors, "lance", output, overwrite=True) == (3, ())


def test_qdrant(vectors: Path, tmp_path: Path) -> None:
    """A collection of Qdrant in a folder; points that are exported again take the place of the earlier ones."""
    qdrant = pytest.importorskip("qdrant_client", reason="qdrant-client is not installed")
    output = tmp_path / "database"

    def find() -> list[dict[str, Any]]:
        client = qdrant.QdrantClient(path=str(output))
        points = client.query_points("photos", QUERY.tolist(), limit=10).points
        client.close()
        return [point.payload for point in points]

    for _ in range(2):
        assert export(vectors, "qdrant", output, name="photos") == (ROWS, ())
        assert [payload["image_path"] for payload in find()] == nearest()
    number = NAMES.index(nearest(1)[0])
    assert find()[0]["facts"] == {"label": number % 3}
    assert find()[0]["caption"] == f"image {number}"
    change(vectors, [*NAMES[:2], "new.jpg"], np.stack([*VECTORS[:2], QUERY]))
    assert export(vectors, "qdrant", output, name="photos")[1][0].endswith("2,498 rows that are not of this data set")
    assert find()[0]["image_path"].endswith("new.jpg")
    write_data_set(tmp_path / "other", random_vectors(3, 4))
    with pytest.raises(DatasetError, match="does not hold single vectors of 4 numbers"):
        export(tmp_path / "other", "qdrant", output, name="photos")
    assert export(tmp_path / "other", "qdrant", output, name="photos", overwrite=True) == (3, ())


def test_rows_of_one_image(tmp_path: Path) -> None:
    """Each has an id of its own, the first the one of the image; relative names become absolute."""
    rows = [Row("a.jpg", "one"), Row("/b.jpg"), Row("./a.jpg", "two")]
    dataset = write_data_set(tmp_path / "vectors", random_vectors(3, 4), rows=rows, shard_size=2)
    dataset.info = replace(dataset.info, base="/photos")
    written = [row for table in read_rows(dataset) for row in table.to_pylist()]
    assert [row["image_path"] for row in written] == ["/photos/a.jpg", "/b.jpg", "/photos/a.jpg"]
    assert [row["id"] for row in written] == [row_id("/photos/a.jpg"), row_id("/b.jpg"), row_id("/photos/a.jpg", 1)]


def test_into_a_store(vectors: Path) -> None:
    """Parquet files go to an object store too."""
    memory = pytest.importorskip("fsspec", reason="fsspec is not installed").filesystem("memory")
    run(ExportRequest(str(vectors), "parquet", "memory://exported/table"))
    try:
        assert len(memory.ls("/exported/table", detail=False)) == 3
    finally:
        memory.rm("/exported", recursive=True)


@pytest.mark.parametrize(
    ("to", "output", "message"),
    [
        ("milvus", None, "unknown"),
        ("parquet", None, "no folder to write to"),
        ("qdrant://", None, "no host in the address"),
        ("qdrant://host/images", "folder", "goes without a server's address"),
        ("qdrant", "s3://bucket/folder", "needs a folder of this machine"),
    ],
)
def test_where_nothing_can_go(vectors: Path, to: str, output: str | None, message: str) -> None:
    """It is refused before anything is read."""
    with pytest.raises(UsageError, match=message):
        run(ExportRequest(str(vectors), to, output))


def test_a_folder_with_other_files(vectors: Path, tmp_path: Path) -> None:
    """They stay, and Parquet files go beside them only if that is said."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"it holds other files, such as notes\.txt"):
        export(vectors, "parquet", tmp_path)
    assert export(vectors, "parquet", tmp_path, overwrite=True) == (ROWS, ())
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (vectors / "clipsim.json").exists()
