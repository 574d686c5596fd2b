"""An accepted export → an encoder that ONNX Runtime runs on the CPU, without torch."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from clipsim.engines.encoder import EncoderFacts
from clipsim.engines.onnx.exports import TOKENIZER_FILE, Export
from clipsim.engines.onnx.tokenizer import PlainTokenizer, TokenRules
from clipsim.engines.preprocessing import Preprocessing
from clipsim.errors import ModelError, Setting, first_line, install_command, printable
from clipsim.machine import usable_cores
from clipsim.models.names import ModelSpec

if TYPE_CHECKING:
    from PIL import Image


class OnnxEncoder:
    """The `Encoder` of an export, run by ONNX Runtime.

    A tower is opened when it is first used. Raises ModelError where ONNX Runtime is missing or the export damaged.
    """

    def __init__(self, spec: ModelSpec, export: Export) -> None:
        self._export = export
        try:
            import onnxruntime

            self._runtime: Any = onnxruntime
            self._rules = TokenRules(**export.token_rules)
            preprocessing = Preprocessing.from_dict(export.facts["preprocessing"])
            facts = export.facts | {"preprocessing": preprocessing, "notices": tuple(export.facts["notices"])}
            facts |= {"device": "cpu", "precision": export.precision, "engine": export.engine}
            self.facts = EncoderFacts(name=spec.reported_name, pretrained=spec.reported_tag, **facts)
        except ImportError as error:
            raise ModelError(
                "needs onnxruntime", parameter="engine", value=export.engine, hint=install_command("onnx")
            ) from error
        except (KeyError, TypeError) as error:
            raise self._damaged(error) from error
        self.image_size = self.facts.image_size

    def prepare_image(self, image: Image.Image) -> NDArray[np.uint8]:
        """RGB image → (h, w, 3) uint8: the model's own resize and crop."""
        return self.facts.preprocessing.prepare(image)

    def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(n, h, w, 3) prepared pixels → (n, embed_dim) float32, not normalised."""
        return self._run(self._image_tower, pixels)

    def tokenize(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.int64]:
        """N texts → (n, context_length) token ids, padded. Raises TextError as `encode_texts` does."""
        return self.tokenizer(texts, truncate=truncate)

    def count_tokens(self, texts: Sequence[str], *, truncate: bool = False) -> list[int]:
        """How many tokens the model reads of each text, with those that mark its start and end."""
        return self.tokenizer.count_read(texts, truncate=truncate)

    def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> NDArray[np.float32]:
        """N texts → (n, embed_dim) float32, not normalised.

        Raises TextError for a text longer than the model's context, unless `truncate`.
        """
        tokens = self.tokenizer(texts, truncate=truncate)
        return self._run(self._text_tower, without_padding(tokens) if self._export.texts_shorten else tokens)

    @cached_property
    def tokenizer(self) -> PlainTokenizer:
        """The model's tokenizer."""
        try:
            return PlainTokenizer(self._export.folder / TOKENIZER_FILE, self._rules)
        except ImportError as error:
            raise ModelError(
                "needs tokenizers", parameter="engine", value=self._export.engine, hint=install_command("onnx")
            ) from error
        except Exception as error:
            raise self._damaged(error) from error

    @cached_property
    def _image_tower(self) -> Any:
        return self._open("image.onnx")

    @cached_property
    def _text_tower(self) -> Any:
        return self._open("text.onnx")

    def _open(self, file: str) -> Any:
        try:
            return open_session(self._runtime, self._export.folder / file, usable_cores())
        except Exception as error:  # ONNX Runtime's exceptions have no common base
            raise self._damaged(error) from error

    def _run(self, tower: Any, batch: NDArray[Any]) -> NDArray[np.float32]:
        features: NDArray[np.float32] = tower.run(None, {"input": batch})[0]
        return features

    def _damaged(self, error: Exception) -> ModelError:
        return ModelError(
            f"{printable(str(self._export.folder))}: this export is damaged ({first_line(error)})",
            hint=("re-create it with 'clipsim models export', or use ", Setting("engine", "torch")),
        )


def without_padding(tokens: NDArray[np.int64]) -> NDArray[np.int64]:
    """Token rows padded with zeros, cut behind the longest; the end token of a causal model never sees the padding.

    >>> without_padding(np.array([[7, 0, 9, 0], [7, 9, 0, 0]])).tolist()
    [[7, 0, 9], [7, 9, 0]]
    """
    return tokens[:, : int(np.flatnonzero(tokens.any(axis=0))[-1]) + 1]


def open_session(runtime: Any, path: Path, threads: int) -> Any:
    """Open a tower as `onnx.graphs` wrote it: already optimised, its weights mapped from the file and not copied."""
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.disable_prepacking", "1")
    # Threads that spin while they wait take the cores from threads that decode and from other processes. Two cores,
    # 600 small images through the bundled model: 1.06 s with spinning, 1.02 s without; 1.75 s and 1.42 s beside two
    # busy processes. 192 through a ViT-B/32: 5.4 s and 5.5 s; busy 12.1 s and 10.8 s. What it costs: a single image
    # through a ViT-B/32 on an idle machine takes 56 ms, not 47 ms.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    _opened.add(session)
    return session


_opened: WeakSet[Any] = WeakSet()


def _keep_sessions() -> None:
    """In a forked process: never free the sessions that came with it, which would wait for threads that it lacks."""
    for session in _opened:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(session))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_keep_sessions)
