"""What plain PEFT answers with one adapter alone: the numbers behind `$peft` in the table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from transformers import AutoTokenizer

from adaptermux_server.types import Task, Values
from tests.conformance.models import RECIPES, Models
from tests.support.models import reference


class Reference:
    """Computes answers one by one, each from files, with no code of the server."""

    def __init__(self, models: Models) -> None:
        self._models = models
        self._tokenizer = AutoTokenizer.from_pretrained(models.base)

    def __call__(
        self, *, adapter: str, input: Mapping[str, Any], take: Any = None, labels: Sequence[str] = ()
    ) -> list[Any]:
        """The content of a `$peft` placeholder; README.md says what `take` may be."""
        encoding = self._encoding(input)
        values = self._values(adapter, encoding)
        match take:
            case None:
                return _floats(values)
            case "softmax" | "sigmoid":
                return _best_first(take, values, labels or RECIPES[adapter].labels)
            case "start" | "end":
                return _floats(values[("start", "end").index(take)])
            case {"token": index}:
                return _floats(values[index])
            case {"word": index}:
                return _floats(values[encoding.word_ids().index(index)])
            case str():
                return _floats(_pooled(values, *take.split("-")))
        raise ValueError(f"take: {take!r}")

    def _encoding(self, content: Mapping[str, Any]) -> Any:
        if "words" in content:
            return self._tokenizer(content["words"], is_split_into_words=True)
        return self._tokenizer(content["text"], content.get("textPair"))

    def _values(self, adapter: str, row: Mapping[str, Sequence[int]]) -> Values:
        # Alone and unpadded, the mask would be all ones: transformers' default.
        columns = {name: tuple(column) for name, column in row.items() if name != "attention_mask"}
        base = self._models.base
        if not adapter:
            return reference(base, None, Task.FEATURE_EXTRACTION, [columns])[0].values
        recipe = RECIPES[adapter]
        folder = self._models.adapters / adapter
        return reference(base, folder, recipe.task, [columns], len(recipe.labels))[0].values


def _best_first(kind: str, logits: Values, labels: Sequence[str]) -> list[dict[str, Any]]:
    scores = 1 / (1 + np.exp(-logits)) if kind == "sigmoid" else np.exp(logits) / np.exp(logits).sum()
    return [{"label": labels[index], "score": float(scores[index])} for index in np.argsort(-scores, kind="stable")]


def _pooled(hidden: Values, pooling: str, normalized: str = "") -> Values:
    vector = hidden[0] if pooling == "cls" else np.mean(hidden, axis=0)
    return np.asarray(vector / np.linalg.norm(vector)) if normalized else np.asarray(vector)


def _floats(values: Values) -> list[float]:
    return [float(value) for value in values]
