"""One module a command: a request → its result; nothing is parsed and nothing printed.

- `progress`: how far any of them is; `arguments` what a Python caller may pass
- `encode`: images and texts → their vectors, and the cosines of pairs
- `rank`: texts and images → scores
- `search`: queries → the nearest images; `search_targets` is what is searched, `search_vectors` how,
  `search_copies` finds copies
- `duplicates`: groups of images that are alike, whose pairs `near_images` finds, by a `pixel_check` too; `kept_copies`
  says which files are copies and may go, `same_files` compares bytes alone
- `sort`, `tag`: images and labels → a plan for files; `xmp` adds keywords to one of the `sidecars`
- `placements`: the answers of other commands → a plan; `keep_rules` say which file stays
- `file_plans`: a plan, and its steps carried out; `journals` records them, `undo` takes them back
- `overview`: groups of images, and the words of `vocabulary` that fit them
- `explain`: which parts of an image speak for a text
- `embed`: a data set of vectors; `embed_plan` lists its inputs; `embed_shards` makes its shards in this process, the
  `shard_workers` of `ray` and `devices` in others (`ray_process` runs `ray_cluster`, which divides `ray_nodes`);
  `embed_updates`: what differs where a data set is added to
- `index`: the index of a data set, and what it finds; `export_vectors`: its rows in other engines;
  `stored_datasets`: data sets in object stores, by copies on this machine
- `evaluate`: labelled or captioned images → figures; `evaluate_request` is the request, `evaluate_runs` measures,
  `evaluate_vectors` reads a data set of vectors in place of images
- `threshold`: known images → thresholds; `fit`: labelled images → a classifier
- `compare`: two results of earlier runs → what changed; `saved_files` reads them
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipsim.tasks.evaluate_request import TemplateSets as TemplateSets
    from clipsim.tasks.saved_files import ClassifierInput as ClassifierInput
    from clipsim.tasks.saved_files import Result as Result
    from clipsim.tasks.saved_files import Thresholds as Thresholds

_MODULES = {
    "ClassifierInput": "clipsim.tasks.saved_files",
    "Result": "clipsim.tasks.saved_files",
    "Thresholds": "clipsim.tasks.saved_files",
    "TemplateSets": "clipsim.tasks.evaluate_request",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'clipsim.tasks' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
