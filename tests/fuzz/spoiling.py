"""Files of good adapters, changed by chance: bits, lengths, the header of the weights, and the JSON of the rest."""

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from tests.fuzz.frames import damaged

CONFIG, MODEL_CONFIG, WEIGHTS = "adapter_config.json", "config.json", "adapter_model.safetensors"
Files = dict[str, bytes]

_VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 8, 2**31, 2**63, 10**400, 0.5, 1e308, -0.0, "", "lora", "all", "query", "(a+)+$", ".*",
    "query|key", [], ["query"], ["query", "nothing"], [["query"]], [None], {}, {"query": 4}, {"query": "4"}, {"": 0},
    {"a": {"b": [1]}}, [1, 2], "\ud83d\ude42", "../x", "LORA", "SEQ_CLS", "TOKEN_CLS", {"0": "a", "1": "b", "2": "c"},
)  # fmt: skip
_TEXTS = ("NaN", "Infinity", "1e999", "9" * 5000, "[" * 3000, '{"a":' * 3000, '"\\ud800"', "01", "'x'", "")
_FIELDS = (
    "r", "lora_alpha", "target_modules", "modules_to_save", "rank_pattern", "alpha_pattern", "bias", "use_dora",
    "use_rslora", "lora_bias", "fan_in_fan_out", "layers_to_transform", "layers_pattern", "exclude_modules",
    "init_lora_weights", "peft_type", "task_type", "lora_dropout", "inference_mode", "base_model_name_or_path",
    "megatron_config", "loftq_config", "trainable_token_indices", "no_such_field", "revision", "layer_replication",
)  # fmt: skip
_MODEL_FIELDS = ("id2label", "label2id", "problem_type", "num_labels", "model_type")


def spoilt(files: Mapping[str, bytes], dice: random.Random) -> Files:
    """A copy with one to three changes."""
    changed = dict(files)
    for _ in range(dice.randint(1, 3)):
        dice.choice(_CHANGES)(changed, dice)
    return changed


def _field(files: Files, dice: random.Random) -> None:
    name, fields = dice.choice(((CONFIG, _FIELDS), (CONFIG, _FIELDS), (MODEL_CONFIG, _MODEL_FIELDS)))
    content = _parsed(files.get(name, b"{}"))
    if isinstance(content, dict):
        content[dice.choice(fields)] = dice.choice(_VALUES)
        files[name] = json.dumps(content).encode()


def _text(files: Files, dice: random.Random) -> None:
    """A value that Python's own writer doesn't write, or a key that stands twice."""
    content = files[CONFIG].decode(errors="ignore").rstrip().removesuffix("}")
    files[CONFIG] = f'{content}, "{dice.choice(_FIELDS)}": {dice.choice(_TEXTS)}}}'.encode()


def _header(files: Files, dice: random.Random) -> None:
    prefix, rest = files[WEIGHTS][:8], files[WEIGHTS][8:]
    length = int.from_bytes(prefix, "little")
    header = _parsed(rest[:length])
    if not isinstance(header, dict) or not header:
        return
    name = dice.choice(list(header))
    entry = header[name]
    match dice.randrange(6):
        case 0:
            header[name] = dice.choice(_VALUES)
        case 1 if isinstance(entry, dict):
            value = dice.choice((*_VALUES, "F16", "I32", [0, 0]))
            entry[dice.choice(("dtype", "shape", "data_offsets", "more"))] = value
        case 2:
            header[dice.choice(("", "x" * 2000, name + ".x", "__metadata__"))] = header.pop(name)
        case 3 if isinstance(entry, dict) and isinstance(entry.get("shape"), list):
            entry["shape"] = dice.choice((entry["shape"][::-1], [*entry["shape"], 1], [1, *entry["shape"]], [-1]))
        case 4:
            other = dice.choice(list(header))
            header[name], header[other] = header[other], header[name]
        case _:
            header.pop(name)
    text = json.dumps(header).encode()
    files[WEIGHTS] = len(text).to_bytes(8, "little") + text + rest[length:]


def _length(files: Files, dice: random.Random) -> None:
    length = dice.choice((0, 1, 2**31, 2**63, 2**64 - 1, dice.randrange(5000)))
    files[WEIGHTS] = length.to_bytes(8, "little") + files[WEIGHTS][8:]


def _bits(files: Files, dice: random.Random) -> None:
    """Of the numbers: all but NaN and infinities are as good as any."""
    content = bytearray(files[WEIGHTS])
    start = min(len(content) - 1, 8 + int.from_bytes(content[:8], "little"))
    for _ in range(dice.randint(1, 4)):
        content[dice.randrange(start, len(content))] ^= 1 << dice.randrange(8)
    files[WEIGHTS] = bytes(content)


def _bytes(files: Files, dice: random.Random) -> None:
    name = dice.choice(list(files))
    files[name] = damaged(files[name], dice)


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


_CHANGES: tuple[Callable[[Files, random.Random], None], ...] = (
    _field, _field, _text, _header, _header, _length, _bits, _bits, _bytes,
)  # fmt: skip
