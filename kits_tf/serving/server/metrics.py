"""Counters of a server, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# A window takes a second, a long scan minutes.
_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counters of one server.

    Attributes:
        requests: number of requests, by method and by the name of the status.
        seconds: seconds of computation, by signature.
        waiting: number of requests that hold a place in the queue, including the one that is computed.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter("kits_tf_requests", "Requests.", ["method", "status"], registry=self._registry)
        self.seconds = Histogram(
            "kits_tf_seconds", "Computation.", ["signature"], buckets=_BUCKETS_S, registry=self._registry
        )
        self.waiting = Gauge("kits_tf_waiting", "Requests that wait or are computed.", registry=self._registry)

    def text(self) -> bytes:
        """Returns all of them in Prometheus' format."""
        return generate_latest(self._registry)
