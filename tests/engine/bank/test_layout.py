"""Where the parts of an adapter lie."""

import gc
import math
import weakref
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.engine.bank.layout import Layout, Layouts, Place, SiteLayout, SiteWeights, rank_class
from adaptermux_server.engine.forms import Form, LowRank, Scaled
from tests.engine.bank.made_up import ATTENTION, LINEAR, MadeUp, low_rank, make_sites

SITES = make_sites(MadeUp())
INDEX = {site.name: site.index for site in SITES}
ALIGNMENT = 16

FORMS = st.one_of(
    st.builds(LowRank, st.integers(1, 9), st.just(1.0), st.booleans(), st.booleans()), st.builds(Scaled, st.booleans())
)
ANY_FORMS = st.dictionaries(st.sampled_from(LINEAR), FORMS)


@given(ANY_FORMS)
def test_places_are_aligned_and_never_overlap(forms: Mapping[str, Form]) -> None:
    """Nor do they end beyond the flat tensor, of which a row's copy begins aligned too."""
    layout = Layouts(SITES).lay_out(forms)
    places = sorted(_places(layout), key=lambda place: place.offset)
    ends = [place.offset + math.prod(place.shape) for place in places]

    assert all(place.offset % ALIGNMENT == 0 for place in places)
    assert all(end <= after.offset for end, after in zip(ends, places[1:], strict=False))
    assert max(ends, default=0) <= layout.size
    assert layout.size % ALIGNMENT == 0


@given(ANY_FORMS)
def test_every_part_that_a_form_needs_has_a_place(forms: Mapping[str, Form]) -> None:
    """And none besides."""
    layout = Layouts(SITES).lay_out(forms)

    for site in SITES:
        laid_out = layout.sites[site.index]
        expected = _expected_parts(forms[site.name], site.bias is not None) if site.name in forms else None
        assert expected == (None if laid_out is None else _parts(laid_out))
    assert len(forms) == layout.num_adapted


def test_readers_of_one_tensor_have_their_ranks_in_one_block() -> None:
    """One after the other, as classes; those of other tensors have blocks of their own."""
    layout = Layouts(SITES).lay_out(
        {"query": low_rank(3), "key": low_rank(8), "value": low_rank(1), "out": low_rank(2), "up": low_rank(2)}
    )
    query, key, value, out, up = (_at(layout, name) for name in (*ATTENTION, "out", "up"))

    assert [(0, 4), (4, 12), (12, 13)] == [(site.start, site.stop) for site in (query, key, value)]
    assert query.a is not None
    assert (4 + 8 + 1, SITES[INDEX["query"]].in_features) == query.a.shape
    assert query.a == key.a == value.a
    assert 3 == len({query.a, out.a, up.a})


def test_views_of_one_block_are_the_same_object() -> None:
    """By which modules know whose product they may take."""
    layout = Layouts(SITES).lay_out(dict.fromkeys(LINEAR, low_rank(2)))

    views = layout.views(torch.zeros(layout.size))
    weights = {name: views[INDEX[name]] for name in LINEAR}
    blocks = {name: id(found.a) for name, found in weights.items() if found}

    assert 1 == len({blocks[name] for name in ATTENTION})
    assert 5 == len(set(blocks.values()))
    assert set(ATTENTION) == {name for name, found in weights.items() if found and found.is_shared}


def test_views_of_many_adapters_are_those_of_each() -> None:
    """Whatever lies before and behind them."""
    layout = Layouts(SITES).lay_out(
        {"query": low_rank(3, has_magnitude=True), "key": low_rank(2), "down": Scaled(True), "up": Scaled(False)}
    )
    flat = torch.randn(3 * layout.size + 7)[5:-2].view(3, layout.size)

    for name in ("query", "key", "down", "up"):
        together = _weights(layout, flat, name)
        for index, row in enumerate(flat):
            alone = _weights(layout, row, name)
            for part in ("a", "b", "input_scale", "output_scale", "shift"):
                one, many = getattr(alone, part), getattr(together, part)
                assert (one is None) == (many is None)
                assert one is None or torch.equal(one, many[index])


@pytest.mark.parametrize(("rank", "expected"), [(1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (8, 8), (9, 16), (64, 64)])
def test_rank_class_is_the_next_power_of_two(rank: int, expected: int) -> None:
    assert expected == rank_class(rank)


ONE = {"query": low_rank(3), "value": low_rank(4)}


@pytest.mark.parametrize(
    "forms",
    [
        ONE,
        {"value": low_rank(4), "query": low_rank(3)},
        {"query": low_rank(4, 9.0), "value": low_rank(3)},
        {**ONE, "words": LowRank(4, 1.0, is_embedding=True)},
    ],
    ids=["equal", "in another order", "in the same classes", "with an embedding"],
)
def test_adapters_that_are_laid_out_alike_have_one_layout(forms: Mapping[str, Form]) -> None:
    layouts = Layouts(SITES)

    one = layouts.lay_out(ONE)

    assert one is layouts.lay_out(forms)


@pytest.mark.parametrize(
    "forms",
    [
        {"query": low_rank(3)},
        {"query": low_rank(3), "key": low_rank(4)},
        {"query": low_rank(5), "value": low_rank(4)},
        {"query": low_rank(3, has_magnitude=True), "value": low_rank(4)},
        {"query": low_rank(3), "value": low_rank(4, has_bias=True)},
        {"query": Scaled(True), "value": Scaled(False)},
    ],
    ids=["fewer", "elsewhere", "of another class", "with a magnitude", "with a bias", "factors"],
)
def test_adapters_that_are_not_have_others(forms: Mapping[str, Form]) -> None:
    layouts = Layouts(SITES)

    one, other = layouts.lay_out(ONE), layouts.lay_out(forms)

    assert one is not other
    assert one != other


def test_layout_that_nobody_uses_is_forgotten() -> None:
    """Else a server would keep one of each that it ever met."""
    layouts = Layouts(SITES)
    kept, dropped = layouts.lay_out(ONE), layouts.lay_out({"out": low_rank()})
    reference = weakref.ref(dropped)

    del dropped
    gc.collect()

    assert reference() is None
    assert [kept] == list(layouts._known.values())


def test_adapter_of_embeddings_alone_takes_no_place() -> None:
    layout = Layouts(SITES).lay_out({"words": LowRank(4, 1.0, is_embedding=True)})

    assert (0, 0) == (layout.size, layout.num_adapted)


def _at(layout: Layout, name: str) -> SiteLayout:
    found = layout.sites[INDEX[name]]
    assert found is not None
    return found


def _weights(layout: Layout, flat: torch.Tensor, name: str) -> SiteWeights:
    found = layout.views(flat)[INDEX[name]]
    assert found is not None
    return found


def _places(layout: Layout) -> set[Place]:
    found = [place for site in layout.sites if site for place in (site.a, site.b, *_vectors(site)) if place]
    return set(found)


def _vectors(site: SiteLayout) -> tuple[Place | None, ...]:
    return site.input_scale, site.output_scale, site.shift


def _parts(site: SiteLayout) -> tuple[bool, ...]:
    return tuple(place is not None for place in (site.a, site.b, *_vectors(site)))


def _expected_parts(form: Form, site_has_bias: bool) -> tuple[bool, ...]:
    """Whether it has an A, a B, an i, an o and a c."""
    if isinstance(form, Scaled):
        return False, False, form.at_input, not form.at_input, False
    return True, True, False, form.has_magnitude, form.has_bias or (form.has_magnitude and site_has_bias)
