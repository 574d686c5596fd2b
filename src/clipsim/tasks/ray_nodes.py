"""The machines of a Ray cluster → the encoders of each: how many there are, and what is reserved for one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CPUS_PER_ENCODER = 8  # more hardly make a model faster


@dataclass(frozen=True)
class Node:
    """A machine of the cluster, with the cores and GPUs that it offers to Ray."""

    id: str
    name: str
    cpus: int
    gpus: int = 0

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Node:
        """A node from what `ray.nodes()` says of it."""
        resources = record.get("Resources", {})
        host, address = record.get("NodeManagerHostname") or "", record.get("NodeManagerAddress") or ""
        name = f"{host} ({address})" if host and address and host != address else host or address or record["NodeID"]
        return cls(record["NodeID"], name, int(resources.get("CPU", 0)), int(resources.get("GPU", 0)))


@dataclass(frozen=True)
class Share:
    """What an encoder has of its node: cores and GPUs that Ray reserves, and the threads that decode for it."""

    cpus: int
    gpus: float
    threads: int


@dataclass(frozen=True)
class Demand:
    """The encoders that a run asks for, None where there is no limit, and the device that they compute on."""

    device: str = "auto"
    minimum: int = 0
    maximum: int | None = None
    cpus_per_worker: int | None = None

    def on_gpus(self, node: Node) -> bool:
        """Whether the encoders of a node compute on its GPUs."""
        return node.gpus > 0 and self.device.partition(":")[0] in ("auto", "cuda")

    def count(self, node: Node) -> int:
        """How many encoders a node has where nothing else is asked for: one a GPU, else one for about eight cores."""
        per_encoder = min(self.cpus_per_worker or 0, node.cpus)
        if self.on_gpus(node):
            return min(node.gpus, node.cpus // per_encoder) if per_encoder else node.gpus
        if node.cpus == 0 or self.device.partition(":")[0] == "cuda":
            return 0
        return node.cpus // per_encoder if per_encoder else max(1, round(node.cpus / CPUS_PER_ENCODER))

    def has_room(self, node: Node, encoders: int) -> bool:
        """Whether the cores or GPUs of a node can be divided among so many."""
        if self.count(node) == 0:
            return False
        per_encoder = min(self.cpus_per_worker or 0, node.cpus)
        if self.on_gpus(node):
            return encoders * per_encoder <= node.cpus
        return encoders * (per_encoder or 1) <= node.cpus

    def share(self, node: Node, encoders: int) -> Share:
        """What each of so many encoders of a node has of it.

        Encoders on GPUs have the cores of their node for decoding, which Ray is not asked to reserve unless
        `cpus_per_worker` says how many.

        >>> Demand().share(Node("a", "a", 16, 2), 2), Demand().share(Node("a", "a", 16), 2)
        (Share(cpus=0, gpus=1, threads=8), Share(cpus=8, gpus=0, threads=8))
        >>> Demand("cuda").share(Node("a", "a", 16, 1), 3)
        Share(cpus=0, gpus=0.3333, threads=5)
        """
        cpus = min(self.cpus_per_worker or node.cpus // encoders, node.cpus)
        threads = max(1, cpus)
        if not self.on_gpus(node):
            return Share(threads, 0, threads)
        on_one = -(-encoders // node.gpus)  # encoders that share a GPU: none can have parts of two
        gpus = 1 if on_one == 1 else math.floor(10_000 / on_one) / 10_000  # Ray counts ten-thousandths
        return Share(cpus if self.cpus_per_worker else 0, gpus, threads)


def divide(nodes: Sequence[Node], demand: Demand) -> list[tuple[Node, Share]]:
    """The encoders of each node, every node judged by itself.

    Where fewer encoders than `minimum` come out, cores and GPUs are divided further, as far as there are cores; where
    more than `maximum`, nodes without a GPU and with the fewest cores for an encoder have fewer.

    >>> small, large = Node("a", "a", 2), Node("b", "b", 64)
    >>> [(node.name, share.cpus) for node, share in divide([small, large], Demand(maximum=3))]
    [('b', 21), ('b', 21), ('b', 21)]
    >>> [(node.name, share.cpus) for node, share in divide([small, large], Demand())][:3]
    [('a', 2), ('b', 8), ('b', 8)]
    >>> gpu = Node("c", "c", 8, 1)
    >>> [(node.name, share.gpus) for node, share in divide([small, gpu], Demand())]
    [('a', 0), ('c', 1)]
    """
    counts = [demand.count(node) for node in nodes]

    def cores(index: int, encoders: int) -> float:
        return nodes[index].cpus / encoders

    while sum(counts) > (math.inf if demand.maximum is None else demand.maximum):
        used = [index for index, count in enumerate(counts) if count]
        counts[min(used, key=lambda index: (demand.on_gpus(nodes[index]), cores(index, counts[index])))] -= 1
    while sum(counts) < demand.minimum:
        wider = [index for index, count in enumerate(counts) if demand.has_room(nodes[index], count + 1)]
        if not wider:
            break
        counts[max(wider, key=lambda index: cores(index, counts[index] + 1))] += 1
    return [(node, demand.share(node, count)) for node, count in zip(nodes, counts, strict=True) for _ in range(count)]
