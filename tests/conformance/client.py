"""Runs the table's cases with the asyncio client, and shows its results as the table has them."""

import asyncio
from collections.abc import Mapping
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
    TaggedSequence,
)
from tests.conformance import client_calls
from tests.conformance.stubs import failure, parse

_RESULT_KEYS = {
    Classification: "classification",
    TaggedSequence: "tags",
    AnswerResult: "answer",
    Embedding: "embedding",
}
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
            if case["rpc"] == "StreamAnalyze":
                return {"status": "OK", "responses": await self._streamed(case)}
            return {"status": "OK", "response": _shown(await self._unary(case))}
        except AdapterMuxClientError as error:
            return failure(error)
        except asyncio.CancelledError:
            return {"status": "CANCELLED"}

    async def _unary(self, case: dict[str, Any]) -> Any:
        deadline = case.get("deadlineMs")
        timeout = None if deadline is None else deadline / 1000
        call = asyncio.ensure_future(client_calls.BY_RPC[case["rpc"]](self._client, self._admin, parse(case), timeout))
        if case.get("cancel"):
            await asyncio.sleep(0)  # it begins
            call.cancel()
        return await call

    async def _streamed(self, case: dict[str, Any]) -> dict[str, Any]:
        ids = [each["requestId"] for each in case["requests"]]
        requests = [client_calls.analyze_request(parse({"rpc": "Analyze", **each})) for each in case["requests"]]
        return {
            ids[outcome.index]: failure(outcome.error)
            if outcome.error
            else {"status": "OK", "response": _shown(outcome.results)}
            async for outcome in self._client.stream_analyze(requests)
        }


def _shown(value: Any) -> Any:
    """A result in the form of proto JSON: camel case, full names of enum values."""
    match value:
        case Analysis():
            return {"adapter": _shown(value.adapter), _RESULT_KEYS[type(value.result)]: _shown(value.result)}
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
