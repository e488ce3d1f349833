"""Made-up bases, each with one oddity that real ones may have."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

WIDTH, NUM_IDS = 8, 256


@dataclass(frozen=True)
class Outputs:
    last_hidden_state: torch.Tensor


class PlainBase(nn.Module):
    """Nothing odd: each token by itself. The first two modules read the same tensor."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(hidden_size=WIDTH, max_position_embeddings=None)
        self.words = nn.Embedding(NUM_IDS, WIDTH)
        self.first, self.second, self.third = (nn.Linear(WIDTH, WIDTH) for _ in range(3))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Outputs:
        return Outputs(self.mix(self.words(input_ids)))

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, tokens, width], as what it returns"""
        mixed: torch.Tensor = self.third(torch.tanh(self.first(x)) * torch.tanh(self.second(x)))
        return mixed


class TwoNames(PlainBase):
    """A module that is also known by another name."""

    def __init__(self) -> None:
        super().__init__()
        self.also_first = self.first


class Subclass(PlainBase):
    """A module that computes something else than a linear layer does."""

    def __init__(self) -> None:
        super().__init__()
        self.first = _Doubling(WIDTH, WIDTH)


class _Doubling(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x)


class ByName(PlainBase):
    """A module that is given its input by name."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.third(torch.tanh(self.first(input=x)) * torch.tanh(self.second(x)))
        return mixed


class Flattened(PlainBase):
    """A module that reads the tokens of all rows in a row, as experts do."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.third(self.first(x.flatten(0, 1)).view_as(x) * torch.tanh(self.second(x)))
        return mixed


class NeverRun(PlainBase):
    """A module that no forward reaches."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        mixed: torch.Tensor = self.third(torch.tanh(self.second(x)))
        return mixed


class SequenceFirst(PlainBase):
    """Tokens come before rows."""

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Outputs:
        return Outputs(self.mix(self.words(input_ids.T)).transpose(0, 1))


class Touching(PlainBase):
    """Each row is compared with the mean of all."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        return super().mix(x - x.mean(dim=0))


class InPlace(PlainBase):
    """What two modules read changes between them."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.tanh(self.first(x))
        x.mul_(-1.0)
        mixed: torch.Tensor = self.third(first * torch.tanh(self.second(x)))
        return mixed


class Bypassing(PlainBase):
    """A module that is run while somebody watches; else its weights are read, as torch's fast paths do."""

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        watched = self.first._forward_hooks or self.first._forward_pre_hooks
        first = self.first(x) if watched else functional.linear(x, self.first.weight, self.first.bias)
        mixed: torch.Tensor = self.third(torch.tanh(first) * torch.tanh(self.second(x)))
        return mixed


class TypedByDefault(PlainBase):
    """Without token types, all tokens are of type 1."""

    def __init__(self) -> None:
        super().__init__()
        self.types = nn.Embedding(2, WIDTH)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: Any = None) -> Outputs:
        types = torch.ones_like(input_ids) if token_type_ids is None else token_type_ids
        return Outputs(self.mix(self.words(input_ids) + self.types(types)))
