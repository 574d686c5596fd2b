"""A model that can be opened → an encoder that opens it in the background when the first vector is missing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clipsim.cache.vectors import Space
from clipsim.engines.encoder import Encoder, EncoderFacts, Features, Pixels, Tokens
from clipsim.engines.preprocessing import Preprocessing
from clipsim.errors import UsageError
from clipsim.models.names import ModelSpec

if TYPE_CHECKING:
    from types import TracebackType

    from PIL import Image


_FACTS = ("embed_dim", "image_size", "logit_scale", "logit_bias", "head", "notices")
_FORMAT = 2  # of the facts in the cache; those of another format are found again


_TORCH_PROCESSES: set[int] = set()  # this one, and those it was forked from, if torch has run in them


class DeferredEncoder:
    """An `engines.Encoder` whose facts may be known before its model is loaded, if it ever is.

    Asking for a fact that is not in the cache opens the model, and so does everything that encodes. `device` and
    `precision` are what the model is expected to run in; once it is open, they are what it does run in. `on_open` is
    called with the opened encoder before that, in the thread that opens it.

    Threads may share it. The model encodes for one thread at a time: its tokenizer and the memory of its device are not
    made for more, and a batch takes all cores anyway. Pictures are prepared by all threads at once. A process that was
    forked from the one that made it gets a UsageError: the threads of the model's libraries do not survive a fork.
    """

    def __init__(
        self,
        spec: ModelSpec,
        open_model: Callable[[], Encoder],
        *,
        engine: str,
        device: str,
        precision: str,
        preprocessing: Preprocessing | None,
        on_open: Callable[[Encoder], None],
    ) -> None:
        self.name, self.pretrained = spec.reported_name, spec.reported_tag
        self.engine, self.device, self.precision = engine, device, precision
        self._open_model, self._on_open, self._preprocessing = open_model, on_open, preprocessing
        self._facts: dict[str, Any] = {}  # empty until they are known
        self._space: Space | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()  # of everything below
        self._encoding = threading.Lock()
        self._thread: threading.Thread | None = None
        self._opened: Encoder | None = None
        self._error: BaseException = UsageError("the model has not been opened")
        self._error_origin: TracebackType | None = None
        self.seconds_loading = 0.0  # that callers have waited for the model to be open

    def use_facts_of(self, space: Space) -> None:
        """Take the facts from a space of the cache, or store them there once they are known.

        Called before the model is opened, or from `on_open`.
        """
        facts = space.facts or {}
        self._space, self._facts = space, facts if facts.get("format") == _FORMAT else {}

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
        self.settle()
        waited = time.perf_counter() - begun
        with self._lock:
            self.seconds_loading += waited
        if self._opened is None:
            raise self._error.with_traceback(self._error_origin)  # every caller's own, else each raise adds to it
        return self._opened

    def settle(self) -> None:
        """Wait until a model that is being opened is open, or cannot be; opens none. Raises UsageError if forked."""
        self.check_process()
        with self._lock:  # `start` may be called meanwhile
            thread = self._thread
        if thread is not None:
            thread.join()

    def _open(self) -> None:
        if self.engine == "torch":
            _TORCH_PROCESSES.add(self._process)
        try:
            opened = self._open_model()
            self._on_open(opened)
            if not self._facts:
                facts = {name: getattr(opened, name) for name in _FACTS}
                self._facts = {"format": _FORMAT, **facts, "preprocess": opened.preprocessing.to_dict()}
                if self._space is not None:
                    self._space.keep_facts(self._facts)
            self.device, self.precision = opened.device, opened.precision
            self._opened = opened
        except BaseException as error:  # raised where the model is waited for
            self._error, self._error_origin = error, error.__traceback__

    def _fact(self, name: str) -> Any:
        facts = self._facts
        if not facts:
            self.load()
            facts = self._facts
        return facts[name]

    @property
    def facts(self) -> EncoderFacts:
        """What is known of the model, which is loaded where that is not in the cache."""
        if self._opened is not None:
            return self._opened.facts
        return EncoderFacts(
            self.name, self.pretrained, self.embed_dim, self.image_size, self.logit_scale, self.logit_bias, self.head,
            self.preprocessing, self.device, self.precision, self.engine, self.notices,
        )  # fmt: skip

    @property
    def preprocessing(self) -> Preprocessing:
        """How the model's images are resized, cropped and normalised."""
        return self._preprocessing or Preprocessing.from_dict(self._fact("preprocess"))

    @property
    def embed_dim(self) -> int:
        """The length of the vectors."""
        return int(self._fact("embed_dim"))

    @property
    def image_size(self) -> int:
        """The side of the model's pictures, in pixels."""
        return max(self._preprocessing.size) if self._preprocessing else int(self._fact("image_size"))

    @property
    def logit_scale(self) -> float:
        """The factor itself, after the exponential."""
        return float(self._fact("logit_scale"))

    @property
    def logit_bias(self) -> float | None:
        """What is added to SigLIP's logits."""
        bias: float | None = self._fact("logit_bias")
        return bias

    @property
    def head(self) -> str:
        """How logits become probabilities: "softmax" or "sigmoid"."""
        return str(self._fact("head"))

    @property
    def notices(self) -> tuple[str, ...]:
        """What was assumed of the model's files."""
        return tuple(self._fact("notices"))

    @property
    def known_notices(self) -> tuple[str, ...]:
        """The notices that are known without opening the model, and those of how it has run since it is open."""
        opened, facts = self._opened, self._facts
        return opened.notices if opened is not None else tuple(facts.get("notices", ()))

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB picture → (h, w, 3) uint8; begins to open the model, which will be needed."""
        self.start()
        return self._preprocessing.prepare(image) if self._preprocessing else self.load().prepare_image(image)

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32."""
        model = self.load()
        with self._encoding:
            return model.encode_images(pixels)

    def tokenize(self, texts: Sequence[str], *, truncate: bool) -> Tokens:
        """N texts → (n, k) int64 token ids, padded."""
        model = self.load()
        with self._encoding:
            return model.tokenize(texts, truncate=truncate)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32."""
        model = self.load()
        with self._encoding:
            return model.encode_texts(texts, truncate=truncate)
