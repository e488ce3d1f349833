"""Where adapters may act, found by watching."""

from collections.abc import Callable

import pytest
from torch import nn
from transformers.pytorch_utils import Conv1D

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.sites import Site, find_sites, probe_rows
from adaptermux_server.engine.twin import twin
from tests.engine.bank.odd_bases import (
    ByName,
    Flattened,
    NeverRun,
    PlainBase,
    SequenceFirst,
    Subclass,
    TwoNames,
    TypedByDefault,
)
from tests.support.models import FAMILIES

# Positions that are the same for all rows; DeBERTa's projections of relative ones; embeddings that also scale.
NOT_SITES = {
    "bert": {"position_embeddings"},
    "electra": {"position_embeddings"},
    "albert": {"position_embeddings"},
    "distilbert": {"position_embeddings"},
    "deberta-v2": {"query_proj", "key_proj", "rel_embeddings", "position_embeddings"},
    "gpt2": {"wpe"},
    "gemma": {"embed_tokens"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_all_modules_that_read_row_by_row_are_sites(
    family: str, backbone_of: Callable[[str], Backbone], bank_of: Callable[[str], Bank]
) -> None:
    """All linear layers and embeddings, but for those of which it's known why not."""
    adaptable = {
        name
        for name, module in backbone_of(family).model.named_modules()
        if isinstance(module, nn.Linear | Conv1D | nn.Embedding)
    }

    sites = {site.name for site in bank_of(family).sites}

    assert sites <= adaptable
    assert NOT_SITES.get(family, set()) == {_last(name) for name in adaptable - sites}


@pytest.mark.parametrize("family", FAMILIES)
def test_sites_are_numbered_in_order_and_know_their_sizes(family: str, bank_of: Callable[[str], Bank]) -> None:
    sites = bank_of(family).sites

    assert list(range(len(sites))) == [site.index for site in sites]
    for site in sites:
        assert site.is_embedding == isinstance(site.module, nn.Embedding)
        assert (site.out_features, site.in_features) == site.weight.shape
        assert site.bias is None or (site.out_features,) == site.bias.shape


def test_modules_that_read_one_tensor_know_each_other(bank_of: Callable[[str], Bank]) -> None:
    """Query, key and value of a layer; nobody else."""
    reads = {site.name: site.reads for site in bank_of("bert").sites}
    attention = {name: leader for name, leader in reads.items() if _last(name) in ("query", "key", "value")}

    for layer in range(2):
        assert 1 == len({leader for name, leader in attention.items() if f".{layer}." in name})
    assert 2 == len(set(attention.values()))
    assert len(reads) - len(attention) == len(set(reads.values()) - set(attention.values()))


def test_modules_are_in_the_order_of_a_forward(bert: Backbone) -> None:
    """Whatever the order of their names: DeBERTa's lists its words last."""
    sites = _sites(PlainBase(), bert)

    assert ["words", "first", "second", "third"] == [site.name for site in sites]
    assert [0, 1, 1, 3] == [site.reads for site in sites]


@pytest.mark.parametrize("odd", [TwoNames, Subclass, ByName, Flattened, NeverRun])
def test_odd_module_is_left_alone(odd: type[PlainBase], bert: Backbone) -> None:
    """Its neighbours aren't."""
    assert ["words", "second", "third"] == [site.name for site in _sites(odd(), bert)]


def test_base_whose_tokens_come_first_has_no_sites(bert: Backbone) -> None:
    assert () == _sites(SequenceFirst(), bert)


def test_watching_leaves_nothing_behind(bert: Backbone) -> None:
    """No hook on any module, of the tree or of the base."""
    backbone = Backbone(TypedByDefault(), bert.tokenizer)
    tree = twin(backbone)

    find_sites(tree, backbone)

    for module in (*tree.modules(), *backbone.model.modules()):
        assert not module._forward_pre_hooks
        assert not module._forward_hooks


def test_probed_rows_have_different_lengths(bert: Backbone) -> None:
    """None of which is a number of rows that is probed."""
    rows = probe_rows(bert, 3)

    lengths = {len(row["input_ids"]) for row in rows}
    assert 3 == len(lengths)
    assert not lengths & {2, 3}
    assert {"input_ids", "token_type_ids"} == rows[0].keys()


def _sites(model: nn.Module, bert: Backbone) -> tuple[Site, ...]:
    backbone = Backbone(model, bert.tokenizer)
    return find_sites(twin(backbone), backbone)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
