"""Fixtures: one export that all tests read, and copies of it to change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from exports import ExportedModel


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> ExportedModel:
    """A ViT with its fp32 export; not to be changed."""
    from exports import ExportedModel  # torch, which `make test-quick` leaves out

    return ExportedModel.of_family(tmp_path_factory.mktemp("exported"), "vit")


@pytest.fixture
def copied(exported: ExportedModel, cache_folder: Path) -> ExportedModel:
    """The same model with an export to change, in the cache folder that a run uses."""
    return exported.copied_to(cache_folder / "exports")
