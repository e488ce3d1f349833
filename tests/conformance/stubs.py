"""Runs the table's cases with the generated Python stubs alone: messages in, messages out."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error, from_status
from tests.conformance.contents import files_of

_DEFAULT_DEADLINE_MS = 60_000
_LISTS = {"ListAdapters": "adapters", "ListAliases": "aliases"}
# So that even the table's small files are cut within, and chunks hold the end of one and the beginning of the next.
_CHUNK_BYTES = 10_000


class StubRunner:
    """Makes calls with the stubs of both services."""

    def __init__(self, data_address: str, admin_address: str) -> None:
        self._channels = grpc.insecure_channel(data_address), grpc.insecure_channel(admin_address)
        infer = infer_pb2_grpc.InferStub(self._channels[0])
        admin = adapter_admin_pb2_grpc.AdapterAdminStub(self._channels[1])
        self._methods = {
            method.name: getattr(stub, method.name)
            for stub, file in ((infer, infer_pb2), (admin, adapter_admin_pb2))
            for service in file.DESCRIPTOR.services_by_name.values()
            for method in service.methods
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for channel in self._channels:
            channel.close()

    def perform(self, case: dict[str, Any]) -> dict[str, Any]:
        """The outcome of a case."""
        try:
            return {"status": "OK", **self._found(case)}
        except grpc.RpcError as error:
            return failure(from_rpc_error(error))

    def _found(self, case: dict[str, Any]) -> dict[str, Any]:
        match case["rpc"]:
            case "StreamAnalyze":
                return {"responses": self._streamed(case)}
            case "WatchAdapters":
                return {"events": self._watched(case)}
            case "WatchBatches":
                return {"batch": self._first_batch(case)}
            case "UploadAdapter":
                return {"response": as_json(self._unary(case, _upload(case)))}
            case "ListAdapters" | "ListAliases":
                return {"response": self._listed(case)}
            case _:
                return {"response": as_json(self._unary(case, parse(case)))}

    def _unary(self, case: dict[str, Any], request: Message | Iterator[Message]) -> Any:
        call = self._methods[case["rpc"]].future(request, timeout=_seconds(case), metadata=_metadata(case))
        if case.get("cancel"):
            call.cancel()
        try:
            return call.result()
        except grpc.FutureCancelledError:
            raise call from None

    def _listed(self, case: dict[str, Any]) -> dict[str, Any]:
        request, key = parse(case), _LISTS[case["rpc"]]
        items: list[Any] = []
        while True:
            page = self._unary(case, request)
            items += as_json(page)[key]
            request.page_token = page.next_page_token
            if not request.page_token:
                return {key: items}

    def _watched(self, case: dict[str, Any]) -> list[Any]:
        call = self._methods["WatchAdapters"](parse(case), timeout=_seconds(case), metadata=_metadata(case))
        events: list[Any] = []
        for response in call:
            events.append(as_json(response))
            if response.HasField("snapshot_end"):
                call.cancel()
                break
        return events

    def _first_batch(self, case: dict[str, Any]) -> Any:
        call = self._methods["WatchBatches"](parse(case), timeout=_seconds(case))
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(next, call)
            while "meanwhile" in case and not first.done():
                self._methods["Classify"](parse({"rpc": "Classify", "request": case["meanwhile"]}))
            response = first.result()
        call.cancel()
        return as_json(response.batches[0])

    def _streamed(self, case: dict[str, Any]) -> dict[str, Any]:
        requests: Iterator[Message] = (ParseDict(each, infer_pb2.StreamAnalyzeRequest()) for each in case["requests"])
        responses = self._methods["StreamAnalyze"](requests, timeout=_seconds(case), metadata=_metadata(case))
        return {response.request_id: _outcome(response) for response in responses}


def parse(case: dict[str, Any]) -> Any:
    """The case's request as a message."""
    name = f"{case['rpc']}Request"
    module = infer_pb2 if hasattr(infer_pb2, name) else adapter_admin_pb2
    return ParseDict(case["request"], getattr(module, name)())


def _upload(case: dict[str, Any]) -> Iterator[Message]:
    """The first message, with the files of the case's folder, and then chunks of them."""
    files = files_of(Path(case["folder"]))
    first = parse(case)
    first.metadata.SetInParent()
    for name, content in files.items():
        first.metadata.files.add(name=name, size_bytes=len(content))
    yield first
    whole = b"".join(files.values())
    for start in range(0, len(whole), _CHUNK_BYTES):
        yield adapter_admin_pb2.UploadAdapterRequest(chunk=whole[start : start + _CHUNK_BYTES])


def as_json(message: Message) -> dict[str, Any]:
    """A message as proto JSON with its defaults."""
    return MessageToDict(message, always_print_fields_with_no_presence=True)


def failure(error: AdapterMuxClientError) -> dict[str, Any]:
    """The outcome of a failed call, by the client's own decoding of the status."""
    return {
        "status": error.code.name,
        "reason": error.reason,
        "metadata": error.metadata,
        "violations": [field for field, _ in error.violations],
    }


def _outcome(response: infer_pb2.StreamAnalyzeResponse) -> dict[str, Any]:
    if response.WhichOneof("outcome") == "error":
        return failure(from_status(response.error))
    return {"status": "OK", "response": as_json(response.response)}


def _seconds(case: dict[str, Any]) -> float:
    return float(case.get("deadlineMs", _DEFAULT_DEADLINE_MS)) / 1000


def _metadata(case: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(case.get("metadata", {}).items())
