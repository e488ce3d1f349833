"""Statuses become errors: by reason, else by code, with all their details."""

import pickle
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2

from adaptermux.v1 import error_reason_pb2
from adaptermux_client import errors
from adaptermux_client.errors import AdapterMuxClientError, from_status
from tests.client.conftest import Ask
from tests.client.fake_answers import failure
from tests.client.fake_server import FakeServer

REASONS = [
    name.removeprefix("ERROR_REASON_")
    for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name
    if "UNSPEC" not in name
]


def subclasses(cls: type[AdapterMuxClientError]) -> list[type[AdapterMuxClientError]]:
    """All classes beneath `cls`."""
    return [each for child in cls.__subclasses__() for each in (child, *subclasses(child))]


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_has_a_class_of_its_name(reason: str) -> None:
    """A reason that the API gains needs a class here."""
    name = "".join(word.capitalize() for word in reason.split("_")) + "Error"

    assert name == errors.BY_REASON[reason].__name__


def test_no_class_is_for_a_reason_that_the_api_does_not_have() -> None:
    """The table has the API's reasons and no other; two reasons never share a class."""
    assert sorted(REASONS) == sorted(errors.BY_REASON)
    assert len(REASONS) == len(set(errors.BY_REASON.values()))


def test_every_class_is_raised_for_something_and_drawn_in_the_tree() -> None:
    """No class is left without a status or a reason, and the picture at the top of the module shows them all."""
    classes = subclasses(AdapterMuxClientError)

    assert set(classes) == {*errors.BY_REASON.values(), *errors.BY_CODE.values()}
    assert [cls.__name__ for cls in classes if cls.__name__ not in (errors.__doc__ or "")] == []


@pytest.mark.parametrize("reason", REASONS)
def test_the_class_of_a_reason_lies_beneath_the_class_of_its_code(reason: str) -> None:
    """Whoever catches by status catches the reasons too; the codes are those of the server's table."""
    from adaptermux_server.transport.status import CODES

    codes = {cls.reason: code for cls, code in CODES.items()} | {"INTERNAL": grpc.StatusCode.INTERNAL}

    assert issubclass(errors.BY_REASON[reason], errors.BY_CODE[codes[reason]])


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_a_status_without_a_reason_goes_by_its_code(code: grpc.StatusCode) -> None:
    """Codes without a class of their own are the base class; the code is always there."""
    error = from_status(status_pb2.Status(code=code.value[0], message="text"))

    assert type(error) is errors.BY_CODE.get(code, AdapterMuxClientError)
    assert (error.code, error.reason, str(error), error.retry_after_seconds) == (code, "", "text", None)


def test_a_reason_of_another_domain_does_not_choose_the_class() -> None:
    """A proxy's INTERNAL isn't ours; its metadata is still shown."""
    detail = AnyMessage()
    detail.Pack(error_details_pb2.ErrorInfo(reason="QUEUE_FULL", domain="proxy.example", metadata={"zone": "a"}))

    error = from_status(status_pb2.Status(code=14, message="text", details=[detail]))

    assert type(error) is errors.UnavailableError
    assert (error.reason, error.metadata) == ("", {"zone": "a"})


def test_a_reason_newer_than_the_client_goes_by_its_code() -> None:
    """An old client still says the new reason."""
    error = from_status(failure(grpc.StatusCode.ABORTED, "text", "SOMETHING_NEW"))

    assert (type(error), error.reason) == (errors.AbortedError, "SOMETHING_NEW")


async def test_all_details_of_a_failed_call_arrive(ask: Ask, server: FakeServer) -> None:
    """Violations, metadata and the time to retry come over the wire, blocking and asyncio alike."""
    server.script.failures = [
        failure(
            grpc.StatusCode.INVALID_ARGUMENT,
            "inputs[0].text: empty",
            "INVALID_REQUEST",
            {"key": "value"},
            violations=(("inputs[0].text", "empty"),),
            retry_seconds=0.5,
        )
    ]

    with pytest.raises(errors.InvalidRequestError) as caught:
        await ask("classify", "sentiment", "")

    assert (caught.value.code, caught.value.message) == (grpc.StatusCode.INVALID_ARGUMENT, "inputs[0].text: empty")
    assert (caught.value.reason, caught.value.metadata) == ("INVALID_REQUEST", {"key": "value"})
    assert caught.value.violations == (("inputs[0].text", "empty"),)
    assert caught.value.retry_after_seconds == 0.5
    assert isinstance(caught.value.__cause__, grpc.RpcError)


class MisleadingError(grpc.RpcError):
    """A failed call whose details contradict its status, or can't be read."""

    def __init__(self, details: bytes) -> None:
        super().__init__()
        self._trailers = (("grpc-status-details-bin", details),)

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.NOT_FOUND

    def details(self) -> str:
        return "text"

    def trailing_metadata(self) -> Any:
        return self._trailers


@pytest.mark.parametrize("details", [b"\xff\xff", status_pb2.Status(code=13, message="other").SerializeToString()])
def test_details_that_mislead_are_passed_over(details: bytes) -> None:
    """The status itself is never lost."""
    error = errors.from_rpc_error(MisleadingError(details))

    assert (type(error), error.message) == (errors.NotFoundError, "text")


def test_an_error_survives_pickling() -> None:
    """Workers of a process pool can raise it to their parent."""
    error = from_status(
        failure(grpc.StatusCode.RESOURCE_EXHAUSTED, "full", "QUEUE_FULL", {"limit": "9"}, retry_seconds=0.25)
    )

    again = pickle.loads(pickle.dumps(error))

    assert (type(again), again.__dict__) == (type(error), error.__dict__)
