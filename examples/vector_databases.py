"""Embed a folder of images, put the vectors into LanceDB or Qdrant, and search them there by words.

    pip install 'clipsim[embed]' lancedb qdrant-client
    python examples/vector_databases.py lancedb images 'a cat'
    python examples/vector_databases.py qdrant images 'a cat'

Both databases run inside this process and keep their files in a folder; a server's address can take its place. Run it
again after the images have changed: `embed` computes only what is new.
"""

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import clipsim

Vector = NDArray[np.float32]


def search_lancedb(folder: Path, images: pa.Table, query: Vector, top: int) -> list[tuple[str, float]]:
    """Fill a table of LanceDB, whose columns are those of `images`, and find the nearest rows."""
    import lancedb

    table = lancedb.connect(folder).create_table("images", images, mode="overwrite")
    rows = table.search(query).distance_type("cosine").limit(top).to_list()
    return [(row["image_path"], 1 - row["_distance"]) for row in rows]


def search_qdrant(folder: Path, images: pa.Table, query: Vector, top: int) -> list[tuple[str, float]]:
    """Fill a collection of Qdrant, with the paths as payload, and find the nearest points."""
    from qdrant_client import QdrantClient, models

    client = QdrantClient(path=str(folder))
    if client.collection_exists("images"):
        client.delete_collection("images")
    shape = models.VectorParams(size=len(query), distance=models.Distance.COSINE)
    client.create_collection("images", vectors_config=shape)
    points = [
        models.PointStruct(id=number, vector=row["vector"], payload={"image_path": row["image_path"]})
        for number, row in enumerate(images.to_pylist())
    ]
    client.upsert("images", points)
    found = client.query_points("images", query.tolist(), limit=top).points
    client.close()
    return [(point.payload["image_path"], point.score) for point in found]


DATABASES = {"lancedb": search_lancedb, "qdrant": search_qdrant}

parser = argparse.ArgumentParser(description="Search a folder of images in a vector database.")
parser.add_argument("database", choices=DATABASES)
parser.add_argument("images", help="a folder of images")
parser.add_argument("text", help="what to search for")
parser.add_argument("--output", type=Path, default=Path("image-vectors"), help="the folder of all that is written")
parser.add_argument("--top", type=int, default=3)
parser.add_argument("--model", help="any name of `clipsim models`")
options = parser.parse_args()

with clipsim.open(options.model) as session:
    session.embed(options.images, options.output / "clipsim", vectors="parquet")
    query = session.encode_texts(options.text)[0]

images = pq.read_table(options.output / "clipsim" / "vectors")  # a row an image: image_path, width, height, …, vector
search = DATABASES[options.database]
for image, similarity in search(options.output / options.database, images, query, options.top):
    print(f"{similarity:.4f}  {image}")
