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
    from clipsim.api.encoding import encode_images as encode_images
    from clipsim.api.encoding import encode_texts as encode_texts
    from clipsim.api.encoding import explain as explain
    from clipsim.api.encoding import score_pairs as score_pairs
    from clipsim.api.evaluation import compare as compare
    from clipsim.api.evaluation import evaluate as evaluate
    from clipsim.api.evaluation import fit as fit
    from clipsim.api.evaluation import threshold as threshold
    from clipsim.api.vectors import export_vectors as export_vectors
    from clipsim.clip import available_models as available_models
    from clipsim.clip import load as load
    from clipsim.clip import tokenize as tokenize
    from clipsim.errors import ClipsimError as ClipsimError
    from clipsim.errors import ClipsimWarning as ClipsimWarning
    from clipsim.errors import ClusterLostError as ClusterLostError
    from clipsim.errors import DataError as DataError
    from clipsim.errors import DatasetError as DatasetError
    from clipsim.errors import DeviceError as DeviceError
    from clipsim.errors import DeviceLostError as DeviceLostError
    from clipsim.errors import DownloadError as DownloadError
    from clipsim.errors import Failure as Failure
    from clipsim.errors import ImageError as ImageError
    from clipsim.errors import MissingPackageError as MissingPackageError
    from clipsim.errors import ModelError as ModelError
    from clipsim.errors import NoInputError as NoInputError
    from clipsim.errors import PluginError as PluginError
    from clipsim.errors import ServerError as ServerError
    from clipsim.errors import SettingsError as SettingsError
    from clipsim.errors import TextError as TextError
    from clipsim.errors import TransientError as TransientError
    from clipsim.errors import UnknownModelError as UnknownModelError
    from clipsim.errors import UsageError as UsageError
    from clipsim.errors import WeightsError as WeightsError
    from clipsim.results.base import ModelRecord as ModelRecord
    from clipsim.results.changes import CompareResult as CompareResult
    from clipsim.results.classifier import Classifier as Classifier
    from clipsim.results.datasets import EmbedResult as EmbedResult
    from clipsim.results.datasets import ExportResult as ExportResult
    from clipsim.results.evaluation import EvaluationResult as EvaluationResult
    from clipsim.results.evaluation import ThresholdResult as ThresholdResult
    from clipsim.results.explain import ExplainResult as ExplainResult
    from clipsim.results.overview import OverviewResult as OverviewResult
    from clipsim.results.rank import RankResult as RankResult
    from clipsim.results.search import DuplicatesResult as DuplicatesResult
    from clipsim.results.search import SearchResult as SearchResult
    from clipsim.session import Session as Session
    from clipsim.tasks.arguments import ImageInput as ImageInput
    from clipsim.tasks.arguments import ImageInputs as ImageInputs
    from clipsim.tasks.arguments import QueryTexts as QueryTexts
    from clipsim.tasks.arguments import TextInputs as TextInputs
    from clipsim.tasks.arguments import VectorInputs as VectorInputs
    from clipsim.tasks.progress import Progress as Progress
    from clipsim.tasks.progress import ProgressCallback as ProgressCallback

_MODULES = {
    "available_models": "clipsim.clip",
    "load": "clipsim.clip",
    "tokenize": "clipsim.clip",
    "open": "clipsim.api.calls",
    "rank": "clipsim.api.calls",
    "search": "clipsim.api.calls",
    "duplicates": "clipsim.api.calls",
    "overview": "clipsim.api.calls",
    "embed": "clipsim.api.calls",
    "explain": "clipsim.api.encoding",
    "evaluate": "clipsim.api.evaluation",
    "fit": "clipsim.api.evaluation",
    "threshold": "clipsim.api.evaluation",
    "compare": "clipsim.api.evaluation",
    "export_vectors": "clipsim.api.vectors",
    "encode_images": "clipsim.api.encoding",
    "encode_texts": "clipsim.api.encoding",
    "score_pairs": "clipsim.api.encoding",
    "Session": "clipsim.session",
    "ImageInput": "clipsim.tasks.arguments",
    "ImageInputs": "clipsim.tasks.arguments",
    "Progress": "clipsim.tasks.progress",
    "ProgressCallback": "clipsim.tasks.progress",
    "QueryTexts": "clipsim.tasks.arguments",
    "TextInputs": "clipsim.tasks.arguments",
    "VectorInputs": "clipsim.tasks.arguments",
    "ClipsimError": "clipsim.errors",
    "ClipsimWarning": "clipsim.errors",
    "DataError": "clipsim.errors",
    "ClusterLostError": "clipsim.errors",
    "DatasetError": "clipsim.errors",
    "DeviceError": "clipsim.errors",
    "DeviceLostError": "clipsim.errors",
    "DownloadError": "clipsim.errors",
    "Failure": "clipsim.errors",
    "ImageError": "clipsim.errors",
    "MissingPackageError": "clipsim.errors",
    "ModelError": "clipsim.errors",
    "NoInputError": "clipsim.errors",
    "PluginError": "clipsim.errors",
    "ServerError": "clipsim.errors",
    "SettingsError": "clipsim.errors",
    "TextError": "clipsim.errors",
    "TransientError": "clipsim.errors",
    "UnknownModelError": "clipsim.errors",
    "UsageError": "clipsim.errors",
    "WeightsError": "clipsim.errors",
    "ModelRecord": "clipsim.results.base",
    "RankResult": "clipsim.results.rank",
    "ExplainResult": "clipsim.results.explain",
    "OverviewResult": "clipsim.results.overview",
    "EmbedResult": "clipsim.results.datasets",
    "ExportResult": "clipsim.results.datasets",
    "SearchResult": "clipsim.results.search",
    "DuplicatesResult": "clipsim.results.search",
    "EvaluationResult": "clipsim.results.evaluation",
    "ThresholdResult": "clipsim.results.evaluation",
    "Classifier": "clipsim.results.classifier",
    "CompareResult": "clipsim.results.changes",
}

_OPENAIS = ("clip", "model", "simple_tokenizer")  # the modules of OpenAI's package, by its names

__all__ = [
    "Classifier",
    "ClipsimError",
    "ClipsimWarning",
    "ClusterLostError",
    "CompareResult",
    "DataError",
    "DatasetError",
    "DeviceError",
    "DeviceLostError",
    "DownloadError",
    "DuplicatesResult",
    "EmbedResult",
    "EvaluationResult",
    "ExplainResult",
    "ExportResult",
    "Failure",
    "ImageError",
    "ImageInput",
    "ImageInputs",
    "MissingPackageError",
    "ModelError",
    "ModelRecord",
    "NoInputError",
    "OverviewResult",
    "PluginError",
    "Progress",
    "ProgressCallback",
    "QueryTexts",
    "RankResult",
    "SearchResult",
    "ServerError",
    "Session",
    "SettingsError",
    "TextError",
    "TextInputs",
    "ThresholdResult",
    "TransientError",
    "UnknownModelError",
    "UsageError",
    "VectorInputs",
    "WeightsError",
    "__version__",
    "available_models",
    "compare",
    "duplicates",
    "embed",
    "encode_images",
    "encode_texts",
    "evaluate",
    "explain",
    "export_vectors",
    "fit",
    "load",
    "open",
    "overview",
    "rank",
    "score_pairs",
    "search",
    "threshold",
    "tokenize",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _OPENAIS:
        return import_module(f"clipsim.{name}")
    if name not in _MODULES:
        raise AttributeError(f"module 'clipsim' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
