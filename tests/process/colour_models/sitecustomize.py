"""Python's start-up hook: processes with this folder on their path run a `FakeEncoder` in place of every model.

It reaches processes that a test does not start itself, such as Ray's. `FAKE_SECONDS` is how long a batch takes.
"""

from __future__ import annotations

import importlib.machinery
import os
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

PATCHED = "clipsim.embedding.embedder"


def patch(session: ModuleType) -> None:
    """Give every session the encoder that knows colours."""
    import numpy as np
    from fake_encoder import FakeEncoder
    from numpy.typing import NDArray

    from clipsim.engines.choice import EnginePlan
    from clipsim.models.names import ModelSpec

    class SlowEncoder(FakeEncoder):
        def encode_images(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
            time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
            return super().encode_images(pixels)

    def plan_engine(
        spec: ModelSpec, files: object, options: object, *, read_digests: object = None, own_process: bool = False
    ) -> EnginePlan:
        def opener() -> SlowEncoder:
            encoder = SlowEncoder()
            encoder.name, encoder.pretrained = spec.reported_name, spec.reported_tag
            return encoder

        return EnginePlan("torch", "cpu", "fp32", "a model of colours", opener)

    session.plan_engine = plan_engine  # type: ignore[attr-defined]


class Finder(MetaPathFinder):
    """Finds the module that is patched, as Python would, and patches it once it has run."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module with a loader that patches it."""
        if name != PATCHED:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.loader is not None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            patch(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, Finder())
