"""A model that can be opened → an encoder that opens it in the background when the first vector is missing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from clipsim.cache.vectors import Space
from clipsim.engines.encoder import Encoder, Features, Pixels
from clipsim.engines.preprocessing import Preprocessing
from clipsim.models.names import ModelSpec

if TYPE_CHECKING:
    from PIL import Image

_FACTS = ("embed_dim", "image_size", "logit_scale", "logit_bias", "head", "notices")


class DeferredEncoder:
    """An `engines.Encoder` whose facts may be known before its model is loaded, if it ever is.

    Asking for a fact that is not in the cache opens the model, and so does everything that encodes. `device` and
    `precision` are what the model is expected to run in; once it is open, they are what it does run in. `on_open` is
    called with the opened encoder before that, in the thread that opens it.
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
        self._facts: dict[str, Any] | None = None
        self._space: Space | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._opened: Encoder | None = None
        self._error: BaseException | None = None
        self.seconds_loading = 0.0  # that callers have waited for the model to be open

    def use_facts_of(self, space: Space) -> None:
        """Take the facts from a space of the cache, or store them there once they are known.

        Called before the model is opened, or from `on_open`.
        """
        self._space, self._facts = space, space.facts

    def start(self) -> None:
        """Begin to open the model, unless that has begun."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._open, name="open the model", daemon=True)
                self._thread.start()

    def load(self) -> Encoder:
        """Open the model and wait for it. Raises what opening it raises."""
        self.start()
        begun = time.perf_counter()
        self.settle()
        self.seconds_loading += time.perf_counter() - begun
        if self._error is not None:
            raise self._error
        assert self._opened is not None
        return self._opened

    def settle(self) -> None:
        """Wait until a model that is being opened is open, or cannot be; opens none. Raises nothing."""
        with self._lock:  # `start` may be called meanwhile
            thread = self._thread
        if thread is not None:
            thread.join()

    def _open(self) -> None:
        try:
            opened = self._open_model()
            self._on_open(opened)
            if self._facts is None:
                self._facts = {name: getattr(opened, name) for name in _FACTS}
                self._facts["preprocess"] = opened.preprocessing.to_dict()
                if self._space is not None:
                    self._space.keep_facts(self._facts)
            self.device, self.precision = opened.device, opened.precision
            self._opened = opened
        except BaseException as error:  # raised where the model is waited for
            self._error = error

    def _fact(self, name: str) -> Any:
        if (facts := self._facts) is None:
            self.load()
            facts = self._facts
            assert facts is not None
        return facts[name]

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
        """What the user of the model should know of it."""
        return tuple(self._fact("notices"))

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB picture → (h, w, 3) uint8; begins to open the model, which will be needed."""
        self.start()
        return self._preprocessing.prepare(image) if self._preprocessing else self.load().prepare_image(image)

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32."""
        return self.load().encode_images(pixels)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32."""
        return self.load().encode_texts(texts, truncate=truncate)
