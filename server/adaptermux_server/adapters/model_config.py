"""`config.json`: a file of transformers, of which three fields matter here: number and names of the labels, their kind.

An adapter's folder needn't have one: PEFT itself doesn't save it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptermux_server.adapters.strict_json import parse_object
from adaptermux_server.errors import ConfigUnsupportedError
from adaptermux_server.types import ProblemType

MODEL_CONFIG_FILE = "config.json"

MAX_LABELS = 65_536
MAX_LABEL_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What `config.json` says about a head; None where it says nothing."""

    labels: tuple[str, ...] | None = None
    problem_type: ProblemType | None = None


def parse_model_config(content: bytes) -> ModelConfig:
    """Read `id2label`, `num_labels` and `problem_type` from the content of `config.json`; the rest is ignored.

    Raises:
        SourceInvalidError: it is no JSON object.
        ConfigUnsupportedError: one of the three fields is malformed, or they contradict one another.
    """
    fields = parse_object(content, MODEL_CONFIG_FILE)
    return ModelConfig(_labels(fields), _problem_type(fields.get("problem_type")))


def _labels(fields: Mapping[str, Any]) -> tuple[str, ...] | None:
    labels = _names(fields.get("id2label"))
    count = fields.get("num_labels")
    if count is None:
        return labels
    if type(count) is not int or not 0 < count <= MAX_LABELS:
        raise ConfigUnsupportedError("num_labels", f"must be a whole number from 1 to {MAX_LABELS}")
    if labels is None:
        return tuple(f"LABEL_{index}" for index in range(count))
    if len(labels) != count:
        raise ConfigUnsupportedError("num_labels", f"is {count}, but id2label has {len(labels)} labels")
    return labels


def _names(id2label: Any) -> tuple[str, ...] | None:
    if id2label is None:
        return None
    if not isinstance(id2label, dict) or not 0 < len(id2label) <= MAX_LABELS:
        raise ConfigUnsupportedError("id2label", f"must be a map of 1 to {MAX_LABELS} labels")
    labels = [id2label.get(str(index)) for index in range(len(id2label))]
    if not all(isinstance(label, str) and 0 < len(label) <= MAX_LABEL_CHARACTERS for label in labels):
        raise ConfigUnsupportedError(
            "id2label",
            f'must have the keys "0" to "{len(labels) - 1}", with names of 1 to {MAX_LABEL_CHARACTERS} characters',
        )
    if len(set(labels)) != len(labels):
        raise ConfigUnsupportedError("id2label", "must have distinct names")
    return tuple(str(label) for label in labels)


def _problem_type(value: Any) -> ProblemType | None:
    if value is None:
        return None
    try:
        return ProblemType(value)
    except ValueError as error:
        known = ", ".join(kind.value for kind in ProblemType)
        raise ConfigUnsupportedError("problem_type", f"must be null or one of {known}") from error
