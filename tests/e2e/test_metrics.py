"""Scrapes of a real server: what it tells is what docs/metrics.md lists, and what a router would read."""

import asyncio
import re
import socket
import urllib.request
from pathlib import Path

import pytest

from adaptermux_server.types import Task
from tests.e2e.asking import ask
from tests.e2e.harness import Harness, served
from tests.e2e.zoo import Zoo

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def free_address() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


async def scrape(address: str) -> str:
    def get() -> str:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as response:
            return str(response.read().decode())

    return await asyncio.to_thread(get)


def sample(text: str, name: str) -> float:
    (value,) = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(value)


@pytest.mark.timeout(120)
async def test_a_scrape_tells_what_the_page_lists_and_what_was_asked_for(zoo: Zoo) -> None:
    address = free_address()
    adapters = {name: str(zoo.residents[name].folder) for name in ("topic", "grade")}
    async with served(
        model=str(zoo.base), adapters=adapters, metrics_address=address, max_device_adapters=4, num_threads=1
    ) as harness:
        await classify(harness)
        text = await scrape(address)

    told = set(re.findall(r"^# TYPE ((?:adaptermux_|vllm:)\S+)", text, re.M))
    listed = set(re.findall(r"^\| `((?:adaptermux_|vllm:)\w+)` \|", PAGE.read_text("utf-8"), re.M))
    assert listed == {name for name in told if not name.endswith("_created")}
    # One forward by the bank, one by the switch executor.
    assert 1 == sample(text, 'adaptermux_forward_seconds_count{executor="bank"}')
    assert 1 == sample(text, 'adaptermux_forward_seconds_count{executor="switch"}')
    assert 5 == sample(text, "adaptermux_row_queue_seconds_count")
    assert 3 == sample(text, 'adaptermux_adapter_rows_total{adapter="topic"}')
    assert 2 == sample(text, 'adaptermux_adapter_rows_total{adapter="grade"}')
    assert 0 < sample(text, "adaptermux_tokens_total") <= sample(text, "adaptermux_padded_tokens_total")
    lists = 'max_lora="4",running_lora_adapters="grade,topic",waiting_lora_adapters=""'
    assert sample(text, f"vllm:lora_requests_info{{{lists}}}") > 1.7e9
    assert 0 == sample(text, "vllm:num_requests_running")
    assert sample(text, "process_resident_memory_bytes") > 1e7


async def classify(harness: Harness) -> None:
    await ask(harness, "topic", Task.SEQUENCE_CLASSIFICATION, [0, 0, 0])
    await ask(harness, "grade", Task.SEQUENCE_CLASSIFICATION, [1, 1])
