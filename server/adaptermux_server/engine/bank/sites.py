"""Where adapters may act: the modules of the bank's tree whose inputs hold one row of the batch at each index.

Found by watching a few forwards rather than by names, so that no model family is known here. A module is a site if it
is exactly a linear layer or an embedding, has one name, and got an input of as many rows as the batch each time it ran.
What doesn't (DeBERTa's projections of relative positions, a mixture's experts, a sequence-first model) is left alone;
adapters that target such a module are for the switch executor.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.collate import Columns, collate, encode

# Counts of rows that no other axis of the probes has.
_PROBED_ROWS = (2, 3)
_TEXT = "a b c d e f g h i j k l"


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A module that the bank can adapt."""

    index: int
    """Its place among the sites."""
    name: str
    """Within the backbone."""
    module: nn.Module
    """Of the bank's tree."""
    is_embedding: bool
    reads: int
    """Sites with equal values read the same tensor, one after the other: query, key and value, for instance."""

    @property
    def in_features(self) -> int:
        """Size of its input; for an embedding, how many ids it knows."""
        return self.weight.shape[1]

    @property
    def out_features(self) -> int:
        """Size of its output."""
        return self.weight.shape[0]

    @property
    def weight(self) -> torch.Tensor:
        """[out, in], whichever way the module keeps it."""
        weight: torch.Tensor = self.module.weight  # type: ignore[assignment]
        return weight.T if isinstance(self.module, Conv1D | nn.Embedding) else weight

    @property
    def bias(self) -> torch.Tensor | None:
        """[out]; an embedding has none."""
        bias: torch.Tensor | None = getattr(self.module, "bias", None)
        return bias


def find_sites(tree: nn.Module, backbone: Backbone) -> tuple[Site, ...]:
    """The sites of a twin of the backbone, in the order in which a forward reaches them."""
    runs = [_watch(tree, backbone, num_rows) for num_rows in _PROBED_ROWS]
    names = [name for name in runs[0].inputs if all(run.is_aligned(name) for run in runs)]
    modules = dict(tree.named_modules())
    leaders: dict[tuple[int, ...], int] = {}
    return tuple(
        Site(
            index=index,
            name=name,
            module=modules[name],
            is_embedding=isinstance(modules[name], nn.Embedding),
            reads=leaders.setdefault(tuple(run.first_input(name) for run in runs), index),
        )
        for index, name in enumerate(names)
    )


def probe_rows(backbone: Backbone, num_rows: int) -> list[Columns]:
    """Short sequences of different lengths that the backbone's tokenizer makes."""
    words = _TEXT.split()
    return [encode(backbone, " ".join(words[: 4 + 3 * number])) for number in range(num_rows)]


@dataclass(slots=True)
class _Run:
    """What a forward gave to each candidate."""

    num_rows: int
    inputs: dict[str, list[torch.Tensor]] = field(default_factory=dict)
    """By name, in the order of the first call; kept, so that identity means sameness."""

    def is_aligned(self, name: str) -> bool:
        calls = self.inputs.get(name, ())
        return bool(calls) and all(call.dim() > 1 and call.shape[0] == self.num_rows for call in calls)

    def first_input(self, name: str) -> int:
        return id(self.inputs[name][0])


@torch.inference_mode()
def _watch(tree: nn.Module, backbone: Backbone, num_rows: int) -> _Run:
    run = _Run(num_rows)
    hooks = [module.register_forward_pre_hook(_recorder(run, name)) for name, module in _candidates(tree)]
    try:
        tree(**collate(probe_rows(backbone, num_rows), backbone).inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return run


def _recorder(run: _Run, name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
    def record(_: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        if len(args) == 1:
            run.inputs.setdefault(name, []).append(args[0])

    return record


def _candidates(tree: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    names = Counter(id(module) for _, module in tree.named_modules(remove_duplicate=False))
    for name, module in tree.named_modules():
        # Exact types: a subclass may compute something else. One name: PEFT adapts a module under its first name alone.
        if type(module) in (nn.Linear, Conv1D, nn.Embedding) and names[id(module)] == 1:
            yield name, module
