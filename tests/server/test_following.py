"""The served folders change while the server runs: what is searched follows them; images are sent as they are."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from numpy.typing import NDArray
from PIL import Image

from clipsim.embedding.encode import ImageVector
from clipsim.errors import Failure
from clipsim.files import FileStamp
from clipsim.inputs.sources import FileSource
from clipsim.server.following import Listing, Stamps, update_collection
from clipsim.tasks.search_targets import EmbeddedCollection, find_targets

Serve = Callable[..., Any]


def save(path: Path, colour: str) -> None:
    """An image of one colour, which is there at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 24), colour).save(path.parent / ".unfinished.png")
    (path.parent / ".unfinished.png").replace(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a red and a blue image, which is looked at often."""
    monkeypatch.setattr("clipsim.server.following.SCAN_SECONDS", 0.01)
    monkeypatch.setattr("clipsim.server.following.SCAN_SHARE", 0)
    save(tmp_path / "photos/red.png", "red")
    save(tmp_path / "photos/blue.png", "blue")
    return tmp_path / "photos"


def search(client: Any, **fields: Any) -> dict[str, Any]:
    """The answer to a search for red."""
    answer: dict[str, Any] = client.post("/v1/search", json={"texts": ["red"], **fields}).json()
    return answer


def names(answer: dict[str, Any]) -> list[str]:
    """The images of an answer, best first."""
    return [match["image"] for match in answer["queries"][0]["results"]]


def wait_until(client: Any, condition: Callable[[dict[str, Any]], bool], **fields: Any) -> dict[str, Any]:
    """The first answer to a search for red that fulfils a condition."""
    end = time.monotonic() + 60
    while not condition(answer := search(client, **fields)):
        assert time.monotonic() < end, answer
        time.sleep(0.01)
    return answer


def open_folder(serve: Serve, folder: Path, **settings: Any) -> Any:
    """A client of a server of the folder."""
    return serve(places=find_targets(str(folder)), folders=[str(folder)], **settings)


def test_new_changed_and_deleted_images(serve: Serve, folder: Path) -> None:
    """Are found, found by what they show now, and no longer found; the answer says how many can be searched."""
    client = open_folder(serve, folder)
    first = search(client)
    assert (names(first), first["indexed"], first["indexing"]) == (["red.png", "blue.png"], 2, 0)

    save(folder / "deep/also red.png", "red")
    answer = wait_until(client, lambda answer: answer["indexed"] == 3)
    assert set(names(answer)[:2]) == {"red.png", "deep/also red.png"}
    assert client.get("/v1/models").json()["search"]["images"] == 3
    (new,) = (match for match in answer["queries"][0]["results"] if match["image"] == "deep/also red.png")
    assert client.get(new["thumbnail"]).status_code == 200

    save(folder / "red.png", "blue")
    answer = wait_until(client, lambda answer: names(answer)[0] == "deep/also red.png" and answer["indexed"] == 3)
    cosines = {match["image"]: match["similarity"] for match in answer["queries"][0]["results"]}
    assert cosines["red.png"] == cosines["blue.png"]

    shutil.rmtree(folder / "deep")
    assert set(names(wait_until(client, lambda answer: answer["indexed"] == 2))) == {"red.png", "blue.png"}
    assert client.get(new["thumbnail"]).status_code == 404
    assert client.get(new["file"]).status_code == 404


def test_every_model_follows(serve: Serve, folder: Path) -> None:
    """The second one too."""
    client = open_folder(serve, folder, models=("first", "second"))
    save(folder / "new.png", "red")
    for model in ("first", "second"):
        wait_until(client, lambda answer: answer["indexed"] == 3, model=model)


def test_a_file_that_is_not_finished_is_read_again(serve: Serve, folder: Path) -> None:
    """It is an error until it has changed."""
    whole = (folder / "red.png").read_bytes()
    client = open_folder(serve, folder)
    (folder / "slow.png").write_bytes(whole[:50])
    answer = wait_until(client, lambda answer: bool(answer["errors"]))
    assert [error["path"] for error in answer["errors"]] == ["slow.png"]
    (folder / "slow.png").write_bytes(whole)
    assert wait_until(client, lambda answer: answer["indexed"] == 3)["errors"] == []


def test_a_new_link_that_leaves_the_folder_is_not_served(serve: Serve, folder: Path, tmp_path: Path) -> None:
    """As one that was there at the start."""
    save(tmp_path / "outside.png", "red")
    client = open_folder(serve, folder)
    (folder / "out.png").symlink_to(tmp_path / "outside.png")
    answer = wait_until(client, lambda answer: bool(answer["errors"]))

    assert [error["path"] for error in answer["errors"]] == ["out.png"]
    assert "out.png" not in names(answer)
    assert str(tmp_path) not in str(answer)


def test_requests_are_answered_between_new_images(
    serve: Serve, folder: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search does not wait for all of them."""
    client = open_folder(serve, folder)
    encode = FakeEncoder.encode_images
    batches = []

    def search_between(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        batches.append(len(pixels))
        time.sleep(0.05)
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", search_between)
    for number in range(40):
        save(folder / f"{number}.png", "green")
    while not batches:
        time.sleep(0.01)
    assert search(client)["indexed"] < 42
    wait_until(client, lambda answer: answer["indexed"] == 42 and answer["indexing"] == 0)
    assert max(batches) <= 8


def test_what_fails_is_tried_again(serve: Serve, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that fails once does not end the following."""
    client = open_folder(serve, folder)
    encode = FakeEncoder.encode_images
    failures = [MemoryError("not now")]

    def fail_once(self: FakeEncoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        if failures:
            raise failures.pop()
        return encode(self, pixels)

    monkeypatch.setattr(FakeEncoder, "encode_images", fail_once)
    save(folder / "new.png", "red")
    wait_until(client, lambda answer: answer["indexed"] == 3)
    assert failures == []


def stamp(number: int) -> FileStamp:
    """The stamp of a file in its n-th state."""
    return FileStamp(number, number, number, number, 0)


def test_rows_stay_with_their_images() -> None:
    """Over several changes: each image has its own vector, in one order; what is in no folder stays."""
    base = EmbeddedCollection(2)
    vectors = {name: np.array([np.cos(turn), np.sin(turn)], np.float32) for turn, name in enumerate("abcdefgh")}
    for name in "xabc".replace("x", "h"):  # "h" is of a data set
        base.vectors.add(vectors[name][None])
        base.add(FileSource(name), name.encode())
    before: Stamps = {name: stamp(1) for name in "abc"}
    collection: EmbeddedCollection = base

    def change(states: dict[str, int]) -> None:
        nonlocal collection, before
        listing = Listing({n: FileSource(n) for n in states}, {n: stamp(state) for n, state in states.items()})
        fresh = listing.find_fresh(before)
        outcomes = [
            Failure("bad", "broken") if source.name == "bad" else ImageVector(source.name, 3 * vectors[source.name])
            for source in fresh
        ]
        now = listing.stamps_after(before, fresh)
        collection, before = update_collection(collection, before, listing, now, outcomes), now

    for states, expected in (
        ({"a": 1, "b": 1, "c": 1, "d": 1}, "habcd"),
        ({"a": 1, "c": 2, "d": 1, "e": 1, "bad": 1}, "hadce"),
        ({"a": 1, "c": 2, "e": 2, "bad": 1, "f": 1}, "hacef"),
        ({}, "h"),
        ({"g": 1, "a": 2}, "hga"),
    ):
        change(states)
        assert "".join(source.name for source in collection.sources) == expected
        assert len(collection) == len(collection.vectors) == len(collection.digests) == len(collection.sizes)
        rows = collection.vectors.take(np.arange(len(collection)))
        np.testing.assert_allclose(rows, [vectors[name] for name in expected], atol=1e-6)
        assert [error.image for error in collection.errors] == (["bad"] if "bad" in states else [])
    collection.close()


def test_only_some_are_embedded_at_a_time() -> None:
    """What waits is not there yet, or is what it was."""
    listing = Listing({n: FileSource(n) for n in "abc"}, {"a": stamp(2), "b": stamp(1), "c": stamp(1)})
    fresh = listing.find_fresh({"a": stamp(1), "z": stamp(1)})

    assert [source.name for source in fresh] == ["a", "b", "c"]
    assert listing.stamps_after({"a": stamp(1), "z": stamp(1)}, fresh[1:2]) == {"a": stamp(1), "b": stamp(1)}


def test_an_image_is_sent_as_its_file_is(serve: Serve, folder: Path, tmp_path: Path) -> None:
    """By its number, with the type that its content has; a TIFF as a WebP; nothing that is no image any more."""
    Image.new("RGB", (1500, 900), "red").save(folder / "scan.png", "TIFF")
    Image.new("RGB", (90, 40), "red").save(folder / "photo.png", "JPEG")
    client = open_folder(serve, folder)
    files = {match["image"]: match["file"] for match in search(client)["queries"][0]["results"]}

    png, jpeg, tiff = (client.get(files[name]) for name in ("red.png", "photo.png", "scan.png"))
    assert (png.headers["Content-Type"], png.content) == ("image/png", (folder / "red.png").read_bytes())
    assert (jpeg.headers["Content-Type"], jpeg.content) == ("image/jpeg", (folder / "photo.png").read_bytes())
    assert tiff.headers["Content-Type"] == "image/webp"
    assert Image.open(BytesIO(tiff.content)).size == (1024, 614)
    for answer in (png, jpeg, tiff):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    (folder / "red.png").write_bytes(b"<!doctype html><script>alert(1)</script>")
    (folder / "photo.png").unlink()
    (folder / "photo.png").symlink_to("/etc/hostname")
    assert [client.get(files[name]).status_code for name in ("red.png", "photo.png")] == [404, 404]


@pytest.mark.parametrize("number", ["99999", "-1", "1.0", "x", "..%2f..%2fetc%2fpasswd", "9" * 30, "%D9%A1"])
def test_an_image_that_there_is_not(client: Any, number: str) -> None:
    """Only a number of an answer is one."""
    assert client.get(f"/v1/images/{number}").status_code == 404


def test_images_need_the_token_and_the_host(serve: Serve, folder: Path) -> None:
    """As every other route."""
    client = open_folder(serve, folder, tokens=("secret",))
    assert client.get("/v1/images/0").status_code == 401
    assert client.get("/v1/images/0", headers={"Authorization": "Bearer secret"}).status_code == 200
    wrong = {"Authorization": "Bearer secret", "Host": "evil.example"}
    assert client.get("/v1/images/0", headers=wrong).status_code == 421
