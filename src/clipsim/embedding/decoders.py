"""Sources → prepared pixels by processes of their own, where decoding threads would keep a GPU's launches waiting.

A pool only helps: what it does not take, the calling thread prepares itself, and so it does where a process has ended.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import RawArray
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from clipsim.embedding.preparation import Prepared, SourcePreparer
from clipsim.embedding.processes import end_at_interrupts, start_process
from clipsim.engines.encoder import Pixels
from clipsim.engines.preprocessing import Preprocessing
from clipsim.images.limits import DecodingRules, OverBudgetError
from clipsim.images.thumbnails import ThumbnailRules
from clipsim.inputs.sources import Source
from clipsim.machine import available_memory, usable_cores

if TYPE_CHECKING:
    from PIL import Image

IMAGES_BEFORE_PROCESSES = 512  # prepared by threads: a process takes about a second to start, with torch three
MAX_DEFAULT_PROCESSES = 16
PROCESS_BYTES = 280_000_000  # of memory of its own that a process takes which resizes by torch
_context = multiprocessing.get_context("spawn")  # a process with threads, or with CUDA, must not be forked


def default_processes() -> int:
    """One a core, at most as many as half of the memory that is free has room for."""
    memory = available_memory()
    room = MAX_DEFAULT_PROCESSES if memory is None else memory // 2 // PROCESS_BYTES
    return max(1, min(MAX_DEFAULT_PROCESSES, usable_cores(), room))


@dataclass(frozen=True)
class Preparer:
    """The part of an encoder that needs no model; it can be sent to another process."""

    preprocessing: Preprocessing

    @property
    def image_size(self) -> int:
        """The longer side of the model's input, in pixels."""
        return max(self.preprocessing.size)

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB image → (h, w, 3) uint8."""
        return self.preprocessing.prepare(image)


@dataclass
class _Decoder:
    """A process, the connection to it, and the memory in which it leaves pixels."""

    process: BaseProcess
    connection: Connection
    pixels: Pixels

    def close(self) -> None:
        """Let the process end: it reads the end of its connection."""
        with suppress(OSError):
            self.connection.close()


class DecoderPool:
    """Up to `count` processes that prepare one image each at a time; threads may share it.

    They are started in the background, once enough images were prepared without them.
    """

    def __init__(self, count: int, preprocessing: Preprocessing, rules: DecodingRules) -> None:
        self._count, self._preparer, self._rules = count, Preparer(preprocessing), rules
        self._lock = threading.Lock()  # of everything below
        self._images = 0  # that were to be prepared
        self._decoders: list[_Decoder] = []
        self._idle: list[_Decoder] = []
        self._closed = False

    def prepare(self, source: Source, measure: bool, thumbnails: ThumbnailRules | None) -> Prepared | None:
        """What is prepared of a source without a cache; None where the caller should prepare it itself."""
        with self._lock:
            self._images += 1
            if self._images == IMAGES_BEFORE_PROCESSES and not self._closed and not self._decoders:
                threading.Thread(target=self.start, name="start decoders", daemon=True).start()
            if not self._idle or source.decoded() is not None:
                return None
            decoder = self._idle.pop()
        prepared, alive = _ask(decoder, (source, measure, thumbnails))
        with self._lock:
            if alive and not self._closed:
                self._idle.append(decoder)
            else:
                decoder.close()
        return prepared

    def start(self) -> None:
        """Start the processes; returns once each of them is ready or has ended."""
        new: list[_Decoder] = []
        with suppress(OSError):  # no more processes or descriptors: those that have started are enough
            for _ in range(self._count):
                with self._lock:
                    if self._closed:
                        break
                    new.append(self._start_one())
                    self._decoders.append(new[-1])
        starting = {decoder.connection: decoder for decoder in new}
        while starting:
            for connection in wait(list(starting)):
                decoder = starting.pop(cast(Connection, connection))
                ready = False
                with suppress(EOFError, OSError):
                    ready = decoder.connection.recv() is None
                with self._lock:
                    if ready and not self._closed:
                        self._idle.append(decoder)
                    else:
                        decoder.close()

    def close(self) -> None:
        """Let the processes end, after the image that they prepare now."""
        with self._lock:
            self._closed = True
            for decoder in self._idle:
                decoder.close()
            self._idle = []

    @property
    def processes(self) -> list[BaseProcess]:
        """Those that were started."""
        return [decoder.process for decoder in self._decoders]

    def _start_one(self) -> _Decoder:
        height, width = self._preparer.preprocessing.size
        shared = RawArray("B", height * width * 3)
        connection, other = _context.Pipe()
        arguments = (other, shared, self._preparer, self._rules, self._count)
        process = _context.Process(target=run_decoder, args=arguments, name="decode", daemon=True)
        start_process(process)
        other.close()  # so that its end is read here
        return _Decoder(process, connection, np.frombuffer(shared, np.uint8).reshape(height, width, 3))


def _ask(decoder: _Decoder, request: tuple[Source, bool, ThumbnailRules | None]) -> tuple[Prepared | None, bool]:
    """The answer of a process, or None, and whether it can be asked again."""
    try:
        decoder.connection.send(request)
        prepared: Prepared | None
        prepared, has_pixels = decoder.connection.recv()
    except (EOFError, OSError):  # it has ended
        return None, False
    except Exception:  # the source cannot be sent; nothing was
        return None, True
    if prepared is not None and has_pixels:
        prepared = replace(prepared, pixels=decoder.pixels.copy())
    return prepared, True


def run_decoder(connection: Connection, shared: Any, preparer: Preparer, rules: DecodingRules, count: int) -> None:
    """The work of a process: prepare what is sent, and leave the pixels in the shared memory, until the end is read."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for torch; there is a process a core
    from PIL import Image

    from clipsim.images.decode import MEMORY_BUDGET, configure_pillow, limit_memory

    end_at_interrupts()
    with suppress(EOFError, OSError):  # the process that asks has ended
        configure_pillow()
        limit_memory(MEMORY_BUDGET // count)
        pixels = np.frombuffer(shared, np.uint8).reshape(*preparer.preprocessing.size, 3)
        preparer.prepare_image(Image.new("RGB", (64, 48)))  # imports what it needs
        connection.send(None)
        while True:
            source, measure, thumbnails = connection.recv()
            connection.send(_prepare(source, measure, thumbnails, preparer, rules, pixels))


def _prepare(
    source: Source,
    measure: bool,
    thumbnails: ThumbnailRules | None,
    preparer: Preparer,
    rules: DecodingRules,
    pixels: Pixels,
) -> tuple[Prepared | None, bool]:
    """What is prepared, its pixels in `pixels`, and whether there are any; None where it failed in no usual way."""
    try:
        prepared = SourcePreparer(preparer, rules, measure=measure, thumbnails=thumbnails).prepare(source)
    except Exception:  # raised once more where it is expected, in a thread of the process that asks
        return None, False
    if isinstance(prepared.error, OverBudgetError):
        return None, False
    if prepared.pixels is None:
        return prepared, False
    pixels[:] = prepared.pixels
    return replace(prepared, pixels=None), True
