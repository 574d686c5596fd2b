"""A model's tower → the same tower on a CPU, its linear layers multiplied by oneDNN with weights packed once.

PyTorch's own `linear` multiplies fp32 matrices by MKL, which is slow on some processors; oneDNN, which PyTorch carries,
is faster there, and faster again with weights in its own layout.
"""

from __future__ import annotations

import ctypes
import mmap
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, scaled_dot_product_attention

from clipsim.engines.torch.trials import FAILURES, Trials, multiply, pack_weight

# Rows (tokens of all inputs) that a layer must multiply for packing to pay: packing and its check take as long as the
# packed layers save in about 300 rows, the first trial of a machine included in about 500 (ViT-B-32, two cores).
ROWS_WORTH_PACKING = 512
MIN_BATCH_TO_LOOK_AHEAD = 4  # inputs; a smaller batch is not split to learn what its tower does
# How long the difference of the unit vectors of a packed and a plain tower may be.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.01}


@dataclass(frozen=True)
class Activation:
    """A function that oneDNN applies to what it multiplied: of `scale` times that, and then divided by it."""

    name: str = "none"
    form: str = ""
    scale: float = 1.0


# By the full names of modules: timm may not be imported. swish(x) is x sigmoid(x), QuickGELU(x) x sigmoid(1.702 x).
_ACTIVATIONS = {
    "timm.layers.activations.GELU": Activation("gelu", "none"),
    "timm.layers.activations.GELUTanh": Activation("gelu", "tanh"),
    "timm.layers.activations.QuickGELU": Activation("swish", scale=1.702),
    "open_clip.transformer.QuickGELU": Activation("swish", scale=1.702),
}


def find_activation(layer: nn.Module) -> Activation | None:
    """What oneDNN can apply in the place of a module; None where it has no such function."""
    if type(layer) is nn.GELU:
        return Activation("gelu", layer.approximate)
    return _ACTIVATIONS.get(f"{type(layer).__module__}.{type(layer).__qualname__}")


class PackedLinear(nn.Linear):
    """A linear layer whose `weight` is packed, with the activation behind it where there is one.

    Weight and bias are multiplied by the activation's scale. OpenCLIP asks whether a projection is an `nn.Linear`, and
    reads the dtype of weights.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation = Activation()) -> None:
        nn.Module.__init__(self)
        self.__dict__["weight"] = weight  # not a parameter: a packed matrix can be neither cast nor saved
        self.bias = bias  # type: ignore[assignment]
        self.out_features, self.in_features = weight.shape
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        """(…, in_features) → (…, out_features)."""
        output = multiply(input, self.weight, self.bias, self.activation.name, self.activation.form)
        return output if self.activation.scale == 1 else output.mul_(1 / self.activation.scale)


class PackedAttention(nn.Module):
    """The function of an `nn.MultiheadAttention` that attends to its own input; the weights are packed."""

    def __init__(self, attention: nn.MultiheadAttention, into: Tensor, out: Tensor) -> None:
        super().__init__()
        self.into = PackedLinear(into, attention.in_proj_bias)
        self.out = PackedLinear(out, attention.out_proj.bias)
        self.num_heads, self.batch_first = attention.num_heads, attention.batch_first

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, *, need_weights: bool, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """The attended values, and no weights. The three inputs are one tensor."""
        if not (query is key is value) or need_weights:
            raise RuntimeError("packed attention is self-attention, without its weights")
        x = query if self.batch_first else query.transpose(0, 1)
        batch, length = x.shape[:2]
        q, k, v = self.into(x).view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind()
        if attn_mask is not None and attn_mask.dim() == 3:  # a mask for each input and head
            attn_mask = attn_mask.view(batch, self.num_heads, length, length)
        mixed: Tensor = self.out(scaled_dot_product_attention(q, k, v, attn_mask).transpose(1, 2).flatten(2))
        return (mixed if self.batch_first else mixed.transpose(0, 1)), None


@dataclass
class Use:
    """How a layer was called: how often, with how many rows in all, and whether each call allows it to be packed."""

    calls: int = 0
    rows: int = 0
    usual: bool = True


@dataclass
class Observation:
    """What the plain layers of a tower were seen to do.

    `elements` counts the numbers of the inputs that the tower has encoded; `uses` has its layers, and `followers` the
    activations that took the very tensor that a linear layer had returned.
    """

    elements: int = 0
    uses: dict[nn.Module, Use] = field(default_factory=dict)
    followers: dict[nn.Module, nn.Linear] = field(default_factory=dict)

    @contextmanager
    def watch(self, modules: Iterable[nn.Module]) -> Iterator[None]:
        """Count the calls of those layers that are among the modules meanwhile."""
        returned: tuple[nn.Linear | None, Callable[[], Tensor | None]] = (None, lambda: None)

        def use(layer: nn.Module, x: Tensor, usual: bool = True) -> None:
            seen = self.uses.setdefault(layer, Use())
            seen.calls += 1
            seen.rows += x.numel() // x.shape[-1]
            seen.usual = seen.usual and usual

        def after_linear(layer: nn.Linear, _: tuple[Any, ...], output: Tensor) -> None:
            nonlocal returned
            use(layer, output)
            returned = (layer, weakref.ref(output))

        def before_activation(layer: nn.Module, args: tuple[Any, ...]) -> None:
            source, output = returned
            first = self.followers.setdefault(layer, source) if source is not None else None
            use(layer, args[0], args[0] is output() and first is source)

        def before_attention(layer: nn.MultiheadAttention, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            mask = kwargs.get("attn_mask")
            usual = (
                len(args) == 3
                and args[0] is args[1] is args[2]
                and args[0].dim() == 3
                and kwargs.get("need_weights") is False
                and kwargs.keys() <= {"need_weights", "attn_mask"}
                and (mask is None or mask.is_floating_point())
            )
            use(layer, args[0] if args else kwargs["query"], usual)

        handles = []
        for layer in modules:
            if type(layer) is nn.Linear:
                handles.append(layer.register_forward_hook(after_linear))
            elif type(layer) is nn.MultiheadAttention:
                handles.append(layer.register_forward_pre_hook(before_attention, with_kwargs=True))
            elif find_activation(layer) is not None:
                handles.append(layer.register_forward_pre_hook(before_activation))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def follower(self, layer: nn.Module) -> nn.Module | None:
        """The activation that every result of this linear layer went into, and nothing else."""
        for activation, source in self.followers.items():
            use = self.uses[activation]
            if source is layer and use.usual and use.calls == self.uses[layer].calls:
                return activation
        return None


def matrices_of(layer: nn.Module) -> list[tuple[nn.Module, str]]:
    """The matrices of a layer that can be packed, each as its owner and attribute; none where they cannot."""
    if type(layer) is nn.Linear:
        return [(layer, "weight")]
    if type(layer) is nn.MultiheadAttention:
        plain = layer.in_proj_weight is not None and layer.bias_k is None and not layer.add_zero_attn
        return [(layer, "in_proj_weight"), (layer.out_proj, "weight")] if plain else []
    return []


class MappedFiles:
    """Where files are mapped into the memory of this process; nowhere on systems other than Linux.

    A mapped checkpoint takes memory as a whole until all its tensors are gone. Pages of it that nothing reads any more
    can be dropped from the process before; where they are read after all, the system maps the file's content again.
    """

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []
        with suppress(OSError, ValueError):
            for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
                bounds, *_, name = line.split(maxsplit=5)
                if name.startswith("/"):
                    start, end = bounds.split("-")
                    self._ranges.append((int(start, 16), int(end, 16)))

    def release(self, tensor: Tensor) -> None:
        """Drop the whole pages of a tensor, if they are a file's. It may not have been changed since it was mapped."""
        start, end = tensor.data_ptr(), tensor.data_ptr() + tensor.numel() * tensor.element_size()
        first, last = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first and any(low <= start and end <= high for low, high in self._ranges):
            advise = ctypes.CDLL(None).madvise
            advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
            advise(first, last - first, mmap.MADV_DONTNEED)


class Packing:
    """The layers of a model that are replaced by packed ones, and how to put them back."""

    def __init__(self, model: nn.Module) -> None:
        self._parents: dict[nn.Module, list[tuple[nn.Module, str]]] = {}
        for parent in model.modules():
            for name, child in parent._modules.items():
                if child is not None:
                    self._parents.setdefault(child, []).append((parent, name))
        self._plain: list[nn.Module] = []
        self._matrices: list[tuple[nn.Module, str, Tensor, float]] = []  # packed, and what they were multiplied by
        self._files = MappedFiles()

    def pack(self, layer: nn.Module, rows: int, follower: nn.Module | None = None) -> None:
        """Replace a layer, and the activation behind it. Its plain matrices are released."""
        owned = matrices_of(layer)
        plain: list[Tensor] = [getattr(owner, name) for owner, name in owned]
        activation = (find_activation(follower) if follower is not None else None) or Activation()
        if activation.scale != 1 and plain[0].dtype != torch.float32:  # scaled weights would be rounded too far
            follower, activation = None, Activation()
        scale = activation.scale
        packed = [pack_weight(matrix if scale == 1 else matrix * scale, rows) for matrix in plain]
        if isinstance(layer, nn.MultiheadAttention):
            self._replace(layer, PackedAttention(layer, *packed))
        elif isinstance(layer, nn.Linear):
            bias = layer.bias if scale == 1 or layer.bias is None else layer.bias * scale
            self._replace(layer, PackedLinear(packed[0], bias, activation))
        if follower is not None:
            self._replace(follower, nn.Identity())
        for (owner, name), matrix in zip(owned, packed, strict=True):
            self._matrices.append((owner, name, matrix, scale))
            setattr(owner, name, None)
        for matrix in plain:
            self._files.release(matrix)

    def undo(self) -> None:
        """Put the plain layers back, with the very numbers that they had; scaled ones may differ in the last digit."""
        for owner, name, matrix, scale in self._matrices:
            plain = matrix.to_dense() if scale == 1 else matrix.to_dense() / scale
            setattr(owner, name, nn.Parameter(plain, requires_grad=False))
        for layer in self._plain:
            self._replace(layer, layer)
        self._matrices, self._plain = [], []

    def _replace(self, plain: nn.Module, new: nn.Module) -> None:
        if new is not plain:
            self._plain.append(plain)
        for parent, name in self._parents[plain]:
            setattr(parent, name, new)


class PackableTower:
    """Encodes with a tower of a model, whose layers are packed once that pays; threads may share it.

    `encode` runs the tower on a CPU. Its plain layers are watched until they have multiplied enough. Then they encode a
    first input, which the packed layers must reproduce; where they do not, the plain ones are put back for good.
    Its modules are those of the model, unless they are given: other threads may run the others meanwhile.
    """

    def __init__(
        self, model: nn.Module, encode: Callable[[Tensor], Tensor], modules: Collection[nn.Module] | None = None
    ) -> None:
        self._model, self._encode = model, encode
        self._modules = list(model.modules()) if modules is None else modules
        self._settled = not torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        self._observation = Observation()
        self._packing: Packing | None = None
        self._lock = threading.Lock()  # of the model's layers, until it is settled which they are

    def __call__(self, batch: Tensor) -> Tensor:
        """(n, …) inputs → (n, embed_dim) features."""
        if not self._settled:
            with self._lock:
                if not self._settled:
                    return self._encode_unsettled(batch)
        return self._encode(batch)

    def keep_plain(self) -> None:
        """Put the plain layers back, for good: for code that reads them."""
        with self._lock:
            self._settled = True
            if self._packing is not None:
                self._packing.undo()

    def _encode_unsettled(self, batch: Tensor) -> Tensor:
        seen = self._observation
        # a batch of a few is not split to learn what the tower does
        if not (self._pays(batch) if seen.elements else len(batch) >= MIN_BATCH_TO_LOOK_AHEAD):
            return self._watched(batch)
        first = self._watched(batch[:1])
        if self._pays(batch):
            features = self._pack(batch, first)
            self._settled = True
            if features is not None:
                return features
        return torch.cat([first, self._watched(batch[1:])]) if len(batch) > 1 else first

    def _pack(self, batch: Tensor, first: Tensor) -> Tensor | None:
        """Pack the layers and encode; None, with plain layers, where that gains nothing or gives another vector."""
        seen, trials = self._observation, Trials()
        layers = [layer for layer, use in seen.uses.items() if use.usual and is_faster(layer, trials)]
        trials.save()
        if not layers:
            return None
        self._packing, correct = Packing(self._model), False
        try:
            for layer in layers:
                rows = round(seen.uses[layer].rows * batch.numel() / seen.elements)
                self._packing.pack(layer, rows, seen.follower(layer))
            features = self._encode(batch)
            correct = _distance(features[:1], first) <= TOLERANCES[first.dtype]
        except FAILURES:
            return None
        finally:
            if not correct:
                self._packing.undo()
        return features if correct else None

    def _watched(self, batch: Tensor) -> Tensor:
        with self._observation.watch(self._modules):
            features = self._encode(batch)
        self._observation.elements += batch.numel()
        return features

    def _pays(self, batch: Tensor) -> bool:
        """Whether the tower has multiplied enough, this batch included, for packing to pay."""
        seen = self._observation
        layers = {layer: sum(getattr(*matrix).numel() for matrix in matrices_of(layer)) for layer in seen.uses}
        multiplied = sum(seen.uses[layer].rows * size for layer, size in layers.items())
        expected = multiplied * (1 + batch.numel() / seen.elements)
        return bool(expected >= ROWS_WORTH_PACKING * sum(layers.values()))


def is_faster(layer: nn.Module, trials: Trials) -> bool:
    """Whether oneDNN multiplies all matrices of the layer faster."""
    matrices: list[Tensor] = [getattr(*matrix) for matrix in matrices_of(layer)]
    return bool(matrices) and all(trials.is_faster((*matrix.shape,), matrix.dtype) for matrix in matrices)


def _distance(features: Tensor, expected: Tensor) -> float:
    """The length of the difference of two (1, d) features, both scaled to length 1."""
    return float((normalize(features.float()) - normalize(expected.float())).norm())
