"""What a caller may choose when loading an adapter."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from adaptermux_server.adapters.ids import check_adapter_id
from adaptermux_server.adapters.model_config import MAX_LABEL_CHARACTERS, MAX_LABELS
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.types import ProblemType

MAX_WEIGHT = 1000.0
MAX_WAIT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """A load as asked for; an instance has passed every check that needs no files.

    Raises InvalidRequestError, which names every field that is wrong as the API does.
    """

    adapter_id: str
    uri: str
    labels: tuple[str, ...] = ()
    """In the order of the logits; empty: as the adapter's files name them."""
    problem_type: ProblemType | None = None
    """None: as the adapter's files say, else by the head."""
    weight: float = 1.0
    max_wait_seconds: float | None = None
    """None: the server's default."""
    validate_only: bool = False
    """Check everything and load nothing."""
    return_immediately: bool = False
    """Return once the load has begun."""

    def __post_init__(self) -> None:
        check_adapter_id(self.adapter_id, "adapter_id")
        violations = tuple(_violations(self))
        if violations:
            raise InvalidRequestError(*violations)


def _violations(options: LoadOptions) -> Iterator[tuple[str, str]]:
    if not options.uri:
        yield "uri", "must be given: an absolute path or a file:// URI"
    # Written so that NaN is refused as well.
    if not 0 < options.weight <= MAX_WEIGHT:
        yield "weight", f"must be above 0 and at most {MAX_WEIGHT:g}"
    if options.max_wait_seconds is not None and not 0 < options.max_wait_seconds <= MAX_WAIT_SECONDS:
        yield "max_wait", f"must be above 0 and at most {MAX_WAIT_SECONDS:g} s"
    yield from _label_violations(options.labels)


def _label_violations(labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    if len(labels) > MAX_LABELS:
        yield "labels", f"are {len(labels)}, allowed are {MAX_LABELS}"
    elif len(set(labels)) != len(labels):
        yield "labels", "must be distinct"
    for index, label in enumerate(labels[:MAX_LABELS]):
        if not 0 < len(label) <= MAX_LABEL_CHARACTERS:
            yield f"labels[{index}]", f"must have 1 to {MAX_LABEL_CHARACTERS} characters"
            return
