"""Module trees over the base's tensors."""

import gc
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch

from adaptermux_server.engine import peft_layers
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.peft_layers import Layers
from adaptermux_server.engine.prepare import AdapterPreparer
from adaptermux_server.engine.switch.trees import Forest, PeftTree
from adaptermux_server.engine.twin import twin
from tests.engine.conftest import MakeCheckpoint

INPUTS = {"input_ids": torch.tensor([[0, 7, 9, 11, 2]])}


def test_twin_is_made_of_the_very_same_tensors(bert: Backbone) -> None:
    """So base memory is counted once, and the modules are others."""
    other = twin(bert)

    assert [tensor.data_ptr() for tensor in bert.tensors()] == [
        tensor.data_ptr() for tensor in (*other.parameters(), *other.buffers())
    ]
    assert not set(other.modules()) & set(bert.model.modules())


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "adalora", "loha", "lokr", "vera", "oft"])
def test_tree_leaves_the_base_as_it_was(method: str, bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Installing, computing and removing never write to a tensor of the base."""
    forest = Forest(bert, 4)
    before = [tensor._version for tensor in bert.tensors()]
    answer = _hidden(bert.model)

    tree = forest.install(1, _layers(bert, checkpoint_of, method))
    tree.activate(1)
    changed = _hidden(tree.module)
    forest.remove(1, tree)

    assert before == [tensor._version for tensor in bert.tensors()]
    assert torch.equal(answer, _hidden(bert.model))
    assert not torch.allclose(answer, changed)


def test_trees_hold_no_more_than_the_limit(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Five adapters of a kind, two in a tree."""
    forest = Forest(bert, adapters_per_tree=2)

    for slot in range(1, 6):
        forest.install(slot, _layers(bert, checkpoint_of))

    assert [{1, 2}, {3, 4}, {5}] == [tree.slots for tree in forest]


def test_room_that_became_free_is_used_again(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    forest = Forest(bert, adapters_per_tree=2)
    trees = {slot: forest.install(slot, _layers(bert, checkpoint_of)) for slot in (1, 2, 3)}

    forest.remove(1, trees[1])
    forest.install(4, _layers(bert, checkpoint_of))

    assert [{2, 4}, {3}] == [tree.slots for tree in forest]


@pytest.mark.parametrize("slot", [1, 2])
def test_tree_takes_another_adapter_after_a_removal(slot: int, bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Also after that of the active one, with no batch between."""
    forest = Forest(bert, adapters_per_tree=2)
    tree = forest.install(1, _layers(bert, checkpoint_of))
    forest.install(2, _layers(bert, checkpoint_of, seed=1))
    tree.activate(1)
    other = 3 - slot
    expected = _activated(tree, other)
    tree.activate(1)

    forest.remove(slot, tree)
    forest.install(3, _layers(bert, checkpoint_of, seed=2, target_modules=["query"]))

    assert tree.active == other
    assert torch.equal(expected, _hidden(tree.module))


def test_kinds_that_peft_can_not_hold_together_get_trees_of_their_own(
    bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    """Methods, flags of methods, other feed-forward modules; VeRA, whose layers share projections, always."""
    forest = Forest(bert, adapters_per_tree=16)
    kinds: tuple[tuple[str, dict[str, Any]], ...] = (
        ("lora", {}),
        ("lora", {"r": 2, "target_modules": ["query"], "rank_pattern": {"query": 3}}),
        ("dora", {}),
        ("ia3", {}),
        ("ia3", {"feedforward_modules": []}),
        ("vera", {}),
        ("vera", {}),
    )

    for slot, (method, fields) in enumerate(kinds, start=1):
        forest.install(slot, _layers(bert, checkpoint_of, method, **fields))

    assert [{1, 2}, {3}, {4}, {5}, {6}, {7}] == [tree.slots for tree in forest]


def test_empty_tree_is_let_go(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Nothing keeps its modules or the adapter's tensors alive."""
    forest = Forest(bert, adapters_per_tree=2)
    tree = forest.install(1, _layers(bert, checkpoint_of))
    module = weakref.ref(tree.module)

    forest.remove(1, tree)
    del tree
    gc.collect()

    assert list(forest) == []
    assert module() is None


@pytest.mark.parametrize("num_before", [0, 1])
def test_failing_install_leaves_the_forest_as_it_was(
    num_before: int, bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    """Weights of a wrong size fail in PEFT, after its layers have been made."""
    forest = Forest(bert, adapters_per_tree=4)
    good = _layers(bert, checkpoint_of)
    trees = [forest.install(slot, good) for slot in range(1, num_before + 1)]
    answers = [_activated(tree, slot) for slot, tree in enumerate(trees, start=1)]
    name = next(iter(good.tensors))
    bad = replace(good, tensors={**good.tensors, name: torch.zeros(1)})

    with pytest.raises(RuntimeError):
        forest.install(9, bad)

    assert [{1}] * num_before == [tree.slots for tree in forest]
    assert all(
        torch.equal(answer, _activated(tree, slot))
        for slot, (tree, answer) in enumerate(zip(trees, answers, strict=True), start=1)
    )
    forest.install(9, good)


def test_adapter_on_other_modules_than_planned_is_not_served(
    bert: Backbone, checkpoint_of: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check of what PEFT made of the names."""
    layers = _layers(bert, checkpoint_of, target_modules=["query"])
    astray = replace(layers, adapted=layers.adapted | {"pooler.dense"})

    with pytest.raises(RuntimeError, match="PEFT adapted"):
        Forest(bert, 4).install(1, astray)


def test_interrupted_traversal_is_made_again(
    bert: Backbone, checkpoint_of: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tree that failed half-way doesn't pass for active."""
    tree = PeftTree(bert)
    tree.install(1, _layers(bert, checkpoint_of))
    tree.install(2, _layers(bert, checkpoint_of, seed=1))
    expected = _activated(tree, 1)
    with monkeypatch.context() as patch:
        patch.setattr(peft_layers, "activate", _fail)
        with pytest.raises(KeyError):
            tree.activate(2)

    assert tree.active is None
    assert torch.equal(expected, _activated(tree, 1))


def _fail(*_: object) -> None:
    raise KeyError


def _layers(bert: Backbone, checkpoint_of: MakeCheckpoint, method: str = "lora", **fields: object) -> Layers:
    layers = AdapterPreparer(bert, None).prepare(checkpoint_of(method=method, **fields)).content
    assert isinstance(layers, Layers)
    return layers


def _activated(tree: PeftTree, slot: int) -> torch.Tensor:
    tree.activate(slot)
    return _hidden(tree.module)


@torch.no_grad()
def _hidden(module: torch.nn.Module) -> torch.Tensor:
    hidden: torch.Tensor = module(**INPUTS).last_hidden_state
    return hidden
