"""The thread of a model: which requests share a batch, what is computed once, and that nobody waits for nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from numpy.typing import NDArray
from pictures import saved
from PIL import Image

from clipsim.server.recent_vectors import ENTRY_BYTES, RecentValues

Serve = Callable[..., Any]
COLOURS = ("red", "green", "blue")


class Gate:
    """Holds every batch of texts until it is opened; `entered` is set once one is held."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()
        encode = FakeEncoder.encode_texts

        def encode_later(encoder: FakeEncoder, texts: Sequence[str], *, truncate: bool) -> NDArray[np.float32]:
            self.entered.set()
            assert self.opened.wait(30)
            return encode(encoder, texts, truncate=truncate)

        monkeypatch.setattr(FakeEncoder, "encode_texts", encode_later)


def embed(client: Any, value: Any, **fields: Any) -> Any:
    """The answer of /v1/embeddings."""
    return client.post("/v1/embeddings", json={"input": value, **fields})


def colour(answer: Any) -> str:
    """The colour of the only vector of an answer."""
    return COLOURS[int(np.argmax(answer.json()["data"][0]["embedding"][:3]))]


def wait_for_count(client: Any, count: str) -> None:
    """Return once a line of the server's metrics is this one."""
    for _ in range(100_000):
        if count in client.get("/metrics").text.splitlines():
            return
    raise AssertionError(f"never: {count}")


def test_texts_of_requests_that_wait_share_a_batch(
    serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven requests that come while the model is busy are one batch; each gets its own vector."""
    client = serve()
    (encoder,) = machine.encoders
    encoder.text_batches.clear()
    gate = Gate(monkeypatch)
    names = [f"{COLOURS[place % 3]} {place}" for place in range(8)]
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(embed, client, names[0])
        assert gate.entered.wait(30)
        others = [pool.submit(embed, client, name) for name in names[1:]]
        wait_for_count(client, "clipsim_queue_requests 7.0")
        gate.opened.set()
        answers = [colour(future.result()) for future in (first, *others)]

    assert answers == [COLOURS[place % 3] for place in range(8)]
    assert encoder.text_batches == [1, 7]


def test_a_text_that_cannot_be_used_spoils_no_other_request_of_its_batch(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is too long and one whose vector is not finite are errors of their own requests."""
    client = serve()
    gate = Gate(monkeypatch)
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(embed, client, "red")
        assert gate.entered.wait(30)
        others = [pool.submit(embed, client, text) for text in ("green", "a b c d e f", "broken", "blue")]
        wait_for_count(client, "clipsim_queue_requests 4.0")
        gate.opened.set()
        answers = [future.result() for future in (first, *others)]

    assert [answer.status_code for answer in answers] == [200, 200, 422, 422, 200]
    assert "6 words" in answers[2].json()["error"]["message"]
    assert "not finite" in answers[3].json()["error"]["message"]
    assert [colour(answers[place]) for place in (0, 1, 4)] == ["red", "green", "blue"]


def test_images_and_texts_overlap(serve: Serve, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Images are decoded while the model is busy with texts, and follow at once."""
    client = serve()
    gate = Gate(monkeypatch)
    content = saved(Image.new("RGB", (40, 24), "blue"), "PNG")
    with ThreadPoolExecutor(2) as pool:
        text = pool.submit(embed, client, "red")
        assert gate.entered.wait(30)
        files = [("images", ("a.png", content))]
        image = pool.submit(client.post, "/v1/rank", files=files, data={"texts": ["green"]})
        wait_for_count(client, "clipsim_cache_misses_total 1.0")  # counted once it is decoded
        gate.opened.set()

        assert (text.result().status_code, image.result().status_code) == (200, 200)


def test_a_text_is_encoded_once(serve: Serve, machine: Machine) -> None:
    """Alone, among others, in a ranking, and where only its case differs within a request."""
    client = serve()
    (encoder,) = machine.encoders
    encoder.text_batches.clear()
    embed(client, ["red", "Red", "red", "green"])
    embed(client, "green")
    embed(client, ["green", "blue"])
    content = saved(Image.new("RGB", (40, 24), "blue"), "PNG")
    files = [("images", ("a.png", content))]
    best = client.post("/v1/rank", files=files, data={"texts": list(COLOURS)}).json()["best"]

    assert encoder.text_batches == [2, 1]
    assert best == [2]


def test_texts_may_be_cut_by_a_request(serve: Serve) -> None:
    """What one request allows, another is still refused."""
    client = serve()
    long = "red b c d e f g"
    answers = [embed(client, long, **fields) for fields in ({"truncate": True}, {}, {"truncate": False})]

    assert [answer.status_code for answer in answers] == [200, 422, 422]
    assert answers[0].json()["usage"] == {"prompt_tokens": 5, "total_tokens": 5}


def test_recent_values_are_bounded_in_bytes() -> None:
    """Those used longest ago go first; one that alone is too large is not kept."""
    recent: RecentValues[str, int] = RecentValues(3 * (ENTRY_BYTES + 10))
    for number in range(3):
        recent.put(str(number), number, 10)
    assert recent.get("0") == 0
    recent.put("3", 3, 10)
    recent.put("large", 4, 10_000)

    assert [recent.get(key) for key in ("0", "1", "2", "3", "large")] == [0, None, 2, 3, None]
