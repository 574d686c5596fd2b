"""Gradients of matrices → updates that turn all of their directions by the same amount: the optimiser Muon.

Keller Jordan and others, "Muon: an optimizer for hidden layers in neural networks", 2024; the five steps of
Newton and Schulz and their coefficients are from there. PyTorch's own takes no convolutions.
"""

from __future__ import annotations

from typing import Any

import torch

_STEPS = 5
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrix: torch.Tensor) -> torch.Tensor:
    """Return a matrix (m, n) of the same singular vectors whose singular values are all near 1."""
    a, b, c = _COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / (x.norm() + 1e-7)
    for _ in range(_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: torch.Tensor = (x.T if tall else x).float()
    return result


class Muon(torch.optim.Optimizer):
    """Nesterov's momentum, orthogonalised; a convolution is the matrix of its output channels by all else.

    Where several processes train, each computes the updates of a part of the matrices and sends them to the others.
    """

    def __init__(
        self, params: list[dict[str, Any]], lr: float, momentum: float = 0.9, weight_decay: float = 0.02
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

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
                    update = orthogonalise(ahead.reshape(len(ahead), -1)).reshape(matrix.shape).contiguous()
                updates.append(update.contiguous())
            if shared:
                for number, update in enumerate(updates):
                    torch.distributed.broadcast(update, number % processes)
            for matrix, update in zip(group["params"], updates, strict=True):
                rows, columns = len(matrix), matrix[0].numel()
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
