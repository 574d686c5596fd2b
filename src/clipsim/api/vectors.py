"""What a Python caller does with a data set of vectors without a model."""

from __future__ import annotations

import os

import clipsim
from clipsim.errors import issue_warnings
from clipsim.tasks.progress import ProgressCallback, check_progress


def export_vectors(
    folder: str | os.PathLike[str],
    to: str,
    output: str | os.PathLike[str] | None = None,
    *,
    name: str = "images",
    overwrite: bool = False,
    progress: ProgressCallback | None = None,
) -> clipsim.ExportResult:
    """Write the rows of a data set, with ids, names, captions, columns and vectors, for another engine.

    The id of an image, a UUID, follows from its name, so that the same call again replaces rows.

    Parameters
    ----------
    folder
        A folder that `embed` wrote, or its address in an object store.
    to
        "parquet", "lance" (LanceDB), "qdrant" (its local mode), or the address of a server of Qdrant:
        "qdrant://HOST:PORT/COLLECTION", or "qdrant+https://…", whose key is in `QDRANT_API_KEY`.
    output
        The folder to write; not for a server.
    name
        The table or collection.
    overwrite
        Remove what the table or collection holds first; for Parquet, write beside other files.
    progress
        Is called with each step.

    Returns
    -------
    ExportResult
        Where the rows are, and which columns they have.

    Raises
    ------
    DatasetError
        The folder is no data set or is damaged, or the destination cannot be written.
    MissingPackageError
        The engine's package is not installed.
    """
    from clipsim.tasks.export_vectors import ExportRequest, run

    output = None if output is None else os.fspath(output)
    result = run(ExportRequest(os.fspath(folder), to, output, name, overwrite), check_progress(progress))
    issue_warnings(result.warnings)
    return result
