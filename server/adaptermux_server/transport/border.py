"""The border of every RPC: what ends a call, and how the caller learns of it.

A handler ends in one of four ways: it returns; it raises an AdapterMuxError, which becomes its status; the caller
cancels or the deadline passes, which gRPC turns into CancelledError at an await; or it fails unexpectedly, which is
INTERNAL with an incident id: the cause is logged and never sent.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from functools import wraps
from typing import Any, NoReturn, TypeVar

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport.decoding import checked
from adaptermux_server.transport.status import status_of
from adaptermux_server.types import Deadline

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
Context = grpc.aio.ServicerContext[Any, Any]

CODE_OF_NUMBER = {code.value[0]: code for code in grpc.StatusCode}


def unary(
    handler: Callable[[Any, _Request, Context], Awaitable[_Response]],
) -> Callable[[Any, _Request, Context], Awaitable[_Response]]:
    """Put a unary handler behind the border. Its servicer has an attribute `rpc_metrics`."""

    @wraps(handler)
    async def guarded(servicer: Any, request: _Request, context: Context) -> _Response:
        started = time.perf_counter()
        code = grpc.StatusCode.OK
        try:
            return await handler(servicer, checked(request), context)
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:
            status = status_of(error)
            code = CODE_OF_NUMBER[status.code]
            await abort(context, status)
        finally:
            observe(servicer.rpc_metrics, handler.__name__, code, started)

    return guarded


def client_stream(
    handler: Callable[[Any, AsyncIterator[_Request], Context], Awaitable[_Response]],
) -> Callable[[Any, AsyncIterator[_Request], Context], Awaitable[_Response]]:
    """Put a handler of many requests and one response behind the border, as `unary` does."""

    @unary
    @wraps(handler)
    async def checking_each(servicer: Any, requests: AsyncIterator[_Request], context: Context) -> _Response:
        async with aclosing(_each_checked(requests)) as checked_requests:
            return await handler(servicer, checked_requests, context)

    return checking_each


def server_stream(
    handler: Callable[[Any, _Request, Context], AsyncGenerator[_Response, None]],
) -> Callable[[Any, _Request, Context], AsyncGenerator[_Response, None]]:
    """Put a handler of many responses behind the border, as `unary` does. A caller that leaves is CANCELLED."""

    @wraps(handler)
    async def guarded(servicer: Any, request: _Request, context: Context) -> AsyncGenerator[_Response, None]:
        started, code = time.perf_counter(), grpc.StatusCode.CANCELLED
        try:
            async with aclosing(handler(servicer, checked(request), context)) as responses:
                async for response in responses:
                    yield response
            code = grpc.StatusCode.OK
        except Exception as error:
            status = status_of(error)
            code = CODE_OF_NUMBER[status.code]
            await abort(context, status)
        finally:
            observe(servicer.rpc_metrics, handler.__name__, code, started)

    return guarded


def deadline_of(context: Context) -> Deadline:
    """The deadline that the caller set; never, where it set none."""
    return Deadline.after(context.time_remaining())


async def abort(context: Context, status: status_pb2.Status) -> NoReturn:
    """End the call with a status and its details, beside the metadata that it was to end with anyway."""
    ending = rpc_status.to_status(status)
    trailers = (*(context.trailing_metadata() or ()), *ending.trailing_metadata)
    await context.abort(ending.code, ending.details, trailers)
    raise AssertionError("this is a bug: abort returned")


def observe(metrics: RpcMetrics, rpc: str, code: grpc.StatusCode, started: float) -> None:
    """Count a call and its time."""
    metrics.observe(rpc, code.name, time.perf_counter() - started)


async def _each_checked(requests: AsyncIterator[_Request]) -> AsyncGenerator[_Request, None]:
    async for request in requests:
        yield checked(request)
