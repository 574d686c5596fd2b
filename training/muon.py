"""Gradients of matrices → updates that turn all of their directions by the same amount: the optimiser Muon.

Keller Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024; the five steps of
Newton and Schulz and their coefficients are from there. PyTorch's own takes no convolutions.
"""

from __future__ import annotations

from typing import Any

import torch

_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: torch.Tensor) -> torch.Tensor:
    """Return matrices (…, m, n) of the same singular vectors whose singular values are all near 1."""
    a, b, c = _COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).bfloat16()
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = (x.mT if tall else x).float()
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, orthogonalised; a convolution is the matrix of its output channels by all else.

    A group of parameters with "heads" is orthogonalised by head, which for large matrices is much faster. Where
    several processes train, each computes the updates of a part of the matrices and sends them to the others.
    """

    def __init__(
        self, params: list[dict[str, Any]], lr: float, momentum: float = 0.9, weight_decay: float = 0.02
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "heads": 1})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Update all matrices once."""
        shared = torch.distributed.is_initialized()
        rank, processes = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if shared else (0, 1)
        for group in self.param_groups:
            updates = []
            for number, matrix in enumerate(group["params"]):
                update = torch.empty_like(matrix)
                buffer = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                buffer.mul_(group["momentum"]).add_(matrix.grad)
                if number % processes == rank:
                    ahead = matrix.grad + group["momentum"] * buffer
                    blocks = ahead.reshape(group["heads"], len(ahead) // group["heads"], -1)
                    update = orthogonalise(blocks).reshape(matrix.shape)
                updates.append(update.contiguous())
            if shared:
                for number, update in enumerate(updates):
                    torch.distributed.broadcast(update, number % processes)
            for matrix, update in zip(group["params"], updates, strict=True):
                rows, columns = len(matrix) // group["heads"], matrix[0].numel()
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
