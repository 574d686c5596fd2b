"""clipsim: rank images against texts with CLIP models.

>>> import clipsim
>>> clipsim.available_models()[:2]
['RN50', 'RN101']

Public names are listed here; their modules are imported on first access, so `import clipsim` is fast and imports no
torch. A script written for OpenAI's `clip` runs with `import clipsim as clip`.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # as in `typing`, which is too slow to import before `__main__` can catch an interrupt
if TYPE_CHECKING:
    from typing import Any

    from clipsim.api.calls import duplicates as duplicates
    from clipsim.api.calls import embed as embed
    from clipsim.api.calls import open as open
    from clipsim.api.calls import overview as overview
    from clipsim.api.calls import rank as rank
    from clipsim.api.calls import search as search
    from clipsim.api.evaluation import compare as compare
    from clipsim.api.evaluation import evaluate as evaluate
    from clipsim.api.evaluation import threshold as threshold
    from clipsim.compat import available_models as available_models
    from clipsim.compat import load as load
    from clipsim.compat import tokenize as tokenize
    from clipsim.errors import ClipsimError as ClipsimError
    from clipsim.errors import ClipsimWarning as ClipsimWarning
    from clipsim.results.changes import CompareResult as CompareResult
    from clipsim.results.datasets import EmbedResult as EmbedResult
    from clipsim.results.evaluation import EvaluationResult as EvaluationResult
    from clipsim.results.evaluation import ThresholdResult as ThresholdResult
    from clipsim.results.overview import OverviewResult as OverviewResult
    from clipsim.results.rank import RankResult as RankResult
    from clipsim.results.search import DuplicatesResult as DuplicatesResult
    from clipsim.results.search import SearchResult as SearchResult
    from clipsim.session import Session as Session
    from clipsim.tasks.arguments import ImageInput as ImageInput
    from clipsim.tasks.arguments import ImageInputs as ImageInputs

_MODULES = {
    "available_models": "clipsim.compat",
    "load": "clipsim.compat",
    "tokenize": "clipsim.compat",
    "open": "clipsim.api.calls",
    "rank": "clipsim.api.calls",
    "search": "clipsim.api.calls",
    "duplicates": "clipsim.api.calls",
    "overview": "clipsim.api.calls",
    "embed": "clipsim.api.calls",
    "evaluate": "clipsim.api.evaluation",
    "threshold": "clipsim.api.evaluation",
    "compare": "clipsim.api.evaluation",
    "Session": "clipsim.session",
    "ImageInput": "clipsim.tasks.arguments",
    "ImageInputs": "clipsim.tasks.arguments",
    "ClipsimError": "clipsim.errors",
    "ClipsimWarning": "clipsim.errors",
    "RankResult": "clipsim.results.rank",
    "OverviewResult": "clipsim.results.overview",
    "EmbedResult": "clipsim.results.datasets",
    "SearchResult": "clipsim.results.search",
    "DuplicatesResult": "clipsim.results.search",
    "EvaluationResult": "clipsim.results.evaluation",
    "ThresholdResult": "clipsim.results.evaluation",
    "CompareResult": "clipsim.results.changes",
}

__all__ = [
    "ClipsimError",
    "ClipsimWarning",
    "CompareResult",
    "DuplicatesResult",
    "EmbedResult",
    "EvaluationResult",
    "ImageInput",
    "ImageInputs",
    "OverviewResult",
    "RankResult",
    "SearchResult",
    "Session",
    "ThresholdResult",
    "__version__",
    "available_models",
    "compare",
    "duplicates",
    "embed",
    "evaluate",
    "load",
    "open",
    "overview",
    "rank",
    "search",
    "threshold",
    "tokenize",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'clipsim' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
