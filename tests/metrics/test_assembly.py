"""All metrics together: in one scrape, in the page, and of the process."""

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.metrics.builders import instruments, scraped, value


def test_a_scrape_has_a_help_text_and_a_type_for_every_metric() -> None:
    text = generate_latest(instruments().registry).decode()

    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type != "unknown", family.name


@pytest.mark.parametrize("is_stalled", [True, False])
def test_a_stalled_engine_is_told(is_stalled: bool) -> None:
    registry = instruments(is_stalled=lambda: is_stalled).registry

    assert float(is_stalled) == value(registry, "adaptermux_engine_stalled")


def test_texts_that_wait_are_told() -> None:
    registry = instruments(num_text_characters=lambda: 1234).registry

    assert 1234 == value(registry, "adaptermux_text_characters")


def test_what_nobody_watches_is_not_called_well() -> None:
    registry = instruments().registry

    assert value(registry, "adaptermux_engine_stalled") is None
    assert value(registry, "adaptermux_text_characters") is None


@pytest.mark.parametrize(
    "name",
    ["process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total", "process_start_time_seconds"],
)
def test_the_process_is_measured(name: str) -> None:
    found = value(instruments().registry, name)

    assert found is not None
    assert found > 0


def test_registries_do_not_share_anything() -> None:
    first, second = instruments(), instruments()

    first.rpcs.observe("Classify", "OK", 0.1)

    key = "adaptermux_rpcs_total", frozenset({("rpc", "Classify"), ("code", "OK")})
    assert 1 == scraped(first.registry)[key]
    assert key not in scraped(second.registry)
