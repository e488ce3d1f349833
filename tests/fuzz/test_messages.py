"""Messages that are well formed and make no sense, to every RPC of both services of a server process."""

import itertools
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2
from tests.fuzz.chance import SEED, num_examples, tell_seed
from tests.fuzz.frames import damaged
from tests.fuzz.outcomes import assert_error_foreseen
from tests.fuzz.target import Target

_METHODS: Sequence[MethodDescriptor] = [
    method
    for module, service in ((infer_pb2, "Infer"), (adapter_admin_pb2, "AdapterAdmin"))
    for method in module.DESCRIPTOR.services_by_name[service].methods
]
_CALL_SECONDS = 5.0
# Watches have no end.
_WATCH_SECONDS = 0.05
_MAX_DEPTH = 5
_MAX_REPEATED = 3
# `sentiment` and `pos` must stay as they are: what changes adapters is asked about another.
_GUEST = "guest"
_WORDS = ("", _GUEST, "base", "../x", "nothing", "a@00000000", "x" * 65, "\\0", "файл", "file:///etc", "0" * 64)
_INFER_WORDS = (*_WORDS, "sentiment", "pos", "the cat sat on the mat")
_INTEGERS = (0, 1, -1, 2, 99, 2**31 - 1, -(2**31))
_LONGS = (*_INTEGERS, 2**63 - 1, -(2**63), 10**12)
_UNSIGNED = (0, 1, 2**32 - 1)


def _text(words: Sequence[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(words) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def _scalar(field: FieldDescriptor, words: Sequence[str]) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - a table
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=40)
        case FieldDescriptor.CPPTYPE_STRING:
            return _text(words)
        case FieldDescriptor.CPPTYPE_INT64:
            return st.sampled_from(_LONGS)
        case FieldDescriptor.CPPTYPE_UINT32 | FieldDescriptor.CPPTYPE_UINT64:
            return st.sampled_from(_UNSIGNED)
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return st.floats(width=32)
        case _:
            return st.sampled_from(_INTEGERS)


@st.composite
def _messages(draw: st.DrawFn, descriptor: Descriptor, words: Sequence[str], depth: int = 0) -> Message:
    """A message of a type, each of its fields set or left out, to likely and to unlikely values."""
    message: Any = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        # Fewer are set where a message is deep in another, so that they end.
        if depth >= _MAX_DEPTH or draw(st.integers(0, 3 + depth)) > 2:
            continue
        of_type = field.message_type
        if of_type is not None and of_type.GetOptions().map_entry:
            getattr(message, field.name).update(draw(st.dictionaries(_text(words), _text(words), max_size=3)))
            continue
        value = _scalar(field, words) if of_type is None else _messages(of_type, words, depth + 1)
        if field.is_repeated:
            getattr(message, field.name).extend(draw(st.lists(value, max_size=_MAX_REPEATED)))
        elif of_type is not None:
            getattr(message, field.name).CopyFrom(draw(value))
        else:
            setattr(message, field.name, draw(value))
    return message  # type: ignore[no-any-return]


@st.composite
def _sent(draw: st.DrawFn, method: MethodDescriptor) -> list[bytes]:
    """The messages of a call of a method; every fifth time their bytes are damaged."""
    words = _INFER_WORDS if method.containing_service.name == "Infer" else _WORDS
    message = _messages(method.input_type, words).map(lambda it: it.SerializeToString())
    least, most = (0, 4) if method.client_streaming else (1, 1)
    contents = draw(st.lists(message, min_size=least, max_size=most))
    if draw(st.integers(0, 4)) == 0:
        chance = draw(st.randoms(use_true_random=False))
        contents = [damaged(content, chance) for content in contents]
    return contents


def _call(target: Target, method: MethodDescriptor, contents: Sequence[bytes]) -> Any:
    """Make the call, of bytes, and read a few answers; returns its ending (code, message, details)."""
    service = method.containing_service
    channel = target.data if service.name == "Infer" else target.admin
    kind = "_".join("stream" if streams else "unary" for streams in (method.client_streaming, method.server_streaming))
    timeout = _WATCH_SECONDS if method.name.startswith("Watch") else _CALL_SECONDS
    callable_ = getattr(channel, kind)(f"/{service.full_name}/{method.name}")
    request = iter(contents) if method.client_streaming else contents[0]
    try:
        if method.server_streaming:
            list(itertools.islice(callable_(request, timeout=timeout), 20))
        else:
            callable_(request, timeout=timeout)
    except grpc.RpcError as error:
        return error
    return None


@pytest.mark.timeout(0)
@pytest.mark.parametrize("method", _METHODS, ids=lambda method: method.name)
def test_any_message_is_answered_or_refused_with_a_reason(target: Target, method: MethodDescriptor) -> None:
    @seed(SEED)
    @settings(
        max_examples=num_examples(40 / len(_METHODS)), database=None, deadline=None, print_blob=False,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(_sent(method))
    def asked(contents: list[bytes]) -> None:
        error = _call(target, method, contents)
        if error is not None:
            assert_error_foreseen(error, contents)

    tell_seed(method.name)
    try:
        asked()
    finally:
        _remove_guests(target)


def _remove_guests(target: Target) -> None:
    """What was loaded, uploaded or pointed somewhere by chance goes, so that the server is as it was."""
    stub: Any = adapter_admin_pb2_grpc.AdapterAdminStub(target.admin)
    for adapter in stub.ListAdapters(adapter_admin_pb2.ListAdaptersRequest()).adapters:
        if adapter.id not in target.expected:
            stub.DeleteAdapter(adapter_admin_pb2.DeleteAdapterRequest(adapter_id=adapter.id))
