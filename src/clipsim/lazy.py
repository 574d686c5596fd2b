"""A model's spec and files → an encoder that is opened, in the background, when the first vector is missing."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipsim.cache import Database, EmbeddingCache, FileDigests, Space
from clipsim.devices import default_precision, describe_gpus, guess_device
from clipsim.embed import Encoder, Features, Pixels
from clipsim.errors import WeightsError
from clipsim.hub import ModelFiles, read_config
from clipsim.identity import identify_model, package_version
from clipsim.models import BUNDLED, ModelSpec, read_catalogue
from clipsim.names import printable
from clipsim.pipeline import DECODING_RULES
from clipsim.preprocess import Preprocessing, find_settings

if TYPE_CHECKING:
    from PIL import Image

_FACTS = ("embed_dim", "image_size", "logit_scale", "logit_bias", "head")


class LazyEncoder:
    """An `embed.Encoder` whose facts may be known before its model is loaded, if it ever is.

    Asking for a fact that no earlier run has kept opens the model, and so does everything that encodes.
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
    ) -> None:
        self.name = spec.architecture or spec.name
        self.pretrained = "bundled" if spec.name == BUNDLED else spec.pretrained
        self.engine, self.device, self.precision = engine, device, precision
        self._open_model, self._preprocessing = open_model, preprocessing
        self._facts: dict[str, Any] | None = None
        self._space: Space | None = None
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._opened: Encoder | None = None
        self._error: BaseException | None = None

    def remember(self, space: Space) -> None:
        """Take the facts from a space of the cache, or keep them there once they are known."""
        self._space = space
        self._facts = self._facts or space.facts

    def start(self) -> None:
        """Begin to open the model, unless that has been done."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._open, name="open the model", daemon=True)
                self._thread.start()

    def _open(self) -> None:
        try:
            self._opened = self._open_model()
        except BaseException as error:  # whoever waits for the model raises it
            self._error = error

    def _wait(self) -> Encoder:
        self.start()
        assert self._thread is not None
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._opened is not None
        with self._lock:
            if self._facts is None:
                self._facts = {name: getattr(self._opened, name) for name in _FACTS}
                if self._space is not None:
                    self._space.keep_facts(self._facts)
        return self._opened

    def _fact(self, name: str) -> Any:
        if self._facts is None:
            self._wait()
        assert self._facts is not None
        return self._facts[name]

    @property
    def embed_dim(self) -> int:
        """The length of the vectors."""
        return int(self._fact("embed_dim"))

    @property
    def image_size(self) -> int:
        """Pixels, of the side."""
        return max(self._preprocessing.size) if self._preprocessing else int(self._fact("image_size"))

    @property
    def logit_scale(self) -> float:
        """The factor itself, after the exponential."""
        return float(self._fact("logit_scale"))

    @property
    def logit_bias(self) -> float | None:
        """What SigLIP's logits are shifted by."""
        bias: float | None = self._fact("logit_bias")
        return bias

    @property
    def head(self) -> str:
        """How logits become probabilities."""
        return str(self._fact("head"))

    def prepare_image(self, image: Image.Image) -> Pixels:
        """RGB picture → (h, w, 3) uint8; the model need not be there for it, but will be needed."""
        self.start()
        return self._preprocessing.prepare(image) if self._preprocessing else self._wait().prepare_image(image)

    def encode_images(self, pixels: Pixels) -> Features:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32."""
        return self._wait().encode_images(pixels)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool) -> Features:
        """N texts → (n, embed_dim) float32."""
        return self._wait().encode_texts(texts, truncate=truncate)


def open_lazily(
    spec: ModelSpec,
    files: ModelFiles,
    open_model: Callable[[str], Encoder],
    *,
    engine: str,
    runtime: str | None,
    device: str,
    precision: str | None,
    identity: str | None = None,
    exact: bool = False,
    folder: Path | None = None,
) -> tuple[LazyEncoder, EmbeddingCache | None]:
    """An encoder for a model, and the cache in `folder` for its vectors; no cache without a folder.

    `open_model` takes the device and gives the encoder itself; `runtime` is the version of what runs it; `identity` is
    the model's, where it is known.
    Raises WeightsError for files that cannot be read.
    """
    database = None if folder is None else Database(folder)
    certain = guess_device(device) or (database and _recall_device(database))
    if not certain:  # only torch knows what "auto" is here
        opened = open_model(device)
        if database is not None:
            _note_device(database, opened.device)
        certain, open_model = opened.device, lambda _: opened
    precision = precision or default_precision(certain)
    given = None if files.config is None else read_config(files.config)
    preprocessing = _find_preprocessing(spec, given)
    encoder = LazyEncoder(
        spec,
        lambda: open_model(certain),
        engine=engine,
        device=certain,
        precision=precision,
        preprocessing=preprocessing,
    )
    if database is None or not database.usable:
        encoder.start()
        return encoder, None
    digests = FileDigests(database)
    if identity is None and not digests.find([str(files.weights)]):
        encoder.start()  # never seen before: while its gigabytes are read for their digest, it can be loaded too
    try:
        identity = identity or identify_model(spec, files, digests.digest)
    except OSError as error:
        raise WeightsError(f"{printable(str(error.filename))}: cannot read it: {error.strerror}") from error
    key = {
        "identity": identity,
        "engine": engine,
        "device": certain.partition(":")[0],
        "precision": precision,
        "runtime": runtime,
    }
    rules = {
        "rules": DECODING_RULES,
        "exact": exact,
        "pixels": os.environ.get("CLIPSIM_MAX_PIXELS"),
        "pillow": package_version("pillow"),
        "heif": package_version("pillow_heif"),
    }
    cache = EmbeddingCache(Space(database, _digest(key)), Space(database, _digest(key | rules)), digests)
    encoder.remember(cache.texts)
    return encoder, cache


def _find_preprocessing(spec: ModelSpec, config: dict[str, Any] | None) -> Preprocessing | None:
    """The preprocessing, where it is known without the model; settings that are wrong are the model's to refuse."""
    size: Any = None
    if config is not None:
        size = config["model_cfg"]["vision_cfg"].get("image_size", 224)
    elif spec.architecture is not None:
        size = read_catalogue()["architectures"].get(spec.architecture, {}).get("image_size")
    try:
        return None if size is None else Preprocessing.of(size, find_settings(spec, config))
    except (TypeError, ValueError):
        return None


def _digest(key: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps(key).encode()).digest()


def _device_note() -> str:
    return f"auto: {package_version('torch')} {describe_gpus()}"


def _recall_device(database: Database) -> str | None:
    rows = database.select("SELECT value FROM notes WHERE name = ?", [_device_note()])
    return str(rows[0][0]) if rows else None


def _note_device(database: Database, device: str) -> None:
    database.write([("INSERT OR REPLACE INTO notes VALUES (?, ?)", [(_device_note(), device)])])
