"""The one module that knows PEFT: which methods are served, and the few verbs that the rest of the engine needs.

PEFT matches names by regular expressions and by suffixes. `outline` lets it do so once, on the adapter's own model
class, with patterns that RE2 has resolved; whatever is built afterwards gets exact names (`Layers`), so that nothing
a user wrote is matched again.
"""

import copy
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from peft import PeftConfig, PeftModel, get_layer_status, get_peft_model
from peft.functional import delete_adapter, get_peft_model_state_dict, set_peft_model_state_dict
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING
from peft.tuners import ia3, lora
from peft.tuners.lora.variants import DoraLinearVariant
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import AuxiliaryTrainingWrapper
from peft.utils.error import NoMatchingPeftModuleError
from peft.utils.other import get_pattern_key
from torch import nn

from adaptermux_server.engine.forms import Form, LowRank, Scaled
from adaptermux_server.engine.target_names import literal_pattern
from adaptermux_server.types import Task

UNSEEN_COLUMNS: Mapping[Task, frozenset[str]] = {Task.QUESTION_ANSWERING: frozenset({"token_type_ids"})}
"""Inputs that PEFT's class for a task doesn't pass on, in training as in inference, so that its adapters know none
(PeftModelForQuestionAnswering.forward, peft 0.21)."""

ROOT = "base_model.model."
"""What PEFT puts before the name of a module of the adapted model."""

# PEFT's advice to whoever trains; what matters for serving is checked here. A filter for good, as a passing one would
# not be safe beside other threads.
warnings.filterwarnings("ignore", module=r"peft\.")
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)

_NAME = "default"
# Where a method keeps the rank that it was set up with, if not in `r`.
_RANK_FIELDS = {"ADALORA": "init_r"}
# Fields that say where and how large: adapters of one tree may differ in them. They must agree in all others, as PEFT
# keeps some per layer and not per adapter (whether an IA3 layer is feed-forward, for instance), and copies a module to
# save with whatever other adapters already have in it.
_RESOLVED_FIELDS = frozenset({"exclude_modules", "layers_to_transform", "layers_pattern"})
_PLACE_AND_SIZE = frozenset(
    {"task_type", "target_modules", *_RESOLVED_FIELDS}
    | {"r", "init_r", "target_r", "lora_alpha", "alpha", "rank_pattern", "alpha_pattern"}
    | {"tinit", "tfinal", "deltaT", "total_step"}
)


NoTargetsError = NoMatchingPeftModuleError
"""A configuration names no module of the model; a ValueError."""


@dataclass(frozen=True, slots=True)
class Outline:
    """What PEFT builds for a configuration on a given model."""

    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors that a checkpoint must hold, by their names there."""
    adapted: frozenset[str]
    """Names of the modules that get layers of the method."""
    saved: frozenset[str]
    """Names of the modules that the checkpoint replaces as a whole (`modules_to_save`)."""
    feedforward: frozenset[str]
    """Those of `adapted` that IA3 scales at their input rather than at their output."""
    rank: int
    """0 where the method has none."""
    forms: Mapping[str, Form] | None
    """What the layers compute, by the names of `adapted`; None: one of them is no `Form`."""
    unsaved_bytes: int
    """Memory of what PEFT builds for an adapter beside the tensors of its checkpoint, such as tables of indices."""


@dataclass(frozen=True, slots=True)
class Layers:
    """One adapter's part of one module tree: exact names within it, and the tensors for them."""

    fields: Mapping[str, Any]
    """Of the configuration; targets, patterns and the like name single modules of the tree."""
    adapted: frozenset[str]
    saved: frozenset[str]
    tensors: Mapping[str, torch.Tensor]
    """By their names in a checkpoint of this tree, `ROOT` included."""
    forms: Mapping[str, Form] | None
    """As in `Outline`, by the names of `adapted`."""

    @property
    def companions(self) -> tuple[Any, ...] | None:
        """Adapters whose values are equal can share a module tree; None: this one needs a tree of its own."""
        peft_type = self.fields["peft_type"]
        if PEFT_TYPE_TO_TUNER_MAPPING[peft_type].uses_shared_state:
            return None
        agreed = sorted((name, repr(value)) for name, value in self.fields.items() if name not in _PLACE_AND_SIZE)
        return tuple(agreed)


def outline(model: nn.Module, fields: Mapping[str, Any]) -> Outline:
    """Adapt `model` (on the meta device; changed in place) as its own PEFT class would and tell what came of it.

    Raises NoTargetsError where no module is meant, and ValueError (of which that is one), TypeError or
    NotImplementedError where PEFT can't apply the configuration to the model.
    """
    masks = _adalora_masks(fields)
    config = _config({**fields, "rank_pattern": None} if masks else fields)
    with torch.device("meta"):
        peft_model = get_peft_model(model, config, _NAME)
        state = get_peft_model_state_dict(peft_model, save_embedding_layers=False)
    adapted = frozenset(_names_of(model, BaseTunerLayer))
    if any(module not in adapted or len(mask) != config.init_r for module, mask in masks.items()):
        raise ValueError("rank_pattern names a module that isn't adapted, or hasn't init_r entries for one")
    return Outline(
        shapes=_prune({name: tuple(tensor.shape) for name, tensor in state.items()}, masks),
        adapted=adapted,
        saved=frozenset(_names_of(model, AuxiliaryTrainingWrapper)),
        feedforward=frozenset(
            name for name, module in model.named_modules() if getattr(module, "is_feedforward", False)
        ),
        rank=getattr(config, _RANK_FIELDS.get(fields["peft_type"], "r"), 0) or 0,
        forms=_forms(model),
        unsaved_bytes=_built_bytes(peft_model) - sum(tensor.nbytes for tensor in state.values()),
    )


def is_method_tensor(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a tensor of a checkpoint belongs to the method's layers rather than to a saved module."""
    prefix: str = PEFT_TYPE_TO_PREFIX_MAPPING[fields["peft_type"]]
    return any(part.startswith(prefix) for part in name.split(".")) or name.startswith("base_model.vera_")


def part(
    fields: Mapping[str, Any], whole: Outline, tensors: Mapping[str, torch.Tensor], within: Callable[[str], str | None]
) -> Layers | None:
    """The part of a checked adapter that lies in one tree; None: it has none.

    `within` gives the name that a module (or tensor) of the whole model has within the tree, or None outside of it.
    """
    adapted = {name: inner for name in whole.adapted if (inner := within(name)) is not None}
    saved = frozenset(inner for name in whole.saved if (inner := within(name)) is not None)
    if not adapted and not saved:
        return None
    return Layers(
        fields={**fields, **_exact_fields(fields, adapted, saved, whole.feedforward)},
        adapted=frozenset(adapted.values()),
        saved=saved,
        tensors=dict(_inner_tensors(tensors, within)),
        forms=None if whole.forms is None else {inner: whole.forms[name] for name, inner in adapted.items()},
    )


def add(model: nn.Module, peft_model: PeftModel | None, name: str, layers: Layers) -> PeftModel:
    """Add an adapter to a module tree (changed in place) and load its weights; it isn't active afterwards.

    `peft_model` is what the first call for this tree gave back. After an error the tree may hold a part of the
    adapter: `discard` it.
    """
    config = _config({**layers.fields, "task_type": None})
    if peft_model is None:
        peft_model = PeftModel(model, config, name)
    else:
        peft_model.add_adapter(name, config)
    set_peft_model_state_dict(peft_model, dict(layers.tensors), name)
    peft_model.eval().requires_grad_(False)
    _check_places(model, name, layers)
    return peft_model


def activate(peft_model: PeftModel, name: str) -> None:
    """Make `name` the adapter that a forward uses: one traversal of the tree."""
    peft_model.set_adapter(name, inference_mode=True)


def discard(peft_model: PeftModel, name: str) -> None:
    """Take an adapter out of a tree, whole or not. If it was active, `activate` another one next."""
    tuner = peft_model.base_model
    delete_adapter(tuner.model, name, tuner.prefix, tuner.tuner_layer_cls)
    tuner.peft_config.pop(name, None)


def _config(fields: Mapping[str, Any]) -> PeftConfig:
    # A copy, since PEFT changes lists of its configurations in place.
    values = {**copy.deepcopy(dict(fields)), "inference_mode": True}
    return PEFT_TYPE_TO_CONFIG_MAPPING[values["peft_type"]](**values)


def _forms(model: nn.Module) -> dict[str, Form] | None:
    """What the layers of the only adapter compute, as PEFT has set them up; None: not all are forms."""
    forms = {name: _form(module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
    known = {name: form for name, form in forms.items() if form is not None}
    return known if len(known) == len(forms) else None


def _form(module: BaseTunerLayer) -> Form | None:
    # Exact types: other methods' layers and other kinds of layers are subclasses of these.
    if type(module) in (lora.Linear, lora.Embedding):
        return _low_rank(module)
    return Scaled(module.is_feedforward) if type(module) is ia3.Linear else None


def _low_rank(module: lora.LoraLayer) -> LowRank | None:
    variant = module.lora_variant.get(_NAME)
    is_embedding = type(module) is lora.Embedding
    if variant is not None and (is_embedding or type(variant) is not DoraLinearVariant):
        return None
    return LowRank(
        rank=module.r[_NAME],
        scale=module.scaling[_NAME],
        has_magnitude=variant is not None,
        has_bias=module.lora_bias[_NAME],
        is_embedding=is_embedding,
    )


def _built_bytes(peft_model: PeftModel) -> int:
    """Memory of all tensors of the only adapter."""
    named = chain(peft_model.named_parameters(), peft_model.named_buffers())
    return sum(tensor.nbytes for name, tensor in named if _NAME in name.split("."))


def _names_of(model: nn.Module, kind: type) -> Iterator[str]:
    return (name for name, module in model.named_modules() if isinstance(module, kind))


def _exact_fields(
    fields: Mapping[str, Any], adapted: Mapping[str, str], saved: Iterable[str], feedforward: Iterable[str]
) -> dict[str, Any]:
    """The fields that place something, for the modules `adapted` (name in the whole model → name in the tree)."""
    exact = {
        "target_modules": literal_pattern(adapted.values()),
        "modules_to_save": sorted(saved) or None,
        **dict.fromkeys(_RESOLVED_FIELDS & fields.keys()),
    }
    if fields["peft_type"] == "IA3":
        exact["feedforward_modules"] = literal_pattern(adapted[name] for name in feedforward if name in adapted)
    for name in ("rank_pattern", "alpha_pattern"):
        if fields.get(name):
            exact[name] = _exact_pattern(fields[name], adapted)
    return exact


def _exact_pattern(pattern: Mapping[str, Any], adapted: Mapping[str, str]) -> dict[str, Any]:
    if any(isinstance(value, list) for value in pattern.values()):
        masks = {_adalora_module(key): value for key, value in pattern.items()}
        return {f"{inner}.lora_E": masks[name] for name, inner in adapted.items() if name in masks}
    keys = {name: get_pattern_key(tuple(pattern), name) for name in adapted}
    return {f"^{re.escape(adapted[name])}": pattern[key] for name, key in keys.items() if key in pattern}


def _inner_tensors(
    tensors: Mapping[str, torch.Tensor], within: Callable[[str], str | None]
) -> Iterator[tuple[str, torch.Tensor]]:
    for name, tensor in tensors.items():
        inner = within(name.removeprefix(ROOT))
        if not name.startswith(ROOT):
            yield name, tensor
        elif inner is not None:
            yield ROOT + inner, tensor


def _adalora_masks(fields: Mapping[str, Any]) -> Mapping[str, Sequence[bool]]:
    """Which singular values of a module AdaLoRA kept, by the module's name."""
    if fields["peft_type"] != "ADALORA":
        return {}
    return {_adalora_module(key): mask for key, mask in (fields.get("rank_pattern") or {}).items()}


def _adalora_module(key: str) -> str:
    return key.partition(".lora_E")[0]


def _prune(shapes: dict[str, tuple[int, ...]], masks: Mapping[str, Sequence[bool]]) -> dict[str, tuple[int, ...]]:
    """AdaLoRA saves the kept singular values alone. PEFT can't count them on the meta device."""
    for module, mask in masks.items():
        for layer, axis in (("lora_A", 0), ("lora_E", 0), ("lora_B", 1)):
            name = f"{ROOT}{module}.{layer}"
            if name in shapes:
                shape = list(shapes[name])
                shape[axis] = sum(mask)
                shapes[name] = tuple(shape)
    return shapes


def _check_places(model: nn.Module, name: str, layers: Layers) -> None:
    """The check of what PEFT did: an adapter on other modules than those of its own class would answer wrongly."""
    holding = {status.name for status in get_layer_status(model) if name in status.available_adapters}
    if holding != layers.adapted | layers.saved:
        raise RuntimeError(f"PEFT adapted {sorted(holding)} instead of {sorted(layers.adapted | layers.saved)}")
