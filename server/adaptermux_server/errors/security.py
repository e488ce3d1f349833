"""Failures of callers: who they are, and what they may do."""

from adaptermux_server.errors.base import AdapterMuxError


class UnauthenticatedError(AdapterMuxError):
    """The call has no token that is valid now."""

    reason = "UNAUTHENTICATED"

    def __init__(self, problem: str) -> None:
        """`problem`: what is wrong with the token, of which nothing is told."""
        super().__init__(f"{problem}: this server takes calls with metadata 'authorization: Bearer TOKEN' alone")


class PermissionDeniedError(AdapterMuxError):
    """The caller is known and may not do this."""

    reason = "PERMISSION_DENIED"

    def __init__(self, caller: str, role: str, adapter: str = "") -> None:
        """`role`: the one that the call needs; `adapter`: as the request names it, where that is what is denied."""
        denied = f"may not use adapter {adapter!r}" if adapter else f"isn't of role '{role}', which this call needs"
        super().__init__(f"the token {caller!r} {denied}: ask the operator for more", role=role, adapter=adapter)
