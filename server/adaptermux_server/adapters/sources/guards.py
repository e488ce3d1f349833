"""What the libraries are told so that they go nowhere else: none of them may follow a redirect.

Each function takes the options that the operator configured for fsspec, and returns those that must be given instead.
The libraries belong to extras, so they are imported where they are needed.
"""

import functools
import importlib
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, Protocol

_REDIRECT = "is answered by a redirect, and none is followed: give the URI that it leads to"


class RefusedError(Exception):
    """A server's answer that no retry will change; the message is for clients."""


class _Answer(Protocol):
    """What is used of an `aiohttp.ClientResponse`."""

    status: int

    @property
    def headers(self) -> Mapping[str, str]:
        """Without regard to case."""

    def close(self) -> None:
        """Close the connection."""


def http_options(configured: Mapping[str, Any]) -> dict[str, Any]:
    """Take bodies only as they are, so that what is counted is what travels, and tell statuses apart."""
    client = configured.get("client_kwargs", {})
    guarded = {
        **client,
        "headers": {**client.get("headers", {}), "Accept-Encoding": "identity"},
        "raise_for_status": _check_answer,
        "timeout": importlib.import_module("aiohttp").ClientTimeout(total=None),  # `fetch` has the limit
    }
    return {"client_kwargs": guarded, "allow_redirects": False}


def s3_options(configured: Mapping[str, Any]) -> dict[str, Any]:
    """botocore means to follow no redirects; in aiobotocore aiohttp does, unless each request says otherwise."""
    guarded = {**configured.get("config_kwargs", {}), "http_session_cls": _s3_session_class()}
    return {"config_kwargs": guarded}


def gcs_options(configured: Mapping[str, Any]) -> dict[str, Any]:
    """gcsfs leaves redirects to aiohttp too, and has no option for them."""
    session = configured.get("session_kwargs", {})
    return {"session_kwargs": {**session, "middlewares": (*session.get("middlewares", ()), _refuse_redirects)}}


@functools.cache
def _s3_session_class() -> type:
    base: Any = importlib.import_module("aiobotocore.httpsession").AIOHTTPSession
    get_session = base._get_session  # an AttributeError here is better than a session that follows

    async def get_guarded_session(self: object, proxy_url: str | None) -> SimpleNamespace:
        session = await get_session(self, proxy_url)
        return SimpleNamespace(request=functools.partial(session.request, allow_redirects=False))

    return type("GuardedSession", (base,), {"_get_session": get_guarded_session})


async def _refuse_redirects(request: Any, send: Callable[[Any], Awaitable[Any]]) -> Any:
    answer = await send(request)
    if 300 <= answer.status < 400:
        answer.close()
        raise RefusedError(_REDIRECT)
    return answer


async def _check_answer(answer: _Answer) -> None:
    try:
        _check_status(answer.status)
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise RefusedError("is sent compressed, although the server asked for it as it is")
    except BaseException:
        answer.close()
        raise


def _check_status(status: int) -> None:
    match status:
        case 200:
            return
        case 404 | 410:
            raise FileNotFoundError
        case 401 | 403 | 407:
            raise PermissionError
        case _ if status >= 500 or status in (408, 429):
            raise ConnectionError(f"status {status}")
        case _ if 300 <= status < 400:
            raise RefusedError(_REDIRECT)
        case _:
            raise RefusedError(f"is answered by the HTTP status {status}")
