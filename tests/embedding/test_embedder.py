"""Tests of `embedding.embedder`: one model, the vectors of one device, and one way to decode."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import clipsim
from clipsim.cache.database import Database
from clipsim.cache.maintenance import prune
from clipsim.embedding.embedder import Embedder
from clipsim.embedding.encode import ImageVector
from clipsim.engines.choice import default_precision
from clipsim.errors import DeviceError, TextError, UsageError, WeightsError
from clipsim.inputs.arguments import make_sources
from clipsim.inputs.sources import FileSource
from clipsim.options import ModelOptions, RunOptions
from clipsim.results.rank import RankResult
from clipsim.session import Session
from clipsim.tasks.rank import RankRequest, stream

TEXTS = ["orange", "teal", "olive"]  # whose vectors differ in half precision
MODEL = Path(clipsim.__file__).parent / "mini" / "model"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder of pictures in colours that half precision rounds."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("navy", "olive", "orange", "teal"):
        Image.new("RGB", (40, 24), name).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def gpu_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device node of a GPU's driver, with which only torch knows what "auto" stands for."""
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr("clipsim.engines.choice._GPU_NODES", (str(tmp_path / "nvidiactl"),))


def rank(*images: Path, **options: bool | str) -> RankResult:
    """Rank in a new session."""
    return clipsim.rank(images, TEXTS, model="clipsim-mini", **options)  # type: ignore[arg-type]


def test_the_model_is_opened_once_for_all_calls(machine: Machine, pictures: Path) -> None:
    """However many there are, with images and texts that are new each time."""
    with clipsim.open("clipsim-mini") as session:
        session.rank(pictures / "orange.png", ["orange"])
        session.rank(pictures / "teal.png", ["teal"])
        session.rank([Image.new("RGB", (9, 5), "navy"), pictures / "teal.png"], ["teal", "olive"])

    (encoder,) = machine.encoders
    assert encoder.image_batches == [1, 1, 1]
    assert encoder.text_batches == [1, 1, 1]


def test_cached_vectors_need_no_model(machine: Machine, pictures: Path) -> None:
    """The same result, in a new session, for files, copies of them and some of them."""
    first = rank(pictures)
    shutil.copytree(pictures, pictures.with_name("copies"))

    assert rank(pictures) == first
    assert (rank(pictures.with_name("copies")).similarity == first.similarity).all()
    assert (rank(pictures / "teal.png").similarity[:, 0] == first.similarity[:, 3]).all()
    assert len(machine.encoders) == 1


def test_without_the_cache_everything_is_computed(machine: Machine, pictures: Path, cache_folder: Path) -> None:
    """`cache=False` neither reads nor writes, and gives the same numbers."""
    plain = rank(pictures, cache=False)
    assert not cache_folder.exists()

    assert rank(pictures) == plain
    assert rank(pictures, cache=False) == plain
    assert [encoder.image_batches for encoder in machine.encoders] == [[4]] * 3


def test_only_what_has_changed_is_computed(machine: Machine, pictures: Path) -> None:
    """A file with other content gets the scores of that, whatever its times say; a damaged one is refused."""
    before = rank(pictures)
    times = (pictures / "teal.png").stat()
    shutil.copy(pictures / "orange.png", pictures / "teal.png")
    os.utime(pictures / "teal.png", ns=(times.st_atime_ns, times.st_mtime_ns))
    (pictures / "olive.png").write_bytes(b"\x89PNG nothing")
    Image.new("RGB", (40, 24), "lime").save(pictures / "new.png")

    after = rank(pictures)

    assert [Path(failure.image).name for failure in after.errors] == ["olive.png"]
    assert [Path(image).name for image in after.images] == ["navy.png", "new.png", "orange.png", "teal.png"]
    assert (after.similarity[:, 3] == before.similarity[:, 2]).all()
    assert (after.similarity[:, 0] == before.similarity[:, 0]).all()
    assert machine.encoders[1].image_batches == [1]


def test_devices_of_one_precision_share_their_vectors(machine: Machine, pictures: Path) -> None:
    """A vector is kept as long as it would come out the same to 1e-5."""
    first = rank(pictures)

    assert (rank(pictures, device="cuda", precision="fp32").similarity == first.similarity).all()
    assert len(machine.encoders) == 1


@pytest.mark.parametrize("options", [{"precision": "bf16"}, {"device": "cuda"}])
def test_vectors_of_other_options_are_not_used(machine: Machine, pictures: Path, options: dict[str, str]) -> None:
    """A precision, the one of a GPU too, has its own; each is found again."""
    first = rank(pictures)
    other = rank(pictures, **options)
    assert len(machine.encoders) == 2

    assert (rank(pictures, **options), rank(pictures)) == (other, first)
    assert len(machine.encoders) == 2


def test_a_keyword_in_a_file_changes_its_bytes_and_not_its_vector(machine: Machine, pictures: Path) -> None:
    """What another program writes of a picture leaves nothing to compute; the SHA-256 is that of the file now."""
    first = rank(pictures)
    for path in pictures.iterdir():
        with Image.open(path) as image:
            described = PngInfo()
            described.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>a keyword</x:xmpmeta>")
            image.save(path, pnginfo=described)

    assert (rank(pictures).similarity == first.similarity).all()
    assert len(machine.encoders) == 1
    with Embedder(ModelOptions("clipsim-mini")) as embedder:
        (batch,) = embedder.embed_images(embedder.open_pipeline(make_sources(pictures / "teal.png")))
    assert isinstance(batch[0], ImageVector)
    assert batch[0].digest == hashlib.sha256((pictures / "teal.png").read_bytes()).digest()


def test_weights_that_differ_are_another_model(machine: Machine, pictures: Path, tmp_path: Path) -> None:
    """A model folder is known by the content of its files, not by its name."""
    machine.identity = None
    shutil.copytree(MODEL, tmp_path / "model")
    shutil.copytree(MODEL, tmp_path / "copy")

    def count_computed(folder: str) -> int:
        before = len(machine.encoders)
        with clipsim.open(tmp_path / folder) as session:
            session.rank(pictures, TEXTS)
        # a model that is read for its digest may be opened although all of its vectors are cached
        return sum(sum(encoder.image_batches) for encoder in machine.encoders[before:])

    assert [count_computed(folder) for folder in ("model", "model", "copy")] == [4, 0, 0]
    weights = tmp_path / "model" / "open_clip_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)

    assert [count_computed(folder) for folder in ("model", "model", "copy")] == [4, 0, 0]


def test_the_digest_of_the_weights_survives_pruning(machine: Machine, pictures: Path, cache_folder: Path) -> None:
    """They are not read again because the vectors are gone."""
    machine.identity = None
    with clipsim.open("clipsim-mini") as session:
        session.rank(pictures, TEXTS)
    database = Database(cache_folder)
    assert prune(database, max_bytes=0) == 7
    database.close()

    read: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clipsim.files.digest_file", read.append)
        Session(ModelOptions("clipsim-mini")).close()
    assert read == []


def test_vectors_carry_the_names_and_digests_of_their_sources(machine: Machine, pictures: Path) -> None:
    """Computed and cached; the features are not normalised."""
    names = [str(pictures / "teal.png"), str(pictures / "orange.png")]
    digests = [hashlib.sha256(Path(name).read_bytes()).digest() for name in names]
    for _ in range(2):
        with clipsim.open("clipsim-mini") as session:
            pipeline = session.embedder.open_pipeline(map(FileSource, names))
            vectors = [item for batch in session.embedder.embed_images(pipeline) for item in batch]

        assert all(isinstance(item, ImageVector) for item in vectors)
        assert [(item.image, item.digest) for item in vectors if isinstance(item, ImageVector)] == [
            (names[0], digests[0]),
            (names[1], digests[1]),
        ]
    assert isinstance(vectors[1], ImageVector)
    assert vectors[1].features == pytest.approx([1, 165 / 255, 0, 0.1], abs=1e-4)


def test_texts_in_templates(machine: Machine) -> None:
    """(m, t, d) features; too long a text is an error unless the run truncates."""
    long = "orange and many more words than five"
    with clipsim.open("clipsim-mini", batch_size=2) as session:
        features = session.embedder.embed_texts(["orange", "teal", "navy"], ["a {}", "{}"]).features
        assert session.embedder.embed_texts(["navy"]).features.shape == (1, 1, 4)
        with pytest.raises(TextError, match="7 words"):
            session.embedder.embed_texts([long])
    with Session(ModelOptions("clipsim-mini"), RunOptions(truncate=True)) as session:
        assert session.embedder.embed_texts([long]).features[0, 0] == pytest.approx(features[0, 0])

    assert features.shape == (3, 2, 4)
    assert features[1, 1] == pytest.approx([0, 128 / 255, 128 / 255, 0.1])


@pytest.fixture
def large_jpeg(tmp_path: Path) -> Path:
    """A picture so large that it is decoded at a fraction of its size, which changes its vector a little."""
    rng = np.random.default_rng(5)
    blocks = Image.fromarray(rng.integers(0, 256, (50, 75, 3), dtype=np.uint8))
    path = tmp_path / "large.jpeg"
    blocks.resize((3000, 2000), Image.Resampling.NEAREST).save(path, quality=60)
    return path


@pytest.mark.parametrize("first", [False, True])
def test_exact_decides_both_the_decoding_and_the_key(machine: Machine, large_jpeg: Path, first: bool) -> None:
    """In whichever order, `exact` gets the vector of all pixels, and the default that of some of them."""
    expected = {exact: rank(large_jpeg, exact=exact, cache=False) for exact in (False, True)}
    assert (expected[False].similarity != expected[True].similarity).any()

    for exact in (first, not first, first, not first):
        assert rank(large_jpeg, exact=exact) == expected[exact]


def test_a_closed_session_is_refused(machine: Machine, pictures: Path) -> None:
    """All of its calls; closing it again is not."""
    with clipsim.open("clipsim-mini") as session:
        session.rank(pictures, TEXTS)
    session.close()

    calls: list[Callable[[], object]] = [
        lambda: session.rank(pictures, TEXTS),
        lambda: session.embedder.embed_texts(TEXTS).features,
        lambda: session.embedder.open_pipeline(make_sources(pictures)),
        lambda: next(stream(session.embedder, RankRequest.check(make_sources(pictures), TEXTS))),
        lambda: session.embedder.encoder,
    ]
    for call in calls:
        with pytest.raises(UsageError, match="the session is closed"):
            call()


def test_a_model_that_cannot_be_opened_is_an_error_where_it_is_needed(
    machine: Machine, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not where everything is cached."""
    result = rank(pictures)

    def fail(_: ModelOptions) -> FakeEncoder:
        raise WeightsError("damaged")

    monkeypatch.setattr(machine, "open_encoder", fail)
    assert rank(pictures) == result
    with pytest.raises(WeightsError, match="damaged"):
        clipsim.rank(pictures, ["navy"], model="clipsim-mini")


def test_a_session_that_cannot_be_opened_closes_its_cache(
    machine: Machine, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights that cannot be read are one error, which names them."""
    closed: list[Database] = []
    close = Database.close

    def watched(database: Database) -> None:
        closed.append(database)
        close(database)

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    machine.identity = None
    monkeypatch.setattr(Database, "close", watched)
    monkeypatch.setattr("clipsim.files.digest_file", refuse)
    with pytest.raises(WeightsError, match=r"open_clip_model\.safetensors: cannot read it: Permission denied"):
        Session(ModelOptions("clipsim-mini"))

    assert [database.path.parent for database in closed] == [cache_folder]


CHANGES = pytest.mark.parametrize(("remembered", "now"), [("cpu", "cuda"), ("cuda", "cpu")])


@CHANGES
def test_a_device_that_has_changed_since_the_last_run(
    machine: Machine, gpu_driver: None, pictures: Path, remembered: str, now: str
) -> None:
    """One clear error once the model is needed; the next run has the new device, and vectors of its precision."""
    machine.device = remembered
    earlier = rank(pictures / "orange.png", pictures / "teal.png")
    assert (earlier.device, earlier.precision) == (remembered, default_precision(remembered))
    machine.device = now

    changed = f"device='auto': it was {remembered} in an earlier run, and is {now} now; run it again"
    with clipsim.open("clipsim-mini") as session:
        for _ in range(2):  # the session stays of the earlier device
            with pytest.raises(DeviceError, match=changed):
                session.rank(pictures, TEXTS)
    result = rank(pictures)

    assert (result.device, result.precision) == (now, default_precision(now))
    assert result == rank(pictures, cache=False)
    assert result.similarity[:, 2:].tolist() != earlier.similarity.tolist()


@CHANGES
def test_the_device_is_remembered_with_its_vectors(
    machine: Machine, gpu_driver: None, pictures: Path, remembered: str, now: str
) -> None:
    """A run whose vectors are all cached needs no device, and names the one that was remembered."""
    machine.device = remembered
    earlier = rank(pictures)
    machine.device = now

    assert rank(pictures) == earlier
    assert len(machine.encoders) == 1


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_the_precision_of_the_chip_is_remembered(
    machine: Machine, gpu_driver: None, pictures: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Only torch knows it; where another GPU is there since, one run says so and the next has the new one's."""
    machine.device = "cuda"
    monkeypatch.setattr("fake_encoder.default_precision", lambda _: "fp32")
    for _ in range(2):
        result = rank(pictures / "teal.png", device=name)
        assert (result.device, result.precision, len(machine.encoders)) == ("cuda", "fp32", 1)
    assert rank(pictures / "teal.png", device=name, precision="bf16").precision == "bf16"

    monkeypatch.setattr("fake_encoder.default_precision", lambda _: "fp16")
    assert rank(pictures / "teal.png", device=name).precision == "fp32", "its vectors are cached"
    with pytest.raises(DeviceError, match=f"device='{name}': it was fp32 in an earlier run, and is fp16 now; run it"):
        rank(pictures, device=name)
    assert rank(pictures, device=name).precision == "fp16"


def test_a_gpu_that_does_not_compute_now_is_tried_again(
    machine: Machine, gpu_driver: None, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have it for itself: each run says why it has another device, until it computes again."""
    machine.device = "cuda"
    assert rank(pictures / "teal.png").warnings == ()
    machine.device = "cpu"
    notice = "the GPU (cuda) cannot be used (CUDA error: out of memory): the model runs on another device"
    monkeypatch.setattr(FakeEncoder, "device_notice", notice)

    with pytest.raises(DeviceError, match="it was cuda in an earlier run, and is cpu now; run it again"):
        rank(pictures)
    for _ in range(2):
        result = rank(pictures)
        assert (result.device, result.precision) == ("cpu", "fp32")
        assert result.warnings == (notice,)
    monkeypatch.setattr(FakeEncoder, "device_notice", None)
    machine.device = "cuda"
    result = rank(pictures)
    assert (result.device, result.precision, result.warnings) == ("cuda", "fp16", ())


def test_a_model_that_is_opened_to_learn_its_device_is_opened_once(
    machine: Machine, gpu_driver: None, pictures: Path
) -> None:
    """The first run on a machine with a GPU."""
    machine.device = "cuda"
    with clipsim.open("clipsim-mini") as session:
        assert (session.embedder.device, session.embedder.precision, len(machine.encoders)) == ("cuda", "fp16", 1)
        session.rank(pictures, TEXTS)

    assert len(machine.encoders) == 1


def test_a_device_that_was_asked_for_is_not_remembered(machine: Machine, gpu_driver: None, pictures: Path) -> None:
    """`device="cpu"` in one run says nothing about "auto" in the next; without torch, "auto" is not guessed."""
    machine.device = "cuda"
    assert rank(pictures, device="cpu").device == "cpu"
    assert rank(pictures).device == "cuda"
    assert rank(pictures, device="cpu").device == "cpu"
    assert rank(pictures).device == "cuda"
    assert len(machine.encoders) == 2


def test_another_gpu_setting_is_another_machine(
    machine: Machine, gpu_driver: None, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With other visible GPUs, torch is asked again."""
    machine.device = "cuda"
    assert rank(pictures).device == "cuda"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    machine.device = "cpu"

    assert rank(pictures).device == "cpu"
    assert len(machine.encoders) == 2


def test_a_remembered_gpu_whose_driver_is_gone(
    gpu_driver: None, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a real model and no CUDA, "auto" stands for another device, which the second run has."""
    import torch

    from clipsim.engines.torch.devices import choose_device

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.MonkeyPatch.context() as patch:
        there_was_a_gpu = Machine()
        there_was_a_gpu.device = "cuda"
        patch.setattr("clipsim.embedding.embedder.plan_engine", there_was_a_gpu.plan_engine)
        assert rank(pictures).device == "cuda"

    with pytest.raises(DeviceError, match="run it again"):
        rank(pictures)
    result = rank(pictures)

    assert (result.device, result.precision) == (str(choose_device("auto")), "fp32")
    assert result.similarity == pytest.approx(rank(pictures, device="cpu", cache=False).similarity, abs=1e-5)
