"""What routers read, read as the endpoint picker of the Gateway API inference extension does.

It takes the text format, finds a family by name, takes its series with the latest time stamp, and of its labels splits
the lists at commas and trims them, and reads `max_lora` by strconv.Atoi.
"""

import re
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from adaptermux_server.metrics import GatewayCollector, GatewayFigures
from adaptermux_server.types import QueueDepth, RowCounts
from tests.transport.builders import scheduler_status


@dataclass(frozen=True)
class Picked:
    """What the picker knows of a server."""

    active: frozenset[str]
    waiting: frozenset[str]
    max_active: int


class Router:
    """A server as a picker sees it."""

    def __init__(self, figures: GatewayFigures) -> None:
        self.figures, self.now = figures, 1_700_000_000.0
        self.status = scheduler_status()
        self.registry = CollectorRegistry()
        self.registry.register(GatewayCollector(lambda: self.status, lambda: self.figures, lambda: self.now))

    def gauge(self, name: str) -> float:
        (sample,) = self._samples(name)
        return float(sample.value)

    def picked(self) -> Picked:
        (sample,) = self._samples("vllm:lora_requests_info")
        lists = [
            frozenset(name.strip() for name in sample.labels[label].split(",") if name.strip())
            for label in ("running_lora_adapters", "waiting_lora_adapters")
        ]
        assert re.fullmatch(r"[+-]?\d+", sample.labels["max_lora"])
        return Picked(*lists, int(sample.labels["max_lora"]))

    def _samples(self, name: str):  # type: ignore[no-untyped-def]
        text = generate_latest(self.registry).decode()
        (family,) = [each for each in text_string_to_metric_families(text) if each.name == name]
        assert family.type == "gauge"
        return family.samples


def test_a_picker_reads_where_adapters_are_and_how_many_have_room() -> None:
    router = Router(GatewayFigures(running=["b", "a.1"], waiting=["c", "d"], max_adapters=4))

    assert Picked(frozenset({"a.1", "b"}), frozenset({"c", "d"}), 4) == router.picked()
    assert 1_700_000_000.0 == router.gauge("vllm:lora_requests_info")


def test_a_server_without_adapters_and_without_a_limit_has_room() -> None:
    picked = Router(GatewayFigures((), (), None)).picked()

    assert (frozenset(), frozenset()) == (picked.active, picked.waiting)
    assert picked.max_active > 1_000_000


def test_lists_of_earlier_scrapes_do_not_stay() -> None:
    router = Router(GatewayFigures(["a"], (), 4))
    router.picked()

    for index in range(20):
        router.figures = GatewayFigures([f"adapter-{index}"], (), 4)
        assert frozenset({f"adapter-{index}"}) == router.picked().active


def test_the_same_adapters_make_the_same_series() -> None:
    """Else every scrape would make a new one where they are stored."""
    router = Router(GatewayFigures(["a", "b"], ["d", "c"], 4))
    before = generate_latest(router.registry)

    router.figures = GatewayFigures(["b", "a"], ["c", "d"], 4)

    assert before == generate_latest(router.registry)


def test_rows_are_waiting_or_being_computed() -> None:
    router = Router(GatewayFigures((), (), None))
    queues = (QueueDepth(1, 5, 0.1), QueueDepth(2, 2, 0.1))
    rows = RowCounts(accepted=20, answered=6, failed=1, cancelled=1, expired=1, rejected=9)
    router.status = scheduler_status(queues=queues, rows=rows)

    assert 7 == router.gauge("vllm:num_requests_waiting")
    assert 4 == router.gauge("vllm:num_requests_running")
