"""The canonical form: written out once by hand, and the same however a content comes."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.adapters.canonical import CONTENT_FILES, CanonicalHash, check_digest, digest_of
from adaptermux_server.adapters.checkpoint import read_checkpoint
from adaptermux_server.errors import InvalidRequestError
from tests.adapters.builders import unhurried, write_adapter

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
contents = st.dictionaries(st.sampled_from(CONTENT_FILES), st.binary(max_size=50))


def test_the_form_is_as_documented() -> None:
    form = b"19:adapter_config.json2:{}" + b"25:adapter_model.safetensors3:abc"

    assert hashlib.sha256(form).hexdigest() == digest_of({WEIGHTS: b"abc", CONFIG: b"{}"})


def test_the_files_stand_in_the_order_of_their_names() -> None:
    assert (CONFIG, WEIGHTS, "config.json") == CONTENT_FILES


def test_the_digest_of_a_checkpoint_is_that_of_its_files(tmp_path: Path) -> None:
    folder = write_adapter(tmp_path / "a", model_config={"num_labels": 3})

    expected = digest_of({name: (folder / name).read_bytes() for name in CONTENT_FILES})

    assert expected == read_checkpoint(folder).digest


@unhurried
@given(contents, st.integers(1, 20))
def test_a_content_has_the_same_digest_in_pieces(files: dict[str, bytes], size: int) -> None:
    pieces = CanonicalHash()
    for name, part in sorted(files.items()):
        pieces.begin_file(name, len(part))
        for begin in range(0, len(part), size):
            pieces.update(part[begin : begin + size])

    assert digest_of(files) == pieces.hexdigest()


@unhurried
@given(contents, contents)
def test_different_contents_have_different_digests(first: dict[str, bytes], second: dict[str, bytes]) -> None:
    assert (first == second) == (digest_of(first) == digest_of(second))


@pytest.mark.parametrize("value", ["", "0f" * 31, "0F" * 32, "0f" * 33, "../" + "0" * 61, "0f" * 32 + "\n"])
def test_what_is_no_digest_is_refused(value: str) -> None:
    with pytest.raises(InvalidRequestError, match="64 lower-case hex digits"):
        check_digest(value, "digest")
