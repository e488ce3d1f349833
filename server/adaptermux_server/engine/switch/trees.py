"""Module trees over the base's tensors, each holding a few adapters, so that a traversal's cost stays bounded."""

from collections.abc import Iterator
from typing import Any

from torch import nn

from adaptermux_server.engine import peft_layers
from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.peft_layers import Layers
from adaptermux_server.engine.twin import twin


class PeftTree:
    """A twin of the backbone over the very same tensors, adapted by PEFT; at most one adapter is active."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self.module: nn.Module = twin(backbone)
        self._peft_model: Any = None
        self.slots: set[int] = set()
        self.active: int | None = None
        """The slot that a forward computes; None: undefined, as a traversal failed."""

    def install(self, slot: int, layers: Layers) -> None:
        """Add an adapter. After an error the tree is as it was."""
        try:
            self._peft_model = peft_layers.add(self.module, self._peft_model, _name(slot), layers)
            self._check_base()
        except BaseException:
            self._discard(slot)
            raise
        self.slots.add(slot)
        # Adding the first adapter activates it.
        self.active = slot if len(self.slots) == 1 else self.active

    def remove(self, slot: int) -> None:
        """Take an adapter out."""
        self.slots.remove(slot)
        self._discard(slot)

    def activate(self, slot: int) -> None:
        """Walk over the tree so that the next forward computes `slot`."""
        self.active = None
        peft_layers.activate(self._peft_model, _name(slot))
        self.active = slot

    def _discard(self, slot: int) -> None:
        if not self.slots:
            # An empty tree is thrown away as a whole.
            return
        peft_layers.discard(self._peft_model, _name(slot))
        if self.active == slot:
            # PEFT picks a successor layer by layer; it must be the same one everywhere.
            self.activate(min(self.slots))

    def _check_base(self) -> None:
        held = {id(tensor) for tensor in (*self.module.parameters(), *self.module.buffers())}
        if any(id(tensor) not in held for tensor in self._backbone.tensors()):
            raise RuntimeError("PEFT replaced a tensor of the base model")


class Forest:
    """Which tree holds which slot. Trees grow up to a limit and vanish when empty."""

    def __init__(self, backbone: Backbone, adapters_per_tree: int) -> None:
        self._backbone = backbone
        self._adapters_per_tree = adapters_per_tree
        self._trees: dict[PeftTree, tuple[Any, ...] | None] = {}

    def __iter__(self) -> Iterator[PeftTree]:
        return iter(self._trees)

    def install(self, slot: int, layers: Layers) -> PeftTree:
        """Put an adapter into a tree with room for its kind, or a new one. After an error all is as it was."""
        tree = self._with_room(layers.companions) or PeftTree(self._backbone)
        tree.install(slot, layers)
        self._trees[tree] = layers.companions
        return tree

    def remove(self, slot: int, tree: PeftTree) -> None:
        """Take an adapter out of its tree."""
        tree.remove(slot)
        if not tree.slots:
            del self._trees[tree]

    def _with_room(self, companions: tuple[Any, ...] | None) -> PeftTree | None:
        if companions is None:
            return None
        fitting = (
            tree
            for tree, kind in self._trees.items()
            if kind == companions and len(tree.slots) < self._adapters_per_tree
        )
        return next(fitting, None)


def _name(slot: int) -> str:
    return f"slot{slot}"
