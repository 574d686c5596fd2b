"""Requests, batches and the cache → counts in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counts of one server."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "clipsim_requests", "Requests that were answered.", ["route", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "clipsim_request_seconds", "Seconds from a request to its answer.", ["route"], registry=self._registry
        )
        self.batches = Histogram(
            "clipsim_batch_images", "Images in a batch of the model.", buckets=BATCHES, registry=self._registry
        )
        self.cached = Counter("clipsim_cache_hits", "Images whose vector was cached.", registry=self._registry)
        self.computed = Counter("clipsim_cache_misses", "Images whose vector was not.", registry=self._registry)
        queue = Gauge("clipsim_queue_requests", "Requests that wait for the model.", registry=self._registry)
        queue.set_function(waiting)

    def text(self) -> bytes:
        """All counts, as Prometheus reads them."""
        return generate_latest(self._registry)
