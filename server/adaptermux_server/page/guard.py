"""Who may ask, and what every answer says to browsers: nothing here is for other sites, nor for scripts of theirs."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

_METHODS = ("GET", "HEAD")
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "object-src 'none'",
        # No text becomes markup, whatever a script does with it.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@web.middleware
async def refuse_strangers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer only requests that read, and of browsers only those that came to this address and stay on it."""
    if request.method not in _METHODS:
        raise web.HTTPMethodNotAllowed(request.method, _METHODS)
    if not _is_named_rightly(request):
        raise web.HTTPForbidden(text="this address is served as localhost, or by its number\n")
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site") and not _is_navigation(request):
        raise web.HTTPForbidden(text="pages of other sites may not read this\n")
    return await handler(request)


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add what every answer carries. Files are kept by browsers but asked for anew, figures are not kept."""
    response.headers.update(_HEADERS)
    is_file = isinstance(response, web.FileResponse)
    response.headers["Cache-Control"] = "no-cache" if is_file else "no-store"
    response.headers.pop("Server", None)


def _is_named_rightly(request: web.Request) -> bool:
    """Whether a request over loopback names loopback, or any number.

    A site whose own name comes to resolve to 127.0.0.1 (DNS rebinding) would be of the same origin as this page. Only a
    name can do that, and browsers always send the one they were given.
    """
    host = request.headers.get("Host")
    if host is None or not _came_over_loopback(request):
        return True
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or name.endswith(".localhost") or _is_number(name)


def _came_over_loopback(request: web.Request) -> bool:
    if request.transport is None:
        return True
    address = ip_address(str(request.transport.get_extra_info("sockname")[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _is_number(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_navigation(request: web.Request) -> bool:
    """Somebody who follows a link to the page."""
    return request.headers.get("Sec-Fetch-Mode") == "navigate" and request.headers.get("Sec-Fetch-Dest") == "document"
