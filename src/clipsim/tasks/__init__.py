"""One module a command: what was asked → its result; nothing is parsed and nothing printed.

- `progress`: how far any of them is
- `rank`: texts and images → scores
- `search`: queries → the nearest images, in `search_targets` by `search_vectors`
- `duplicates`: groups of pictures that are alike; `same_files` compares bytes alone
- `embed`: a data set of vectors, made in this process or by `ray`
- `index`: the index of a data set, and what it finds
- `evaluate`: labelled or captioned images → figures; `evaluate_request` is what is asked, `evaluate_runs` measures
- `threshold`: known images → thresholds
- `compare`: two results of earlier runs → what changed; `saved_files` reads them
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipsim.tasks.duplicates import Duplicates as Duplicates
    from clipsim.tasks.duplicates import DuplicatesRequest as DuplicatesRequest
    from clipsim.tasks.embed import Embedding as Embedding
    from clipsim.tasks.embed import EmbedRequest as EmbedRequest
    from clipsim.tasks.evaluate_request import TemplateSets as TemplateSets
    from clipsim.tasks.saved_files import Result as Result
    from clipsim.tasks.saved_files import Thresholds as Thresholds
    from clipsim.tasks.search import Search as Search
    from clipsim.tasks.search import SearchRequest as SearchRequest
    from clipsim.tasks.search_targets import Place as Place

_MODULES = {
    "Duplicates": "clipsim.tasks.duplicates",
    "DuplicatesRequest": "clipsim.tasks.duplicates",
    "Embedding": "clipsim.tasks.embed",
    "EmbedRequest": "clipsim.tasks.embed",
    "Place": "clipsim.tasks.search_targets",
    "Result": "clipsim.tasks.saved_files",
    "Thresholds": "clipsim.tasks.saved_files",
    "Search": "clipsim.tasks.search",
    "SearchRequest": "clipsim.tasks.search",
    "TemplateSets": "clipsim.tasks.evaluate_request",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'clipsim.tasks' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
