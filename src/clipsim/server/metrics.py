"""Requests, batches and the cache → counts in Prometheus' format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counts of one server."""

    def __init__(self, waiting: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "clipsim_requests",
            "Requests by route and status, refused ones too.",
            ["route", "status"],
            registry=self._registry,
        )
        self.seconds = Histogram(
            "clipsim_request_seconds",
            "Seconds from an accepted request to the end of its answer.",
            ["route"],
            registry=self._registry,
        )
        self.queue_seconds = Histogram(
            "clipsim_queue_seconds", "Seconds that work waits for the model.", buckets=SECONDS, registry=self._registry
        )
        self.model_seconds = Histogram(
            "clipsim_model_seconds", "Seconds of the model for a batch.", buckets=SECONDS, registry=self._registry
        )
        self.batches = Histogram(
            "clipsim_batch_images", "Images in a batch of the model.", buckets=BATCHES, registry=self._registry
        )
        self.cached = Counter("clipsim_cache_hits", "Images whose vector was cached.", registry=self._registry)
        self.computed = Counter("clipsim_cache_misses", "Images whose vector was not.", registry=self._registry)
        queue = Gauge("clipsim_queue_requests", "Requests that wait for the model.", registry=self._registry)
        queue.set_function(waiting)
        self.accepted = Gauge(
            "clipsim_accepted_requests", "Requests that count for --queue now.", registry=self._registry
        )
        self.dropped = Counter(
            "clipsim_log_lines_dropped", "Lines of the log that were not written.", registry=self._registry
        )

    def text(self) -> bytes:
        """All counts, as Prometheus reads them."""
        return generate_latest(self._registry)
