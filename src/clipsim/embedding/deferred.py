"""A model that can be opened → an encoder that opens it in the background when the first vector is missing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from clipsim.cache.vectors import VectorNamespace
from clipsim.engines.accelerator import BatchQueue
from clipsim.engines.encoder import Encoder, EncoderFacts, Features, Pixels, Tokens
from clipsim.engines.preprocessing import Preprocessing
from clipsim.errors import UsageError

if TYPE_CHECKING:
    from types import TracebackType

    from PIL import Image


_CACHED_FACTS = ("embed_dim", "image_size", "logit_scale", "logit_bias", "head", "notices")
_TORCH_PROCESSES: set[int] = set()  # this one, and those it was forked from, if torch has run in them


class DeferredEncoder:
    """An `engines.Encoder` whose facts may be known before its model is loaded, if it ever is.

    `name` and `pretrained` are what results call the model; `device` and `precision` are what it will run in. Asking
    for `facts` that are not in the cache opens the model, and so does everything that encodes.

    Threads may share it. The model encodes for one thread at a time: its tokenizer and the memory of its device are not
    made for more, and a batch takes all cores anyway. Images are prepared by all threads at once. A process that was
    forked from the one that made it gets a UsageError: the threads of the model's libraries do not survive a fork.
    """

    def __init__(
        self,
        open_model: Callable[[], Encoder],
        *,
        name: str,
        pretrained: str | None,
        engine: str,
        device: str,
        precision: str,
        preprocessing: Preprocessing | None,
    ) -> None:
        self.name, self.pretrained = name, pretrained
        self.engine, self.device, self.precision = engine, device, precision
        self._open_model, self._preprocessing = open_model, preprocessing
        self._namespace: VectorNamespace | None = None
        self._process = os.getpid()
        self._encoding = threading.Lock()
        self._lock = threading.Lock()  # of everything below
        self._facts: EncoderFacts | None = None  # those of the cache
        self._thread: threading.Thread | None = None
        self._opened: Encoder | None = None
        self._error: BaseException | None = None
        self._error_origin: TracebackType | None = None
        self.seconds_loading = 0.0  # that callers have waited for the model to be open

    def use_facts_of(self, namespace: VectorNamespace) -> None:
        """Take the facts from a namespace of the cache, or store them there once the model has been loaded.

        Called before anything else but `start`.
        """
        self._namespace = namespace
        cached = namespace.facts or {}
        with suppress(KeyError, TypeError, ValueError):  # of another format, or damaged
            self._facts = EncoderFacts(
                self.name,
                self.pretrained,
                int(cached["embed_dim"]),
                int(cached["image_size"]),
                float(cached["logit_scale"]),
                None if cached["logit_bias"] is None else float(cached["logit_bias"]),
                cached["head"],
                Preprocessing.from_dict(cached["preprocessing"]),
                self.device,
                self.precision,
                self.engine,
                tuple(map(str, cached["notices"])),
            )

    @property
    def facts(self) -> EncoderFacts:
        """What is known of the model, which is loaded where the cache does not know it."""
        # those of the opened model have notices of how it runs; images are prepared as the files say
        facts = self._opened.facts if self._opened is not None else self._facts or self.load().facts
        facts = replace(facts, name=self.name, pretrained=self.pretrained)  # as the user and earlier runs name it
        if self._preprocessing is None:
            return facts
        return replace(facts, preprocessing=self._preprocessing, image_size=self.image_size)

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one that made it."""
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise UsageError in a process that was forked from the one that made it."""
        if self.forked:
            raise UsageError(
                "the session was opened before this process was forked, and the threads of its model are not in it; "
                "open a session in this process, best one that multiprocessing starts by 'spawn'"
            )

    def start(self) -> None:
        """Begin to open the model, unless that has begun. Raises UsageError in a forked process.

        A model of torch cannot be opened either where one was opened before the fork: it would never return.
        """
        self.check_process()
        if self.engine == "torch" and _TORCH_PROCESSES - {os.getpid()}:
            raise UsageError(
                "this process was forked from one that had loaded a model, and PyTorch does not compute after that; "
                "let multiprocessing start processes by 'spawn'"
            )
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._open, name="open the model", daemon=True)
                thread.start()
                self._thread = thread

    def load(self) -> Encoder:
        """Open the model and wait for it. Raises what opening it raises."""
        self.start()
        begun = time.perf_counter()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        with self._lock:
            self.seconds_loading += time.perf_counter() - begun
            if self._opened is None:
                assert self._error is not None
                raise self._error.with_traceback(self._error_origin)  # every caller's own, else each raise adds to it
            if self._facts is None:
                self._facts = self._opened.facts
                self._keep(self._facts)
            return self._opened

    def _keep(self, facts: EncoderFacts) -> None:
        if self._namespace is not None:
            cached = {name: getattr(facts, name) for name in _CACHED_FACTS}
            self._namespace.keep_facts({**cached, "preprocessing": asdict(facts.preprocessing)})

    def _open(self) -> None:
        if self.engine == "torch":
            _TORCH_PROCESSES.add(self._process)
        try:
            self._opened = self._open_model()
        except BaseException as error:  # raised where the model is waited for
            self._error, self._error_origin = error, error.__traceback__

    @property
    def image_size(self) -> int:
        """The longer side of the model's images, in pixels."""
        return max(self._preprocessing.size) if self._preprocessing else self.facts.image_size

    @property
    def known_notices(self) -> tuple[str, ...]:
        """The notices that are known without opening the model, and those of how it has run since it is open."""
        facts = self._facts if self._opened is None else self._opened.facts
        return () if facts is None else facts.notices

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB image → (h, w, 3) uint8; begins to open the model, which will be needed."""
        self.start()
        if self._preprocessing is None:
            return self.load().prepare_image(image)
        if self._preprocessing.backend == "torch":
            self.load()  # which imports torch in a way of its own
        return self._preprocessing.prepare(image)

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32."""
        model = self.load()
        with self._encoding:
            return model.encode_images(pixels)

    @property
    def queue(self) -> BatchQueue | None:
        """What takes several batches at once, where the model's device computes while this process continues."""
        queue: BatchQueue | None = getattr(self.load(), "queue", None)
        return queue

    def tokenize(self, texts: Sequence[str], *, truncate: bool) -> Tokens:
        """N texts → (n, k) int64 token ids, padded."""
        model = self.load()
        with self._encoding:
            return model.tokenize(texts, truncate=truncate)

    def count_tokens(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """How many tokens the model reads of each text."""
        model = self.load()
        with self._encoding:
            return model.count_tokens(texts, truncate=truncate)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32."""
        model = self.load()
        with self._encoding:
            return model.encode_texts(texts, truncate=truncate)
