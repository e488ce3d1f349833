"""Logits to scores."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from adaptermux_server.tasks.results import LabelScore
from adaptermux_server.types import ProblemType, Values

Scores = npt.NDArray[np.float64]


def softmax(logits: Values) -> Scores:
    """exp(x) / sum(exp(x)) over the last axis, in float64; shape as given."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def sigmoid(logits: Values) -> Scores:
    """1 / (1 + exp(-x)), in float64; written with tanh, which can't overflow."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64))))


def scores_of(logits: Values, problem_type: ProblemType) -> Scores:
    """Scores as the kind of problem has them; shape as given."""
    if problem_type is ProblemType.SINGLE_LABEL:
        return softmax(logits)
    return sigmoid(logits) if problem_type is ProblemType.MULTI_LABEL else logits.astype(np.float64)


def best_labels(scores: Scores, labels: Sequence[str], top_k: int | None) -> tuple[LabelScore, ...]:
    """The `top_k` best (None: all), best first, ties in the order of the labels. Shapes: scores [labels]."""
    order = np.argsort(-scores, kind="stable")[:top_k]
    return tuple(LabelScore(labels[i], float(scores[i])) for i in order)


def as_floats(values: Values) -> tuple[float, ...]:
    """Plain floats, flattened."""
    return tuple(values.ravel().tolist())
