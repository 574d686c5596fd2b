"""Many threads and one session, and what a library leaves alone in the process that imports it."""

from __future__ import annotations

import logging
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import Machine
from fake_encoder import FakeEncoder
from forked_processes import forked_command
from numpy.typing import NDArray
from PIL import Image
from skips import needs_fork

import clipsim
from clipsim.errors import TextError, UsageError, WeightsError
from clipsim.options import ModelOptions, RunOptions
from clipsim.session import Session
from clipsim.store.vector_table import VectorTable
from clipsim.vectors.similarity import unit_rows

ROOT = Path(__file__).parents[1]
PATIENCE = 120.0  # seconds, for what takes a few
CALLS = 50  # of each thread
WORDS = ["a", "maze", "the", "cat", "red", "dog", "house", "tree", "blue", "apple", "car", "boat"]


@pytest.fixture
def often_switched() -> Iterator[None]:
    """Threads take turns after every few instructions, so that a missing lock shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def run_threads(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Call `work` with the number of each thread, all of them at once; what they raised."""
    raised: list[BaseException] = []
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait(PATIENCE)
        try:
            work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    return raised


def run_program(code: str, *arguments: str | Path, python: Sequence[str] = (sys.executable,)) -> str:
    """What a Python program prints, which ends well and says nothing on standard error."""
    command = [*python, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def some_texts(number: int) -> list[str]:
    """Three texts of one to twenty words, other ones for each number."""
    rng = np.random.default_rng(number)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 21))) for _ in range(3)]


@pytest.mark.parametrize("cache", [False, True])
def test_threads_share_a_session_and_get_its_numbers(cache: bool, often_switched: None) -> None:
    """400 calls of 8 threads, with texts of every length, of which some are too long: as in a thread alone."""
    images = [ROOT / "images" / name for name in ("cat1.jpeg", "maze1.jpeg", "dog1.jpeg")]
    with clipsim.open("clipsim-mini", cache=False) as alone:
        texts = [unit_rows(alone.embedder.embed_texts(some_texts(number)).features) for number in range(CALLS)]
        scores = [alone.rank(images, some_texts(number)).similarity for number in range(5)]

    with clipsim.open("clipsim-mini", cache=cache) as session:

        def work(thread: int) -> None:
            for call in range(CALLS):
                number = (7 * call + 13 * thread) % CALLS
                if call % 25 == 24:
                    with pytest.raises(TextError, match="tokens"):
                        session.embedder.embed_texts(["maze " * 100])
                elif call % 25 == 12:
                    similarity = session.rank(images, some_texts(number % 5)).similarity
                    np.testing.assert_allclose(similarity, scores[number % 5], atol=1e-6)
                else:
                    vectors = unit_rows(session.embedder.embed_texts(some_texts(number)).features)
                    np.testing.assert_allclose(vectors, texts[number], atol=1e-6)

        assert run_threads(8, work) == []


def test_one_thread_at_a_time_runs_the_model(
    machine: Machine, often_switched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokenizer and its device's memory are not made for more."""
    inside: list[int] = []
    most = []

    class Watched(FakeEncoder):
        def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> NDArray[np.float32]:
            inside.append(1)
            most.append(len(inside))
            features = super().encode_texts(texts, truncate=truncate)
            inside.pop()
            return features

        def tokenize(self, texts: Sequence[str], *, truncate: bool) -> NDArray[np.int64]:
            inside.append(1)
            ids = super().tokenize(texts, truncate=truncate)
            inside.pop()
            return ids

    monkeypatch.setattr(machine, "open_encoder", lambda _: Watched())
    with clipsim.open("clipsim-mini", cache=False) as session:

        def work(_: int) -> None:
            for _ in range(20):
                session.embedder.embed_texts(["red"])

        assert run_threads(8, work) == []

    assert most == [1] * 160


def test_vectors_are_read_by_many_threads_while_others_are_added(often_switched: None) -> None:
    """What was added is mapped by the first thread that reads, once."""
    rows = np.arange(6000, dtype=np.float32).reshape(-1, 2)
    for _ in range(40):
        table = VectorTable(2)
        table.add(rows[:2000])

        def work(number: int, table: VectorTable = table) -> None:
            if number == 0:
                table.add(rows[2000:])
            wanted = np.arange(number, 2000, 7)
            np.testing.assert_array_equal(table.take(wanted), rows[wanted])

        assert run_threads(8, work) == []
        np.testing.assert_array_equal(table.take(np.arange(3000)), rows)
        table.close()


def test_duplicates_are_compared_by_many_threads(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In several blocks of pictures; the copies are found each time."""
    monkeypatch.setattr("clipsim.tasks.near_images.usable_cores", lambda: 16)
    monkeypatch.setattr("clipsim.vectors.pairs.BLOCK_ROWS", 100)
    rng = np.random.default_rng(1)
    colours = rng.permutation(256**3)[:420]
    for number, colour in enumerate(colours.tolist()):
        value = (colour >> 16, colour >> 8 & 255, colour & 255)
        Image.new("RGB", (3, 2), value).save(tmp_path / f"{number:03}.ppm")
    for number in (10, 210, 410):
        Image.open(tmp_path / f"{number:03}.ppm").save(tmp_path / f"{number:03}copy.ppm")

    with clipsim.open("clipsim-mini", workers=16) as session:
        for _ in range(3):
            found = session.duplicates(tmp_path, min_similarity=1.0)
            assert found.compared == 423
            copies = [tuple(Path(image.image).stem for image in group.images) for group in found.groups]
            assert [names for names in copies if names[1].endswith("copy")] == [
                ("010", "010copy"), ("210", "210copy"), ("410", "410copy")
            ]  # fmt: skip


def test_a_call_that_fails_or_is_interrupted_leaves_the_session_usable(
    machine: Machine, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal in the middle of a batch, and a text that is too long."""
    interrupts: list[bool] = []

    class Interrupted(FakeEncoder):
        def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            if interrupts:
                interrupts.clear()
                signal.raise_signal(signal.SIGINT)
            return super().encode_images(pixels)

    monkeypatch.setattr(machine, "open_encoder", lambda _: Interrupted())
    with clipsim.open("clipsim-mini", cache=False) as session:
        for _ in range(2):
            interrupts.append(True)
            with pytest.raises(KeyboardInterrupt):
                session.rank(colours, ["red", "blue"])
            with pytest.raises(TextError):
                session.rank(colours, ["red " * 9])
            assert session.rank(colours, ["red", "blue"]).best == (1, 0, 0)  # blue, green, red


def test_a_session_that_is_closed_is_an_error_in_the_threads_that_use_it(machine: Machine, colours: Path) -> None:
    """One clear error each, whatever they are doing."""
    begun = threading.Semaphore(0)

    with clipsim.open("clipsim-mini") as session:

        def work(number: int) -> None:
            if number == 0:
                for _ in range(40):
                    begun.acquire(timeout=PATIENCE)
                session.close()
                return
            while True:
                session.rank(colours, [f"red {number}", "blue"])
                begun.release()

        raised = run_threads(8, work)

    assert [(type(error), str(error)) for error in raised] == [(UsageError, "the session is closed")] * 7


def test_every_thread_gets_the_error_of_a_model_that_cannot_be_loaded(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the traceback of loading it, which does not grow with the number of calls."""

    def fail(_: ModelOptions) -> FakeEncoder:
        raise WeightsError("damaged")

    monkeypatch.setattr(machine, "open_encoder", fail)
    session = clipsim.open("clipsim-mini", cache=False)
    assert [str(error) for error in run_threads(8, lambda _: session.embedder.load_model())] == ["damaged"] * 8

    depths = []
    for _ in range(3):
        with pytest.raises(WeightsError) as caught:
            session.embedder.load_model()
        depths.append(len(caught.traceback))
    assert depths == depths[:1] * 3


def test_a_session_pickles_as_its_options(machine: Machine, colours: Path) -> None:
    """The copy is open, in whatever process; the original stays as it is."""
    with clipsim.open("clipsim-mini", batch_size=2, cache=False, device="cpu") as session:
        result = session.rank(colours, ["red", "blue"])
        with pickle.loads(pickle.dumps(session)) as copy:
            assert type(copy) is Session
            assert (copy.embedder.model_options, copy.embedder.run_options) == (
                session.embedder.model_options,
                session.embedder.run_options,
            )
            assert copy.rank(colours, ["red", "blue"]) == result
        assert session.rank(colours, ["red", "blue"]) == result


def test_loading_a_model_leaves_the_logging_of_other_threads_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is built too."""
    import open_clip

    levels = []

    class Watched(open_clip.CLIP):  # type: ignore[misc]  # open_clip has no types
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            levels.append(logging.root.manager.disable)

    monkeypatch.setattr(open_clip, "CLIP", Watched)
    options = ModelOptions("clipsim-mini"), RunOptions(cache=False)
    assert run_threads(4, lambda _: Session(*options).embedder.load_model()) == []

    assert levels == [0] * 4
    assert logging.root.manager.disable == 0


FORKED = """
import os, sys, warnings, clipsim
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork while there are threads
from contextlib import ExitStack
from PIL import Image
from clipsim.errors import UsageError
from clipsim.images import decode
kind, picture = sys.argv[1:]
session = clipsim.open("clipsim-mini", cache=kind != "loading")
if kind == "loading":
    session.embedder._deferred.start()
else:
    expected = session.rank(picture, ["maze", "a cat"])
decoding = ExitStack()  # what threads that decode may hold when another one forks
decoding.enter_context(decode._memory.take(10**12))
decoding.enter_context(decode._loading)
child = os.fork()
if child:
    decoding.close()
else:
    with session:
        for call in (session.embedder.load_model, lambda: session.rank(picture, ["maze", "dog"])):
            try:
                call()
            except UsageError as error:
                assert "before this process was forked" in str(error), error
            else:
                raise AssertionError("not refused")
    if kind != "loading":  # else the child has modules that were imported in part
        with clipsim.open("clipsim-mini") as own:
            assert own.rank(picture, ["maze", "a cat"]) == expected
            try:
                own.rank([picture, Image.new("RGB", (9, 8))], ["maze", "a cat"])
            except UsageError as error:
                assert "PyTorch does not compute after that" in str(error), error
            else:
                raise AssertionError("not refused")
        with decode.decoded_image(picture) as decoded:  # waits for nothing
            decode.convert_image(decoded)
    sys.exit()  # with all that a process does at its end
assert os.waitpid(child, 0)[1] == 0
if kind != "loading":
    assert session.rank(picture, ["maze", "a cat"]) == expected
print(session.rank(picture, ["maze", "dog"]).best)
session.close()
"""


@needs_fork
@pytest.mark.parametrize("kind", ["loaded", "loading"])
def test_a_session_is_refused_in_a_forked_process(kind: str) -> None:
    """With one clear error, and neither process harms the other's cache.

    A session of the child's own finds what is cached, and no model is loaded after torch has run in the parent.
    """
    picture = ROOT / "images" / "maze1.jpeg"
    assert run_program(FORKED, kind, picture, python=forked_command("torch")) == "(0,)\n"


LEFT_ALONE = """
import csv, gc, io, locale, logging, os, random, signal, socket, sys, threading, tempfile, warnings
from pathlib import Path
import numpy, torch, torchvision, open_clip, PIL.Image, PIL.ImageFile, regex, ftfy, pyarrow.parquet
PIL.Image.preinit()
PIL.Image.init()
os.environ["CLIPSIM_MAX_PIXELS"] = "500000000"
PIL.Image.MAX_IMAGE_PIXELS = 20000
def state():
    umask = os.umask(0)
    os.umask(umask)
    loggers = logging.root.manager.loggerDict
    return {
        "environment": dict(os.environ), "folder": os.getcwd(), "umask": umask, "path": list(sys.path),
        "stand-ins": {name for name, found in sys.modules.items() if found is None or "StandIn" in repr(type(found))},
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook, sys.unraisablehook),
        "streams": (sys.stdout, sys.stderr, sys.stdin), "finders": list(sys.meta_path),
        "switch": (sys.getswitchinterval(), sys.getrecursionlimit()),
        "warnings": list(warnings.filters), "showwarning": warnings.showwarning,
        "logging": (logging.root.manager.disable, logging.root.level, list(logging.root.handlers)),
        "loggers": {name: (logger.level, logger.disabled, logger.propagate, list(logger.handlers))
                    for name, logger in loggers.items() if isinstance(logger, logging.Logger) and name in known},
        "csv": (csv.field_size_limit(), csv.list_dialects()), "socket": socket.getdefaulttimeout(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "locale": locale.setlocale(locale.LC_ALL), "gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "pillow": (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES, list(PIL.Image.ID),
                   dict(PIL.Image.OPEN), dict(PIL.Image.EXTENSION), PIL.Image.core.get_block_size()),
        "random": (random.getstate(), str(numpy.random.get_state()), torch.get_rng_state().tolist()),
        "numpy": numpy.geterr(), "temporary": tempfile.tempdir,
        "torch": (torch.get_num_threads(), torch.get_num_interop_threads(), torch.get_default_dtype(),
                  torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_float32_matmul_precision(),
                  torch.are_deterministic_algorithms_enabled(), torch.nn.MultiheadAttention.forward),
    }
known = set(logging.root.manager.loggerDict)
tempfile.gettempdir()
warnings.simplefilter("ignore", UserWarning)  # notices of results
numpy.random.rand(), random.random(), torch.rand(1)
before = state()

import clipsim
folder = Path(sys.argv[1])
(folder / "pictures" / "a").mkdir(parents=True)
(folder / "pictures" / "b").mkdir(parents=True)
for number in range(20):
    colours = numpy.random.RandomState(number).randint(0, 255, (100, 160, 3), dtype=numpy.uint8)
    PIL.Image.fromarray(colours).save(folder / "pictures" / "ab"[number % 2] / f"{number}.png")
try:
    import pillow_heif
    heif = pillow_heif.from_pillow(PIL.Image.new("RGB", (160, 100), "red"))
    heif.save(folder / "pictures" / "a" / "photo.heic")
except ImportError:
    pass
(folder / "table.csv").write_text("image,label\\n" + "".join(f"pictures/a/{n}.png,a\\n" for n in (0, 2, 4)))
with clipsim.open("clipsim-mini", workers=4) as session:
    errors = session.rank(folder / "pictures", ["maze", "cat"]).errors
    assert not errors, errors
    session.search(folder / "pictures", "a cat")
    session.duplicates(folder / "pictures")
    session.embed(folder / "pictures", folder / "vectors")
    session.search(folder / "vectors", "a cat")
    session.evaluate(folder / "pictures")
    session.evaluate(folder / "table.csv")
    session.threshold("a cat", folder / "pictures" / "a", recall=0.5)
model, preprocess = clipsim.load("clipsim-mini", device="cpu")
preprocess(PIL.Image.new("RGB", (20, 30)))
clipsim.load("clipsim-mini", device="cpu", jit=True)
clipsim.tokenize(["a cat"])
clipsim.available_models()
after = state()
for what in before:
    assert before[what] == after[what], (what, before[what], after[what])
print("nothing has changed")
"""


def test_a_library_leaves_the_process_of_its_caller_as_it_was(tmp_path: Path) -> None:
    """Whatever is called: no setting of the whole process is another afterwards, random numbers included."""
    pytest.importorskip("pyarrow")
    assert run_program(LEFT_ALONE, tmp_path) == "nothing has changed\n"


FREED_IN_A_CHILD = """
import gc, os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of a fork while there are threads
import numpy, onnx, onnxruntime
from onnx import TensorProto, helper
from clipsim.engines.onnx.encoder import open_session
value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 512]) for name in "xy"]
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", value[:1], value[1:],
    [helper.make_tensor("w", TensorProto.FLOAT, [512, 512], numpy.ones(512 * 512, numpy.float32))])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), sys.argv[1])
session = open_session(onnxruntime, sys.argv[1], 4)
session.run(None, {"x": numpy.ones((512, 512), numpy.float32)})
child = os.fork()
del session
gc.collect()
if not child:
    os._exit(0)  # as multiprocessing does
print(os.waitpid(child, 0)[1])
"""


@needs_fork
def test_a_forked_process_does_not_wait_to_free_an_export(tmp_path: Path) -> None:
    """ONNX Runtime would wait for ever there for its threads, whenever the garbage is collected."""
    assert run_program(FREED_IN_A_CHILD, tmp_path / "x.onnx") == "0\n"
