"""Where a load reads: a source is left again, also if nobody waits for it any more."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from adaptermux_server.adapters.catalog import Catalog
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.origin import Origin
from adaptermux_server.adapters.sources import Sources
from adaptermux_server.errors import SourceInvalidError

OPTIONS = LoadOptions("x", "/a")


class SlowSources:
    """Sources that fetch for as long as a test wants."""

    def __init__(self, error: Exception | None = None) -> None:
        self.entered, self.go_on, self.left = threading.Event(), threading.Event(), threading.Event()
        self._error = error

    @contextmanager
    def open(self, uri: str) -> Iterator[Path]:
        self.entered.set()
        assert self.go_on.wait(10)
        if self._error is not None:
            raise self._error
        yield Path(uri)
        self.left.set()

    def origin(self) -> Origin:
        return Origin(cast(Catalog, None), cast(Sources, self))


async def _read(origin: Origin) -> Path:
    async with origin.open(OPTIONS) as folder:
        return folder


async def _reading(sources: SlowSources) -> "asyncio.Task[Path]":
    reading = asyncio.create_task(_read(sources.origin()))
    await asyncio.to_thread(sources.entered.wait, 10)
    return reading


async def test_a_source_is_left_after_it_was_read() -> None:
    sources = SlowSources()
    sources.go_on.set()

    assert Path("/a") == await _read(sources.origin())

    assert sources.left.is_set()


async def test_a_source_that_nobody_waits_for_any_more_is_left_once_it_was_fetched() -> None:
    sources = SlowSources()
    reading = await _reading(sources)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    sources.go_on.set()

    assert await asyncio.to_thread(sources.left.wait, 10)


async def test_a_source_that_fails_with_nobody_waiting_troubles_nobody(caplog: pytest.LogCaptureFixture) -> None:
    sources = SlowSources(SourceInvalidError("nothing is there"))
    reading = await _reading(sources)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    sources.go_on.set()
    await asyncio.sleep(0.05)

    assert not sources.left.is_set()
    assert [] == caplog.records
