"""What plain PEFT, with one adapter alone, answers to the inputs of these tests."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from adaptermux.v1 import infer_pb2
from adaptermux_server.types import Task, Values
from tests.support.models import Reference, encode, reference

TOLERANCE = 1e-4
TEXTS = (
    "the cat sat on the mat",
    "a dog ran",
    "the tree is not very good",
    "one two red blue",
    "was it bad? not very: the blue cat ran",
    "x",
)
PAIRS = (
    ("who sat", "the cat sat on the mat and the dog ran"),
    ("is it red", "a very red mat is not blue"),
    ("one", "two"),
)


class Expected:
    """The answers of one adapter, or (`folder` None) of the base. `num_labels` is that of the head."""

    def __init__(self, base: Path, folder: Path | None, task: Task, num_labels: int = 3) -> None:
        self.folder, self.task = folder, task
        self._base, self._num_labels = base, num_labels

    @property
    def inputs(self) -> Sequence[str | tuple[str, str]]:
        """What may be asked of it."""
        return PAIRS if self.task is Task.QUESTION_ANSWERING else TEXTS

    @cached_property
    def references(self) -> Sequence[Reference]:
        """For each of `inputs`."""
        rows = encode(self._base, self.inputs)
        return reference(self._base, self.folder, self.task, rows, self._num_labels)

    def assert_answered(self, index: int, answer: object) -> None:
        """Assert that `answer`, of whatever RPC, is what this adapter alone says of `inputs[index]`."""
        expected = self.references[index].values
        match answer:
            case infer_pb2.Classification():
                actual = np.array(answer.logits)
            case infer_pb2.TaggedSequence():
                expected, actual = expected[1:-1], np.array([tag.logits for tag in answer.tags])
            case infer_pb2.AnswerResult():
                actual = np.array([answer.start_logits, answer.end_logits])
            case infer_pb2.Embedding():
                expected, actual = self.references[index].hidden.mean(axis=0), np.array(answer.values)
            case _:
                raise AssertionError(f"no answer: {answer!r:.200}")
        assert expected.shape == actual.shape
        assert _distance(expected, actual) <= TOLERANCE


def _distance(expected: Values, actual: Values) -> float:
    return float(np.abs(expected - actual).max())
