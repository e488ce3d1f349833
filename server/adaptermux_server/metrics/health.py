"""Whether the server keeps up: the engine moves, and texts don't pile up before it."""

from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class HealthCollector(Collector):
    """Asks at each scrape those that can be asked; of the others nothing is told."""

    def __init__(
        self, is_stalled: Callable[[], bool] | None = None, num_text_characters: Callable[[], int] | None = None
    ) -> None:
        """`is_stalled`: whether the engine's command takes too long; `num_text_characters`: that wait for the pool."""
        self._is_stalled, self._num_text_characters = is_stalled, num_text_characters

    def collect(self) -> Iterator[Metric]:
        """Yield the figures of this moment."""
        yield _gauge(
            "adaptermux_engine_stalled", "1 while the engine's present command takes too long, else 0", self._is_stalled
        )
        yield _gauge(
            "adaptermux_text_characters",
            "Characters of texts that are being tokenised, or wait for it",
            self._num_text_characters,
        )


def _gauge(name: str, text: str, read: Callable[[], float] | None) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=[])
    if read is not None:
        gauge.add_metric([], float(read()))
    return gauge
