"""Models that are being loaded → the ASGI application: its routes, and what each answers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp

from clipsim import __version__
from clipsim.api.ranking import RankRequest
from clipsim.api.search import DEFAULT_TOP, SearchRequest
from clipsim.api.served_model import ServedModel, Watch
from clipsim.api.session import Session
from clipsim.errors import ClipsimError
from clipsim.render.json import format_json
from clipsim.render.routes_page import format_routes_page
from clipsim.server import answers
from clipsim.server.answers import RequestError, json_response
from clipsim.server.bodies import check_work, read_body, split_inputs, take_images, take_number, take_texts
from clipsim.server.guard import Guard
from clipsim.server.metrics import Metrics
from clipsim.server.schemas import EMBEDDINGS, RANK, SEARCH
from clipsim.server.settings import ServerSettings

PAGE = Path(__file__).parent / "page"
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
MAX_TOP = 1_000


class Service:
    """The models of a server by their names, the first one the default, and what it answers."""

    def __init__(self, sessions: Sequence[tuple[str, Session]], settings: ServerSettings) -> None:
        self.settings = settings
        self.metrics = Metrics(lambda: sum(model.waiting for model in self.models.values()))
        watch = Watch(self.metrics.count_batch, self.metrics.count_lookup)
        self.models = {name: ServedModel(session, watch) for name, session in sessions}

    def find(self, name: object) -> ServedModel:
        """The model of a request. Raises RequestError."""
        known = next(iter(self.models)) if name in (None, "") else name
        if not isinstance(known, str) or known not in self.models:
            raise RequestError(404, f"no such model here; GET /v1/models lists {len(self.models)}")
        if not self.models[known].loaded:
            raise RequestError(503, "the model is being loaded", {"Retry-After": "1"})
        return self.models[known]

    def close(self) -> None:
        """Close the models."""
        for model in self.models.values():
            model.close()

    async def rank(self, request: Request) -> Response:
        """Pictures and texts → `clipsim.rank/1`, as `clipsim rank --json` prints it."""
        body = await read_body(request)
        model = self.find(body.get("model"))
        images = await take_images(body, self.settings.max_images)
        if not images:
            raise RequestError(422, "no images; give at least one")
        asked = RankRequest.check(take_texts(body, "texts"), take_texts(body, "templates"))
        check_work(len(asked.texts), len(asked.templates))
        result = await model.rank(images, asked)
        return Response(format_json(result), media_type="application/json")

    async def embeddings(self, request: Request) -> Response:
        """Texts and pictures → unit vectors, in the shape of OpenAI's API."""
        body = await read_body(request)
        model = self.find(body.get("model"))
        images, texts, places = await run_in_threadpool(split_inputs, body.get("input"))
        if len(images) > self.settings.max_images:
            raise RequestError(422, f"{len(images):,} images; at most {self.settings.max_images:,} in one request")
        form = body.get("encoding_format") or "float"
        if form not in ("float", "base64"):
            raise RequestError(422, "encoding_format is float or base64")
        asked = RankRequest.check(texts).texts if texts else ()
        pictures, prompts = await model.embed(images, asked)
        rows = {text: row for row, text in enumerate(asked)}
        remaining = iter(texts)
        data = []
        for index, place in enumerate(places):
            vector = pictures[place] if place is not None else prompts[rows[next(remaining).strip()]]
            value: Any = vector.tolist()
            if form == "base64":
                value = base64.b64encode(vector.astype("<f4").tobytes()).decode()
            data.append({"object": "embedding", "index": index, "embedding": value})
        name = body.get("model") or next(iter(self.models))
        usage = {"prompt_tokens": 0, "total_tokens": 0}  # tokens are not counted
        return json_response({"object": "list", "data": data, "model": name, "usage": usage})

    async def search(self, request: Request) -> Response:
        """Texts and pictures → `clipsim.search/1` among the pictures that are served."""
        body = await read_body(request)
        model = self.find(body.get("model"))
        if model.collection is None:
            raise RequestError(404, "no pictures to search are served; start the server with PATHS")
        least = take_number(body, "min_similarity", None)
        asked = SearchRequest.check(
            take_texts(body, "texts"),
            await take_images(body, self.settings.max_images),
            plus=take_texts(body, "plus"),
            minus=take_texts(body, "minus"),
            templates=take_texts(body, "templates"),
            weight=take_number(body, "weight", 1.0),
            top=take_number(body, "top", DEFAULT_TOP),
            min_similarity=least,
        )
        check_work(len(asked.texts) + len(asked.plus) + len(asked.minus), len(asked.templates))
        if asked.top > MAX_TOP:
            raise RequestError(422, f"top is at most {MAX_TOP:,}")
        record = (await model.search(asked)).to_dict()
        for query in record["queries"]:
            for match in query["results"]:
                match["thumbnail"] = f"/v1/thumbnails/{model.numbers[match['image']]}"
        return json_response(record)

    async def thumbnail(self, number: str) -> Response:
        """A small picture of the served ones, by its number in an answer of /v1/search."""
        known = number.isascii() and number.isdecimal() and len(number) < 19
        content = await run_in_threadpool(self.find(None).thumbnail, int(number)) if known else None
        if content is None:
            raise RequestError(404, "there is no such picture")
        return Response(content, media_type="image/webp")

    async def list_models(self) -> Response:
        """The models that requests may name, and the limits of a request."""
        entries: list[dict[str, Any]] = []
        for name, model in self.models.items():
            entry: dict[str, Any] = {"id": name, "object": "model", "owned_by": "clipsim", "loaded": model.loaded}
            entry["default"] = not entries
            if model.loaded:
                encoder = model.session.encoder
                entry |= {"embed_dim": encoder.embed_dim, "image_size": encoder.image_size, "head": encoder.head}
                entry |= {"device": encoder.device, "precision": encoder.precision, "engine": encoder.engine}
                entry |= {"shared_batches": model.thread.multiple is not None, "shared_multiple": model.thread.multiple}
            entries.append(entry)
        first, found = next(iter(self.models.items()))
        search = None if found.collection is None else {"images": len(found.collection), "model": first}
        limits = {"max_images": self.settings.max_images, "max_body": self.settings.max_body}
        return json_response({"object": "list", "data": entries, "limits": limits, "search": search})

    async def ready(self) -> Response:
        """Whether the models are loaded."""
        if not all(model.loaded for model in self.models.values()):
            raise RequestError(503, "the model is being loaded", {"Retry-After": "1"})
        return json_response({"status": "ready"})

    async def health(self) -> Response:
        """That the server runs."""
        return json_response({"status": "ok"})

    async def count(self) -> Response:
        """Counts for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def make_application(service: Service) -> ASGIApp:
    """The routes of a service behind its guard."""
    app = FastAPI(title="clipsim", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    for kind, answer in (
        (RequestError, answers.answer_request_error),
        (ClipsimError, answers.answer_library_error),
        (HTTPException, answers.answer_http_error),
        (ClientDisconnect, answers.answer_nobody),
        (Exception, answers.answer_bug),
    ):
        app.add_exception_handler(kind, answer)
    app.post("/v1/rank", openapi_extra=RANK)(service.rank)
    app.post("/v1/embeddings", openapi_extra=EMBEDDINGS)(service.embeddings)
    app.post("/v1/search", openapi_extra=SEARCH)(service.search)
    app.get("/v1/models")(service.list_models)
    app.get("/v1/thumbnails/{number}")(service.thumbnail)
    app.get("/health")(service.health)
    app.get("/ready")(service.ready)
    app.get("/metrics")(service.count)

    def list_routes() -> Response:
        return Response(format_routes_page(app.openapi()), media_type="text/html")

    app.get("/docs", include_in_schema=False)(list_routes)
    files = {}
    for path in sorted(PAGE.iterdir()):
        if path.suffix in PAGE_TYPES:
            files["/" if path.name == "index.html" else f"/{path.name}"] = path
    for route, path in files.items():
        app.add_route(route, _serve_file(path.read_bytes(), PAGE_TYPES[path.suffix]), include_in_schema=False)
    return Guard(app, service.settings, service.metrics, frozenset(files))


def _serve_file(content: bytes, kind: str) -> Any:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    return answer
