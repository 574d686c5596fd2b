"""What the optimiser of matrices promises."""

from __future__ import annotations

import pytest
import torch

from training.muon import Muon, orthogonalise


@pytest.mark.parametrize("shape", [(8, 8), (6, 20), (20, 6)])
def test_all_directions_of_an_update_are_as_long(shape: tuple[int, int]) -> None:
    """Singular values end near 1, whatever they were, and singular vectors stay."""
    torch.manual_seed(0)
    matrix = torch.randn(shape) * torch.logspace(0, 1, shape[1])
    result = orthogonalise(matrix)
    values = torch.linalg.svdvals(result)
    assert values.min() > 0.3
    assert values.max() < 1.5
    assert (result * matrix).sum() > 0


def test_a_convolution_learns_what_it_should() -> None:
    """Its outputs come near those of another one."""
    torch.manual_seed(0)
    target, own = (torch.nn.Conv2d(4, 6, 3, bias=False) for _ in range(2))
    optimiser = Muon([{"params": list(own.parameters())}], lr=0.05)
    images = torch.randn(16, 4, 8, 8)
    wanted = target(images).detach()
    first = last = 0.0
    for step in range(150):
        for group in optimiser.param_groups:
            group["lr"] = 0.05 * (1 - step / 150)
        optimiser.zero_grad()
        loss = (own(images) - wanted).square().mean()
        loss.backward()
        optimiser.step()
        first, last = first or loss.item(), loss.item()
    assert last < 0.05 * first
