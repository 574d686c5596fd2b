"""The packages that programs use with servers of embeddings, against a server of clipsim: texts, images and refusals.

A test is skipped where its package is not installed; `make test-server` installs all of them.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pictures import saved
from PIL import Image

TEXTS = ["red", "green", "blue", "grey"]
COLOURS = [(200, 30, 40), (10, 180, 90), (60, 60, 220)]
FILES = [saved(Image.new("RGB", (40, 24), colour), "PNG") for colour in COLOURS]
URIS = ["data:image/png;base64," + base64.b64encode(content).decode() for content in FILES]
MODEL = "clipsim-mini"


def address(client: Any) -> str:
    """Where the server of a client is."""
    return str(client.base_url).rstrip("/")


def check_texts(client: Any, vectors: Iterable[Any]) -> None:
    """The vectors of the texts give the cosines of /v1/rank, to 1e-6."""
    files = [("images", ("a.png", content)) for content in FILES]
    expected = client.post("/v1/rank", files=files, data={"texts": TEXTS}).json()["similarity"]
    images = client.post("/v1/embeddings", json={"input": URIS}).json()["data"]
    cosines = np.array(list(vectors)) @ np.array([entry["embedding"] for entry in images]).T

    np.testing.assert_allclose(cosines, expected, atol=1e-6)


def check_images(client: Any, vectors: Iterable[Any]) -> None:
    """The vectors of the images give the cosines of /v1/rank, to 1e-6."""
    files = [("images", ("a.png", content)) for content in FILES]
    expected = client.post("/v1/rank", files=files, data={"texts": TEXTS}).json()["similarity"]
    texts = client.post("/v1/embeddings", json={"input": TEXTS}).json()["data"]
    cosines = np.array([entry["embedding"] for entry in texts]) @ np.array(list(vectors)).T

    np.testing.assert_allclose(cosines, expected, atol=1e-6)


def test_openai(client: Any) -> None:
    """Which asks for base64 unless it is told otherwise."""
    openai = pytest.importorskip("openai")
    with openai.OpenAI(base_url=f"{address(client)}/v1", api_key="none", max_retries=0) as api:
        for form in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}):
            answer = api.embeddings.create(model=MODEL, input=TEXTS, **form)
            vectors = [entry.embedding for entry in answer.data]
            if form.get("encoding_format") == "base64":  # what is asked for is not decoded
                vectors = [np.frombuffer(base64.b64decode(vector), "<f4") for vector in vectors]
            check_texts(client, vectors)
            assert answer.usage.total_tokens == 4
        check_images(client, [entry.embedding for entry in api.embeddings.create(model=MODEL, input=URIS).data])
        parts = [{"type": "image_url", "image_url": {"url": uri}} for uri in URIS]
        answer = api.embeddings.create(model=MODEL, input=parts, extra_body={"modality": "image"})
        check_images(client, [entry.embedding for entry in answer.data])
        assert [model.id for model in api.models.list()] == [MODEL]
        assert api.models.retrieve(MODEL).id == MODEL
        with pytest.raises(openai.UnprocessableEntityError, match="check_embedding_ctx_length"):
            api.embeddings.create(model=MODEL, input=[[1, 2], [3]])
        with pytest.raises(openai.UnprocessableEntityError, match="4 dimensions"):
            api.embeddings.create(model=MODEL, input="red", dimensions=3)
        with pytest.raises(openai.UnprocessableEntityError, match="unknown field 'pooling'"):
            api.embeddings.create(model=MODEL, input="red", extra_body={"pooling": "mean"})
        with pytest.raises(openai.NotFoundError, match="unknown model"):
            api.models.retrieve("org/größe 猫")


def test_openai_in_an_event_loop(client: Any) -> None:
    """Twenty requests at once."""
    openai = pytest.importorskip("openai")

    async def embed() -> list[Any]:
        async with openai.AsyncOpenAI(base_url=f"{address(client)}/v1", api_key="none", max_retries=0) as api:
            return await asyncio.gather(*[api.embeddings.create(model=MODEL, input=TEXTS) for _ in range(20)])

    for answer in asyncio.run(embed()):
        check_texts(client, [entry.embedding for entry in answer.data])


def test_langchain(client: Any) -> None:
    """Texts one by one and in lists; the token ids that it sends by itself are refused with what to set."""
    openai = pytest.importorskip("openai")
    langchain = pytest.importorskip("langchain_openai")
    options = {"model": MODEL, "base_url": f"{address(client)}/v1", "api_key": "none", "max_retries": 0}
    embeddings = langchain.OpenAIEmbeddings(**options, check_embedding_ctx_length=False)
    check_texts(client, embeddings.embed_documents(TEXTS))
    check_texts(client, map(embeddings.embed_query, TEXTS))
    check_texts(client, asyncio.run(embeddings.aembed_documents(TEXTS)))
    check_images(client, embeddings.embed_documents(URIS))
    unset = langchain.OpenAIEmbeddings(**options)
    with pytest.raises(openai.UnprocessableEntityError, match="check_embedding_ctx_length=False"):
        unset.client.create(input=[[5, 6], [7]], model=MODEL)  # as it does once it has its tokenizer


def test_llama_index(client: Any) -> None:
    """Texts and queries."""
    llama_index = pytest.importorskip("llama_index.embeddings.openai_like")
    embeddings = llama_index.OpenAILikeEmbedding(
        model_name=MODEL, api_base=f"{address(client)}/v1", api_key="none", embed_batch_size=3, max_retries=0
    )
    check_texts(client, embeddings.get_text_embedding_batch(TEXTS))
    check_texts(client, map(embeddings.get_query_embedding, TEXTS))
    check_images(client, embeddings.get_text_embedding_batch(URIS))


def test_infinity(client: Any) -> None:
    """Its generated calls, at the addresses that it knows."""
    infinity = pytest.importorskip("infinity_client")
    calls = pytest.importorskip("infinity_client.api.default.embeddings")
    health = pytest.importorskip("infinity_client.api.default.health")
    models = pytest.importorskip("infinity_client.models")
    with infinity.Client(address(client)) as api:
        texts = calls.sync(client=api, body=models.OpenAIEmbeddingInputText(input_=TEXTS, model=MODEL))
        images = calls.sync(client=api, body=models.OpenAIEmbeddingInputImage(input_=URIS))
        refused = calls.sync_detailed(client=api, body=models.OpenAIEmbeddingInputAudio(input_=URIS))

        assert health.sync_detailed(client=api).status_code == 200
    check_texts(client, [entry.embedding for entry in texts.data])
    check_images(client, [entry.embedding for entry in images.data])
    assert texts.usage.total_tokens == 4
    assert refused.status_code == 422


def test_infinitys_vision_client(client: Any) -> None:
    """It encodes PIL images as JPEG, and takes base64 for rows of vectors."""
    vision = pytest.importorskip("infinity_client.vision_client")
    for form in ("base64", "float"):
        api = vision.InfinityVisionAPI(url=address(client), format=form, model=MODEL)
        vectors, tokens = api.embed(MODEL, TEXTS).result()
        check_texts(client, [np.ravel(vector) for vector in vectors])
        assert tokens == 4
        images, _ = api.image_embed(MODEL, [Image.open(BytesIO(content)) for content in FILES]).result()
        assert [int(np.argmax(np.ravel(vector)[:3])) for vector in images] == [0, 1, 2]
        api.session.close()
        api.tp.shutdown()
