"""Tags to spans: BIO, IOB, IOBES and BILOU, or plain labels.

Sources: Ramshaw & Marcus 1995 (IOB); Ratinov & Roth 2009 (BILOU). Ill-formed sequences, which models do produce, are
read as conlleval reads them: an inside tag that continues nothing begins a span.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_OUTSIDE = "O"
_BEGINS = "BSU"
_ENDS = "ELSU"
_PREFIXES = "BIELSU"


@dataclass(frozen=True, slots=True)
class TagSpan:
    """Tags `first` to `end` (exclusive) make a span of `label`."""

    label: str
    first: int
    end: int


def merge_tags(tags: Sequence[str], all_labels: Sequence[str]) -> Iterator[TagSpan]:
    """Merge a sequence of tags into spans, by position.

    Args:
        tags: one label for each word.
        all_labels: the labels that the adapter knows. Prefixes count only if every one but "O" has one: so a
            part-of-speech tag such as "S-X" in a plain scheme isn't taken for a span of its own.
    """
    prefixed = all(label == _OUTSIDE or _has_prefix(label) for label in all_labels)
    first, open_label = 0, None
    for position, tag in enumerate(tags):
        prefix, label = (tag[0], tag[2:]) if prefixed and tag != _OUTSIDE else ("I", tag)
        if open_label is not None and (tag == _OUTSIDE or prefix in _BEGINS or label != open_label):
            yield TagSpan(open_label, first, position)
            open_label = None
        if tag == _OUTSIDE:
            continue
        if open_label is None:
            first, open_label = position, label
        if prefix in _ENDS:
            yield TagSpan(open_label, first, position + 1)
            open_label = None
    if open_label is not None:
        yield TagSpan(open_label, first, len(tags))


def _has_prefix(label: str) -> bool:
    return len(label) > 2 and label[0] in _PREFIXES and label[1] in "-_"
