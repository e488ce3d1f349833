"""The shared transformer: loaded once, never changed. Nothing here knows a model family by name."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from itertools import chain
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

# Without a limit of the model's or the tokenizer's, this is what an input may have.
_FALLBACK_MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class BackboneFacts:
    """What clients may know of the base model."""

    architecture: str
    """Its class in transformers."""
    dtype: str
    device: str
    hidden_size: int
    max_tokens: int
    """Of one sequence, special tokens included."""
    vocab_size: int
    """Number of ids that the tokenizer knows."""
    num_parameters: int
    base_bytes: int
    """Of its tensors, each counted once."""


class Backbone:
    """The base model without a head, its tokenizer, and what is known about them."""

    def __init__(self, model: nn.Module, tokenizer: Any, missing: frozenset[str] = frozenset()) -> None:
        """`missing`: names of parameters that the base's files lack, so that they hold random values."""
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.missing = missing
        self.config: Any = model.config
        parameter = next(model.parameters())
        self.device: torch.device = parameter.device
        self.dtype: torch.dtype = parameter.dtype
        self.columns = frozenset(signature(model.forward).parameters)
        """Names of the inputs that a forward takes."""
        self.facts = self._facts()

    def tensors(self) -> Iterator[torch.Tensor]:
        """All parameters and buffers, each once."""
        return chain(self.model.parameters(), self.model.buffers())

    def _facts(self) -> BackboneFacts:
        return BackboneFacts(
            architecture=type(self.model).__name__,
            dtype=str(self.dtype).removeprefix("torch."),
            device=str(self.device),
            hidden_size=self.config.hidden_size,
            max_tokens=_max_tokens(self.model, self.tokenizer),
            vocab_size=len(self.tokenizer),
            num_parameters=sum(parameter.numel() for parameter in self.model.parameters()),
            base_bytes=sum(tensor.nbytes for tensor in self.tensors()),
        )


def load_backbone(name_or_path: str, device: str = "cpu", dtype: str = "float32") -> Backbone:
    """Load a base model and its fast tokenizer, from a folder or from the local cache of the model hub.

    `dtype`: a name such as "bfloat16"; "auto": as the files have it. Whether the hub may be asked is up
    to the environment (`HF_HUB_OFFLINE`).

    Raises:
        OSError: nothing can be read there.
        ValueError: it has no fast tokenizer, or lacks weights that every answer needs.
    """
    # A bar drawn on stderr would stand between the lines of the server's log.
    transformers_logging.disable_progress_bar()
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, use_fast=True)
    if not tokenizer.is_fast:
        raise ValueError(f"{name_or_path} has no fast tokenizer (tokenizer.json): offsets would be unknown")
    model, loading = AutoModel.from_pretrained(name_or_path, dtype=dtype, output_loading_info=True)
    missing = frozenset(loading["missing_keys"])
    _check_complete(model, missing, name_or_path)
    # Models that can generate would keep keys and values for tokens that never come.
    model.config.use_cache = False
    return Backbone(model.to(device), tokenizer, missing)


def _check_complete(model: nn.Module, missing: frozenset[str], name_or_path: str) -> None:
    """Refuse a base with random values on the way to the last hidden state; a pooler beside it may be missing."""
    if not missing:
        return
    model.eval().requires_grad_(False)
    lacking = {name: parameter.requires_grad_() for name, parameter in model.named_parameters() if name in missing}
    with torch.enable_grad():
        hidden = model(input_ids=torch.tensor([[1, 2]])).last_hidden_state.sum()
    if hidden.requires_grad:
        hidden.backward()
    random = [name for name, parameter in lacking.items() if parameter.grad is not None]
    if random:
        raise ValueError(f"{name_or_path} lacks weights of its own class, such as {random[0]}: answers would be random")


def _max_tokens(model: nn.Module, tokenizer: Any) -> int:
    limits = (_num_positions(model), tokenizer.model_max_length, *_turning_lengths(model.config))
    # Tokenizers without a limit say so by a huge number.
    sensible = [limit for limit in limits if limit is not None and limit < 1 << 31]
    return min(sensible, default=_FALLBACK_MAX_TOKENS)


def _num_positions(model: Any) -> int | None:
    """Positions that a sequence can take; some models keep the first ones of their table for padding."""
    num_positions: int | None = getattr(model.config, "max_position_embeddings", None)
    if not num_positions or num_positions < 0:
        return None
    reserved = (
        module.padding_idx + 1
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        and module.num_embeddings == num_positions
        and module.padding_idx is not None
        and module is not model.get_input_embeddings()
    )
    return num_positions - max(reserved, default=0)


def _turning_lengths(config: Any) -> Iterator[int]:
    """Lengths beyond which a row would change how its whole batch encodes positions (LongRoPE, arXiv 2402.13753)."""
    parameters = getattr(config, "rope_parameters", None) or {}
    # Models with several kinds of layers have parameters for each.
    for values in (parameters, *parameters.values()):
        if isinstance(values, Mapping) and values.get("rope_type") == "longrope":
            yield values["original_max_position_embeddings"]
