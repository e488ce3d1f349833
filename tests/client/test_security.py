"""TLS and tokens of the library, against listeners as the server has them."""

import inspect
import itertools
import logging
import pickle
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from adaptermux_client import (
    AdapterMuxClient,
    AdminClient,
    AnalyzeRequest,
    AsyncAdapterMuxClient,
    AsyncAdminClient,
    TlsOptions,
    errors,
)
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security.callers import Role
from tests.client.fake_answers import failure
from tests.client.fake_server import FakeServer
from tests.client.folders import adapter_folder
from tests.client.secure_server import ADMIN, INFER, Files, serving
from tests.support.certificates import Authority

Do = Callable[..., Awaitable[Any]]
REQUEST = AnalyzeRequest(["sentiment"], "good film")
SECRET = "amx_a-secret-that-nobody-may-read"


@pytest.fixture(scope="module")
def authorities() -> tuple[Authority, Authority]:
    return Authority(), Authority("another authority")


@pytest.fixture
def files(tmp_path: Path, authorities: tuple[Authority, Authority]) -> Files:
    return Files(tmp_path, *authorities)


@pytest.fixture(params=["sync", "async"])
def do(request: pytest.FixtureRequest) -> Do:
    """Call a method of a client of one kind, blocking or asyncio, and return all that it gives."""
    kinds: dict[tuple[str, str], type] = {
        ("sync", "data"): AdapterMuxClient,
        ("sync", "admin"): AdminClient,
        ("async", "data"): AsyncAdapterMuxClient,
        ("async", "admin"): AsyncAdminClient,
    }

    async def call(kind: str, address: str, method: str, *args: Any, options: Any = None, **kwargs: Any) -> Any:
        client = kinds[request.param, kind](address, **(options or {}))
        try:
            result = getattr(client, method)(*args, **kwargs)
            if inspect.isasyncgen(result):
                return [each async for each in result]
            if inspect.isgenerator(result):
                return list(result)
            return await result if inspect.isawaitable(result) else result
        finally:
            if inspect.isawaitable(closing := client.close()):
                await closing

    return call


async def outcome(call: Awaitable[Any]) -> str:
    """Name of the class that a call fails with, or OK."""
    try:
        await call
    except errors.AdapterMuxClientError as error:
        return type(error).__name__
    return "OK"


async def test_tls_with_the_right_authority_connects_and_with_another_not(do: Do, files: Files) -> None:
    with serving("data", Security(tls=files.certificates())) as reached:
        found = [
            await outcome(do("data", reached.address, "model", options={"tls": tls}, timeout=10))
            for tls in (TlsOptions(files.ca), TlsOptions(files.other_ca), TlsOptions(), None)
        ]

    assert ["OK", *["UnavailableError"] * 3] == found


async def test_an_expired_certificate_does_not_connect(do: Do, files: Files) -> None:
    with serving("data", Security(tls=files.certificates(expired=True))) as reached:
        options = {"tls": TlsOptions(files.ca)}
        assert "UnavailableError" == await outcome(do("data", reached.address, "model", options=options, timeout=10))


async def test_tls_to_a_plain_listener_does_not_connect(do: Do, files: Files) -> None:
    with serving("data", Security()) as reached:
        options = {"tls": TlsOptions(files.ca)}
        assert "UnavailableError" == await outcome(do("data", reached.address, "model", options=options, timeout=10))


@pytest.mark.parametrize(
    ("name", "expected"), [(None, "UnavailableError"), ("localhost", "OK"), ("x.example", "UnavailableError")]
)
async def test_the_certificate_must_be_for_the_host_or_the_name_that_is_given(
    do: Do, files: Files, name: str | None, expected: str
) -> None:
    with serving("data", Security(tls=files.certificates())) as reached:
        address = reached.address.replace("localhost", "127.0.0.1")
        options = {"tls": TlsOptions(files.ca, server_name=name)}
        assert expected == await outcome(do("data", address, "model", options=options, timeout=10))


async def test_mutual_tls_shows_the_clients_certificate(do: Do, files: Files) -> None:
    with serving("admin", Security(tls=files.certificates(mutual=True))) as reached:
        found = []
        for tls in (
            TlsOptions(files.ca),
            files.own(files.authority),
            files.own(files.stranger),
            files.own(files.authority, expired=True),
        ):
            call = do("admin", reached.address, "load_adapter", "acme", "/a", options={"tls": tls}, timeout=10)
            found.append(await outcome(call))

    assert ["UnavailableError", "OK", "UnavailableError", "UnavailableError"] == found


def test_certificates_may_be_given_as_bytes(files: Files) -> None:
    signed = files.authority.sign("robot")
    tls = TlsOptions(files.authority.certificate, signed.certificate, signed.key)

    with (
        serving("data", Security(tls=files.certificates(mutual=True))) as reached,
        AdapterMuxClient(reached.address, tls=tls) as client,
    ):
        assert "nobody" == client.model().model_id


DATA_CALLS: dict[str, tuple[Any, ...]] = {"model": (), "stream_analyze": ([REQUEST],)}
ADMIN_CALLS: dict[str, tuple[Any, ...]] = {"load_adapter": ("acme", "/a"), "upload_adapter": (), "watch_adapters": ()}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("token", [ADMIN, lambda: ADMIN], ids=["str", "callable"])
async def test_every_kind_of_call_carries_the_token(
    do: Do, files: Files, tmp_path: Path, tls: bool, token: Any
) -> None:
    certificates = files.certificates() if tls else None
    options = {"token": token, "tls": TlsOptions(files.ca) if tls else None}
    folder = adapter_folder(tmp_path / "adapter")

    with serving("data", Security(certificates, files.tokens())) as reached:
        assert "name-1" == (await do("data", reached.address, "model", options=options)).model_id
        assert 3 == len(await do("data", reached.address, "stream_analyze", [REQUEST] * 3, options=options))
        assert "NOT_SERVING" == await do("data", reached.address, "health", options=options)
    with serving("admin", Security(certificates, files.tokens())) as reached:
        assert "OK" == await outcome(do("admin", reached.address, "load_adapter", "acme", "/a", options=options))
        assert "0f" * 32 == (await do("admin", reached.address, "upload_adapter", folder, options=options)).revision
        watch = do("admin", reached.address, "watch_adapters", options=options, timeout=0.5, reconnect=False)
        assert "DeadlineExceededError" == await outcome(watch)


async def test_without_a_token_every_kind_of_call_is_refused_but_health(do: Do, files: Files, tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "adapter")
    refused = []

    with serving("data", Security(tokens=files.tokens())) as reached:
        refused += [await outcome(do("data", reached.address, name, *args)) for name, args in DATA_CALLS.items()]
        await do("data", reached.address, "health")
    with serving("admin", Security(tokens=files.tokens())) as reached:
        refused += [
            await outcome(do("admin", reached.address, name, *args))
            for name, args in {**ADMIN_CALLS, "upload_adapter": (folder,)}.items()
        ]

    assert ["UnauthenticatedError"] * 5 == refused


async def test_a_token_of_another_role_is_denied_by_reason(do: Do, files: Files) -> None:
    with (
        serving("admin", Security(tokens=files.tokens())) as reached,
        pytest.raises(errors.PermissionDeniedError) as caught,
    ):
        await do("admin", reached.address, "load_adapter", "acme", "/a", options={"token": INFER})

    assert ("PERMISSION_DENIED", "admin") == (caught.value.reason, caught.value.metadata["role"])


async def test_a_token_that_changes_is_asked_for_before_each_call(files: Files) -> None:
    """One client goes on over a change of its token."""
    tokens = files.tokens(old=Role.ADMIN)
    current = "old"

    with (
        serving("data", Security(tokens=tokens)) as reached,
        AdapterMuxClient(reached.address, token=lambda: current) as client,
    ):
        client.model()
        files.write_tokens(new=Role.ADMIN)
        assert tokens.refresh()
        with pytest.raises(errors.UnauthenticatedError):
            client.model()
        current = "new"
        client.model()


async def test_a_token_that_is_taken_back_ends_a_watch_that_would_reconnect(files: Files) -> None:
    """Connecting again with the same token would be refused for ever."""
    tokens = files.tokens()
    lost: list[Any] = []

    with serving("admin", Security(tokens=tokens)) as reached:
        async with AsyncAdminClient(reached.address, token=ADMIN) as client:
            watch = client.watch_adapters(timeout=20, on_lost=lost.append)
            reached.tell_watchers("acme")
            await anext(watch)
            files.write_tokens(another=Role.ADMIN)
            assert tokens.refresh()
            reached.tell_watchers("acme")

            with pytest.raises(errors.UnauthenticatedError):
                await anext(watch)

    assert [] == lost


async def test_a_token_that_is_taken_back_ends_a_stream_of_requests(files: Files) -> None:
    tokens = files.tokens()

    with serving("data", Security(tokens=tokens)) as reached:

        async def source() -> AsyncIterator[AnalyzeRequest]:
            yield REQUEST
            await again()
            for _ in range(100):
                yield REQUEST

        async def again() -> None:
            files.write_tokens(another=Role.ADMIN)
            assert tokens.refresh()

        async with AsyncAdapterMuxClient(reached.address, token=INFER) as client:
            with pytest.raises(errors.UnauthenticatedError):
                async for _ in client.stream_analyze(source(), max_in_flight=1):
                    pass


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
async def test_what_is_refused_is_not_retried(do: Do, server: FakeServer, code: str) -> None:
    server.script.failures = [failure(grpc.StatusCode[code], "no", code)]

    with pytest.raises(errors.BY_REASON[code]):
        await do("data", server.address, "classify", "sentiment", "good")

    assert 1 == len(server.script.requests)


async def test_a_retry_has_the_token_once(do: Do, server: FakeServer) -> None:
    server.script.failures = [failure(grpc.StatusCode.UNAVAILABLE, "away")]

    await do("data", server.address, "classify", "sentiment", "good", request_key="k", options={"token": SECRET})

    sent = [(each["authorization"], each["x-request-key"]) for each in server.script.metadata]
    assert [(f"Bearer {SECRET}", "k")] * 2 == sent


def test_a_channel_of_the_callers_gets_the_token_too(server: FakeServer) -> None:
    with grpc.insecure_channel(server.address) as channel, AdapterMuxClient(channel=channel, token=SECRET) as client:
        client.model()

    assert f"Bearer {SECRET}" == server.script.metadata[0]["authorization"]


BROKEN = ["", " ", "two words", "a\nb", "amx\r\nx-admin: 1", "schlüssel", "\x7f", "amx_\N{SNOWMAN}", None, b"amx"]


@pytest.mark.parametrize("token", BROKEN[:-2])
@pytest.mark.parametrize("kind", [AdapterMuxClient, AdminClient, AsyncAdapterMuxClient, AsyncAdminClient])
async def test_a_token_that_no_header_can_carry_is_refused_without_being_repeated(kind: type, token: str) -> None:
    with pytest.raises(ValueError, match=r"^token: ") as caught:
        kind("127.0.0.1:1", token=token)

    assert not token.strip() or token not in str(caught.value)


@pytest.mark.parametrize("token", BROKEN)
async def test_a_token_that_is_given_later_is_checked_as_well(do: Do, server: FakeServer, token: Any) -> None:
    for name, args in DATA_CALLS.items():
        with pytest.raises(ValueError, match=r"^token: "):
            await do("data", server.address, name, *args, options={"token": lambda: token})

    assert [] == server.script.requests


async def test_what_asking_for_a_token_raises_is_the_callers(do: Do, server: FakeServer) -> None:
    def broken() -> str:
        raise LookupError("no vault")

    with pytest.raises(LookupError, match="no vault"):
        await do("data", server.address, "model", options={"token": broken})


@pytest.mark.parametrize("kind", ["data", "admin"])
async def test_no_secret_is_shown_or_logged(
    do: Do, files: Files, kind: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither in what Python shows of a client, nor in failures of any kind."""
    caplog.set_level(logging.DEBUG)
    method, args = {"data": ("model", ()), "admin": ("load_adapter", ("acme", "/a"))}[kind]
    shown = []
    with serving(kind, Security(tokens=files.tokens())) as reached:
        for address in (reached.address, "127.0.0.1:1"):
            try:
                await do(kind, address, method, *args, options={"token": SECRET}, timeout=5)
            except errors.AdapterMuxClientError as error:
                shown += [str(error), repr(error), "".join(traceback.format_exception(error))]
                shown += [repr(pickle.loads(pickle.dumps(error))), repr(error.__cause__)]

    assert 10 == len(shown)
    written = capfd.readouterr()
    assert SECRET not in "".join(itertools.chain(shown, caplog.messages, written))


def test_neither_a_client_nor_its_options_show_secrets(files: Files) -> None:
    signed = files.authority.sign("robot")
    tls = TlsOptions(files.authority.certificate, signed.certificate, signed.key)

    with AdapterMuxClient(tls=tls, token=SECRET) as client:
        shown = repr([client, vars(client), client.stub, vars(client.stub), tls])

    assert SECRET not in shown
    assert "PRIVATE KEY" not in shown


@pytest.mark.parametrize("name", ["ca", "certificate", "key"])
@pytest.mark.parametrize("kind", [AdapterMuxClient, AsyncAdminClient])
async def test_files_that_cannot_be_used_are_refused_by_name(files: Files, name: str, kind: type) -> None:
    good = files.own(files.authority)
    parts = {"ca": good.ca, "certificate": good.certificate, "key": good.key}

    with pytest.raises(FileNotFoundError, match="missing"):
        kind(tls=TlsOptions(**parts | {name: files.folder / "missing.pem"}))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"^{name}: "):
        kind(tls=TlsOptions(**parts | {name: b"-no pem-"}))  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [{"certificate": b"x"}, {"key": b"x"}])
def test_a_certificate_goes_with_its_key(half: dict[str, bytes]) -> None:
    with pytest.raises(ValueError, match="both or neither"):
        TlsOptions(**half)


async def test_a_channel_of_the_callers_has_its_own_tls() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(ValueError, match=r"^tls: "):
        AdapterMuxClient(channel=channel, tls=TlsOptions())
    async with grpc.aio.insecure_channel("127.0.0.1:1") as asynchronous:
        with pytest.raises(ValueError, match=r"^tls: "):
            AsyncAdminClient(channel=asynchronous, tls=TlsOptions())
