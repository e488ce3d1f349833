"""Tiny base models of many families, adapters trained on them by chance, and what plain PEFT answers with one of them.

Everything is random but seeded, and large enough to tell a wrong answer from a right one.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from adaptermux_server.types import Task, Values
from tests.support.vocabulary import SPECIAL, make_tokenizer

disable_progress_bar()
set_verbosity_error()

Columns = Mapping[str, tuple[int, ...]]
"""Of one row: what the tokenizer made, by name."""

HIDDEN = 32
LAYERS = 2
MAX_TOKENS = 48
ENCODERS = ("bert", "electra", "roberta", "distilbert", "deberta-v2", "modernbert", "albert")
DECODERS = ("llama", "qwen3", "mistral", "gemma", "gpt2", "gptj")
"""A position sees none to its right."""
FAMILIES = (*ENCODERS, *DECODERS)

_COMMON = {"hidden_size": HIDDEN, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64}
_BART_SIZES = {"layers": LAYERS, "attention_heads": 4, "ffn_dim": 64}
_ENDS = {"bos_token_id": 0, "eos_token_id": 2}
_DECODER = {**_COMMON, **_ENDS, "num_key_value_heads": 2, "max_position_embeddings": MAX_TOKENS}
_CONFIGS: dict[str, Mapping[str, Any]] = {
    "bert": {**_COMMON, "type_vocab_size": 2, "max_position_embeddings": MAX_TOKENS},
    "electra": {**_COMMON, "embedding_size": 16, "type_vocab_size": 2, "max_position_embeddings": MAX_TOKENS},
    "roberta": {**_COMMON, "type_vocab_size": 1, "max_position_embeddings": MAX_TOKENS + 2},
    "distilbert": {"dim": HIDDEN, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 64}
    | {"max_position_embeddings": MAX_TOKENS},
    "deberta-v2": {**_COMMON, "type_vocab_size": 0, "max_position_embeddings": MAX_TOKENS, "relative_attention": True}
    | {"pos_att_type": ["p2c", "c2p"], "pooler_hidden_size": HIDDEN, "position_buckets": 16, "share_att_key": True},
    "modernbert": {**_COMMON, "max_position_embeddings": MAX_TOKENS, "local_attention": 8}
    | {"global_attn_every_n_layers": 2, "classifier_pooling": "mean"},
    # Of ALBERT's two layers both are the same module.
    "albert": {**_COMMON, "embedding_size": 16, "type_vocab_size": 2, "max_position_embeddings": MAX_TOKENS},
    "llama": _DECODER,
    "qwen3": {**_DECODER, "head_dim": 8},
    "mistral": {**_DECODER, "head_dim": 8, "sliding_window": 8},
    "gemma": {**_DECODER, "head_dim": 8, "num_key_value_heads": 1},
    "gpt2": {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 4, "n_inner": 64, "n_positions": MAX_TOKENS, **_ENDS},
    # Attention and MLP stand side by side and read one tensor.
    "gptj": {"n_embd": HIDDEN, "n_layer": LAYERS, "n_head": 4, "n_inner": 64, "n_positions": MAX_TOKENS, **_ENDS}
    | {"rotary_dim": 4},
}
# Of these, some heads or all answers can't be served.
_CONFIGS = _CONFIGS | {
    "xlnet": {"d_model": HIDDEN, "n_layer": LAYERS, "n_head": 4, "d_inner": 64},
    "t5": {"d_model": HIDDEN, "num_layers": LAYERS, "num_heads": 4, "d_ff": 64, "d_kv": 8},
    "longformer": {**_COMMON, "attention_window": [8, 8], "max_position_embeddings": MAX_TOKENS + 2},
    "bart": {"d_model": HIDDEN, "eos_token_id": 2, "max_position_embeddings": MAX_TOKENS}
    | {f"{part}_{what}": n for part in ("encoder", "decoder") for what, n in _BART_SIZES.items()},
    "nomic_bert": {**_COMMON, "max_position_embeddings": MAX_TOKENS},
}
_TYPED = ("bert", "electra", "albert")
# As published, neither their tokenizer nor their configuration has a token for padding.
_UNPADDED = ("llama", "mistral", "gpt2")

TARGETS: Mapping[str, tuple[str, ...]] = {
    "bert": ("query", "key", "value", "dense"),
    "electra": ("query", "key", "value", "dense"),
    "roberta": ("query", "key", "value", "dense"),
    "distilbert": ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2"),
    "deberta-v2": ("query_proj", "key_proj", "value_proj", "dense"),
    "modernbert": ("Wqkv", "Wo", "Wi"),
    "xlnet": ("layer_1", "layer_2"),
    "albert": ("query", "key", "value", "dense", "ffn", "ffn_output", "embedding_hidden_mapping_in"),
    **dict.fromkeys(DECODERS, ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")),
    "gpt2": ("c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"),
    "gptj": ("q_proj", "k_proj", "v_proj", "out_proj", "fc_in", "fc_out"),
    "longformer": ("query", "key", "value", "dense"),
    "bart": ("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"),
    "nomic_bert": ("q_proj", "k_proj", "v_proj", "o_proj"),
}
_FEEDFORWARD: Mapping[str, tuple[str, ...]] = {
    "distilbert": ("lin2",),
    "modernbert": ("Wo",),
    "albert": ("ffn_output",),
    **dict.fromkeys(DECODERS, ("down_proj",)),
    "gpt2": ("mlp.c_proj",),
    "gptj": ("fc_out",),
}

METHODS: Mapping[str, Mapping[str, Any]] = {
    "lora": {"peft_type": "LORA", "r": 4, "lora_alpha": 8},
    "rslora": {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_rslora": True},
    "dora": {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "use_dora": True},
    "ia3": {"peft_type": "IA3"},
    "adalora": {"peft_type": "ADALORA", "init_r": 6, "target_r": 4, "lora_alpha": 8, "total_step": 10},
    "loha": {"peft_type": "LOHA", "r": 4, "alpha": 8},
    "lokr": {"peft_type": "LOKR", "r": 4, "alpha": 8},
    "vera": {"peft_type": "VERA", "r": 16},
    "oft": {"peft_type": "OFT", "oft_block_size": 8, "r": 0},
}

_MODEL_CLASSES: Mapping[Task, Any] = {
    Task.SEQUENCE_CLASSIFICATION: AutoModelForSequenceClassification,
    Task.TOKEN_CLASSIFICATION: AutoModelForTokenClassification,
    Task.QUESTION_ANSWERING: AutoModelForQuestionAnswering,
    Task.FEATURE_EXTRACTION: AutoModel,
}
_TASK_TYPES = {
    Task.SEQUENCE_CLASSIFICATION: "SEQ_CLS",
    Task.TOKEN_CLASSIFICATION: "TOKEN_CLS",
    Task.QUESTION_ANSWERING: "QUESTION_ANS",
    Task.FEATURE_EXTRACTION: "FEATURE_EXTRACTION",
}


def make_base(family: str, folder: Path, seed: int = 0, **config: Any) -> Path:
    """Save a tiny model of a family with its tokenizer; returns the folder."""
    tokenizer = make_tokenizer(MAX_TOKENS, typed=family in _TYPED, padded=family not in _UNPADDED)
    settings = {**_CONFIGS[family], "vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad_token_id, **config}
    torch.manual_seed(seed)
    model = AutoModel.from_config(AutoConfig.for_model(family, **settings))
    _randomise(model.parameters(), 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(
    base: Path,
    folder: Path,
    task: Task,
    method: str = "lora",
    *,
    num_labels: int = 3,
    seed: int = 0,
    labels: Sequence[str] = (),
    problem_type: str | None = None,
    **config: Any,
) -> Path:
    """Save an adapter as PEFT does, its weights as if trained; returns the folder.

    `config` overrides fields of PEFT's configuration. Unless it names `modules_to_save`, the whole head is saved.
    `labels` or `problem_type` add a `config.json`, as a Trainer leaves it.
    """
    torch.manual_seed(seed)
    model = _task_model(base, task, num_labels)
    fields = {"task_type": _TASK_TYPES[task], "target_modules": list(_targets(base)), **METHODS[method]}
    if task is not Task.FEATURE_EXTRACTION:
        fields["modules_to_save"] = _head_modules(model)
    if method == "ia3":
        fields["feedforward_modules"] = list(_FEEDFORWARD.get(_family(base), ("dense",)))
    fields.update(config)
    adapted = get_peft_model(model, PEFT_TYPE_TO_CONFIG_MAPPING[fields["peft_type"]](**_without(fields, "peft_type")))
    _randomise((parameter for parameter in adapted.parameters() if parameter.requires_grad), 0.15)
    adapted.save_pretrained(folder)
    if labels or problem_type:
        _write_model_config(folder, labels, problem_type)
    return folder


@dataclass(frozen=True)
class Reference:
    """What plain PEFT with one adapter says of one row alone."""

    values: Values
    """As `types.Values` has them; for feature extraction the hidden states."""
    hidden: Values
    """The last hidden states, [tokens, hidden]."""


def reference(
    base: Path, adapter: Path | None, task: Task, rows: Sequence[Columns], num_labels: int = 3
) -> list[Reference]:
    """Ask plain transformers and PEFT, with this one adapter (None: with none), about each row alone."""
    model = _task_model(base, task, num_labels).eval()
    seen: list[torch.Tensor] = []
    model.base_model.register_forward_hook(lambda _, __, outputs: seen.append(outputs.last_hidden_state[0]))
    adapted = model if adapter is None else PeftModel.from_pretrained(model, str(adapter)).eval()
    with torch.no_grad():
        return [Reference(_values(adapted(**_tensors(row)), task), seen.pop().numpy()) for row in rows]


def reference_logits(
    base: Path, adapter: Path, task: Task, inputs: Sequence[str | tuple[str, str]], num_labels: int = 3
) -> list[Values]:
    """What plain PEFT with this one adapter answers to each text (or pair of texts) alone."""
    rows = encode(base, inputs)
    return [answer.values for answer in reference(base, adapter, task, rows, num_labels)]


def encode(base: Path, inputs: Sequence[str | tuple[str, str]]) -> list[Columns]:
    """Tokenise each text (or pair of texts) with the base's tokenizer; no attention mask."""
    tokenizer = AutoTokenizer.from_pretrained(base)
    encoded = [tokenizer(*((text,) if isinstance(text, str) else text)) for text in inputs]
    return [{name: tuple(ids) for name, ids in row.items() if name != "attention_mask"} for row in encoded]


def random_rows(base: Path, lengths: Sequence[int], seed: int = 0) -> list[Columns]:
    """Sequences of random ids with the columns that the base's tokenizer makes; pairs where it types tokens."""
    generator = np.random.default_rng(seed)
    vocabulary = json.loads((base / "config.json").read_text())["vocab_size"]
    rows: list[Columns] = []
    for length in lengths:
        ids = generator.integers(len(SPECIAL), vocabulary, length).tolist()
        row: dict[str, tuple[int, ...]] = {"input_ids": (0, *ids[1:-1], 2)}
        if _family(base) in _TYPED:
            row["token_type_ids"] = tuple(int(position > length // 2) for position in range(length))
        rows.append(row)
    return rows


@torch.no_grad()
def _randomise(parameters: Iterable[torch.nn.Parameter], scale: float) -> None:
    """Factors, which start at one (or DoRA's magnitudes), stay positive; all others are spread around zero."""
    for parameter in parameters:
        noise = torch.randn_like(parameter) * scale
        parameter.copy_(parameter * (1 + noise) if bool((parameter > 0).all()) else noise)


def _task_model(base: Path, task: Task, num_labels: int) -> Any:
    labels = {} if task in (Task.QUESTION_ANSWERING, Task.FEATURE_EXTRACTION) else {"num_labels": num_labels}
    return _MODEL_CLASSES[task].from_pretrained(base, **labels)


def _head_modules(model: Any) -> list[str]:
    return [
        name
        for name, module in model.named_children()
        if name != model.base_model_prefix and any(True for _ in module.parameters())
    ]


def _family(base: Path) -> str:
    return str(json.loads((base / "config.json").read_text())["model_type"])


def _targets(base: Path) -> tuple[str, ...]:
    return TARGETS[_family(base)]


def _without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != name}


def _write_model_config(folder: Path, labels: Sequence[str], problem_type: str | None) -> None:
    content: dict[str, Any] = {}
    if labels:
        content["id2label"] = {str(index): label for index, label in enumerate(labels)}
    if problem_type:
        content["problem_type"] = problem_type
    (folder / "config.json").write_text(json.dumps(content))


def _tensors(row: Columns) -> dict[str, torch.Tensor]:
    return {name: torch.tensor([list(values)]) for name, values in row.items()}


def _values(outputs: Any, task: Task) -> Values:
    if task is Task.FEATURE_EXTRACTION:
        return np.asarray(outputs.last_hidden_state[0].numpy())
    if task is Task.QUESTION_ANSWERING:
        return np.asarray(torch.stack((outputs.start_logits[0], outputs.end_logits[0])).numpy())
    return np.asarray(outputs.logits[0].numpy())
