"""The live page in a real browser: over a real server with traffic, and over made-up facts that no server tells."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from pathlib import Path

import grpc
import pytest

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.types import AdapterState, Kernel, QueueDepth, Task
from tests.e2e.asking import ask
from tests.e2e.harness import Harness, served
from tests.e2e.zoo import Zoo, make_zoo
from tests.page.browsing import Browser, browsing
from tests.page.builders import Facts, adapter, forward, page, picture

EVIL = "<img src=x onerror='window.hacked=1'>"
STATIC = Path(__file__).parents[2] / "server/adaptermux_server/page/static"


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("profile")) as running:
        yield running


@asynccontextmanager
async def traffic(harness: Harness) -> AsyncIterator[None]:
    """Requests for two adapters in turn, of which one is computed by the bank and one takes traversals."""

    async def go_on() -> None:
        for name in cycle(("topic", "grade", "sentiment")):
            await ask(harness, name, Task.SEQUENCE_CLASSIFICATION, [0, 1])

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
            await task


@asynccontextmanager
async def shown(zoo: Zoo, address: str = "127.0.0.1:0") -> AsyncIterator[tuple[Harness, str]]:
    """A server with a page; gives the page's address too."""
    adapters = {name: str(zoo.residents[name].folder) for name in ("topic", "sentiment", "grade")}
    async with served(
        model=str(zoo.base),
        adapters=adapters,
        adapter_roots=(str(zoo.root),),
        metrics_address=address,
        live_page=True,
        num_threads=1,
    ) as harness:
        assert harness.server.metrics_address is not None
        yield harness, harness.server.metrics_address


async def test_it_shows_a_server_at_work(zoo: Zoo, browser: Browser) -> None:
    """All adapters, figures, and forwards that move; without a complaint of the browser or a request elsewhere."""

    def look(address: str) -> None:
        browser.open(f"http://{address}/")
        browser.until_text("connection", "live")
        browser.until(lambda: sorted(browser.adapters()) == ["grade", "sentiment", "topic"])
        browser.until(lambda: browser.figure("rows per second") > 0 and browser.figure("median of a row") > 0)
        browser.until_text("legend", "topic")
        first = browser.strip()
        assert browser.num_colours() > 5
        browser.until(lambda: browser.strip() != first)
        browser.driver.find_element("id", "pause").click()
        browser.until_text("pause", "Go on")
        browser.until(lambda: stands_still(browser))
        browser.driver.find_element("id", "pause").click()
        assert [] == browser.complaints()
        urls = browser.urls()
        assert f"http://{address}/api/events" in urls
        assert all(url.startswith(f"http://{address}/") for url in urls), urls

    browser.urls()
    async with shown(zoo) as (harness, address), traffic(harness):
        await asyncio.to_thread(look, address)


async def test_it_comes_back_when_the_server_does(zoo: Zoo, browser: Browser) -> None:
    def see_live(part: str) -> None:
        browser.until_text("connection", part)
        browser.until(lambda: browser.figure("rows per second") > 0)

    async with shown(zoo) as (harness, address), traffic(harness):
        await asyncio.to_thread(browser.open, f"http://{address}/")
        await asyncio.to_thread(see_live, "live")
    await asyncio.to_thread(browser.until_text, "connection", "no connection")
    async with shown(zoo, address) as (harness, _), traffic(harness):
        await asyncio.to_thread(see_live, "live; the server was started again")


async def test_what_an_operator_wrote_is_shown_as_text(zoo: Zoo, browser: Browser) -> None:
    def look(address: str) -> None:
        browser.open(f"http://{address}/")
        browser.until_text("adapters", EVIL)
        assert 0 == browser.driver.execute_script("return document.images.length")
        assert browser.driver.execute_script("return window.hacked") is None

    async with shown(zoo) as (harness, address):
        request = adapter_admin_pb2.LoadAdapterRequest(
            adapter_id="guest", uri=str(zoo.guest.folder), metadata={"note": EVIL}
        )
        await harness.admin.LoadAdapter(request)
        await asyncio.to_thread(look, address)


async def test_ids_are_shown_as_text_wherever_they_appear(browser: Browser) -> None:
    """No server takes such an id; the page doesn't rely on it."""
    facts = Facts([adapter(EVIL)], lambda: picture([QueueDepth(1, 2, 0.1)], {1: EVIL}))

    def look(url: str) -> None:
        browser.open(f"{url}/")
        browser.until_text("legend", EVIL)
        browser.until_text("adapters", EVIL)
        browser.driver.execute_script("document.getElementById('window').value = 10")
        strip = browser.driver.find_element("id", "strip")
        browser.driver.execute_script(
            "arguments[0].dispatchEvent(new PointerEvent('pointermove', {clientX: arguments[1], clientY: 200}))",
            strip,
            strip.rect["x"] + strip.rect["width"] - 10,
        )
        browser.until_text("readout", EVIL)
        assert 0 == browser.driver.execute_script("return document.images.length")
        assert browser.driver.execute_script("return window.hacked") is None

    async with page(facts) as url, forwards_for_ever(facts, [EVIL]):
        await asyncio.to_thread(look, url)


@pytest.mark.parametrize("num_adapters", [1, 500])
async def test_it_works_with_few_and_with_many_adapters(browser: Browser, num_adapters: int) -> None:
    adapters = [adapter(f"tenant-{i:03}", num_rows_answered=1000 - i) for i in range(num_adapters)]
    facts = Facts(adapters, lambda: picture([QueueDepth(1, 3, 0.2)], {1: "tenant-000"}))

    def look(url: str) -> None:
        browser.open(f"{url}/", "dark")
        browser.until(lambda: len(browser.adapters()) == min(200, num_adapters))
        browser.until(lambda: "tenant-000" == browser.adapters()[0])
        assert ("the busiest 200 are shown" in browser.text("adapters-note")) == (num_adapters > 200)
        browser.driver.find_element("id", "filter").send_keys("NT-000")
        browser.until(lambda: ["tenant-000"] == browser.adapters())
        assert [] == browser.complaints()

    browser.complaints()
    ids = [each.id for each in adapters]
    async with page(facts) as url, forwards_for_ever(facts, [ids[0], *ids[:12]]):
        await asyncio.to_thread(look, url)


async def test_columns_sort_by_a_click(browser: Browser) -> None:
    states = (AdapterState.READY, AdapterState.FAILED, AdapterState.LOADING)
    facts = Facts([adapter(f"a{i}", num_rows_answered=i, state=state) for i, state in enumerate(states)])

    def sorted_by(title: str) -> list[str]:
        browser.driver.find_element("xpath", f"//th/button[text()='{title}']").click()
        return browser.adapters()

    def look(url: str) -> None:
        browser.open(f"{url}/")
        browser.until(lambda: len(browser.adapters()) == 3)
        assert ["a2", "a1", "a0"] == sorted_by("Answered")
        assert ["a0", "a1", "a2"] == sorted_by("Answered")
        assert ["a1", "a2", "a0"] == sorted_by("State")

    async with page(facts) as url:
        await asyncio.to_thread(look, url)


async def test_a_traversal_is_marked(browser: Browser) -> None:
    """By a pattern in the colour of quiet text, over the whole height."""

    def num_marked(url: str) -> int:
        browser.open(f"{url}/")
        browser.until_text("legend", "a")
        script = """
          const canvas = document.getElementById("strip");
          const rows = canvas.getContext("2d").getImageData(0, 20, canvas.width, 40);
          return new Set(new Uint32Array(rows.data.buffer)).size;
        """
        return int(browser.driver.execute_script(script))

    async def marked(traversal_seconds: float) -> int:
        facts = Facts([adapter("a")])
        async with page(facts) as url, forwards_for_ever(facts, ["a"], traversal_seconds):
            return await asyncio.to_thread(num_marked, url)

    without, with_traversals = await marked(0.0), await marked(0.02)
    assert with_traversals > without


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(scheme: str) -> None:
    """WCAG 2.2, 1.4.3: a contrast of 4.5 or more."""
    rules = re.findall(r":root \{([^}]*)\}", (STATIC / "page.css").read_text("utf-8"))
    colours = dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6});", rules[0 if scheme == "light" else 1]))

    for name in ("ink", "quiet", "good", "warn", "bad"):
        for ground in ("ground", "panel"):
            lighter, darker = sorted((_luminance(colours[name]), _luminance(colours[ground])), reverse=True)
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (name, ground)


def stands_still(browser: Browser) -> bool:
    """Whether the strip doesn't move while time goes on."""
    still, before = browser.strip(), browser.chart()
    browser.until(lambda: browser.chart() != before)
    return still == browser.strip()


@asynccontextmanager
async def forwards_for_ever(facts: Facts, ids: list[str], traversal_seconds: float = 0.0) -> AsyncIterator[None]:
    """Forwards of a row for each of `ids`."""

    async def go_on() -> None:
        while True:
            made = forward(*ids)
            record = type(made)(
                made.rows, made.started_at, traversal_seconds, 0.03, Kernel.SWITCH, made.num_padded_tokens
            )
            facts.recorder.record(record)
            await asyncio.sleep(0.1)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
