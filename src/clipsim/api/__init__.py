"""One call a command: what a Python caller passes → records. The command line runs this code too.

- `session`: `open`, `rank` and `Session`, which public callers use
- `embed`: `EmbedRequest` and `Embedding`, a data set of vectors as it is made, by `local_runner` or `ray_runner`
  (with `ray_worker`); `shard_work` is what both do with a shard
- `measuring`: `evaluate` and `threshold`, which open their models themselves
- `comparison`: `compare`, two results of earlier runs
- `search`: `SearchRequest` and `Search`, which goes through `places`, each by `search_vectors`
- `duplicates`: `DuplicatesRequest` and `Duplicates`, which fills a `collection` and has a `pixel_check`; `same_files`
  compares bytes alone
- `search_calls`: the calls of `Session` that lead to these two
- `index`: the index of a data set, and what it finds of `sample_texts`
- `ranking`: `RankRequest` (checked before a model is opened) and `Ranking`, a ranking as it runs
- `evaluation_request`, `evaluation`: likewise for evaluations
- `evaluation_records`: what the runs of an evaluation found → its result
- `evaluation_tasks`: what each task of an evaluation does with the vectors
- `search_calls`: `search` and `duplicates`, the calls of a session that go through many images
- `search`, `duplicates`, `index`: the requests of these commands, and how they run
- `places`, `collection`, `search_vectors`: what a search is told to look in → sources or data sets, their vectors, and
  the nearest of them
- `same_files`, `pixel_check`: files of the same bytes, and pictures that are near in their pixels
- `kept_files`: which file of a group is best, which are copies of it, and which of those may go
- `shown_pictures`: thumbnails of what a result shows
- `served_model`, `model_thread`, `collection_search`: a session that answers many clients at once
- `served_pictures`: the names, numbers and thumbnails of the pictures that these may search
- `sample_texts`: texts to try an index with
- `template_sets`: templates and named sets of them
- `thresholds`: likewise for thresholds, and their file
- `model_record`: the record of a model that results carry
- `saved_files`: results and thresholds of earlier runs

Only what a ranking needs is imported here: the modules of the other commands would slow down its start. They are
imported when one of their names is looked up, as `typing.get_type_hints` does for the calls of a session.
"""

from typing import TYPE_CHECKING, Any

from clipsim.api.ranking import Ranking as Ranking
from clipsim.api.ranking import RankOutcome as RankOutcome
from clipsim.api.ranking import RankRequest as RankRequest
from clipsim.api.ranking import find_missing as find_missing
from clipsim.api.search_calls import Picture as Picture
from clipsim.api.search_calls import Pictures as Pictures
from clipsim.api.session import Session as Session
from clipsim.api.session import open as open
from clipsim.api.session import rank as rank

if TYPE_CHECKING:
    from clipsim.api.duplicates import Duplicates as Duplicates
    from clipsim.api.duplicates import DuplicatesRequest as DuplicatesRequest
    from clipsim.api.embed import Embedding as Embedding
    from clipsim.api.embed import EmbedRequest as EmbedRequest
    from clipsim.api.places import Place as Place
    from clipsim.api.saved_files import Result as Result
    from clipsim.api.saved_files import Thresholds as Thresholds
    from clipsim.api.search import Search as Search
    from clipsim.api.search import SearchRequest as SearchRequest
    from clipsim.api.template_sets import TemplateSets as TemplateSets

_MODULES = {
    "Duplicates": "clipsim.api.duplicates",
    "DuplicatesRequest": "clipsim.api.duplicates",
    "Embedding": "clipsim.api.embed",
    "EmbedRequest": "clipsim.api.embed",
    "Place": "clipsim.api.places",
    "Result": "clipsim.api.saved_files",
    "Thresholds": "clipsim.api.saved_files",
    "Search": "clipsim.api.search",
    "SearchRequest": "clipsim.api.search",
    "TemplateSets": "clipsim.api.template_sets",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'clipsim.api' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
