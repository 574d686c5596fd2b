"""A search service of one's own: FastAPI, around one session that stays open.

    pip install fastapi uvicorn python-multipart
    IMAGES=images uvicorn --app-dir examples search_service:app
    curl 'http://127.0.0.1:8000/search?text=a+cat&top=3'
    curl -F image=@images/cat1.jpeg 'http://127.0.0.1:8000/similar?top=3'

The vectors of the folder are cached, so a request costs one text or one image, and new files are found at once.
`clipsim serve` is such a service too, with limits, tokens, metrics and a page.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import FastAPI, Query, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel

import clipsim

IMAGES = os.environ.get("IMAGES", "images")

session = clipsim.open()  # CLIPSIM_MODEL names another model; threads may share a session


class Match(BaseModel):
    """An image that was found, and its cosine similarity with the query."""

    image: str
    similarity: float


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Load the model and encode the folder before the first request."""
    with session:
        session.search(IMAGES, "warm up")
        yield


app = FastAPI(title="Image search", lifespan=lifespan)
Top = Annotated[int, Query(ge=1, le=100, description="how many images to return")]


@app.get("/search")
def search(text: str, top: Top = 10) -> list[Match]:
    """The images that are nearest to a text."""
    return list_matches(session.search(IMAGES, text, top=top))


@app.post("/similar")
def similar(image: UploadFile, top: Top = 10) -> list[Match]:
    """The images that are nearest to the one that is sent."""
    return list_matches(session.search(IMAGES, images=[image.file.read()], top=top))


@app.exception_handler(clipsim.ClipsimError)
def explain(_: Request, error: clipsim.ClipsimError) -> JSONResponse:
    """Every error of clipsim says in one line what is wrong with the input, and what helps."""
    return JSONResponse({"detail": str(error)}, status_code=422)


def list_matches(result: clipsim.SearchResult) -> list[Match]:
    """The matches of a search with one query, the nearest first."""
    return [Match(image=match.image, similarity=match.similarity) for match in result.queries[0].results]
