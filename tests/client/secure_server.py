"""Real listeners with certificates and tokens, in a loop and a thread of their own, for blocking clients too."""

import asyncio
import itertools
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from adaptermux_client import TlsOptions
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tls import Certificates, TlsFiles
from adaptermux_server.transport.security.tokens import TokenFile
from tests.support.certificates import Authority
from tests.transport.listening import Reached, admin, data, write_tokens

_numbers = itertools.count()
INFER, ADMIN = "amx_of-a-tenant", "amx_of-an-operator"


@dataclass(frozen=True)
class Files:
    """What the clients and the listeners of a test are given, in one folder."""

    folder: Path
    authority: Authority
    stranger: Authority

    @property
    def ca(self) -> Path:
        """Of the server, and of those clients that it lets in."""
        return self._written("ca.pem", self.authority.certificate)

    @property
    def other_ca(self) -> Path:
        """Of nobody that matters."""
        return self._written("other.pem", self.stranger.certificate)

    def certificates(self, *, expired: bool = False, mutual: bool = False) -> Certificates:
        """Of a listener."""
        files = self.authority.sign("server", expired=expired).write(self.folder, "server")
        return Certificates(TlsFiles(*files, self.ca if mutual else None))

    def own(self, authority: Authority, *, expired: bool = False) -> TlsOptions:
        """Of a client with a certificate."""
        return TlsOptions(
            self.ca, *authority.sign("robot", expired=expired).write(self.folder, f"robot-{next(_numbers)}")
        )

    def tokens(self, **tokens: Role) -> TokenFile:
        """A file that admits these, by default an infer and an admin."""
        return TokenFile(self.write_tokens(**tokens))

    def write_tokens(self, **tokens: Role) -> Path:
        """The file of `tokens`; the next one replaces it."""
        known = tokens or {INFER: Role.INFER, ADMIN: Role.ADMIN}
        entries = [(token, f"name-{index}", role) for index, (token, role) in enumerate(known.items())]
        return write_tokens(self.folder / "tokens.toml", *entries)

    def _written(self, name: str, content: bytes) -> Path:
        (path := self.folder / name).write_bytes(content)
        return path


@dataclass(frozen=True)
class Serving:
    """A running listener. Its address has a host that the certificates are for."""

    address: str
    reached: Reached
    loop: asyncio.AbstractEventLoop

    def tell_watchers(self, adapter_id: str) -> None:
        """That this adapter is gone."""
        self.loop.call_soon_threadsafe(self.reached.servicer.events.put_nowait, adapter_id)


@contextmanager
def serving(kind: str, security: Security) -> Iterator["Serving"]:
    """A listener, "data" or "admin"."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener: AbstractAsyncContextManager[Reached] = {"data": data, "admin": admin}[kind](security=security)

    async def leave() -> None:
        await listener.__aexit__(None, None, None)

    async def enter() -> Reached:
        return await listener.__aenter__()

    try:
        reached = asyncio.run_coroutine_threadsafe(enter(), loop).result(10)
        yield Serving(reached.address.replace("127.0.0.1", "localhost"), reached, loop)
        asyncio.run_coroutine_threadsafe(leave(), loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
