"""Embed a folder of images, put the vectors into LanceDB or Qdrant, and search them there by words.

    pip install 'clipsim[embed,lance,qdrant]'
    python examples/vector_databases.py lancedb images 'a cat'
    python examples/vector_databases.py qdrant images 'a cat'

Both databases run inside this process and keep their files in a folder; a server's address can take its place. Run it
again after the images have changed: `embed` computes only what is new.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import clipsim

Vector = NDArray[np.float32]


def search_lancedb(folder: Path, query: Vector, top: int) -> list[tuple[str, float]]:
    """The nearest rows of the table `images`."""
    import lancedb

    table = lancedb.connect(folder).open_table("images")
    rows = table.search(query).distance_type("cosine").limit(top).to_list()
    return [(row["image_path"], 1 - row["_distance"]) for row in rows]


def search_qdrant(folder: Path, query: Vector, top: int) -> list[tuple[str, float]]:
    """The nearest points of the collection `images`."""
    from qdrant_client import QdrantClient

    client = QdrantClient(path=str(folder))
    points = client.query_points("images", query.tolist(), limit=top).points
    client.close()
    return [(point.payload["image_path"], point.score) for point in points]


DATABASES = {"lancedb": ("lance", search_lancedb), "qdrant": ("qdrant", search_qdrant)}

parser = argparse.ArgumentParser(description="Search a folder of images in a vector database.")
parser.add_argument("database", choices=DATABASES)
parser.add_argument("images", help="a folder of images")
parser.add_argument("text", help="what to search for")
parser.add_argument("--output", type=Path, default=Path("image-vectors"), help="the folder of all that is written")
parser.add_argument("--top", type=int, default=3)
parser.add_argument("--model", help="any name of `clipsim models`")
options = parser.parse_args()

with clipsim.open(options.model) as session:
    session.embed(options.images, options.output / "clipsim")
    query = session.encode_texts(options.text)[0]

engine, search = DATABASES[options.database]
folder = options.output / options.database
clipsim.export_vectors(options.output / "clipsim", engine, folder)
for image, similarity in search(folder, query, options.top):
    print(f"{similarity:.4f}  {image}")
