"""Binds the application to its address, in the running event loop."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

# Scrapes that are being answered; streams of events are ended before.
_LAST_WORDS_SECONDS = 2.0
_log = structlog.get_logger(__name__)


class MetricsAddressError(Exception):
    """Metrics can't be served where they should be."""


@asynccontextmanager
async def serving_http(address: str, application: web.Application) -> AsyncIterator[str]:
    """Serve inside the context; gives the address with the real port. Raises MetricsAddressError."""
    runner = web.AppRunner(
        application,
        access_log=None,
        # A reader of events who has gone is noticed at once, not at the next event.
        handler_cancellation=True,
        shutdown_timeout=_LAST_WORDS_SECONDS,
        logger=logging.getLogger(__name__),
    )
    await runner.setup()
    try:
        bound = await _bind(runner, address)
        _log.info("listening", listener="metrics", address=bound)
        yield bound
    finally:
        await runner.cleanup()


async def _bind(runner: web.AppRunner, address: str) -> str:
    host, _, port = address.rpartition(":")
    try:
        if not host:
            raise ValueError("no host")
        await web.TCPSite(runner, host.removeprefix("[").removesuffix("]"), int(port)).start()
    except (OSError, ValueError, OverflowError) as error:
        text = f"can't serve metrics on {address}: is it in use, or not an address?"
        raise MetricsAddressError(text) from error
    return f"{host}:{runner.addresses[0][1]}"
