"""Bearer tokens: a TOML file holds who has one and what it allows, and of the token itself its SHA-256 alone.

Tokens are long and random, so that a plain digest is enough: there is nothing to guess that salt would make slower.
"""

import asyncio
import hashlib
import hmac
import json
import re
import secrets
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from adaptermux_server.errors import UnauthenticatedError
from adaptermux_server.transport.security.callers import AllowList, Caller, Role
from adaptermux_server.transport.security.files import MAX_BYTES, Reloaded, SecurityFileError

REFRESH_SECONDS = 1.0
_TOKEN_BYTES = 32
_TOKEN_PREFIX = "amx_"
_INDEX_BYTES = 8


class _Strict(BaseModel):
    # A token that stands where its digest should must not get into the log with the complaint.
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _Entry(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    role: Role
    adapters: tuple[str, ...] | None = None
    expires: AwareDatetime | None = None

    @field_validator("adapters")
    @classmethod
    def _check_patterns(cls, patterns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        AllowList(patterns or ())
        return patterns

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        if self.adapters is not None and self.role is Role.ADMIN:
            raise ValueError("`adapters` stands with the role infer alone: an admin may load and use any")
        return self


class _File(_Strict):
    tokens: tuple[_Entry, ...]

    @model_validator(mode="after")
    def _check_distinct(self) -> Self:
        for field in ("name", "sha256"):
            if len({getattr(entry, field) for entry in self.tokens}) != len(self.tokens):
                raise ValueError(f"two tokens have the same {field}")
        return self


@dataclass(frozen=True, slots=True)
class _Holder:
    digest: bytes
    caller: Caller
    expires: float


_NOBODY = _Holder(bytes(32), Caller("", Role.INFER), 0.0)
_Table = Mapping[bytes, _Holder]


class TokenFile:
    """The tokens of a file. Raises SecurityFileError where it can't be used."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since the epoch."""
        self._clock = clock
        self._file: Reloaded[bytes, _Table] = Reloaded(
            f"tokens of {path}", lambda: content_of(path), partial(_parse, path)
        )

    def caller(self, token: str) -> Caller:
        """Whoever holds `token`. Raises UnauthenticatedError."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        # Nobody can choose a digest's first bytes to learn from the time of this look-up what follows them.
        holder = self._file.value.get(digest[:_INDEX_BYTES], _NOBODY)
        if not hmac.compare_digest(holder.digest, digest):
            raise UnauthenticatedError("the token isn't known")
        if holder.expires <= self._clock():
            raise UnauthenticatedError("the token has expired")
        return holder.caller

    def refresh(self) -> bool:
        """Read the file again if it has changed; returns whether new tokens are in force."""
        return self._file.refresh()

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Follow the changes of the file within the context, each within REFRESH_SECONDS."""
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await asyncio.to_thread(self.refresh)


def new_token() -> str:
    """A token that nobody can guess."""
    return _TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def entry_of(
    token: str, name: str, role: Role, adapters: Sequence[str] | None = None, expires: datetime | None = None
) -> str:
    """The lines that admit a token; they don't hold it.

    Args:
        token: of `new_token`.
        name: who gets it.
        role: what it is good for.
        adapters: patterns as of `AllowList`; None: all.
        expires: with a time zone; None: never.

    Raises SecurityFileError for what a file of tokens can't say.
    """
    lines = [
        "[[tokens]]",
        f"name = {_quoted(name)}",
        f"role = {_quoted(role)}",
        f"sha256 = {_quoted(hashlib.sha256(token.encode()).hexdigest())}",
    ]
    if adapters is not None:
        lines.append(f"adapters = [{', '.join(map(_quoted, adapters))}]")
    if expires is not None:
        lines.append(f"expires = {expires.isoformat()}")
    entry = "\n".join(lines) + "\n"
    entries_of("the token", entry.encode())
    return entry


def _quoted(text: str) -> str:
    """As a string of TOML, which takes those of JSON."""
    return json.dumps(text)


def content_of(path: Path) -> bytes:
    """What a file of tokens holds. Raises SecurityFileError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SecurityFileError(f"{path} can't be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise SecurityFileError(f"{path} is larger than {MAX_BYTES} bytes")
    return content


def _parse(path: Path, content: bytes) -> _Table:
    return {holder.digest[:_INDEX_BYTES]: holder for holder in map(_holder, entries_of(path, content))}


def entries_of(what: Path | str, content: bytes) -> tuple[_Entry, ...]:
    """The entries of a file of tokens, which errors call `what`. Raises SecurityFileError."""
    try:
        return _File.model_validate(tomllib.loads(content.decode())).tokens
    except ValidationError as error:
        problems = "; ".join(map(_problem, error.errors(include_input=False)))
        raise SecurityFileError(f"{what}: {problems}") from None
    except (RecursionError, ValueError) as error:
        # Of the parser's own words only the place: they may quote the file.
        place = re.search(r"at (line \d+, column \d+|end of document)", str(error))
        raise SecurityFileError(f"{what}: it isn't TOML{f' {place[0]}' if place else ''}") from None


def _problem(error: Mapping[str, object]) -> str:
    where = error["loc"]
    if error["type"] == "extra_forbidden" and isinstance(where, tuple):
        # The name may be anything that was put into the wrong place.
        where = where[:-1]
    path = ".".join(map(str, where)) if isinstance(where, tuple) else ""
    return f"{path or 'the file'}: {error['msg']}"


def _holder(entry: _Entry) -> _Holder:
    adapters = None if entry.adapters is None else AllowList(entry.adapters)
    expires = float("inf") if entry.expires is None else entry.expires.timestamp()
    return _Holder(bytes.fromhex(entry.sha256), Caller(entry.name, entry.role, adapters), expires)
