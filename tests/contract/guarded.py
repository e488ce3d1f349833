"""Row 24: who may call. The server of these cases wants certificates and tokens."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tokens import entry_of, new_token
from tests.contract.world import Case, Scenario, World, assert_refused, refusal, world_inside
from tests.support.certificates import Authority, Signed

_DENIED = grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED"
_UNKNOWN = grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"


@dataclass(frozen=True)
class Guarded:
    """A server that tells callers apart, and what they may show it."""

    world: World
    authority: Authority
    signed: Signed
    tokens: dict[Role, str]

    def as_caller(self, token: str | None, signed: Signed | None) -> World:
        """The same server, called with a token and a certificate."""
        credentials = grpc.ssl_channel_credentials(
            self.authority.certificate, *((None, None) if signed is None else (signed.key, signed.certificate))
        )
        if token is not None:
            credentials = grpc.composite_channel_credentials(credentials, grpc.access_token_call_credentials(token))
        data, control = (
            grpc.aio.secure_channel(address.replace("127.0.0.1", "localhost"), credentials, _OPTIONS)
            for address in (self.world.data_address, self.world.admin_address)
        )
        return replace(self.world, data=data, control=control)


_OPTIONS = (("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1))


@asynccontextmanager
async def _guarded(world: World) -> AsyncIterator[Guarded]:
    with tempfile.TemporaryDirectory() as scratch:
        folder, authority = Path(scratch), Authority()
        certificate, key = map(str, authority.sign("server").write(folder, "server"))
        (folder / "clients.pem").write_bytes(authority.certificate)
        tokens = {role: new_token() for role in (Role.INFER, Role.ADMIN)}
        (folder / "tokens.toml").write_text("\n".join(entry_of(token, role, role) for role, token in tokens.items()))
        settings = {
            "tls_certificate": certificate,
            "tls_key": key,
            "admin_tls_certificate": certificate,
            "admin_tls_key": key,
            "admin_tls_client_ca": str(folder / "clients.pem"),
            "tokens_file": str(folder / "tokens.toml"),
        }
        async with world_inside(world.ground, **settings) as served:
            yield Guarded(served, authority, authority.sign("robot"), tokens)


@asynccontextmanager
async def _caller(guarded: Guarded, token: str | None, signed: Signed | None) -> AsyncIterator[World]:
    caller = guarded.as_caller(token, signed)
    yield caller
    await caller.data.close()
    await caller.control.close()


def _list(world: World) -> Awaitable[Any]:
    call: Awaitable[Any] = world.admin.ListAdapters(adapter_admin_pb2.ListAdaptersRequest())
    return call


def _refuses(
    call: Callable[[World], Awaitable[Any]], refused: tuple[grpc.StatusCode, str], *tokens: Role | str | None
) -> Scenario:
    """Each of `tokens` (a role: its token; None: none) is refused; then one of the right role is answered."""

    async def scenario(world: World) -> None:
        async with _guarded(world) as guarded:
            for token in tokens:
                shown = guarded.tokens[token] if isinstance(token, Role) else token
                async with _caller(guarded, shown, guarded.signed) as caller:
                    assert_refused(await refusal(call(caller)), *refused)
            async with _caller(guarded, guarded.tokens[Role.ADMIN], guarded.signed) as caller:
                await call(caller)

    return scenario


async def _bad_certificates(world: World) -> None:
    """None, one that has expired, and one of a stranger: there is no connection, so nothing is told."""
    async with _guarded(world) as guarded:
        expired, strange = guarded.authority.sign("robot", expired=True), Authority("another").sign("robot")
        for signed in (None, expired, strange):
            async with _caller(guarded, guarded.tokens[Role.ADMIN], signed) as caller:
                error = await refusal(_list(caller))
                assert (grpc.StatusCode.UNAVAILABLE, "") == (error.code, error.reason)
        async with _caller(guarded, guarded.tokens[Role.ADMIN], guarded.signed) as caller:
            await _list(caller)


async def _admin_on_data(world: World) -> None:
    async with _guarded(world) as guarded, _caller(guarded, guarded.tokens[Role.ADMIN], guarded.signed) as caller:
        error = await refusal(_list(replace(caller, control=caller.data)))
        assert grpc.StatusCode.UNIMPLEMENTED == error.code


CASES = [
    Case(24, "no-token", _refuses(World.classify, _UNKNOWN, None, "amx_of-nobody")),
    Case(24, "no-token-for-admin", _refuses(_list, _UNKNOWN, None, "amx_of-nobody")),
    Case(24, "wrong-role", _refuses(_list, _DENIED, Role.INFER)),
    Case(24, "certificates-that-do-not-count", _bad_certificates),
    Case(24, "admin-rpc-on-the-data-listener", _admin_on_data),
]
