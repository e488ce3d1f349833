"""Whether a checkpoint fits what PEFT would build for it on this base: every tensor used exactly once, none missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adaptermux_server.engine.peft_layers import ROOT, Outline
from adaptermux_server.errors import BaseMismatchError, CheckpointMismatchError, HeadIncompleteError

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Anatomy:
    """A task's model before it is adapted."""

    prefix: str
    """Before the names of the backbone's modules; may be empty."""
    modules: frozenset[str]
    weights: Mapping[str, Shape]
    """By name; all parameters, and the buffers that files hold."""
    random: frozenset[str]
    """Those of the backbone's weights that the base's own files lack and the task may need."""

    def in_backbone(self, name: str) -> bool:
        """Whether a module or weight belongs to the shared backbone."""
        return name.startswith(self.prefix)


def check_fit(anatomy: Anatomy, outline: Outline, tensors: Mapping[str, Shape]) -> None:
    """Compare the checkpoint's tensors with those expected.

    Raises:
        BaseMismatchError: a tensor belongs to a module that this base lacks, or has the size of another base.
        CheckpointMismatchError: a tensor is missing, unexpected, or its size isn't what the configuration says.
        HeadIncompleteError: weights of the head are neither in the checkpoint nor in the base.
    """
    misfits = list(_misfits(anatomy, outline, tensors))
    for kind in (BaseMismatchError, CheckpointMismatchError):
        for error in misfits:
            if isinstance(error, kind):
                raise error
    _check_head(anatomy, tensors)
    missing = sorted(outline.shapes.keys() - tensors.keys())
    if missing:
        raise CheckpointMismatchError(
            missing[0], f"is missing, with {len(missing) - 1} more; the configuration needs {len(outline.shapes)}"
        )


def _misfits(
    anatomy: Anatomy, outline: Outline, tensors: Mapping[str, Shape]
) -> Iterator[BaseMismatchError | CheckpointMismatchError]:
    for name in sorted(tensors):
        expected = outline.shapes.get(name)
        if expected is None:
            yield _unexpected(anatomy, name)
        elif expected != tensors[name]:
            yield _misshaped(anatomy, name, expected, tensors[name])


def _unexpected(anatomy: Anatomy, name: str) -> BaseMismatchError | CheckpointMismatchError:
    owner, rest = _owner(anatomy, name.removeprefix(ROOT))
    # Below an existing module come its own weights or a method's layers; anything else is a module that isn't here.
    if not name.startswith(ROOT) or (rest.count(".") <= 1 and owner and _has_weights(anatomy, owner)):
        return CheckpointMismatchError(name, "is in the file, and the configuration has no use for it")
    return BaseMismatchError(
        name,
        "has no counterpart in the base model: the adapter was trained on another architecture or size, or its"
        " configuration lacks the task_type of its head",
    )


def _misshaped(
    anatomy: Anatomy, name: str, expected: Shape, actual: Shape
) -> BaseMismatchError | CheckpointMismatchError:
    owner, _ = _owner(anatomy, name.removeprefix(ROOT))
    # A head's number of labels is the adapter's own, all other sizes are the base's.
    base_sizes = _sizes(anatomy, f"{owner}.") & _sizes(anatomy, anatomy.prefix)
    sizes_differ = len(expected) == len(actual) and any(
        wanted in base_sizes for wanted, found in zip(expected, actual, strict=True) if wanted != found
    )
    text = f"has shape {list(actual)}, expected is {list(expected)}"
    if sizes_differ:
        return BaseMismatchError(name, f"{text}: the adapter was trained on a base of another size")
    return CheckpointMismatchError(name, f"{text} by the configuration (rank, patterns, block sizes)")


def _sizes(anatomy: Anatomy, prefix: str) -> set[int]:
    return {size for name, shape in anatomy.weights.items() if name.startswith(prefix) for size in shape}


def _owner(anatomy: Anatomy, name: str) -> tuple[str, str]:
    """The innermost module of the base that a tensor's name lies in, and the rest of the name."""
    owner = name
    while owner and owner not in anatomy.modules:
        owner = owner.rpartition(".")[0]
    return owner, name[len(owner) :].lstrip(".")


def _has_weights(anatomy: Anatomy, module: str) -> bool:
    return any(f"{module}.{name}" in anatomy.weights for name in ("weight", "bias"))


def _check_head(anatomy: Anatomy, tensors: Mapping[str, Shape]) -> None:
    needed = {name for name in anatomy.weights if not anatomy.in_backbone(name)} | anatomy.random
    lacking = sorted(name for name in needed if ROOT + name not in tensors)
    if lacking:
        modules = {name.removeprefix(anatomy.prefix).partition(".")[0] for name in lacking}
        raise HeadIncompleteError(lacking, sorted(modules))
