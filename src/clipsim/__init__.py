"""clipsim: rank images against texts with CLIP models.

>>> import clipsim
>>> clipsim.available_models()[:2]
['RN50', 'RN101']

Everything public is here; the modules behind it are loaded when first asked for, so `import clipsim` costs nothing
and imports no torch. A script written for OpenAI's `clip` runs with `import clipsim as clip`.
"""

from __future__ import annotations

from clipsim.version import __version__ as __version__

TYPE_CHECKING = False  # as `typing` has it, whose import would come before `__main__` can catch an interrupt
if TYPE_CHECKING:
    from typing import Any

    from clipsim.api import rank as rank
    from clipsim.compat import available_models as available_models
    from clipsim.compat import load as load
    from clipsim.compat import tokenize as tokenize
    from clipsim.errors import ClipsimError as ClipsimError
    from clipsim.ranking import RankResult as RankResult

_HOMES = {
    "available_models": "clipsim.compat",
    "load": "clipsim.compat",
    "tokenize": "clipsim.compat",
    "rank": "clipsim.api",
    "ClipsimError": "clipsim.errors",
    "RankResult": "clipsim.ranking",
}

__all__ = ["ClipsimError", "RankResult", "__version__", "available_models", "load", "rank", "tokenize"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'clipsim' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
