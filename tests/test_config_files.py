"""Settings files: TOML and YAML to plain values, or one line that says what is wrong."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.config.files import SettingsFileError, read


@pytest.fixture
def file(tmp_path):
    def write(content: bytes, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", b'store = "s"\nmax_batch_rows = 3\nadapter_roots = ["r"]\n[adapters]\na = "f"\n'),
        ("a.yaml", b"store: s\nmax_batch_rows: 3\nadapter_roots: [r]\nadapters: {a: f}\n"),
        ("A.YML", b"store: s\nmax_batch_rows: 3\nadapter_roots:\n- r\nadapters:\n  a: f\n"),
    ],
)
def test_both_forms_give_the_same_values(file, name, content):
    assert read(file(content, name)) == {
        "store": "s",
        "max_batch_rows": 3,
        "adapter_roots": ["r"],
        "adapters": {"a": "f"},
    }


def test_names_are_texts_whatever_yaml_makes_of_them(file):
    assert read(file(b"1: a\nno: b\n2026-01-01: c\n", "a.yaml")) == {"1": "a", "False": "b", "2026-01-01": "c"}


@pytest.mark.parametrize(("name", "content"), [("a.toml", b""), ("a.yaml", b""), ("a.yaml", b"# model: m\n")])
def test_a_file_without_a_word_says_nothing(file, name, content):
    assert read(file(content, name)) == {}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.toml", b"store = 1\nstore = 2\n", "at line 2"),
        ("a.yaml", b"store: 1\ndtype: x\nstore: 2\n", "line 3: store is there twice"),
        ("a.yaml", b"adapters:\n  a: 1\n  a: 2\n", "line 3: a is there twice"),
        ("a.toml", b"store", "at end of document"),
        ("a.yaml", b"store: a: b\n", "line 1: mapping values are not allowed here"),
        ("a.yaml", b"- store\n", "must be a mapping"),
        ("a.yaml", b"store\n", "must be a mapping"),
        ("a.yaml", b"store: !!python/name:os.system\n", "line 1: could not determine a constructor"),
        ("a.yaml", b"{" * 5000, ""),
        ("a.yaml", b"store: \x00\n", "special characters"),
        ("a.toml", b"store = '\xff'\n", "isn't UTF-8"),
        ("a.json", b"{}", ".toml, .yaml, .yml"),
        ("a", b"", ".toml, .yaml, .yml"),
    ],
)
def test_what_is_no_settings_file_is_told_in_one_line(file, name, content, says):
    path = file(content, name)

    with pytest.raises(SettingsFileError) as caught:
        read(path)

    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["missing.toml", ""])
def test_a_file_that_cannot_be_read_is_told(tmp_path, name):
    folder = tmp_path / "folder.toml"
    folder.mkdir()

    with pytest.raises(SettingsFileError, match=r"\.toml: (No such file|Is a directory)"):
        read(folder / name)


@pytest.mark.parametrize("content", [b"token: hush\nstore: a: b\n", b"token: hush: b\n", b"token: [hush\n"])
def test_an_error_quotes_no_line_of_the_file(file, content):
    with pytest.raises(SettingsFileError) as caught:
        read(file(content, "a.yaml"))

    assert "hush" not in str(caught.value)


@given(st.binary(max_size=60), st.sampled_from(["toml", "yaml"]))
def test_any_bytes_give_values_or_an_error(tmp_path_factory, content, ending):
    path = tmp_path_factory.getbasetemp() / f"any.{ending}"
    path.write_bytes(content)

    try:
        found = read(path)
    except SettingsFileError:
        return
    assert all(isinstance(name, str) for name in found)
