"""Errors to statuses: complete, bounded, and without a word that was not meant for the caller."""

import re
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2

from adaptermux.v1 import error_reason_pb2
from adaptermux_server import errors
from adaptermux_server.transport.status import CODES, status_of
from adaptermux_server.types import AdapterState, Task

EXAMPLES = [
    errors.InvalidRequestError(("inputs[0].text", "must not be empty")),
    errors.InputTooLongError(3, 900, 512),
    errors.AdapterNotFoundError("sentimant", ["sentiment"]),
    errors.AdapterNotReadyError("sentiment", AdapterState.LOADING),
    errors.AdapterRequiredError("Classify"),
    errors.TaskMismatchError("pos", Task.TOKEN_CLASSIFICATION, "TagTokens"),
    errors.QueueFullError("server", 8192, 0.4),
    errors.DeadlineExceededError(),
    errors.AdapterUnloadedError("pos"),
    errors.ShuttingDownError(),
    errors.SourceInvalidError("no weights", "adapter_model.safetensors"),
    errors.SourceForbiddenError("only folders under an allowed root are loaded"),
    errors.SourceUnavailableError("s3://bucket/a can't be fetched now"),
    errors.ConfigUnsupportedError("bias", "must be none"),
    errors.BaseMismatchError("encoder.query", "has 64 rows, the base has 384"),
    errors.CheckpointMismatchError("encoder.query", "is missing"),
    errors.HeadIncompleteError(["pre_classifier.weight"], ["pre_classifier"]),
    errors.ConcurrentChangeError("pos"),
    errors.DrainTimeoutError("pos", 3),
    errors.RevisionNotFoundError("0f" * 32),
    errors.DigestMismatchError("0f" * 32, "f0" * 32),
    errors.StoreFullError(),
    errors.StoreUnavailableError("Read-only file system"),
    errors.AliasNotFoundError("sentiment-prod"),
    errors.AliasedError("sentiment-v2", ["sentiment-prod", "sentiment-test"]),
    errors.UploadStalledError("no message came for 30 s"),
    errors.UploadsFullError(8, 5.0),
    errors.MemoryFullError(4096, 8192),
    errors.UnauthenticatedError("there is no token"),
    errors.PermissionDeniedError("acme", "infer", "sentiment"),
]


def walk(cls):
    for sub in cls.__subclasses__():
        yield sub
        yield from walk(sub)


def details(status, kind):
    found = [kind() for _ in status.details]
    return [message for message, packed in zip(found, status.details, strict=True) if packed.Unpack(message)]


PUBLIC = {cls for cls in walk(errors.AdapterMuxError) if not cls.__name__.startswith("_")}


def test_every_error_class_has_a_status_and_an_example():
    assert PUBLIC == set(CODES)
    assert PUBLIC == {type(error) for error in EXAMPLES}


def test_every_reason_is_documented_in_the_api_and_the_other_way_round():
    documented = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118

    assert documented == {cls.reason for cls in PUBLIC} | {"UNSPECIFIED", "INTERNAL"}


def test_the_code_of_each_reason_is_the_documented_one():
    text = Path("proto/adaptermux/v1/error_reason.proto").read_text(encoding="utf-8")

    for cls in PUBLIC:
        comment = re.split(r"= \d+;", text.split(f"ERROR_REASON_{cls.reason} =")[0])[-1]
        assert f"// {CODES[cls].name}." in comment


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda error: type(error).__name__)
def test_a_status_carries_code_message_and_error_info(error):
    status = status_of(error)
    (info,) = details(status, error_details_pb2.ErrorInfo)

    assert CODES[type(error)].value[0] == status.code
    assert str(error) == status.message
    assert (error.reason, "adaptermux", error.metadata) == (info.reason, info.domain, dict(info.metadata))


def test_a_retryable_error_says_when():
    (info,) = details(status_of(errors.QueueFullError("server", 1, 0.4)), error_details_pb2.RetryInfo)

    assert info.retry_delay.ToTimedelta().total_seconds() == 0.4


def test_a_subclass_has_the_status_of_its_class():
    class SpecialNotFoundError(errors.AdapterNotFoundError):
        pass

    assert grpc.StatusCode.NOT_FOUND.value[0] == status_of(SpecialNotFoundError("x")).code


def test_an_unexpected_error_shows_its_incident_and_nothing_else():
    status = status_of(RuntimeError("secret of /home/tenant"))
    (info,) = details(status, error_details_pb2.ErrorInfo)

    assert grpc.StatusCode.INTERNAL.value[0] == status.code
    assert "secret" not in str(status)
    assert info.reason == "INTERNAL"
    assert info.metadata["incident"] in status.message


def test_details_stay_within_what_old_clients_can_take():
    violations = [(f"inputs[{i}]" * 50, "long" * 500) for i in range(1000)]

    status = status_of(errors.InvalidRequestError(*violations))

    assert status.ByteSize() <= 4096
    assert details(status, error_details_pb2.ErrorInfo)
