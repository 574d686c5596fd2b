"""`clipsim models rm`: delete a model that was downloaded."""

from __future__ import annotations

from clipsim.cli import parameters as shared
from clipsim.cli.exit_status import exit_status
from clipsim.cli.output import print_message
from clipsim.errors import printable


def remove_command(name: shared.ModelName) -> None:
    """Delete a model's weights from the Hugging Face cache.

    Example: `clipsim models rm ViT-B-32/laion2b_s34b_b79k`
    """
    with exit_status():
        from clipsim.models.download import remove_downloads
        from clipsim.models.names import find_model

        spec = find_model(name)
        freed = remove_downloads(spec)
        print_message("note", f"removed {printable(spec.name)}, {freed / 1e6:,.0f} MB")
