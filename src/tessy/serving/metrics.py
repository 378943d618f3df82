"""`/metrics`, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tessy.runs.counters import Counters
from tessy.serving.admission import Admission

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_FINISHED = "finished"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000)


class ServerMetrics:
    """What a server counts.

    Args:
        counters: Counts of samples, tokens and calls, which everything that writes updates.
        admission: Knows who waits.
        waiting: Samples that were begun and wait until more may run (`tessy.synthesis.gate`).
    """

    def __init__(
        self, counters: Counters, admission: Admission, waiting: Callable[[], int]
    ) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "tessy_requests",
            "Requests that have ended, by address and status (499: the client left).",
            ["endpoint", "status"],
            registry=self._registry,
        )
        self._first = Histogram(
            "tessy_time_to_first_token_seconds",
            "From the arrival of a streamed request to its first text.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._whole = Histogram(
            "tessy_request_seconds",
            "From the arrival of a request to its end.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._hand_overs = Counter(
            "tessy_hand_overs",
            "Hand-overs between the models, in responses that have ended.",
            registry=self._registry,
        )
        self._registry.register(_Running(counters, admission, waiting))

    def ended(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that has ended.

        Args:
            endpoint: The address.
            status: The status that it got, or would have got before its stream began.
            seconds: From its arrival to its end.
        """
        self._requests.labels(endpoint, str(status)).inc()
        self._whole.labels(endpoint).observe(seconds)

    def first_text(self, seconds: float) -> None:
        """Record how long a stream took until its first text."""
        self._first.observe(seconds)

    def handed_over(self, times: int) -> None:
        """Count the hand-overs of a response."""
        self._hand_overs.inc(times)

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        return generate_latest(self._registry)


class _Running(Collector):
    """What is counted elsewhere, read when it is asked for."""

    def __init__(
        self, counters: Counters, admission: Admission, waiting: Callable[[], int]
    ) -> None:
        self._counters, self._admission, self._waiting = counters, admission, waiting

    def collect(self) -> Iterator[Metric]:
        """See `Collector`."""
        counters, admission = self._counters, self._admission
        ends = {failure.value: count for failure, count in counters.failed.items()}
        ends |= {_FINISHED: counters.finished}
        yield _counter("samples", "Samples that have ended, by how.", "end", ends.items())
        by_role = {role.value: count for role, count in counters.generated.items()}
        yield _counter("generated_tokens", "Tokens generated.", "role", by_role.items())
        by_role = {role.value: count for role, count in counters.discarded.items()}
        yield _counter("discarded_tokens", "Tokens rolled back.", "role", by_role.items())
        calls = CounterMetricFamily("tessy_calls", "Calls to the models.")
        calls.add_metric([], counters.requests)
        yield calls
        yield _gauge("running", "Samples being written.", admission.running)
        waiting = admission.waiting + self._waiting()
        yield _gauge("queue", "Samples that wait to be written.", waiting)


def _counter(name: str, says: str, label: str, counts: Iterable[tuple[str, int]]) -> Metric:
    made = CounterMetricFamily(f"tessy_{name}", says, labels=[label])
    for value, count in counts:
        made.add_metric([value], count)
    return made


def _gauge(name: str, says: str, value: int) -> Metric:
    return GaugeMetricFamily(f"tessy_{name}", says, value=value)
