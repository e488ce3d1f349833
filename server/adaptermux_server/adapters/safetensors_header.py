"""The header of a safetensors file, checked within bounds before anything allocates by what it claims.

Layout (https://github.com/huggingface/safetensors#format): 8 bytes N (unsigned, little endian), N bytes of JSON that
give name → {dtype, shape, data_offsets}, then the data, which the offsets must cover without a hole or an overlap.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from adaptermux_server.adapters.strict_json import parse_object
from adaptermux_server.errors import SourceInvalidError

WEIGHTS_FILE = "adapter_model.safetensors"
PREFIX_BYTES = 8

_ITEM_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
_MAX_DIMENSIONS = 8
_MAX_SIZE = 1 << 48
_MAX_NAME_CHARACTERS = 1024
_METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of the file: `begin` and `end` are offsets in bytes from the start of the data."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def header_bytes(prefix: bytes, file_bytes: int, max_header_bytes: int) -> int:
    """Length of the header, from the first 8 bytes of a file of `file_bytes`.

    Raises SourceInvalidError where the file can't hold such a header, or it is longer than `max_header_bytes`.
    """
    length = int.from_bytes(prefix, "little")
    if len(prefix) < PREFIX_BYTES or length > file_bytes - PREFIX_BYTES:
        _refuse("the file is truncated or no safetensors file: it is too short for its own header")
    if not 2 <= length <= max_header_bytes:
        _refuse(f"the header has {length} bytes, allowed are 2 to {max_header_bytes}")
    return length


def parse_header(header: bytes, data_bytes: int) -> Mapping[str, TensorEntry]:
    """Read a header whose data must take exactly `data_bytes`; the entries are in the order of the data.

    Raises SourceInvalidError where the header is malformed, repeats a key, holds a type that no adapter needs, or
    doesn't account for every byte of the data exactly once.
    """
    fields = parse_object(header, WEIGHTS_FILE)
    metadata = fields.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        _refuse(f"{_METADATA} isn't a map from text to text")
    entries = {name: _entry(name, value) for name, value in fields.items()}
    if not entries:
        _refuse("it holds no tensor")
    ordered = dict(sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)))
    _check_cover(ordered, data_bytes)
    return ordered


def _entry(name: str, value: Any) -> TensorEntry:
    if not 0 < len(name) <= _MAX_NAME_CHARACTERS:
        _refuse(f"a tensor's name has {len(name)} characters, allowed are 1 to {_MAX_NAME_CHARACTERS}")
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        _refuse(f"{name}: expected exactly dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        _refuse(f"{name}: its dtype isn't one of {', '.join(_ITEM_BYTES)}")
    # Zeros are left out of the product: torch computes strides of empty tensors too, and must not overflow.
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS or math.prod(size or 1 for size in shape) > _MAX_SIZE:
        _refuse(f"{name}: its shape isn't a list of at most {_MAX_DIMENSIONS} sizes of a sane product")
    if not _are_sizes(offsets) or len(offsets) != 2:
        _refuse(f"{name}: its data_offsets aren't a pair of offsets")
    begin, end = offsets
    if end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        _refuse(f"{name}: shape and dtype need another number of bytes than its data_offsets span")
    return TensorEntry(dtype, tuple(shape), begin, end)


def _are_sizes(value: Any) -> bool:
    # `type` and not `isinstance`: true and false are ints to Python. The bound keeps products small.
    return isinstance(value, list) and all(type(size) is int and 0 <= size <= _MAX_SIZE for size in value)


def _check_cover(ordered: Mapping[str, TensorEntry], data_bytes: int) -> None:
    position = 0
    for name, entry in ordered.items():
        if entry.begin != position:
            _refuse(f"{name}: its data {'overlaps' if entry.begin < position else 'leaves a hole after'} another's")
        position = entry.end
    if position != data_bytes:
        _refuse(f"the tensors take {position} bytes and the file holds {data_bytes}: it is truncated or has a tail")


def _refuse(text: str) -> NoReturn:
    raise SourceInvalidError(f"{WEIGHTS_FILE}: {text}", file=WEIGHTS_FILE)
