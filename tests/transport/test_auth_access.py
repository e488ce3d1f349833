import pytest

from adaptermux_server.adapters.aliases import Alias, AliasTarget
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.errors import AdapterNotFoundError, PermissionDeniedError
from adaptermux_server.transport.security.access import AdapterAccess, access_to
from adaptermux_server.transport.security.callers import AllowList, Caller, Role, current_caller

TARGETS = {
    "acme-prod": ["acme-v1"],
    "prod": ["acme-v1"],
    "acme-canary": ["acme-v1", "acme-v2"],
    "acme-mixed": ["acme-v1", "other-v1"],
    "acme-stolen": ["other-v1"],
}
ACCESS = AdapterAccess(lambda name: TARGETS.get(name, ()))


@pytest.fixture
def call_as():
    """Calls are by a caller who may use the adapters that fit these patterns; None: by one with no such list."""
    reset = []

    def set_caller(patterns):
        adapters = None if patterns is None else AllowList(patterns)
        reset.append(current_caller.set(Caller("acme", Role.INFER, adapters)))

    yield set_caller
    for token in reversed(reset):
        current_caller.reset(token)


def is_allowed(adapters):
    try:
        with ACCESS.checked(adapters):
            return True
    except PermissionDeniedError:
        return False


@pytest.mark.parametrize(
    ("patterns", "adapters", "expected"),
    [
        (None, ["acme-v1", "other-v1", ""], True),
        (["*"], ["acme-v1", "other-v1", "acme-mixed", ""], True),
        ([], ["acme-v1"], False),
        ([], [""], False),
        (["acme-*"], ["acme-v1"], True),
        (["acme-*"], ["acme-v1@0f0f0f0f"], True),
        (["acme-*"], ["other-v1"], False),
        (["acme-*"], ["other-v1@0f0f0f0f"], False),
        (["acme-*"], ["acme-v1", "other-v1"], False),
        (["acme-*"], ["other-v1", "acme-v1"], False),
        (["acme-*"], [""], False),
        (["acme-*"], ["acme-v1", ""], False),
        (["acme-*", "base"], ["acme-v1", ""], True),
        (["acme-*"], ["acme-prod"], True),
        (["acme-*"], ["acme-canary"], True),
        (["acme-*"], ["prod"], False),
        (["acme-*", "prod"], ["prod"], True),
        (["acme-*"], ["acme-stolen"], False),
        (["acme-*"], ["acme-mixed"], False),
        (["acme-*", "other-v1"], ["acme-mixed"], True),
        (["acme-prod"], ["acme-prod"], False),
        (["acme-prod", "acme-v1"], ["acme-prod"], True),
        (["acme-*"], ["nothing-of-this-name"], False),
    ],
)
def test_a_name_and_all_that_it_stands_for_must_be_allowed(call_as, patterns, adapters, expected):
    call_as(patterns)

    assert expected == is_allowed(adapters)


def test_without_a_caller_all_is_allowed():
    assert is_allowed(["acme-v1", "other-v1", ""])


@pytest.mark.parametrize(
    ("reference", "shown"),
    [("other-v1@0f0f0f0f", "other-v1"), ("", "base"), ("acme-stolen", "acme-stolen")],
)
def test_a_denial_names_what_the_caller_named(call_as, reference, shown):
    call_as(["acme-*"])

    with pytest.raises(PermissionDeniedError) as denied, ACCESS.checked([reference]):
        pass

    assert {"role": "infer", "adapter": shown} == denied.value.metadata


def test_what_does_not_exist_is_denied_like_what_does(call_as):
    call_as(["acme-*"])
    texts = []
    for name in ("other-v1", "other-v9"):
        with pytest.raises(PermissionDeniedError) as denied, ACCESS.checked([name]):
            pass
        texts.append(str(denied.value).replace(name, "NAME"))

    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [(["acme-*"], "acme-v1"), (["acme-v9"], ""), (None, "acme-v1,other-v1@0f0f0f0f0f0f")],
)
def test_only_names_that_the_caller_may_use_are_suggested(call_as, patterns, expected):
    call_as(patterns)

    with pytest.raises(AdapterNotFoundError) as missing, ACCESS.checked(["acme-v9"]):
        raise AdapterNotFoundError("acme-v9", ["acme-v1", "other-v1@0f0f0f0f0f0f"])

    assert {"adapter": "acme-v9", "similar": expected} == missing.value.metadata
    assert ("other-v1" in str(missing.value)) == ("other-v1" in expected)


def test_aliases_are_those_of_the_registry(call_as):
    registry = AdapterRegistry(1.0)
    registry.set_alias(Alias("acme-prod", (AliasTarget("other-v1@0f0f0f0f"), AliasTarget("acme-v1"))))
    call_as(["acme-*"])

    with pytest.raises(PermissionDeniedError), access_to(registry).checked(["acme-prod"]):
        pass
    with access_to(registry).checked(["acme-v1"]):
        pass
