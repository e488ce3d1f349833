"""Every field of `adapter_config.json` that is known, by PEFT method, and what becomes of it.

A field is *applied* (it goes on to PEFT), or *ignored*: it steered the training or the initialisation, or it is
bookkeeping, and no answer depends on it. Ignored fields that could also change answers are accepted at their neutral
value alone. Whatever isn't here is refused. The tables are complete for PEFT 0.21; a test compares them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adaptermux_server.adapters.field_checks import (
    Check,
    anything,
    boolean,
    either,
    integer,
    list_of,
    module_map,
    module_name,
    names,
    names_or_pattern,
    number,
    one_of,
    optional,
    targets,
    text,
)

MAX_RANK = 1024


@dataclass(frozen=True, slots=True)
class Method:
    """The fields of one PEFT method, by name."""

    required: frozenset[str]
    applied: Mapping[str, Check]
    ignored: Mapping[str, Check]


_rank = integer(1, MAX_RANK)
_alpha = number(-1e6, 1e6)
_probability = number(0, 1)
_count = integer(0, 1 << 31)
_null = one_of(None)
_false = one_of(False)
_no_bias = one_of("none", advice="trained biases of the base would change the answers of other adapters")
_keep_base = one_of(
    True,
    False,
    "gaussian",
    "orthogonal",
    "eva",
    advice="other initialisations change the base's weights; save the adapter again as a plain LoRA, with"
    " save_pretrained(…, path_initial_model_for_weight_conversion=…)",
)

_COMMON: Mapping[str, Check] = {
    "auto_mapping": optional(anything),
    "peft_version": optional(text),
    "base_model_name_or_path": optional(text),
    "revision": optional(text),
    "inference_mode": boolean,
}
_TARGETING: Mapping[str, Check] = {"target_modules": targets, "modules_to_save": optional(names)}
_EXCLUDING: Mapping[str, Check] = {"exclude_modules": optional(names_or_pattern)}
_LAYERS: Mapping[str, Check] = {
    "layers_to_transform": optional(either(list_of(integer(0, 4096)), integer(0, 4096))),
    "layers_pattern": optional(either(names, module_name)),
}
_PATTERNS: Mapping[str, Check] = {
    # PEFT itself fails at null here.
    "rank_pattern": module_map(_rank),
    "alpha_pattern": module_map(_alpha),
}
_TARGETS_REQUIRED = frozenset({"target_modules"})

_LORA = Method(
    required=_TARGETS_REQUIRED,
    applied={
        **_TARGETING,
        **_EXCLUDING,
        **_LAYERS,
        **_PATTERNS,
        "r": _rank,
        "lora_alpha": _alpha,
        "fan_in_fan_out": boolean,
        "use_rslora": boolean,
        "use_dora": boolean,
        "lora_bias": boolean,
    },
    ignored={
        **_COMMON,
        "bias": _no_bias,
        "init_lora_weights": _keep_base,
        "lora_dropout": _probability,
        "eva_config": optional(anything),
        "megatron_core": optional(text),
        "qalora_group_size": _count,
        "loftq_config": either(_null, one_of({})),
        "runtime_config": either(_null, one_of({"ephemeral_gpu_offload": False})),
        "use_qalora": _false,
        # What some models with experts are saved with.
        "target_parameters": one_of(None, []),
        "ensure_weight_tying": _false,
        **dict.fromkeys(
            (
                "megatron_config",
                "trainable_token_indices",
                "corda_config",
                "lora_ga_config",
                "velora_config",
                "alora_invocation_tokens",
                "monteclora_config",
                "layer_replication",
                "use_bdlora",
                "arrow_config",
                "kasa_config",
            ),
            _null,
        ),
    },
)

_ADALORA = Method(
    required=_TARGETS_REQUIRED | {"total_step"},
    applied={
        **{name: check for name, check in _LORA.applied.items() if name not in ("use_dora", "lora_bias")},
        # Which of a module's singular values were kept.
        "rank_pattern": optional(module_map(list_of(boolean, MAX_RANK))),
        "target_r": _rank,
        "init_r": _rank,
        # Applied in the sense that PEFT checks the schedule again when it builds the modules.
        "tinit": _count,
        "tfinal": _count,
        "deltaT": integer(1, 1 << 31),
        "total_step": integer(1, 1 << 31),
    },
    ignored={
        **_LORA.ignored,
        "use_dora": _false,
        "lora_bias": _false,
        "beta1": _probability,
        "beta2": _probability,
        "orth_reg_weight": number(0, 1e6),
    },
)

_IA3 = Method(
    required=_TARGETS_REQUIRED,
    applied={
        **_TARGETING,
        **_EXCLUDING,
        "feedforward_modules": optional(names_or_pattern),
        "fan_in_fan_out": boolean,
    },
    ignored={**_COMMON, "init_ia3_weights": boolean},
)

_LYCORIS: Mapping[str, Check] = {
    **_TARGETING,
    **_EXCLUDING,
    **_LAYERS,
    **_PATTERNS,
    "r": _rank,
    "alpha": _alpha,
    "use_effective_conv2d": boolean,
}
_LYCORIS_TRAINING: Mapping[str, Check] = {**_COMMON, "rank_dropout": _probability, "module_dropout": _probability}

_LOHA = Method(
    required=_TARGETS_REQUIRED,
    applied=_LYCORIS,
    ignored={**_LYCORIS_TRAINING, "init_weights": boolean},
)

_LOKR = Method(
    required=_TARGETS_REQUIRED,
    applied={**_LYCORIS, "decompose_both": boolean, "decompose_factor": integer(-1, 1 << 20)},
    ignored={
        **_LYCORIS_TRAINING,
        "init_weights": one_of(True, False, "lycoris"),
        "rank_dropout_scale": boolean,
    },
)

_VERA = Method(
    required=_TARGETS_REQUIRED,
    applied={
        **_TARGETING,
        **_LAYERS,
        "r": _rank,
        "fan_in_fan_out": boolean,
        "projection_prng_key": integer(0, (1 << 63) - 1),
        "save_projection": boolean,
    },
    ignored={
        **_COMMON,
        "bias": _no_bias,
        "vera_dropout": _probability,
        "d_initial": number(-1e6, 1e6),
        "init_weights": boolean,
    },
)

_OFT = Method(
    required=_TARGETS_REQUIRED,
    applied={
        **_TARGETING,
        **_EXCLUDING,
        **_LAYERS,
        "r": integer(0, 1 << 16),
        "oft_block_size": integer(0, 1 << 16),
        "fan_in_fan_out": boolean,
        "coft": boolean,
        "eps": number(0, 1),
        "block_share": boolean,
        "use_cayley_neumann": boolean,
        "num_cayley_neumann_terms": integer(1, 64),
    },
    ignored={**_COMMON, "bias": _no_bias, "module_dropout": _probability, "init_weights": boolean},
)

METHODS: Mapping[str, Method] = {
    "LORA": _LORA,
    "ADALORA": _ADALORA,
    "IA3": _IA3,
    "LOHA": _LOHA,
    "LOKR": _LOKR,
    "VERA": _VERA,
    "OFT": _OFT,
}
"""By `peft_type`: the methods that are served; rsLoRA and DoRA are flags of LORA. All others are refused by name.

Prompt learning isn't among them: its virtual tokens would take a part of the sequence length, for one adapter and not
for another. `peft_type` and `task_type` themselves are read by `adapter_config`.
"""
