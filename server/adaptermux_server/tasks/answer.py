"""Start and end logits to answers."""

from collections.abc import Iterator

import numpy as np

from adaptermux_server.tasks.inputs import TextInput
from adaptermux_server.tasks.options import AnswerOptions
from adaptermux_server.tasks.results import AnswerResult, AnswerSpan
from adaptermux_server.tasks.scores import Scores, as_floats, softmax
from adaptermux_server.tasks.tokenizing import Encoded
from adaptermux_server.types import Values

_NULL_TOKEN = 0
"""The token whose start and end mean "no answer" (SQuAD 2.0, arXiv 1806.03822; Devlin et al. 2019, section 4.3)."""


def answer_result(encoded: Encoded, values: Values, options: AnswerOptions) -> AnswerResult:
    """Answer one question. Shapes: values [2, tokens]."""
    candidates = list(_best_spans(encoded, values, options))
    candidates.sort(key=lambda answer: -answer.score)
    return AnswerResult(
        answers=tuple(candidates[: options.top_k]),
        start_logits=as_floats(values[0]) if options.return_logits else (),
        end_logits=as_floats(values[1]) if options.return_logits else (),
        num_tokens=encoded.num_tokens,
        truncated=encoded.truncated,
    )


def _best_spans(encoded: Encoded, values: Values, options: AnswerOptions) -> Iterator[AnswerSpan]:
    context = np.array([t for t, s in enumerate(encoded.sequence_ids) if s == 1], dtype=np.int64)
    starts, ends = softmax(values[:, np.append(context, _NULL_TOKEN)])
    if options.allow_no_answer:
        yield AnswerSpan("", float(starts[-1] * ends[-1]), 0, 0, no_answer=True)
    text = encoded.source.pair or "" if isinstance(encoded.source, TextInput) else ""
    for score, first, last in _top_pairs(starts[:-1], ends[:-1], options):
        start, end = encoded.offsets[context[first]][0], encoded.offsets[context[last]][1]
        yield AnswerSpan(text[start:end], score, start, end, no_answer=False)


def _top_pairs(starts: Scores, ends: Scores, options: AnswerOptions) -> Iterator[tuple[float, int, int]]:
    """The `top_k` best (start · end, first, last) with 0 <= last - first < max_answer_tokens, unordered."""
    num_tokens, width = len(starts), min(options.max_answer_tokens, len(starts))
    if not num_tokens:
        return
    band = np.stack([np.append(ends[d:], np.zeros(d)) for d in range(width)], axis=1) * starts[:, None]
    inside = np.add.outer(np.arange(num_tokens), np.arange(width)) < num_tokens
    flat = np.where(inside, band, -1.0).ravel()
    count = min(options.top_k, int(inside.sum()))
    for index in np.argpartition(-flat, count - 1)[:count]:
        first, distance = divmod(int(index), width)
        yield float(flat[index]), first, first + distance
