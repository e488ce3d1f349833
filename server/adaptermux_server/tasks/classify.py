"""Logits of a sequence to labels with scores."""

from adaptermux_server.tasks.options import ClassifyOptions
from adaptermux_server.tasks.results import Classification, LabelScore
from adaptermux_server.tasks.scores import as_floats, best_labels, scores_of
from adaptermux_server.tasks.tokenizing import Encoded
from adaptermux_server.types import AdapterSpec, ProblemType, Values


def classification(encoded: Encoded, values: Values, spec: AdapterSpec, options: ClassifyOptions) -> Classification:
    """Label one input. Shapes: values [labels]."""
    problem_type = options.problem_type or spec.problem_type or ProblemType.SINGLE_LABEL
    scores = scores_of(values, problem_type)
    if problem_type is ProblemType.REGRESSION:
        labels = tuple(LabelScore(label, float(value)) for label, value in zip(spec.labels, scores, strict=True))
        labels = labels[: options.top_k]
    else:
        labels = best_labels(scores, spec.labels, options.top_k)
    return Classification(
        labels=labels,
        logits=as_floats(values) if options.return_logits else (),
        problem_type=problem_type,
        num_tokens=encoded.num_tokens,
        truncated=encoded.truncated,
    )
