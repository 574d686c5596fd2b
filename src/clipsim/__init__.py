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

    from clipsim.api import Picture as Picture
    from clipsim.api import Pictures as Pictures
    from clipsim.api import Session as Session
    from clipsim.api import open as open
    from clipsim.api import rank as rank
    from clipsim.api.comparison import compare as compare
    from clipsim.api.measuring import evaluate as evaluate
    from clipsim.api.measuring import threshold as threshold
    from clipsim.compat import available_models as available_models
    from clipsim.compat import load as load
    from clipsim.compat import tokenize as tokenize
    from clipsim.errors import ClipsimError as ClipsimError
    from clipsim.errors import ClipsimWarning as ClipsimWarning
    from clipsim.scoring.changes import CompareResult as CompareResult
    from clipsim.scoring.duplicates_records import DuplicatesResult as DuplicatesResult
    from clipsim.scoring.embed_records import EmbedResult as EmbedResult
    from clipsim.scoring.evaluation import EvaluationResult as EvaluationResult
    from clipsim.scoring.records import RankResult as RankResult
    from clipsim.scoring.search_records import SearchResult as SearchResult
    from clipsim.scoring.thresholds import ThresholdResult as ThresholdResult

_MODULES = {
    "available_models": "clipsim.compat",
    "load": "clipsim.compat",
    "tokenize": "clipsim.compat",
    "open": "clipsim.api",
    "rank": "clipsim.api",
    "evaluate": "clipsim.api.measuring",
    "threshold": "clipsim.api.measuring",
    "compare": "clipsim.api.comparison",
    "Session": "clipsim.api",
    "Picture": "clipsim.api",
    "Pictures": "clipsim.api",
    "ClipsimError": "clipsim.errors",
    "ClipsimWarning": "clipsim.errors",
    "RankResult": "clipsim.scoring.records",
    "EmbedResult": "clipsim.scoring.embed_records",
    "SearchResult": "clipsim.scoring.search_records",
    "DuplicatesResult": "clipsim.scoring.duplicates_records",
    "EvaluationResult": "clipsim.scoring.evaluation",
    "ThresholdResult": "clipsim.scoring.thresholds",
    "CompareResult": "clipsim.scoring.changes",
}

__all__ = [
    "ClipsimError",
    "ClipsimWarning",
    "CompareResult",
    "DuplicatesResult",
    "EmbedResult",
    "EvaluationResult",
    "Picture",
    "Pictures",
    "RankResult",
    "SearchResult",
    "Session",
    "ThresholdResult",
    "__version__",
    "available_models",
    "compare",
    "evaluate",
    "load",
    "open",
    "rank",
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
