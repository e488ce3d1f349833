"""Where an adapter keeps what it changes: one flat tensor, so that a batch gathers a row's weights with one copy."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from weakref import WeakValueDictionary

import torch

from adaptermux_server.engine.bank.sites import Site
from adaptermux_server.engine.forms import Form, LowRank

_ALIGNMENT = 16
"""Floats: 64 bytes, a line of the cache and the widest vector register."""


@dataclass(frozen=True, slots=True)
class SiteWeights:
    """What an adapter (or, with a leading axis, several) adds at a site:  y = o ⊙ (W (i ⊙ x) + b + B A x) + c.

    The shapes are those of one adapter; None: not used. B has the adapter's scale in it.
    """

    a: torch.Tensor | None
    """[joint rank, in]: that of all sites that read the same tensor, so that they share one product."""
    start: int
    stop: int
    """The site's own rows of `a`."""
    b: torch.Tensor | None
    """[out, rank]"""
    input_scale: torch.Tensor | None
    """i [in]"""
    output_scale: torch.Tensor | None
    """o [out]"""
    shift: torch.Tensor | None
    """c [out]"""

    @property
    def is_shared(self) -> bool:
        """Whether other sites use the same `a`."""
        return self.a is not None and self.a.shape[-2] > self.stop - self.start


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part lies in the flat tensor."""

    offset: int
    shape: tuple[int, ...]

    def view(self, flat: torch.Tensor) -> torch.Tensor:
        """The part as a view of [size], or of [adapters, size], which puts an axis before its own."""
        strides = (self.shape[1], 1) if len(self.shape) == 2 else (1,)
        return flat.as_strided(
            (*flat.shape[:-1], *self.shape), (*flat.stride()[:-1], *strides), flat.storage_offset() + self.offset
        )


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """The places of a site's parts; those of `SiteWeights`."""

    a: Place | None = None
    start: int = 0
    stop: int = 0
    b: Place | None = None
    input_scale: Place | None = None
    output_scale: Place | None = None
    shift: Place | None = None

    def views(self, flat: torch.Tensor, a: torch.Tensor | None) -> SiteWeights:
        """The parts as views of [size] or [adapters, size]; `a` is that already."""
        places = (self.b, self.input_scale, self.output_scale, self.shift)
        b, input_scale, output_scale, shift = (None if place is None else place.view(flat) for place in places)
        return SiteWeights(a, self.start, self.stop, b, input_scale, output_scale, shift)


@dataclass(frozen=True, eq=False)
class Layout:
    """The places of all parts of an adapter. Adapters of one layout share batched products; told apart by identity."""

    sites: tuple[SiteLayout | None, ...]
    """By the site's index; None: the adapter changes nothing there."""
    size: int
    """Floats."""

    @cached_property
    def num_adapted(self) -> int:
        """Sites at which the adapter changes something."""
        return sum(site is not None for site in self.sites)

    def views(self, flat: torch.Tensor) -> "Views":
        """Weights by the site's index. Sites that share an `a` have the very same view of it."""
        places = {site.a for site in self.sites if site is not None}
        a_by_place = {place: None if place is None else place.view(flat) for place in places}
        return tuple(None if site is None else site.views(flat, a_by_place[site.a]) for site in self.sites)


Views = Sequence[SiteWeights | None]


def rank_class(rank: int) -> int:
    """The rank that an adapter is padded to with zeros: the next power of two, so that few layouts are met."""
    return 1 << (rank - 1).bit_length()


class Layouts:
    """Gives adapters that are laid out alike the same layout. Belongs to one thread."""

    def __init__(self, sites: Sequence[Site]) -> None:
        self._sites = sites
        self._known: WeakValueDictionary[tuple[SiteLayout | None, ...], Layout] = WeakValueDictionary()

    def lay_out(self, forms: Mapping[str, Form]) -> Layout:
        """Lay out an adapter. `forms`: by the sites' names; embeddings aren't in the flat tensor."""
        plan = _Plan()
        adapted = [site for site in self._sites if site.name in forms and not site.is_embedding]
        by_index: dict[int, SiteLayout] = {}
        for _, readers in groupby(adapted, key=lambda site: site.reads):
            by_index |= _lay_out_readers(plan, tuple(readers), forms)
        places = tuple(by_index.get(site.index) for site in self._sites)
        return self._known.setdefault(places, Layout(places, plan.size))


class _Plan:
    """Gives out places."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, *shape: int) -> Place:
        place = Place(self.size, shape)
        self.size += -(-math.prod(shape) // _ALIGNMENT) * _ALIGNMENT
        return place


def _lay_out_readers(plan: _Plan, readers: Sequence[Site], forms: Mapping[str, Form]) -> dict[int, SiteLayout]:
    """Sites that read the same tensor: their A's lie in one block."""
    ranks = [rank_class(form.rank) if isinstance(form := forms[site.name], LowRank) else 0 for site in readers]
    a = plan.take(sum(ranks), readers[0].in_features) if any(ranks) else None
    layouts, start = {}, 0
    for site, rank in zip(readers, ranks, strict=True):
        form = forms[site.name]
        if isinstance(form, LowRank):
            layouts[site.index] = _lay_out_low_rank(plan, site, form, SiteLayout(a, start, start + rank))
        elif form.at_input:
            layouts[site.index] = SiteLayout(input_scale=plan.take(site.in_features))
        else:
            layouts[site.index] = SiteLayout(output_scale=plan.take(site.out_features))
        start += rank
    return layouts


def _lay_out_low_rank(plan: _Plan, site: Site, form: LowRank, begun: SiteLayout) -> SiteLayout:
    is_shifted = form.has_bias or (form.has_magnitude and site.bias is not None)
    return replace(
        begun,
        b=plan.take(site.out_features, begun.stop - begun.start),
        output_scale=plan.take(site.out_features) if form.has_magnitude else None,
        shift=plan.take(site.out_features) if is_shifted else None,
    )
