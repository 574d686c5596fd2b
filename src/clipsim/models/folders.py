"""A folder as another program keeps models in it → the folder that holds the model's own files."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from clipsim.errors import WeightsError, printable
from clipsim.models.catalogue import CONFIG_FILE
from clipsim.models.configs import read_settings

MODULES_FILE = "modules.json"  # of sentence-transformers
CLIP_MODULE = "0_CLIPModel"  # the folder of its CLIP models
_HUB_CACHE = "models--"  # how the Hugging Face cache begins a repository's folder
_MAIN = Path("refs") / "main"
_CHANGES_NOTHING = ("Normalize",)  # modules behind the model after which cosines are the same


def resolve_folder(folder: Path) -> Path:
    """The folder of a model's files: in a repository's cache, that of its main revision; of a pipeline, of its model.

    Raises WeightsError for a cache without that revision, and for a pipeline with other parts than a CLIP model.
    """
    if folder.name.startswith(_HUB_CACHE) and (folder / "snapshots").is_dir():
        folder = _find_snapshot(folder)
    if (folder / MODULES_FILE).is_file() and not (folder / CONFIG_FILE).is_file():
        folder = _find_clip_module(folder)
    return folder


def _find_snapshot(cache: Path) -> Path:
    shown = printable(str(cache))
    try:
        revision = (cache / _MAIN).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        revision = ""
    snapshots = cache / "snapshots"
    plain = revision not in ("", "..") and PurePosixPath(revision).name == revision
    if plain and (snapshots / revision).is_dir():
        return snapshots / revision
    revisions = sorted(path.name for path in snapshots.iterdir() if path.is_dir())
    if revision or len(revisions) != 1:
        kept = f"its revisions are {printable(', '.join(revisions), 120)}" if revisions else "it has no revision"
        raise WeightsError(
            f"{shown}: the revision 'main' is not in this cache; {kept}. Give the folder snapshots/REVISION in it"
        )
    return snapshots / revisions[0]


def _find_clip_module(folder: Path) -> Path:
    """The folder of the CLIP model in a pipeline of sentence-transformers."""
    path = folder / MODULES_FILE
    shown = printable(str(path))
    modules = read_settings(path)
    try:
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
        first = str(modules[0]["path"])
    except (TypeError, KeyError, IndexError) as error:
        raise WeightsError(f"{shown}: not a list of the modules of sentence-transformers") from error
    others = [kind for kind in kinds[1:] if kind not in _CHANGES_NOTHING]
    if kinds[0] not in ("CLIPModel", "Transformer") or others:
        raise WeightsError(
            f"{shown}: a pipeline of {printable(', '.join(kinds), 80)}; clipsim reads a CLIPModel alone, whose images "
            "and texts have vectors of one kind"
        )
    parts = PurePosixPath(first).parts
    if ".." in parts or "\\" in first or PurePosixPath(first).is_absolute():
        raise WeightsError(f"{shown}: names {printable(first, 60)}, which is outside the folder")
    return folder.joinpath(*parts)
