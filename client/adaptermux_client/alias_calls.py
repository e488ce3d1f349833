"""The calls of `AdapterAdmin` about aliases as values; see `calls`."""

from collections.abc import Mapping

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client import convert_admin
from adaptermux_client.admin_results import AliasInfo, AliasPage
from adaptermux_client.calls import Call


def set_alias(name: str, targets: str | Mapping[str, int], *, timeout: float | None = None) -> Call[AliasInfo]:
    """Make an alias, or move it with all its targets, in one step.

    Args:
        name: what requests will name; of the form of an adapter's id, and no adapter's.
        targets: one adapter, or adapters with their shares of requests relative to each other (1 to 1,000,000). Each is
            an id, which stands for the revision that serves at the time of a request, or "id@revision-prefix".
        timeout: see `calls.classify`.

    Raises:
        AdapterNotReadyError: a target doesn't serve.
        AdapterMuxClientError: another subclass by status and reason.
        ValueError: a weight below 1; leave out what shall get no requests.
    """
    weights = {targets: 1} if isinstance(targets, str) else targets
    for adapter, weight in weights.items():
        if weight < 1:  # the wire has no 0: it would mean 1 there
            raise ValueError(f"the weight of {adapter} must be at least 1, not {weight}")
    alias = adapter_admin_pb2.Alias(name=name)
    for adapter, weight in weights.items():
        alias.targets.add(adapter=adapter, weight=weight)
    return Call("SetAlias", adapter_admin_pb2.SetAliasRequest(alias=alias), _alias_of, timeout)


def delete_alias(name: str, *, timeout: float | None = None) -> Call[AliasInfo]:
    """Remove an alias, and return how it was; its adapters stay.

    Raises:
        AliasNotFoundError: no alias has this name.
        AdapterMuxClientError: another subclass by status and reason.
    """
    return Call("DeleteAlias", adapter_admin_pb2.DeleteAliasRequest(name=name), _alias_of, timeout)


def alias_page(*, page_size: int = 0, page_token: str = "", timeout: float | None = None) -> Call[AliasPage]:
    """List aliases by name, one page of them; `aliases` walks all pages.

    Args:
        page_size: the most to return; 0 is the server's default.
        page_token: `next_page_token` of the page before; empty is the first page.
        timeout: see `calls.classify`.

    Raises:
        AdapterMuxClientError: a subclass by status and reason; see `errors`.
    """
    request = adapter_admin_pb2.ListAliasesRequest(page_size=page_size, page_token=page_token)
    return Call("ListAliases", request, convert_admin.alias_page, timeout)


def _alias_of(response: adapter_admin_pb2.SetAliasResponse | adapter_admin_pb2.DeleteAliasResponse) -> AliasInfo:
    return convert_admin.alias_info(response.alias)
