"""`adapter_config.json`, read by an allow-list: what it says is either applied exactly or refused by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptermux_server.adapters.config_fields import METHODS, Method
from adaptermux_server.adapters.strict_json import parse_object
from adaptermux_server.errors import ConfigUnsupportedError
from adaptermux_server.types import Task

CONFIG_FILE = "adapter_config.json"

_TASKS = {
    None: Task.FEATURE_EXTRACTION,
    "FEATURE_EXTRACTION": Task.FEATURE_EXTRACTION,
    "SEQ_CLS": Task.SEQUENCE_CLASSIFICATION,
    "TOKEN_CLS": Task.TOKEN_CLASSIFICATION,
    "QUESTION_ANS": Task.QUESTION_ANSWERING,
}
_MAX_QUOTED_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """A configuration that passed every check."""

    peft_type: str
    task: Task
    applied: Mapping[str, Any]
    """`peft_type`, `task_type` and the fields that PEFT needs to build the modules again, under PEFT's names."""


def parse_adapter_config(content: bytes) -> AdapterConfig:
    """Read the content of `adapter_config.json`, whose size the caller has bounded.

    Raises:
        SourceInvalidError: it is no JSON object.
        ConfigUnsupportedError: a field (named) is unknown, out of range, or would change more than this adapter.
    """
    fields = parse_object(content, CONFIG_FILE)
    peft_type = fields.pop("peft_type", None)
    if not isinstance(peft_type, str) or peft_type not in METHODS:
        raise ConfigUnsupportedError("peft_type", f"{_quoted(peft_type)} isn't served; served are {', '.join(METHODS)}")
    task_type = fields.pop("task_type", None)
    task = _task(task_type)
    method = METHODS[peft_type]
    _check_fields(method, fields)
    _check_together(peft_type, fields)
    kept = {name: value for name, value in fields.items() if name in method.applied}
    return AdapterConfig(peft_type, task, {"peft_type": peft_type, "task_type": task_type, **kept})


def _task(task_type: Any) -> Task:
    if task_type is None or isinstance(task_type, str):
        task = _TASKS.get(task_type)
        if task is not None:
            return task
    served = ", ".join(name for name in _TASKS if name)
    raise ConfigUnsupportedError("task_type", f"{_quoted(task_type)} isn't served; served are {served} and null")


def _check_fields(method: Method, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        check = method.applied.get(name) or method.ignored.get(name)
        if check is None:
            shown = name[:_MAX_QUOTED_CHARACTERS]
            raise ConfigUnsupportedError(shown, "not a known field of this peft_type; remove it if it is unused")
        problem = check(value)
        if problem:
            raise ConfigUnsupportedError(name, f"{problem}; it is {_quoted(value)}")
    missing = sorted(method.required - fields.keys())
    if missing:
        raise ConfigUnsupportedError(missing[0], "must be given")


def _check_together(peft_type: str, fields: Mapping[str, Any]) -> None:
    """What PEFT itself refuses, refused here so that the field is named."""
    _check_layers(fields)
    if peft_type == "OFT" and bool(fields.get("r", 0)) == bool(fields.get("oft_block_size", 32)):
        raise ConfigUnsupportedError("oft_block_size", "exactly one of r and oft_block_size must be above 0")
    if peft_type == "ADALORA" and fields.get("tinit", 0) >= fields["total_step"] - fields.get("tfinal", 0):
        raise ConfigUnsupportedError("total_step", "must be above tinit + tfinal")
    if peft_type == "IA3":
        _check_feedforward(fields.get("target_modules"), fields.get("feedforward_modules"))


def _check_layers(fields: Mapping[str, Any]) -> None:
    layers = fields.get("layers_to_transform")
    if layers is not None and isinstance(fields.get("target_modules"), str):
        raise ConfigUnsupportedError("layers_to_transform", "can't stand beside a pattern as target_modules")
    if fields.get("layers_pattern") and layers in (None, []):
        raise ConfigUnsupportedError("layers_pattern", "needs layers_to_transform")


def _check_feedforward(targets: Any, feedforward: Any) -> None:
    if isinstance(targets, list) and isinstance(feedforward, list) and not set(feedforward) <= set(targets):
        raise ConfigUnsupportedError("feedforward_modules", "must all be among target_modules")


def _quoted(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _MAX_QUOTED_CHARACTERS else f"{shown[:_MAX_QUOTED_CHARACTERS]}…"
