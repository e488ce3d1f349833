"""What a slot of the bank holds, against the formulas of the methods."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.content import BankContent, fits, make_content
from adaptermux_server.engine.bank.layout import SiteWeights
from adaptermux_server.engine.bank.sites import Site
from adaptermux_server.engine.forms import Form, LowRank, Scaled
from adaptermux_server.engine.peft_layers import ROOT
from adaptermux_server.engine.prepare import AdapterPreparer
from adaptermux_server.types import ExecutorKind
from tests.engine.bank.made_up import LINEAR, Workbench, assert_near, base, low_rank, make_layers
from tests.engine.conftest import MakeCheckpoint

BENCH = Workbench()
QUERY = "encoder.layer.0.attention.self.query"
FORMS: Mapping[str, Form] = {
    "LoRA": low_rank(4, 2.0),
    "LoRA with a bias": low_rank(3, 0.5, has_bias=True),
    "DoRA": low_rank(5, 0.7, has_magnitude=True),
    "IA3 at the input": Scaled(at_input=True),
    "IA3 at the output": Scaled(at_input=False),
}


@pytest.mark.parametrize("site", LINEAR)
@pytest.mark.parametrize("form", FORMS)
def test_weights_of_a_site_compute_the_formula(form: str, site: str) -> None:
    """With and without a bias of the base's, whichever way it keeps its weights."""
    adapter = BENCH.adapter({site: FORMS[form]})
    weights = _weights(adapter.content, BENCH.by_name[site])
    x = torch.randn(6, BENCH.by_name[site].in_features)

    assert_near(BENCH.apply(adapter, site, x), _computed(BENCH.by_name[site], weights, x))


def test_weights_of_an_embedding_compute_the_formula() -> None:
    adapter = BENCH.adapter({"words": LowRank(3, 1.5, is_embedding=True)})
    words = BENCH.by_name["words"]
    table = adapter.content.tables[words.index]
    ids = torch.tensor([3, 0, 3, 19])

    assert_near(BENCH.apply(adapter, "words", ids), base(words, ids) + table.a[ids] @ table.b.T)


@pytest.mark.parametrize(
    ("fields", "scale"),
    [
        ({}, 6 / 4),
        ({"use_rslora": True}, 6 / math.sqrt(4)),
        ({"rank_pattern": {"query": 7}}, 6 / 7),
        ({"alpha_pattern": {"0.attention.self.query": 5}}, 5 / 4),
    ],
    ids=["LoRA", "rsLoRA", "rank_pattern", "alpha_pattern"],
)
def test_configuration_gives_the_scale(
    fields: dict[str, Any],
    scale: float,
    bank_of: Callable[[str], Bank],
    preparer: AdapterPreparer,
    checkpoint_of: MakeCheckpoint,
) -> None:
    """Of each module, by the methods' papers and PEFT's patterns."""
    checkpoint = checkpoint_of(r=4, lora_alpha=6, **fields)
    a, b = (checkpoint.tensors[f"{ROOT}bert.{QUERY}.lora_{part}.weight"] for part in "AB")

    content = preparer.prepare(checkpoint).content

    assert isinstance(content, BankContent)
    assert_near(scale * b @ a, _update(_weights(content, _site(bank_of("bert"), QUERY))))


def test_ranks_beyond_the_adapters_own_are_zero() -> None:
    """So that what they add is, too."""
    adapter = BENCH.adapter({"query": low_rank(3), "key": low_rank(5)})

    for name, rank, padded in (("query", 3, 4), ("key", 5, 8)):
        weights = _weights(adapter.content, BENCH.by_name[name])
        assert weights.a is not None
        assert weights.b is not None
        own = weights.a[weights.start : weights.stop]
        assert (padded, padded) == (len(own), weights.b.shape[1])
        assert own[:rank].all()
        assert not own[rank:].any()
        assert not weights.b[:, rank:].any()


def test_tensor_without_a_place_is_a_bug() -> None:
    """Every tensor of a checkpoint is used, so none is lost in silence."""
    layers = make_layers(BENCH.sites, {"query": low_rank()})
    more = replace(layers, tensors={**layers.tensors, f"{ROOT}query.lora_C.weight": torch.zeros(1)})

    with pytest.raises(RuntimeError, match=r"the bank has no place for \['query.lora_C.weight'\]"):
        make_content(BENCH.sites, BENCH.layouts, more)


@pytest.mark.parametrize("missing", ["query.lora_A.weight", "query.lora_magnitude_vector"])
def test_tensor_that_is_not_there_is_a_bug(missing: str) -> None:
    layers = make_layers(BENCH.sites, {"query": low_rank(has_magnitude=True)})
    fewer = replace(layers, tensors={name: tensor for name, tensor in layers.tensors.items() if missing not in name})

    with pytest.raises(KeyError, match=missing):
        make_content(BENCH.sites, BENCH.layouts, fewer)


def test_poisoned_content_is_nan_in_every_place() -> None:
    content = BENCH.adapter({"words": LowRank(2, 1.0, is_embedding=True), "out": low_rank(has_magnitude=True)}).content
    (table,) = content.tables.values()

    content.poison()

    assert all(bool(tensor.isnan().all()) for tensor in (content.flat, table.a, table.b))


def test_bytes_are_those_of_its_tensors() -> None:
    content = BENCH.adapter({"words": LowRank(2, 1.0, is_embedding=True), "out": low_rank(4)}).content

    assert 4 * (2 * 20 + 2 * 16 + 4 * 16 + 4 * 16) == content.num_bytes


@pytest.mark.parametrize(
    ("expected", "forms", "saved"),
    [
        (True, {"query": low_rank()}, ()),
        (True, {"words": LowRank(2, 1.0, is_embedding=True)}, ()),
        (False, None, ()),
        (False, {"query": low_rank()}, ("pool",)),
        (False, {"query": low_rank(), "norm": low_rank()}, ()),
        (False, {"words": low_rank()}, ()),
        (False, {"words": Scaled(at_input=False)}, ()),
        (False, {"query": LowRank(2, 1.0, is_embedding=True)}, ()),
        (False, {"words": LowRank(2, 1.0, has_magnitude=True, is_embedding=True)}, ()),
    ],
)
def test_what_fits(expected: bool, forms: Mapping[str, Form] | None, saved: tuple[str, ...]) -> None:
    """Forms on sites of their kind, and nothing else."""
    layers = replace(make_layers(BENCH.sites, {}), forms=forms, saved=frozenset(saved))

    assert expected is fits(BENCH.by_name, layers)


BANK, SWITCH = ExecutorKind.BANK, ExecutorKind.SWITCH


@pytest.mark.parametrize(
    ("expected", "method", "fields"),
    [
        *((BANK, method, {}) for method in ("lora", "rslora", "dora", "ia3")),
        *((SWITCH, method, {}) for method in ("adalora", "loha", "lokr", "vera", "oft")),
        (BANK, "lora", {"lora_bias": True}),
        (BANK, "lora", {"target_modules": ["query", "word_embeddings"]}),
        (SWITCH, "lora", {"target_modules": ["query", "position_embeddings"]}),
        (SWITCH, "dora", {"target_modules": ["query", "word_embeddings"]}),
        (BANK, "lora", {"target_modules": ["query"], "modules_to_save": ["classifier"]}),
        (SWITCH, "lora", {"target_modules": ["query"], "modules_to_save": ["classifier", "LayerNorm"]}),
    ],
)
def test_adapters_are_placed_by_what_they_compute(
    expected: ExecutorKind,
    method: str,
    fields: dict[str, Any],
    preparer: AdapterPreparer,
    checkpoint_of: MakeCheckpoint,
) -> None:
    """Into the bank, or for the switch executor, with content for it."""
    prepared = preparer.prepare(checkpoint_of(method=method, **fields))

    assert expected is prepared.spec.executor
    assert (expected is BANK) == isinstance(prepared.content, BankContent)


def _site(bank: Bank, name: str) -> Site:
    return next(site for site in bank.sites if site.name == name)


def _weights(content: BankContent, site: Site) -> SiteWeights:
    weights = content.views[site.index]
    assert weights is not None
    return weights


def _update(weights: SiteWeights) -> torch.Tensor:
    """B A"""
    assert weights.a is not None
    assert weights.b is not None
    return weights.b @ weights.a[weights.start : weights.stop]


def _computed(site: Site, weights: SiteWeights, x: torch.Tensor) -> torch.Tensor:
    """y = o ⊙ (W (i ⊙ x) + b + B A x) + c"""
    y = base(site, x if weights.input_scale is None else weights.input_scale * x)
    y = y if weights.b is None else y + x @ _update(weights).T
    y = y if weights.output_scale is None else weights.output_scale * y
    return y if weights.shift is None else y + weights.shift
