"""How a client shows who it is, and makes sure of whom it talks to: TLS, and tokens."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import grpc

Token: TypeAlias = str | Callable[[], str]
"""A bearer token; or what gives one, asked before each call, so that tokens can change."""

Pem: TypeAlias = bytes | str | os.PathLike[str]
"""PEM: its bytes, or the path of a file that holds it."""

_KEY = "authorization"
# What a header can carry. Anything else gRPC would refuse in words that quote it.
_VALID = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """How a client speaks TLS, and with a certificate of its own mTLS.

    Files are read once, when a client is made: make a new one to use new files.
    """

    ca: Pem | None = None
    """The authorities that may have signed the server's certificate; None: the public ones that gRPC brings along."""
    certificate: Pem | None = field(default=None, repr=False)
    """The client's own, followed by those between it and a root."""
    key: Pem | None = field(default=None, repr=False)
    """Its private key, not encrypted."""
    server_name: str | None = None
    """The name that the server's certificate is for, where that isn't the host of the address."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key: give both or neither")

    def credentials(self) -> grpc.ChannelCredentials:
        """For a channel. Raises OSError if a file can't be read, ValueError if one isn't PEM."""
        ca, certificate, key = (_pem(getattr(self, name), name) for name in ("ca", "certificate", "key"))
        return grpc.ssl_channel_credentials(ca, key, certificate)

    def channel_options(self) -> list[tuple[str, Any]]:
        """What a channel needs beside its credentials."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


def _pem(given: Pem | None, name: str) -> bytes | None:
    if given is None:
        return None
    content = given if isinstance(given, bytes) else Path(given).read_bytes()
    # gRPC would only say, at the first call, that there is no connection.
    if b"-----BEGIN " not in content:
        raise ValueError(f"{name}: isn't PEM")
    return content


def authorized(channel: Any, token: Token | None) -> Any:
    """`channel`, of `grpc` or `grpc.aio`, with the token in the metadata of each call; itself without a token.

    gRPC's own credentials of calls won't do: they are refused on channels without TLS, as to loopback. Raises
    ValueError for a token that no header can carry.
    """
    if token is None:
        return channel
    if not callable(token):
        _checked(token)
    return _AuthorizedChannel(channel, token)


class _AuthorizedChannel:
    """As much of a channel as a generated stub uses."""

    def __init__(self, channel: Any, token: Token) -> None:
        self._channel, self._token = channel, token

    def unary_unary(self, *args: Any, **kwargs: Any) -> "_AuthorizedMethod":
        return _AuthorizedMethod(self._channel.unary_unary(*args, **kwargs), self._token)

    def unary_stream(self, *args: Any, **kwargs: Any) -> "_AuthorizedMethod":
        return _AuthorizedMethod(self._channel.unary_stream(*args, **kwargs), self._token)

    def stream_unary(self, *args: Any, **kwargs: Any) -> "_AuthorizedMethod":
        return _AuthorizedMethod(self._channel.stream_unary(*args, **kwargs), self._token)

    def stream_stream(self, *args: Any, **kwargs: Any) -> "_AuthorizedMethod":
        return _AuthorizedMethod(self._channel.stream_stream(*args, **kwargs), self._token)


class _AuthorizedMethod:
    """An RPC of a stub, called as gRPC's own are."""

    def __init__(self, method: Any, token: Token) -> None:
        self._method, self._token = method, token

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        return self._method(request, timeout=timeout, metadata=self._added(metadata), **rest)

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        return self._method.with_call(request, timeout=timeout, metadata=self._added(metadata), **rest)

    def future(self, request: Any, timeout: float | None = None, metadata: Any = None, **rest: Any) -> Any:
        return self._method.future(request, timeout=timeout, metadata=self._added(metadata), **rest)

    def _added(self, metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
        token = self._token() if callable(self._token) else self._token
        return *(metadata or ()), (_KEY, f"Bearer {_checked(token)}")


def _checked(token: object) -> str:
    if not isinstance(token, str) or not _VALID.fullmatch(token):
        raise ValueError("token: must be printable ASCII without blanks, and not empty")
    return token
