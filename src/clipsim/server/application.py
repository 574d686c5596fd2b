"""Models that are being loaded → the ASGI application: its routes, and what each answers."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from inspect import getdoc
from pathlib import Path
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from clipsim import __version__
from clipsim.embedding.embedder import Embedder
from clipsim.errors import ClipsimError
from clipsim.inputs.texts import clean_texts
from clipsim.models.catalogue import HUB_NAMES, OPENAI_NAMES
from clipsim.models.names import HUB_PREFIX
from clipsim.render.json import format_json, to_json
from clipsim.render.page import format_routes_page
from clipsim.results.base import to_plain
from clipsim.results.classifier import Classifier
from clipsim.server.access import OTHER, AccessLog, Entry, Tokens
from clipsim.server.answers import RequestError, answer_error, json_response
from clipsim.server.bodies import (
    MAX_TEXTS,
    check_answer,
    check_fields,
    check_matches,
    check_work,
    parse_body,
    read_body,
    take_flag,
    take_images,
    take_number,
    take_texts,
)
from clipsim.server.embedding_inputs import Inputs, split_inputs
from clipsim.server.guard import OPEN_ROUTES, Guard
from clipsim.server.metrics import Metrics
from clipsim.server.model_thread import ENDED, Slots
from clipsim.server.schema import EMBEDDINGS_FIELDS, RANK_FIELDS, SEARCH_FIELDS, describe_api
from clipsim.server.served_images import ServedImages
from clipsim.server.served_models import BadImageError, ServedModel
from clipsim.server.settings import ServerSettings
from clipsim.tasks.rank import RankRequest, score
from clipsim.tasks.search import DEFAULT_TOP, SearchRequest
from clipsim.vectors.similarity import unit_rows

PAGE = Path(__file__).parent / "page"
PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
MAX_TOP = 1_000
UNSPECIFIED = "default/not-specified"  # the model of a request that names none, as infinity's clients write it
DTYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
WORKERS = 2  # threads that parse large bodies and write large answers; as many make thumbnails
# A body and an answer that are smaller are parsed and written in the event loop: they take less than a millisecond or
# two, and the way to a thread and back takes a quarter of one.
SMALL_BODY_BYTES = 262_144
SMALL_ANSWER_NUMBERS = 2_048
Made = TypeVar("Made")


class Service:
    """The models of a server by their names, the first one the default, and what it answers.

    The `classifier` is one of the first model, and has the labels of requests without texts.
    """

    def __init__(
        self,
        embedders: Sequence[tuple[str, Embedder]],
        settings: ServerSettings,
        classifier: Classifier | None = None,
    ) -> None:
        self.settings = settings
        self._created = int(time.time())
        self.tokens = Tokens(settings.tokens)
        self.metrics = Metrics(lambda: sum(model.waiting for model in self.models.values()))
        self.models = {
            name: ServedModel(embedder, self.metrics, None if number else classifier)
            for number, (name, embedder) in enumerate(embedders)
        }
        self._other_names = {other: name for name in self.models for other in list_other_names(name)}
        self.images = ServedImages([])
        self._workers = ThreadPoolExecutor(WORKERS, "requests")
        self._thumbnails = ThreadPoolExecutor(WORKERS, "thumbnails")
        self._slots = {pool: Slots(WORKERS) for pool in (self._workers, self._thumbnails)}

    def find(self, request: Request, name: object = None) -> ServedModel:
        """The model of a request, by its name or the default one. Raises RequestError."""
        if not isinstance(name, str | None):
            raise RequestError(422, "model is a string, one of GET /v1/models")
        name, model = self._resolve(name)
        _entry(request).model = name
        if not model.loaded:
            raise RequestError(503, "the model is being loaded", {"Retry-After": "1"})
        return model

    def _resolve(self, name: str | None) -> tuple[str, ServedModel]:
        """A model and its name in /v1/models; by that, or another name that it has. Raises RequestError."""
        if not name or name == UNSPECIFIED:
            name = next(iter(self.models))
        if name not in self.models:
            name = self._other_names.get(name)
        if name is None:
            raise RequestError(404, "unknown model; see GET /v1/models")
        return name, self.models[name]

    def close(self, *, wait: bool = True) -> None:
        """Close the models; with `wait`, once what they compute has ended."""
        for pool in (self._workers, self._thumbnails):
            pool.shutdown(wait=False, cancel_futures=True)
        for model in self.models.values():
            model.close(wait=wait)

    async def rank(self, request: Request) -> Response:
        """Images and texts → `clipsim.rank/1`, as `clipsim rank --json` prints it."""
        body, small = await self._read(request, RANK_FIELDS)
        model = self.find(request, body.get("model"))

        def check() -> RankRequest:
            texts, templates = take_texts(body, "texts"), take_texts(body, "templates")
            check_work(texts, templates)
            images = take_images(body, self.settings.max_images)
            if not images:
                raise RequestError(422, "no images; give at least one")
            if model.classifier is not None and not texts and not templates:
                check_answer(len(model.classifier.fitted), len(images))
                return RankRequest.check(images, classifier=model.classifier)
            check_answer(len(texts), len(images))
            return RankRequest.check(images, texts, templates)

        ranking = await self._work(check, here=small)
        sources = list(ranking.sources)
        _entry(request).images, _entry(request).texts = len(sources), len(ranking.texts)
        _charge(request, len(sources) * model.image_bytes)
        texts = () if ranking.classifier is not None else ranking.texts
        outcomes, prompts = await model.embed(sources, texts, ranking.templates)
        scores = len(ranking.texts) * len(sources)
        return await self._answer(
            request, lambda: format_json(score(model.embedder, ranking, prompts, outcomes)), numbers=scores
        )

    async def embeddings(self, request: Request) -> Response:
        """Texts and images → unit vectors, in the shape of OpenAI's API."""
        body, small = await self._read(request, EMBEDDINGS_FIELDS)
        model = self.find(request, body.get("model"))
        dimensions = model.embedder.facts.embed_dim
        if take_number(body, "dimensions", 0) not in (0, dimensions):  # 0 is how infinity's clients say nothing
            raise RequestError(
                422, f"the vectors of this model have {dimensions:,} dimensions, which cannot be changed"
            )
        form = body.get("encoding_format") or "float"
        if form not in ("float", "base64"):
            raise RequestError(422, "encoding_format is float or base64")
        truncate = take_flag(body, "truncate")

        def check() -> tuple[Inputs, list[str]]:
            inputs = split_inputs(body, self.settings.max_images)
            check_work(inputs.texts, ())
            return inputs, clean_texts(inputs.texts, "input", deduplicate=False)[0]

        (images, _, positions), texts = await self._work(check, here=small)
        _entry(request).images, _entry(request).texts = len(images), len(texts)
        _charge(request, len(images) * model.image_bytes)
        try:
            outcomes, sentences = await model.embed_inputs(images, texts, truncate=truncate)
        except BadImageError as error:  # named by its place among all inputs, as clients know it
            raise BadImageError(error.image, positions.index(error.index), error.cause) from error

        def write() -> str:
            remaining = iter(sentences)
            data = []
            for index, position in enumerate(positions):
                features = next(remaining).features if position is None else outcomes[position].features
                vector = unit_rows(features[None])[0].astype("<f4")
                value: Any = vector.tolist()
                if form == "base64":
                    value = base64.b64encode(vector.tobytes()).decode()
                # each by itself, so that other threads get their turn between them
                data.append(to_json({"object": "embedding", "index": index, "embedding": value}))
            name = to_json(_entry(request).model)
            tokens = sum(sentence.tokens for sentence in sentences)  # images have none
            usage = to_json({"prompt_tokens": tokens, "total_tokens": tokens})
            warnings = to_json(list(model.embedder.notices))
            head = f'"object": "list", "model": {name}, "usage": {usage}, "warnings": {warnings}'
            return f'{{{head}, "data": [{", ".join(data)}]}}'

        return await self._answer(request, write, numbers=len(positions) * dimensions)

    async def search(self, request: Request) -> Response:
        """Texts and images → `clipsim.search/1` among the images that are served."""
        body, small = await self._read(request, SEARCH_FIELDS)
        model = self.find(request, body.get("model"))
        collection = model.collection
        if collection is None:
            raise RequestError(404, model.unsearchable)

        def check() -> SearchRequest:
            texts, plus, minus = (take_texts(body, name) for name in ("texts", "plus", "minus"))
            templates = take_texts(body, "templates")
            check_work([*texts, *plus, *minus], templates)
            top = take_number(body, "top", DEFAULT_TOP)
            if top > MAX_TOP:
                raise RequestError(422, f"top is at most {MAX_TOP:,}")
            images = take_images(body, self.settings.max_images)
            check_matches(len(texts) + len(images), top, len(collection), (*plus, *minus))
            return SearchRequest.check(
                [collection],
                texts,
                images,
                plus=plus,
                minus=minus,
                templates=templates,
                weight=take_number(body, "weight", 1.0),
                top=top,
                min_similarity=take_number(body, "min_similarity", None),
            )

        search = await self._work(check, here=small)
        _entry(request).images, _entry(request).texts = len(search.images), len(search.texts)
        _charge(request, len(search.images) * model.image_bytes)
        result = await model.search(search)
        root = self.settings.root_path

        def write() -> str:
            record = result.to_dict() | {"indexed": len(collection), "indexing": model.indexing}
            for query in record["queries"]:
                for match in query["results"]:
                    number = self.images.number(match["image"])
                    match |= {"thumbnail": f"{root}/v1/thumbnails/{number}", "file": f"{root}/v1/images/{number}"}
            return to_json(record)

        matches = sum(len(query.results) for query in result.queries)
        return await self._answer(request, write, numbers=matches)

    async def thumbnail(self, request: Request) -> Response:
        """A small image of the served ones, by its number in an answer of /v1/search."""
        return Response(await self._read_image(request, self.images.thumbnail), media_type="image/webp")

    async def image(self, request: Request) -> Response:
        """The file of one of the served images, by its number in an answer of /v1/search.

        What browsers do not show, or is larger than 32 MB, comes as a WebP image of at most 1,024 pixels.
        """
        kind, content = await self._read_image(request, self.images.read)
        _charge(request, len(content))
        return Response(content, media_type=kind)

    async def _read_image(self, request: Request, read: Callable[[int], Made | None]) -> Made:
        """What a function reads of the image whose number is in the address."""
        self.find(request)
        number = request.path_params["number"]
        image = None
        if number.isascii() and number.isdecimal() and len(number) < 19:
            image = await self._work(lambda: read(int(number)), self._thumbnails)
        if image is None:
            raise RequestError(404, "there is no such image")
        return image

    async def _read(self, request: Request, fields: Iterable[str]) -> tuple[dict[str, Any], bool]:
        """The fields of a body, all of which are known, and whether it is a small one."""
        header, content = await read_body(request)
        small = len(content) <= SMALL_BODY_BYTES
        body = await self._work(lambda: parse_body(header, content, self.settings.max_images), here=small)
        check_fields(body, fields)
        return body, small

    async def _answer(self, request: Request, write: Callable[[], str], *, numbers: int) -> Response:
        """What `write` gives, which has about so many numbers."""
        content = await self._work(lambda: write().encode(), here=numbers <= SMALL_ANSWER_NUMBERS)
        _charge(request, len(content))
        return Response(content, media_type="application/json")

    async def _work(
        self, function: Callable[[], Made], pool: ThreadPoolExecutor | None = None, *, here: bool = False
    ) -> Made:
        """Run a function, in a thread unless `here`, and unless the request is cancelled before its turn."""
        if here:
            return function()
        pool = pool or self._workers
        return await self._slots[pool].run(lambda: pool.submit(function))

    async def list_models(self, _: Request) -> Response:
        """The models that requests may name, and the limits of a request."""
        entries = [self._describe_model(name) for name in self.models]
        searched = {name: len(model.collection) for name, model in self.models.items() if model.collection is not None}
        indexing = max(model.indexing for model in self.models.values())
        search = (
            {"images": max(searched.values()), "indexing": indexing, "model": next(iter(searched))}
            if searched
            else None
        )
        limits = {"max_images": self.settings.max_images, "max_body": self.settings.max_body}
        return json_response({"object": "list", "data": entries, "limits": limits, "search": search})

    async def show_model(self, request: Request) -> Response:
        """One of the models that requests may name, as /v1/models has it."""
        name = request.path_params["name"]
        if not name:
            raise RequestError(404, "no name; see GET /v1/models")
        return json_response(self._describe_model(self._resolve(name)[0]))

    def _describe_model(self, name: str) -> dict[str, Any]:
        """The entry of a model in /v1/models."""
        model = self.models[name]
        entry: dict[str, Any] = {"id": name, "object": "model", "created": self._created, "owned_by": "clipsim"}
        entry |= {"loaded": model.loaded, "default": name == next(iter(self.models))}
        entry |= {"search": model.collection is not None, "warnings": list(model.embedder.notices)}
        if model.loaded:
            facts = model.embedder.facts
            entry |= {"embed_dim": facts.embed_dim, "image_size": facts.image_size, "head": facts.head}
            entry |= {"device": facts.device, "precision": facts.precision, "engine": facts.engine}
            entry["exact"] = model.embedder.run_options.exact
            entry["max_input_length"] = model.context_length
        if model.classifier is not None:
            entry["classifier"] = {**to_plain(model.classifier.use), "labels": list(model.classifier.labels)}
        return entry

    async def info(self, request: Request) -> Response:
        """The default model and the limits of a request, in the words of text-embeddings-inference."""
        model = self.find(request)
        embedder, facts = model.embedder, model.embedder.facts
        record = {
            "model_id": _entry(request).model,
            "model_dtype": DTYPES.get(facts.precision, facts.precision),
            "max_concurrent_requests": self.settings.queue,
            "max_input_length": model.context_length,
            "max_batch_tokens": model.context_length * embedder.batch_size,
            "max_batch_requests": embedder.batch_size,
            "max_client_batch_size": MAX_TEXTS,
            "max_client_batch_images": self.settings.max_images,
            "auto_truncate": embedder.run_options.truncate,
            "tokenization_workers": 1,
            "version": __version__,
        }
        return json_response(record)

    async def ready(self, _: Request) -> Response:
        """Whether the models are loaded."""
        if not all(model.loaded for model in self.models.values()):
            raise RequestError(503, "the model is being loaded", {"Retry-After": "1"})
        return json_response({"status": "ready"})

    async def health(self, _: Request) -> Response:
        """Liveness check."""
        if any(model.ended for model in self.models.values()):
            raise RequestError(503, ENDED, kind="unavailable")
        return json_response({"status": "ok"})

    async def count(self, _: Request) -> Response:
        """Counts for Prometheus."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def list_other_names(name: str) -> list[str]:
    """What else clients may call a served model: as OpenAI writes it, and its repository on the Hugging Face Hub.

    >>> list_other_names("ViT-B-32/openai"), list_other_names("hf-hub:org/model"), list_other_names("clipsim-mini")
    (['ViT-B/32', 'openai/clip-vit-base-patch32'], ['org/model'], [])
    """
    others = [other for other, architecture in OPENAI_NAMES.items() if name == f"{architecture}/openai"]
    others += [f"{architecture}/openai" for other, architecture in OPENAI_NAMES.items() if name == other]
    others += [repository for repository, tag in HUB_NAMES.items() if tag in (name, *others)]
    return [*others, *([name.removeprefix(HUB_PREFIX)] if name.startswith(HUB_PREFIX) else [])]


def _charge(request: Request, amount: int) -> None:
    """Count bytes that a request is going to hold. Raises RequestError where too many are held."""
    request.scope["clipsim.charge"](amount)


def _entry(request: Request) -> Entry:
    """What is known of a request for the log."""
    entry: Entry = request.scope["clipsim.entry"]
    return entry


def make_application(service: Service, log: AccessLog | None = None) -> Guard:
    """The routes of a service behind its guard; `log` is told of every request."""
    classified = any(model.classifier is not None for model in service.models.values())
    routes = [
        Route("/v1/rank", service.rank, methods=["POST"]),
        Route("/v1/embeddings", service.embeddings, methods=["POST"]),
        Route("/v1/search", service.search, methods=["POST"]),
        Route("/embeddings", service.embeddings, methods=["POST"]),  # where infinity's clients look for it
        Route("/v1/models", service.list_models),
        Route("/models", service.list_models),
        Route("/v1/models/{name:path}", service.show_model),
        Route("/info", service.info),
        Route("/v1/thumbnails/{number}", service.thumbnail),
        Route("/v1/images/{number}", service.image),
        Route("/health", service.health),
        Route("/ready", service.ready),
        Route("/metrics", service.count),
    ]
    schema = describe_api(
        [(route.path_format, getdoc(route.endpoint) or "") for route in routes],
        open_routes=OPEN_ROUTES,
        classified=classified,
        token=bool(service.settings.tokens),
        root_path=service.settings.root_path,
    )
    files = {f"/{path.name}": path for path in sorted(PAGE.iterdir()) if path.suffix in PAGE_TYPES}
    files["/"] = files.pop("/index.html")
    fixed = {path: _serve(file.read_bytes(), PAGE_TYPES[file.suffix]) for path, file in files.items()}
    fixed["/openapi.json"] = _serve(to_json(schema).encode(), "application/json")
    fixed["/docs"] = _serve(format_routes_page(schema).encode(), "text/html")
    routes += [Route(path, answer) for path, answer in fixed.items()]
    exact = {route.path for route in routes if not route.param_convertors}
    patterns = [route for route in routes if route.param_convertors]

    def find_route(path: str) -> str:
        if path in exact:
            return path
        return next((route.path_format for route in patterns if route.path_regex.match(path)), OTHER)

    errors = (RequestError, ClipsimError, HTTPException, ClientDisconnect, Exception)
    app = Starlette(routes=routes, exception_handlers=dict.fromkeys(errors, answer_error))
    app.router.redirect_slashes = False
    return Guard(app, service.settings, service.tokens, service.metrics, frozenset(fixed), find_route, log)


def _serve(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    return answer
