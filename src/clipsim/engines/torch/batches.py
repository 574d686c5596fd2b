"""Batches → float32 vectors on a device, in parts that fit into its memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clipsim.engines.choice import largest_mps_batch
from clipsim.engines.torch.devices import device_lost, is_gpu_failure, is_out_of_memory, release_memory
from clipsim.errors import DeviceError, DeviceLostError, Setting, first_line


class BatchSplitter:
    """Encodes the batches of one tower; once one has not fitted into memory, all are encoded in parts that do.

    `largest` is the size from which on batches are split; None where there is no such size yet. `on_notice` is told
    of each size that was too large.
    """

    def __init__(
        self, device: torch.device, dtype: torch.dtype, on_notice: Callable[[str], None], largest: int | None = None
    ) -> None:
        self._device, self._dtype, self._on_notice = device, dtype, on_notice
        self.largest = largest

    def encode(self, encode: Callable[[Tensor], Tensor], batch: Tensor) -> NDArray[np.float32]:
        """(n, …) inputs → what `encode` makes of them, float32 on the host.

        Raises DeviceError where a single input does not fit, and DeviceLostError where the GPU has failed.
        """
        parts: list[NDArray[np.float32]] = []
        start = 0
        while start < len(batch) or not parts:
            part = batch[start : start + (self.largest or len(batch))]
            try:
                with torch.inference_mode():
                    parts.append(encode(part).float().cpu().numpy())
            except RuntimeError as error:
                self.shrink(error, len(part))
            else:
                start += len(part)
                continue
            release_memory(self._device)  # outside the handler, which keeps the failed attempt's tensors alive
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def shrink(self, error: Exception, count: int) -> None:
        """Split batches into halves of `count` from now on, where the error of one of that size is too little memory.

        Raises DeviceError for a batch of one, DeviceLostError where the GPU has failed, and any other error as it is.
        """
        if is_gpu_failure(error):
            raise device_lost(error) from error
        if not is_out_of_memory(error):
            raise error
        if count == 1:
            smaller = (" or ", Setting("precision", "fp16")) if self._dtype == torch.float32 else ()
            raise DeviceError(
                f"the device has too little memory for this model ({first_line(error)})",
                hint=("try ", Setting("device", "cpu"), *smaller),
            ) from error
        self.largest = count // 2
        self._on_notice(
            f"too little memory on the device for a batch of {count}; it is encoded in parts of {self.largest}"
        )


def mend_rows(
    features: NDArray[np.float32],
    encode_exactly: Callable[[Tensor], NDArray[np.float32]],
    precision: str,
    on_notice: Callable[[str], None],
) -> NDArray[np.float32]:
    """Features of half precision, whose rows that are not finite are replaced by those of fp32.

    `encode_exactly` gets a mask of these rows. They stay as they are where it raises DeviceError: the device has no
    memory for the model in fp32. Raises DeviceLostError.
    """
    finite = np.isfinite(features).all(axis=1)
    if finite.all():
        return features
    try:
        features[~finite] = encode_exactly(torch.from_numpy(~finite))
    except DeviceLostError:
        raise
    except DeviceError:
        on_notice(f"vectors are not finite in {precision}, and there is too little memory to use fp32")
    else:
        on_notice(f"vectors that are not finite in {precision} are computed again in fp32")
    return features


def attention_limit(tower: nn.Module, device: torch.device) -> int | None:
    """The largest batch for which a tower's attention cannot abort the process on MPS; None on other devices."""
    if device.type != "mps":
        return None
    heads = [count for module in tower.modules() if isinstance(count := getattr(module, "num_heads", None), int)]
    tokens = [
        parameter.shape[-2]
        for name, parameter in tower.named_parameters()
        if name.endswith(("positional_embedding", "pos_embed", "position_embedding.weight")) and parameter.dim() > 1
    ]
    return largest_mps_batch(max(heads, default=0), max(tokens, default=0))
