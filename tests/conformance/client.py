"""Runs the table's cases with the asyncio client, and shows its results as the table has them."""

import asyncio
from collections.abc import Awaitable, Mapping
from contextlib import aclosing
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from adaptermux_client import (
    AdapterMuxClientError,
    Analysis,
    AnswerResult,
    AsyncAdapterMuxClient,
    AsyncAdminClient,
    Classification,
    Embedding,
    SnapshotBegan,
    SnapshotEnded,
    TaggedSequence,
)
from tests.conformance import client_admin_calls, client_calls
from tests.conformance.stubs import failure, parse

_REQUEST_KEY = "x-request-key"
_RESULT_KEYS = {
    Classification: "classification",
    TaggedSequence: "tags",
    AnswerResult: "answer",
    Embedding: "embedding",
}
_EVENT_KEYS = {SnapshotBegan: "snapshotBegin", SnapshotEnded: "snapshotEnd"}
# The client's enums leave out what the .proto's put before each name.
_ENUM_PREFIXES = {
    "executor": "EXECUTOR_",
    "problem_type": "PROBLEM_TYPE_",
    "state": "ADAPTER_STATE_",
    "task": "TASK_",
    "tier": "TIER_",
}


class ClientRunner:
    """Makes calls with `AsyncAdapterMuxClient` and `AsyncAdminClient`."""

    def __init__(self, client: AsyncAdapterMuxClient, admin: AsyncAdminClient) -> None:
        self._client = client
        self._admin = admin

    async def perform(self, case: dict[str, Any]) -> dict[str, Any]:
        """The outcome of a case."""
        try:
            match case["rpc"]:
                case "StreamAnalyze":
                    return {"status": "OK", "responses": await self._streamed(case)}
                case "WatchAdapters":
                    return {"status": "OK", "events": await self._watched(case)}
                case "WatchBatches":
                    return {"status": "OK", "batch": await self._first_batch(case)}
                case _:
                    return {"status": "OK", "response": _shown(await self._called(case))}
        except AdapterMuxClientError as error:
            return failure(error)
        except asyncio.CancelledError:
            return {"status": "CANCELLED"}

    async def _called(self, case: dict[str, Any]) -> Any:
        call = asyncio.ensure_future(self._call(case))
        if case.get("cancel"):
            await asyncio.sleep(0)  # it begins
            call.cancel()
        return await call

    def _call(self, case: dict[str, Any]) -> Awaitable[Any]:
        rpc, options = case["rpc"], _options(case)
        if rpc == "UploadAdapter":
            return client_admin_calls.upload(self._admin, parse(case), case["folder"], options.seconds)
        if rpc in client_admin_calls.BY_RPC:
            return client_admin_calls.BY_RPC[rpc](self._admin, parse(case), options.seconds)
        return client_calls.BY_RPC[rpc](self._client, parse(case), options)

    async def _watched(self, case: dict[str, Any]) -> list[Any]:
        token, seconds = parse(case).resume_token, _options(case).seconds
        events: list[Any] = []
        async with aclosing(self._admin.watch_adapters(token, reconnect=False, timeout=seconds)) as watch:
            async for event in watch:
                events.append(_shown(event))
                if isinstance(event, SnapshotEnded):
                    break
        return events

    async def _first_batch(self, case: dict[str, Any]) -> Any:
        async with aclosing(self._admin.watch_batches(timeout=_options(case).seconds)) as watch:
            first = asyncio.ensure_future(anext(watch))
            while "meanwhile" in case and not first.done():
                await self._call({"rpc": "Classify", "request": case["meanwhile"]})
            return _shown((await first).batches[0])

    async def _streamed(self, case: dict[str, Any]) -> dict[str, Any]:
        ids = [each["requestId"] for each in case["requests"]]
        requests = [client_calls.analyze_request(parse({"rpc": "Analyze", **each})) for each in case["requests"]]
        options = _options(case)
        outcomes = self._client.stream_analyze(requests, request_key=options.request_key, timeout=options.seconds)
        return {
            ids[outcome.index]: failure(outcome.error)
            if outcome.error
            else {"status": "OK", "response": _shown(outcome.results)}
            async for outcome in outcomes
        }


def _options(case: dict[str, Any]) -> client_calls.Options:
    deadline = case.get("deadlineMs")
    seconds = None if deadline is None else deadline / 1000
    return client_calls.Options(seconds, case.get("metadata", {}).get(_REQUEST_KEY, ""))


def _shown(value: Any) -> Any:
    """A result in the form of proto JSON: camel case, full names of enum values."""
    match value:
        case Analysis():
            return {"adapter": _shown(value.adapter), _RESULT_KEYS[type(value.result)]: _shown(value.result)}
        case SnapshotBegan() | SnapshotEnded():
            return {_EVENT_KEYS[type(value)]: {}, "resumeToken": value.resume_token}
        case Mapping():
            return {key: _shown(each) for key, each in value.items()}
        case list() | tuple():
            return [_shown(each) for each in value]
        case _ if is_dataclass(value):
            return {_camel(field.name): _field(field.name, getattr(value, field.name)) for field in fields(value)}
    return value


def _field(name: str, value: Any) -> Any:
    return f"{_ENUM_PREFIXES[name]}{value.value}" if isinstance(value, Enum) else _shown(value)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
