"""Which adapters a caller may use: asked of each request of `Infer` in the step in which its names are resolved."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.errors import AdapterNotFoundError, AliasNotFoundError, PermissionDeniedError
from adaptermux_server.transport.security.callers import BASE, Caller, Role, current_caller


class AdapterAccess:
    """Holds requests to the allow-lists of their callers.

    A name must be allowed before it is looked up, so nobody can try out which others there are. What an alias stands
    for must be allowed too, all of it: moving an alias gives nobody more than the operator allowed, and no request
    fails by the chance of the draw.
    """

    def __init__(self, targets_of: Callable[[str], Sequence[str]]) -> None:
        """`targets_of`: ids of the adapters that an alias stands for; empty for any other name."""
        self._targets_of = targets_of

    @contextmanager
    def checked(self, adapters: Sequence[str]) -> Iterator[None]:
        """Check the references of a request, which is served within the context; empty stands for the base.

        They must be resolved before anything is awaited, or an alias could move between check and use.
        Raises PermissionDeniedError, and errors of the context without names that the caller may not use.
        """
        caller = current_caller.get()
        if caller is None or caller.adapters is None:
            yield
            return
        for reference in adapters:
            self._check(caller, reference)
        try:
            yield
        except AdapterNotFoundError as error:
            raise _without_others(error, caller) from None

    def _check(self, caller: Caller, reference: str) -> None:
        name = reference.partition("@")[0] or BASE
        if not (caller.may_use(name) and all(map(caller.may_use, self._targets_of(name)))):
            raise PermissionDeniedError(caller.name, Role.INFER, name)


def access_to(registry: AdapterRegistry) -> AdapterAccess:
    """Access by the aliases of a registry."""

    def targets_of(name: str) -> Sequence[str]:
        try:
            return [target.adapter_id for target in registry.alias(name).targets]
        except AliasNotFoundError:
            return ()

    return AdapterAccess(targets_of)


def _without_others(error: AdapterNotFoundError, caller: Caller) -> AdapterNotFoundError:
    similar = [name for name in error.metadata["similar"].split(",") if name]
    return AdapterNotFoundError(
        error.metadata["adapter"], [name for name in similar if caller.may_use(name.partition("@")[0])]
    )
