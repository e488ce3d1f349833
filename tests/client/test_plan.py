"""Plans: what is done to make a server what a manifest says."""

from dataclasses import replace
from typing import Any

import pytest

from adaptermux_client import AdapterInfo, AdapterState, AliasInfo, AliasTarget, ProblemType
from adaptermux_client.cli.manifest import AdapterEntry, AliasEntry, Manifest, StoredRevision
from adaptermux_client.cli.plan import Action, Kind, Wanted, adapter_step, alias_step, plan
from adaptermux_client.convert_admin import adapter_info
from tests.client.fake_answers import POS, REVISION, SENTIMENT

KNOWN = adapter_info(SENTIMENT)
OTHER = "77ae0b12" * 8


def wanted(revision: str = REVISION, **options: Any) -> Wanted:
    """`sentiment` as it shall be."""
    return Wanted(AdapterEntry("sentiment", StoredRevision(revision), **options), revision)


def alias(name: str, **weights: int) -> AliasInfo:
    """An alias as it is."""
    return AliasInfo(name, tuple(AliasTarget(target, weight) for target, weight in weights.items()), None)


def test_what_is_as_it_shall_be_is_unchanged() -> None:
    """Labels, problem type and waits that the manifest leaves out are not compared."""
    step = adapter_step(wanted(), KNOWN)

    assert (Action.UNCHANGED, (), False) == (step.action, step.changes, step.does_something)


@pytest.mark.parametrize(
    "known", [None, *(replace(KNOWN, state=state) for state in AdapterState if state is not AdapterState.READY)]
)
def test_what_does_not_serve_is_created(known: AdapterInfo | None) -> None:
    """A failed load is made anew."""
    assert adapter_step(wanted(), known).action is Action.CREATE


@pytest.mark.parametrize(
    ("options", "change"),
    [
        ({"weight": 2.0}, "weight 1 → 2"),
        ({"max_wait_seconds": 0.5}, "max_wait_seconds 0.25 → 0.5"),
        ({"pinned": True}, "pinned false → true"),
        ({"metadata": {"a": "1", "b": "2"}}, "metadata none → a=1  b=2"),
        ({"labels": ("no", "yes")}, "labels negative, positive → no, yes"),
        ({"problem_type": ProblemType.MULTI_LABEL}, "problem_type single label → multi label"),
    ],
)
def test_an_option_that_differs_is_updated(options: dict[str, Any], change: str) -> None:
    """And told with what it was."""
    step = adapter_step(wanted(**options), KNOWN)

    assert (Action.UPDATE, [change]) == (step.action, list(map(str, step.changes)))


def test_options_that_are_the_same_are_no_change() -> None:
    """Whatever float a duration was made from."""
    same = wanted(
        weight=1.0,
        max_wait_seconds=0.1 + 0.2,
        metadata={},
        labels=("negative", "positive"),
        problem_type=ProblemType.SINGLE_LABEL,
    )

    assert adapter_step(same, replace(KNOWN, max_wait_seconds=0.3)).action is Action.UNCHANGED


def test_an_option_that_the_manifest_leaves_out_goes_back_to_its_default() -> None:
    """Else what was taken out of the file would stay for ever."""
    known = replace(KNOWN, weight=3.0, pinned=True, metadata={"a": "1"})

    changes = adapter_step(wanted(), known).changes

    assert ["weight 3 → 1", "pinned true → false", "metadata a=1 → none"] == list(map(str, changes))


def test_another_content_is_a_new_revision() -> None:
    """Options that change with it are told too."""
    step = adapter_step(wanted(OTHER, pinned=True), KNOWN)

    assert step.action is Action.NEW_REVISION
    assert ["revision 3fa9c1d2 → 77ae0b12", "pinned false → true"] == list(map(str, step.changes))


@pytest.mark.parametrize(
    ("targets", "existing", "action"),
    [
        ({"a": 1}, {"a": 1}, Action.UNCHANGED),
        ({"a": 1}, {"b": 1}, Action.UPDATE),
        ({"a": 2}, {"a": 1}, Action.UPDATE),
        ({"a": 90, "b": 10}, {"b": 10, "a": 90}, Action.UNCHANGED),
        ({"a": 90, "b": 10}, {"a": 10, "b": 90}, Action.UPDATE),
        ({"a": 1}, {"a": 1, "b": 1}, Action.UPDATE),
        ({"a@3fa9c1d2": 1}, {f"a@{REVISION}": 1}, Action.UNCHANGED),
        ({"a@3fa9c1d2": 1}, {f"a@{OTHER}": 1}, Action.UPDATE),
        ({"a": 1}, {f"a@{REVISION}": 1}, Action.UPDATE),
        ({"a": 1}, {"ab": 1}, Action.UPDATE),
    ],
)
def test_an_alias_is_compared_by_its_targets(targets: dict[str, int], existing: dict[str, int], action: Action) -> None:
    """In any order; the beginning of a revision stands for it."""
    assert action is alias_step(AliasEntry("prod", targets), alias("prod", **existing)).action


def test_a_change_of_an_alias_is_told() -> None:
    """Revisions by their beginnings."""
    step = alias_step(AliasEntry("prod", {"a": 90, "b": 10}), alias("prod", **{f"a@{REVISION}": 1}))

    assert ["targets a@3fa9c1d2 → a=90, b=10"] == list(map(str, step.changes))


ADAPTERS = {"sentiment": KNOWN, "pos": adapter_info(POS)}
ALIASES = {"prod": alias("prod", pos=1)}
NEITHER = Manifest((wanted().entry,), (AliasEntry("new", {"sentiment": 1}),))


def test_adapters_come_first_then_aliases_then_what_goes() -> None:
    """An alias goes before the adapter that it points at."""
    steps = plan(NEITHER, [wanted()], ADAPTERS, ALIASES, prune=True)

    assert [
        (Kind.ADAPTER, "sentiment", Action.UNCHANGED),
        (Kind.ALIAS, "new", Action.CREATE),
        (Kind.ALIAS, "prod", Action.DELETE),
        (Kind.ADAPTER, "pos", Action.DELETE),
    ] == [(step.kind, step.name, step.action) for step in steps]


@pytest.mark.parametrize(
    ("manifest", "prune", "deleted"),
    [
        (NEITHER, False, []),
        (Manifest((), None), True, ["pos", "sentiment"]),
        (Manifest(None, ()), True, ["prod"]),
        (Manifest(None, None), True, []),
    ],
)
def test_only_what_a_manifest_speaks_of_is_pruned(manifest: Manifest, prune: bool, deleted: list[str]) -> None:
    """And only if asked for."""
    steps = plan(manifest, [], ADAPTERS, ALIASES, prune=prune)

    assert deleted == [step.name for step in steps if step.action is Action.DELETE]
