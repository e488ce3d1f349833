"""What a slot of the bank holds, made from a checked checkpoint beside the engine thread: the base is only read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from adaptermux_server.engine.bank.layout import Layout, Layouts, SiteWeights, Views
from adaptermux_server.engine.bank.sites import Site
from adaptermux_server.engine.forms import Form, LowRank, Scaled
from adaptermux_server.engine.peft_layers import ROOT, Layers

DTYPE = torch.float32
"""The bank computes in it whatever the base's type, as PEFT does with adapters."""


@dataclass(frozen=True, slots=True)
class Table:
    """What an adapter adds to an embedding:  y += B A[:, id]."""

    a: torch.Tensor
    """[ids, rank]: looked up, never gathered."""
    b: torch.Tensor
    """[out, rank], with the scale in it."""


@dataclass(eq=False, slots=True)
class BankContent:
    """One adapter's part of the backbone."""

    layout: Layout
    flat: torch.Tensor
    """[layout.size], in `DTYPE`."""
    views: Views
    """Of `flat`. Kept, since making them takes as long as a fair part of a short forward; about 1 kB for each site."""
    tables: Mapping[int, Table]
    """By the site's index."""

    @property
    def num_bytes(self) -> int:
        """Memory of its tensors."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def to(self, device: torch.device) -> "BankContent":
        """The content on a device: itself, if it is there already."""
        if self.flat.device == device:
            return self
        flat = self.flat.to(device)
        tables = {index: Table(table.a.to(device), table.b.to(device)) for index, table in self.tables.items()}
        return BankContent(self.layout, flat, self.layout.views(flat), tables)

    def poison(self) -> None:
        """Make whoever still reads it answer NaN, rather than with an adapter that is gone."""
        for tensor in self._tensors():
            tensor.fill_(float("nan"))

    def _tensors(self) -> list[torch.Tensor]:
        return [self.flat, *(tensor for table in self.tables.values() for tensor in (table.a, table.b))]


def fits(sites: Mapping[str, Site], layers: Layers) -> bool:
    """Whether the bank can represent an adapter's layers exactly."""
    if layers.forms is None or layers.saved:
        return False
    return all(name in sites and _fits_site(sites[name], form) for name, form in layers.forms.items())


@torch.no_grad()
def make_content(sites: Sequence[Site], layouts: Layouts, layers: Layers) -> BankContent:
    """Build what `fits`. Raises RuntimeError, a bug, if a tensor of the layers isn't used."""
    forms = layers.forms or {}
    tensors = _Tensors(layers)
    blank = make_blank(layouts, forms, sites[0].weight.device)
    for site, weights in zip(sites, blank.views, strict=True):
        if weights is not None:
            _fill(weights, site, forms[site.name], tensors)
    tables = {site.index: _table(forms[site.name], site, tensors) for site in sites if _is_table(site, forms)}
    tensors.check_all_used()
    return replace(blank, tables=tables)


def make_blank(layouts: Layouts, forms: Mapping[str, Form], device: torch.device) -> BankContent:
    """Content without embeddings that changes nothing, to be filled."""
    layout = layouts.lay_out(forms)
    flat = torch.zeros(layout.size, dtype=DTYPE, device=device)
    return BankContent(layout, flat, layout.views(flat), {})


class _Tensors:
    """An adapter's tensors, each to be taken once."""

    def __init__(self, layers: Layers) -> None:
        self._left = {name.removeprefix(ROOT): tensor for name, tensor in layers.tensors.items()}

    def take(self, site: Site, name: str) -> torch.Tensor:
        return self._left.pop(f"{site.name}.{name}").to(DTYPE)

    def check_all_used(self) -> None:
        if self._left:
            raise RuntimeError(f"the bank has no place for {sorted(self._left)}")


def _fits_site(site: Site, form: Form) -> bool:
    is_table = isinstance(form, LowRank) and form.is_embedding
    return site.is_embedding == is_table and not (is_table and form.has_magnitude)  # type: ignore[union-attr]


def _is_table(site: Site, forms: Mapping[str, Form]) -> bool:
    return site.is_embedding and site.name in forms


def _table(form: Form, site: Site, tensors: _Tensors) -> Table:
    assert isinstance(form, LowRank), "checked by fits"
    a = tensors.take(site, "lora_embedding_A").T.contiguous()
    return Table(a, tensors.take(site, "lora_embedding_B") * form.scale)


def _fill(weights: SiteWeights, site: Site, form: Form, tensors: _Tensors) -> None:
    if isinstance(form, Scaled):
        scale = weights.input_scale if form.at_input else weights.output_scale
        assert scale is not None, "by the layout"
        scale.copy_(tensors.take(site, "ia3_l").flatten())
    else:
        _fill_low_rank(weights, site, form, tensors)


def _fill_low_rank(weights: SiteWeights, site: Site, form: LowRank, tensors: _Tensors) -> None:
    assert weights.a is not None, "by the layout"
    assert weights.b is not None, "by the layout"
    a, b = tensors.take(site, "lora_A.weight"), tensors.take(site, "lora_B.weight") * form.scale
    weights.a[weights.start : weights.start + form.rank] = a
    weights.b[:, : form.rank] = b
    if form.has_bias:
        assert weights.shift is not None, "by the layout"
        weights.shift.copy_(tensors.take(site, "lora_B.bias") * form.scale)
    if form.has_magnitude:
        _fill_magnitude(weights, site, tensors.take(site, "lora_magnitude_vector"), b @ a)


def _fill_magnitude(weights: SiteWeights, site: Site, magnitude: torch.Tensor, update: torch.Tensor) -> None:
    """o = magnitude / ‖W + update‖, and c = (1 − o) ⊙ b, since DoRA leaves the bias as it is."""
    assert weights.output_scale is not None, "by the layout"
    norm = torch.linalg.norm(site.weight.to(DTYPE) + update, dim=1)
    torch.div(magnitude, norm, out=weights.output_scale)
    if site.bias is not None:
        assert weights.shift is not None, "by the layout"
        weights.shift.copy_((1 - weights.output_scale) * site.bias.to(DTYPE))
