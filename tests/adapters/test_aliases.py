"""Aliases: moved in one step, never in chains, and divided by weight so that keys stay where they are."""

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.aliases import Alias, AliasTable, AliasTarget
from adaptermux_server.errors import AliasNotFoundError, InvalidRequestError
from tests.adapters.builders import unhurried
from tests.adapters.test_ids import BAD_IDS

KEYS = tuple(f"user-{index}" for index in range(4000))
WEIGHTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 100), min_size=1)


def alias(name: str = "prod", /, update_time: int = 0, **weights: int) -> Alias:
    """An alias for adapters named by keywords."""
    return Alias(name, tuple(AliasTarget(adapter_id, weight) for adapter_id, weight in weights.items()), update_time)


def table_of(*aliases: Alias) -> AliasTable:
    table = AliasTable()
    for each in aliases:
        table.set(each)
    return table


def unused() -> float:
    raise AssertionError("no chance should play a part")


def placed(keys: Sequence[str] = KEYS, /, **weights: int) -> Sequence[str]:
    """Where the requests with these keys go."""
    table = table_of(alias(**weights))
    return [str(table.resolve("prod", key, unused)) for key in keys]


def test_setting_an_alias_gives_the_one_before() -> None:
    table, first, second = AliasTable(), alias(a=1), alias(b=1, update_time=5)

    assert [None, first] == [table.set(first), table.set(second)]
    assert second == table.get("prod")


def test_deleting_an_alias_gives_it_and_forgets_it() -> None:
    table = table_of(alias(a=1))

    assert alias(a=1) == table.delete("prod")
    assert ("prod" in table, table.list(), table.pointing_at("a")) == (False, [], [])
    assert vars(AliasTable()) == vars(table)


@pytest.mark.parametrize("method", [AliasTable.get, AliasTable.delete])
def test_an_unknown_alias_is_not_found(method: Callable[[AliasTable, str], Alias]) -> None:
    with pytest.raises(AliasNotFoundError) as caught:
        method(table_of(alias(a=1)), "prid")

    assert caught.value.metadata == {"alias": "prid"}


def test_aliases_are_listed_by_name() -> None:
    table = table_of(alias("c", x=1), alias("a", y=1), alias("b", x=1))

    assert ["a", "b", "c"] == [each.name for each in table.list()]


def test_the_aliases_that_point_at_an_adapter_are_known_and_follow_each_change() -> None:
    table = table_of(alias("q", x=1, y=1), alias("p", x=1), alias("r", y=1))
    before = table.pointing_at("x")
    table.set(alias("q", y=2, z=1))

    assert (["p", "q"], ["p"]) == (before, table.pointing_at("x"))
    assert ["q", "r"] == table.pointing_at("y")
    assert [] == table.pointing_at("nobody")


@pytest.mark.parametrize("name", BAD_IDS)
def test_row_3_names_and_targets_have_the_form_of_ids(name: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^alias\.name: "):
        Alias(name, (AliasTarget("a"),))
    with pytest.raises(InvalidRequestError, match=r"^alias\.targets\[1\]\.adapter: "):
        Alias("prod", (AliasTarget("a"), AliasTarget(name)))


@pytest.mark.parametrize(
    ("targets", "field"),
    [
        ((), "alias.targets"),
        (tuple(AliasTarget(f"a{index}") for index in range(17)), "alias.targets"),
        ((AliasTarget("a"), AliasTarget("b"), AliasTarget("a", 2)), "alias.targets"),
        ((AliasTarget("a"), AliasTarget("b", 0)), "alias.targets[1].weight"),
        ((AliasTarget("a", -1),), "alias.targets[0].weight"),
        ((AliasTarget("a", 1_000_001),), "alias.targets[0].weight"),
    ],
)
def test_targets_outside_their_limits_are_an_invalid_request(targets: tuple[AliasTarget, ...], field: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Alias("prod", targets)

    assert [field] == [violation for violation, _ in caught.value.violations]


def test_targets_at_their_limits_pass() -> None:
    targets = tuple(AliasTarget(f"a{index}", 1_000_000 if index else 1) for index in range(16))

    assert targets == Alias("prod", targets).targets


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        (alias("new", a=1, prod=1), "alias.targets[1].adapter"),
        (alias("new", new=1), "alias.targets[0].adapter"),
        (alias("x", y=1), "alias.name"),
    ],
)
def test_an_alias_never_points_at_an_alias_from_either_side(refused: Alias, field: str) -> None:
    table = table_of(alias("prod", x=1))

    with pytest.raises(InvalidRequestError) as caught:
        table.set(refused)

    assert [field] == [violation for violation, _ in caught.value.violations]
    assert [alias("prod", x=1)] == table.list()


def test_a_name_that_is_no_alias_resolves_to_nothing() -> None:
    assert table_of(alias(a=1)).resolve("a", "key", unused) is None


def test_one_target_gets_every_request() -> None:
    table = table_of(alias(a=1))

    assert ["a", "a"] == [table.resolve("prod", key, unused) for key in (None, "key")]


@pytest.mark.parametrize("weights", [{"a": 90, "b": 10}, {"a": 1, "b": 1, "c": 2}, {"a": 1_000_000, "b": 250_000}])
def test_keys_are_divided_by_weight(weights: dict[str, int]) -> None:
    counts = Counter(placed(**weights))

    for adapter_id, weight in weights.items():
        # Four times the standard deviation; the keys are the same in every run.
        assert weight / sum(weights.values()) == pytest.approx(counts[adapter_id] / len(KEYS), abs=4 * 0.5 / 4000**0.5)


@pytest.mark.parametrize("key", [None, ""])
def test_requests_without_a_key_are_divided_by_weight_at_random(key: str | None) -> None:
    table, random = table_of(alias(a=3, b=1)), Random(0).random

    counts = Counter(table.resolve("prod", key, random) for _ in range(4000))

    assert 3000 == pytest.approx(counts["a"], abs=110)
    assert 4000 == counts["a"] + counts["b"]


@pytest.mark.parametrize("number", [0.0, 1.0 - 2.0**-53])
def test_the_ends_of_chance_are_served_too(number: float) -> None:
    assert table_of(alias(a=1, b=1_000_000)).resolve("prod", None, lambda: number) in ("a", "b")


def test_a_key_stays_with_its_target_in_all_processes_and_versions() -> None:
    """A change of the hash moves everybody's keys: whoever makes one must mean it."""
    assert "bbbcaabbbbcaaabaccabcabaaacacaccbbcccaaccaaabbac" == "".join(placed(KEYS[:48], a=2, b=1, c=1))


@unhurried
@given(WEIGHTS, st.randoms(use_true_random=False), st.text(min_size=1))
def test_neither_the_order_of_the_targets_nor_the_alias_moves_a_key(
    weights: dict[str, int], random: Random, key: str
) -> None:
    shuffled = list(weights.items())
    random.shuffle(shuffled)
    table = table_of(alias("one", **weights), alias("two", **dict(shuffled)))

    assert table.resolve("one", key, unused) == table.resolve("two", key, unused)


@unhurried
@given(WEIGHTS, WEIGHTS, st.lists(st.text(min_size=1), max_size=20))
def test_a_key_moves_only_from_a_smaller_share_to_a_larger(
    before: dict[str, int], after: dict[str, int], keys: list[str]
) -> None:
    for old, new in zip(placed(keys, **before), placed(keys, **after), strict=True):
        growth = {each: after.get(each, 0) / before[each] for each in before}
        assert old == new or new not in growth or growth[old] < growth[new]


def test_raising_a_canary_moves_no_more_keys_than_it_must() -> None:
    moves = Counter(zip(placed(old=90, new=10), placed(old=80, new=20), strict=True))

    assert 0 == moves["new", "old"]
    assert len(KEYS) * 0.1 == pytest.approx(moves["old", "new"], abs=4 * (0.1 * 0.9 * len(KEYS)) ** 0.5)
