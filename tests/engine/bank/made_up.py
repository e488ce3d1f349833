"""A made-up model whose modules are sites, adapters for it by form, and a slow loop that computes one row plainly."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from adaptermux_server.engine.bank.content import BankContent, make_content
from adaptermux_server.engine.bank.costs import KernelCosts
from adaptermux_server.engine.bank.layout import Layouts
from adaptermux_server.engine.bank.modules import Cell, adapt
from adaptermux_server.engine.bank.sites import Site
from adaptermux_server.engine.forms import Form, LowRank, Scaled
from adaptermux_server.engine.peft_layers import ROOT, Layers

GATHERING = KernelCosts(call=1.0, copied_float=0.0)
SEGMENTING = KernelCosts(call=0.0, copied_float=1.0)

WIDTH, INNER, NUM_IDS = 16, 24, 20
LINEAR = ("query", "key", "value", "out", "up", "down", "pool")
ATTENTION = ("query", "key", "value")
# `up` reads what query, key and value read, after `out` has read something else.
READS = {"query": "tokens", "key": "tokens", "value": "tokens", "up": "tokens"}

_TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 3e-2}

Apply = Callable[[str, torch.Tensor], torch.Tensor]


class MadeUp(nn.Module):
    """Attention and MLP side by side, run twice with the same weights; then one vector for each row."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.words = nn.Embedding(NUM_IDS, WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up = nn.Linear(WIDTH, INNER, bias=False)
        self.down = Conv1D(WIDTH, INNER)
        self.pool = nn.Linear(WIDTH, WIDTH)
        nn.init.normal_(self.down.bias)
        self.to(dtype).requires_grad_(False)

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """ids [rows, tokens] → [rows, tokens, width], [rows, width]"""
        return self.compute(ids, lambda name, x: self.get_submodule(name)(x))

    def compute(self, ids: torch.Tensor, apply: Apply) -> tuple[torch.Tensor, torch.Tensor]:
        """As `forward`, with `apply` for each module."""
        tokens = apply("words", ids)
        for _ in range(2):
            mixed = torch.tanh(apply("query", tokens)) * torch.tanh(apply("key", tokens)) + apply("value", tokens)
            tokens = torch.tanh(apply("out", mixed) + apply("down", torch.tanh(apply("up", tokens))))
        return tokens, apply("pool", tokens[:, 0])


@dataclass(frozen=True)
class Adapter:
    """Forms and random tensors for some modules."""

    layers: Layers
    content: BankContent

    @property
    def forms(self) -> Mapping[str, Form]:
        assert self.layers.forms is not None
        return self.layers.forms

    def tensor(self, site: str, name: str) -> torch.Tensor:
        return self.layers.tensors[f"{ROOT}{site}.{name}"]


class Workbench:
    """A made-up model in the bank."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.plain = MadeUp(dtype)
        self.model = MadeUp(dtype)
        self.sites = make_sites(self.model)
        self.by_name = {site.name: site for site in self.sites}
        self.layouts = Layouts(self.sites)
        self.cell = Cell()
        for site in self.sites:
            adapt(site, self.cell)

    def adapter(self, forms: Mapping[str, Form], seed: int = 0) -> Adapter:
        layers = make_layers(self.sites, forms, seed)
        return Adapter(layers, make_content(self.sites, self.layouts, layers))

    @property
    def dtype(self) -> torch.dtype:
        """Of the base."""
        return self.plain.out.weight.dtype

    def expected(self, adapter: Adapter | None, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What a row alone gives: ids [tokens] → [tokens, width], [width]"""
        tokens, pooled = self.plain.compute(ids[None], lambda name, x: self.apply(adapter, name, x))
        return tokens[0], pooled[0]

    def apply(self, adapter: Adapter | None, name: str, x: torch.Tensor) -> torch.Tensor:
        """One adapted module, computed plainly in float32 and rounded to the base's type."""
        site, x = self.by_name[name], x if name == "words" else x.float()
        if adapter is None or name not in adapter.forms:
            return base(site, x).to(self.dtype)
        return formula(site, adapter.forms[name], lambda tensor: adapter.tensor(name, tensor), x).to(self.dtype)


def make_sites(model: MadeUp) -> tuple[Site, ...]:
    """In the order in which a forward reaches them."""
    names = ("words", *LINEAR)
    leaders: dict[str, int] = {}
    return tuple(
        Site(index, name, model.get_submodule(name), name == "words", leaders.setdefault(READS.get(name, name), index))
        for index, name in enumerate(names)
    )


def make_layers(sites: Sequence[Site], forms: Mapping[str, Form], seed: int = 0) -> Layers:
    """An adapter as it comes from a checkpoint, with random weights that change much."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        f"{ROOT}{site.name}.{name}": torch.randn(shape, generator=generator) * 0.3 + (0.0 if name in _SPREAD else 1.5)
        for site in sites
        if site.name in forms
        for name, shape in _shapes(site, forms[site.name]).items()
    }
    return Layers({"peft_type": "LORA"}, frozenset(forms), frozenset(), tensors, forms)


# Around zero; factors and magnitudes are around one.
_SPREAD = ("lora_A.weight", "lora_B.weight", "lora_B.bias", "lora_embedding_A", "lora_embedding_B")


def _shapes(site: Site, form: Form) -> dict[str, tuple[int, ...]]:
    if isinstance(form, Scaled):
        return {"ia3_l": (1, site.in_features) if form.at_input else (site.out_features, 1)}
    if form.is_embedding:
        return {"lora_embedding_A": (form.rank, site.in_features), "lora_embedding_B": (site.out_features, form.rank)}
    shapes: dict[str, tuple[int, ...]] = {
        "lora_A.weight": (form.rank, site.in_features),
        "lora_B.weight": (site.out_features, form.rank),
    }
    if form.has_bias:
        shapes["lora_B.bias"] = (site.out_features,)
    if form.has_magnitude:
        shapes["lora_magnitude_vector"] = (site.out_features,)
    return shapes


def base(site: Site, x: torch.Tensor) -> torch.Tensor:
    """The module itself, in float32."""
    if site.is_embedding:
        return functional.embedding(x, site.weight.T.float())
    return functional.linear(x, site.weight.float(), None if site.bias is None else site.bias.float())


def formula(site: Site, form: Form, tensor: Callable[[str], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """What the papers say that an adapted module computes, in float32."""
    if isinstance(form, Scaled):
        factors = tensor("ia3_l").flatten()
        return base(site, factors * x) if form.at_input else factors * base(site, x)
    if form.is_embedding:
        a, b = tensor("lora_embedding_A"), tensor("lora_embedding_B")
        return base(site, x) + form.scale * (functional.embedding(x, a.T) @ b.T)
    a, b = tensor("lora_A.weight"), tensor("lora_B.weight")
    if not form.has_magnitude:
        bias = tensor("lora_B.bias") if form.has_bias else 0.0
        return base(site, x) + form.scale * (x @ a.T @ b.T + bias)
    weight = site.weight.float() + form.scale * b @ a
    magnitude = tensor("lora_magnitude_vector") / weight.norm(dim=1)
    values: torch.Tensor = magnitude * (x @ weight.T) + (0.0 if site.bias is None else site.bias.float())
    return values


def assert_near(expected: torch.Tensor, actual: torch.Tensor, dtype: torch.dtype = torch.float32) -> None:
    """Equal but for what computing in a type rounds away, by the largest value; NaN is near nothing."""
    limit = _TOLERANCES[dtype] * max(1.0, float(expected.abs().max()))

    assert expected.shape == actual.shape
    assert actual.dtype == dtype
    torch.testing.assert_close(actual.float(), expected.float(), rtol=0.0, atol=limit)


def are_far(one: torch.Tensor, other: torch.Tensor, dtype: torch.dtype = torch.float32) -> bool:
    """Whether two tensors differ by far more than `assert_near` lets pass."""
    limit = _TOLERANCES[dtype] * max(1.0, float(one.abs().max()))
    return float((one.float() - other.float()).abs().max()) > 5 * limit


def low_rank(rank: int = 4, scale: float = 0.7, **flags: bool) -> LowRank:
    """A form for linear modules."""
    return LowRank(rank, scale, **flags)
