"""The header parser either refuses or is right, in time and memory bounded by its limits (contract row 16)."""

import json
import time
import tracemalloc
from typing import Any

import pytest
import safetensors
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.safetensors_header import TensorEntry, header_bytes, parse_header
from adaptermux_server.errors import SourceInvalidError
from tests.adapters.builders import entry, lora_tensors, raw_safetensors, unhurried

MIB = 1 << 20
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
GOOD = safetensors.torch.save(lora_tensors())


def parse(content: bytes) -> dict[str, TensorEntry]:
    """The two steps together, as for a file in memory."""
    length = header_bytes(content[:8], len(content), MIB)
    return dict(parse_header(content[8 : 8 + length], len(content) - 8 - length))


def test_a_saved_file_is_read_as_safetensors_reads_it() -> None:
    entries = parse(GOOD)

    assert {name: tuple(tensor.shape) for name, tensor in lora_tensors().items()} == {
        name: found.shape for name, found in entries.items()
    }
    assert {"F32"} == {found.dtype for found in entries.values()}


@pytest.mark.parametrize(
    "dtype",
    [
        getattr(torch, name)
        for name in ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]
    ],
)
def test_every_dtype_of_adapters_passes(dtype: torch.dtype) -> None:
    entries = parse(
        safetensors.torch.save({"a": torch.zeros(3, 5, dtype=dtype), "scalar": torch.zeros((), dtype=dtype)})
    )

    assert {name: found.shape for name, found in entries.items()} == {"a": (3, 5), "scalar": ()}


def test_empty_tensors_and_metadata_pass() -> None:
    entries = parse(safetensors.torch.save({"a": torch.zeros(0, 5), "b": torch.zeros(2)}, {"format": "pt"}))

    assert {"a", "b"} == entries.keys()


BAD_HEADERS: dict[str, tuple[dict[str, Any] | bytes, bytes]] = {
    "overlapping": ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 4, 12)}, bytes(12)),
    "the same bytes twice": ({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 0, 8)}, bytes(8)),
    "hole": ({"a": entry("F32", [1], 0, 4), "b": entry("F32", [1], 8, 12)}, bytes(12)),
    "hole at the start": ({"a": entry("F32", [1], 4, 8)}, bytes(8)),
    "tail": ({"a": entry("F32", [1], 0, 4)}, bytes(5)),
    "truncated data": ({"a": entry("F32", [2], 0, 8)}, bytes(7)),
    "size and shape differ": ({"a": entry("F32", [3], 0, 8)}, bytes(8)),
    "end before begin": ({"a": entry("F32", [0], 8, 0)}, bytes(8)),
    "negative size": ({"a": entry("F32", [-2, -1], 0, 8)}, bytes(8)),
    "negative offset": ({"a": entry("F32", [2], -8, 0)}, b""),
    "huge size": ({"a": entry("F32", [1 << 62, 0], 0, 0)}, b""),
    "huge product": ({"a": entry("F32", [1 << 40, 1 << 40, 0], 0, 0)}, b""),
    "many dimensions": ({"a": entry("F32", [1] * 9, 0, 4)}, bytes(4)),
    "true as a size": ({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, bytes(4)),
    "float as a size": ({"a": {"dtype": "F32", "shape": [1.0], "data_offsets": [0, 4]}}, bytes(4)),
    "shape is text": ({"a": {"dtype": "F32", "shape": "11", "data_offsets": [0, 4]}}, bytes(4)),
    "three offsets": ({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}, bytes(4)),
    "unknown dtype": ({"a": entry("F8_E4M3", [4], 0, 4)}, bytes(4)),
    "dtype is a list": ({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "field missing": ({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)),
    "field too many": ({"a": {**entry("F32", [1], 0, 4), "extra": 1}}, bytes(4)),
    "entry is a list": ({"a": []}, b""),
    "no tensors": ({}, b""),
    "only metadata": ({"__metadata__": {"format": "pt"}}, b""),
    "metadata is text": ({"__metadata__": "pt", "a": entry("F32", [1], 0, 4)}, bytes(4)),
    "metadata holds numbers": ({"__metadata__": {"a": 1}, "a": entry("F32", [1], 0, 4)}, bytes(4)),
    "name empty": ({"": entry("F32", [1], 0, 4)}, bytes(4)),
    "name long": ({"x" * 2000: entry("F32", [1], 0, 4)}, bytes(4)),
    "duplicate tensor": (b'{"a":%s,"a":%s}' % ((json.dumps(entry("U8", [1], 0, 1)).encode(),) * 2), bytes(1)),
    "duplicate field": (b'{"a":{"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
    "NaN": (b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}', bytes(4)),
    "not JSON": (b"{'a': 1}", b""),
    "a list": (b"[]", b""),
    "not UTF-8": (b'{"\xff": 1}', b""),
    "UTF-16": ("{}".encode("utf-16"), b""),
    "lone surrogate": (b'{"\\ud800": {"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', bytes(1)),
    "depth bomb": (b'{"a":' + b"[" * 500_000, b""),
    "number of many digits": (b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % (b"9" * 100_000), bytes(4)),
}


@pytest.mark.parametrize(("header", "data"), BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_row_16_a_bad_header_is_refused(header: dict[str, Any] | bytes, data: bytes) -> None:
    with pytest.raises(SourceInvalidError) as caught:
        parse(raw_safetensors(header, data))

    assert caught.value.metadata["file"] == "adapter_model.safetensors"


@pytest.mark.parametrize(
    ("prefix", "file_bytes"),
    [
        (b"", 0),
        (b"\x02\0\0", 3),
        ((2).to_bytes(8, "little"), 8),
        ((1).to_bytes(8, "little"), 100),
        ((1 << 63).to_bytes(8, "little"), 100),
        (b"\xff" * 8, 1 << 40),
        ((95 * MIB).to_bytes(8, "little"), 96 * MIB),
        ((MIB + 1).to_bytes(8, "little"), 96 * MIB),
    ],
)
def test_row_16_a_header_length_that_cannot_be_is_refused_before_the_header_is_read(
    prefix: bytes, file_bytes: int
) -> None:
    with pytest.raises(SourceInvalidError):
        header_bytes(prefix, file_bytes, MIB)


@pytest.mark.parametrize(
    "header",
    [
        b"[" * MIB,
        b'{"a":' * (MIB // 5),
        b'{"' + b"a" * (MIB - 2),
        b"{" + b'"a":1,' * (MIB // 6) + b'"b":2}',
        b" " * MIB,
    ],
    ids=["brackets", "objects", "endless name", "many keys", "blanks"],
)
def test_row_16_the_worst_headers_within_the_limit_cost_little(header: bytes) -> None:
    tracemalloc.start()
    began = time.process_time()

    with pytest.raises(SourceInvalidError):
        parse_header(header[:MIB], 0)

    seconds, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 1
    assert peak < 64 * MIB


@unhurried
@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_file_with_one_byte_changed_is_refused_or_read_as_safetensors_reads_it(position: int, byte: int) -> None:
    content = bytearray(GOOD)
    content[position] = byte

    _assert_refused_or_right(bytes(content))


@unhurried
@given(st.integers(0, len(GOOD)), st.integers(0, 64), st.binary(max_size=64))
def test_a_file_with_a_piece_replaced_is_refused_or_read_as_safetensors_reads_it(
    position: int, removed: int, inserted: bytes
) -> None:
    _assert_refused_or_right(GOOD[:position] + inserted + GOOD[position + removed :])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 1 << 64) | st.floats() | st.sampled_from(["F32", "dtype", "shape"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "shape", "data_offsets", "a"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@unhurried
@given(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), json_values, max_size=3), st.binary(max_size=16))
def test_any_json_header_is_refused_or_read_as_safetensors_reads_it(header: dict[str, Any], data: bytes) -> None:
    _assert_refused_or_right(raw_safetensors(header, data))


def _assert_refused_or_right(content: bytes) -> None:
    try:
        entries = parse(content)
    except SourceInvalidError:
        return
    tensors = safetensors.torch.load(content)
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: found.shape for name, found in entries.items()
    }
