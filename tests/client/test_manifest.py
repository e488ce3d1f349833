"""Manifests: what they say, and each mistake with its line."""

from pathlib import Path

import pytest

from adaptermux_client import ProblemType
from adaptermux_client.cli.manifest import (
    AdapterEntry,
    AliasEntry,
    LocalFolder,
    Manifest,
    ServerUri,
    StoredRevision,
    read,
)
from adaptermux_client.cli.yaml_fields import ManifestError

REVISION = "3fa9c1d2" * 8


def manifest(folder: Path, text: str) -> Manifest:
    """Read a file with this text."""
    path = folder / "adapters.yaml"
    path.write_text(text)
    return read(path)


def test_all_that_a_manifest_can_say(tmp_path: Path) -> None:
    """Folders are relative to it; texts are taken as they are written."""
    found = manifest(
        tmp_path,
        f"""
adapters:
  sentiment:
    path: adapters/sentiment
    labels: [no, yes]   # not booleans
    problem_type: multi_label
    weight: 2
    max_wait_seconds: 0.25
    pinned: true
    metadata: {{version: 1.10, team: search, note: "", empty: }}
  absolute: {{path: /srv/a}}
  remote: {{uri: "s3://bucket/ner"}}
  stored: {{revision: {REVISION}}}
aliases:
  prod: sentiment
  split: {{sentiment@3fa9c1d2: 90, remote: 10}}
""",
    )

    assert found == Manifest(
        (
            AdapterEntry(
                "sentiment",
                LocalFolder(tmp_path / "adapters" / "sentiment"),
                ("no", "yes"),
                ProblemType.MULTI_LABEL,
                2.0,
                0.25,
                True,
                {"version": "1.10", "team": "search", "note": "", "empty": ""},
            ),
            AdapterEntry("absolute", LocalFolder(Path("/srv/a"))),
            AdapterEntry("remote", ServerUri("s3://bucket/ner")),
            AdapterEntry("stored", StoredRevision(REVISION)),
        ),
        (AliasEntry("prod", {"sentiment": 1}), AliasEntry("split", {"sentiment@3fa9c1d2": 90, "remote": 10})),
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Manifest(None, None)),
        ("# nothing\n", Manifest(None, None)),
        ("adapters:\n", Manifest((), None)),
        ("aliases: {}\n", Manifest(None, ())),
    ],
)
def test_what_a_manifest_does_not_speak_of_is_not_managed(tmp_path: Path, text: str, expected: Manifest) -> None:
    """An empty section is another thing than none."""
    assert expected == manifest(tmp_path, text)


ENTRY = "adapters:\n  a:\n    path: x\n"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("adaptors: {}\n", 1, "adaptors isn't known; known here are adapters, aliases"),
        (ENTRY + "    wieght: 2\n", 4, "wieght isn't known"),
        (ENTRY + "    path: y\n", 4, "path is there twice"),
        (ENTRY + "  a: {path: y}\n", 4, "a is there twice"),
        (ENTRY + "    uri: y\n", 2, "a needs one of path, uri and revision"),
        ("adapters:\n  a: {weight: 1}\n", 2, "a needs one of path, uri and revision"),
        ("adapters:\n  a: {path: ''}\n", 2, "path is empty"),
        ("adapters:\n  a: {path: }\n", 2, "path is empty"),
        ("adapters:\n  a: {path: [x]}\n", 2, "path must be a text"),
        ("adapters:\n  a: {revision: 3fa9c1d2}\n", 2, "revision must be a whole revision"),
        (ENTRY + "    weight: heavy\n", 4, "weight must be a number"),
        (ENTRY + "    weight: .nan\n", 4, "weight must be a number"),
        (ENTRY + "    weight: inf\n", 4, "weight must be a number"),
        (ENTRY + "    max_wait_seconds:\n", 4, "max_wait_seconds is empty"),
        (ENTRY + "    pinned: yes\n", 4, "pinned must be true or false"),
        (ENTRY + "    problem_type: both\n", 4, "problem_type must be one of unspecified, single_label"),
        (ENTRY + "    labels: no\n", 4, "labels must be a list"),
        (ENTRY + "    labels:\n    - a\n    - {b: c}\n", 6, "labels must be a text"),
        (ENTRY + "    metadata: [a]\n", 4, "metadata must be a mapping"),
        (ENTRY + "    metadata: {a: {b: c}}\n", 4, "a must be a text"),
        (ENTRY + "    ? [x]\n    : y\n", 4, "a key must be a text"),
        ("adapters: [a]\n", 1, "adapters must be a mapping"),
        ("- a\n", 1, "the file must be a mapping"),
        ("aliases:\n  prod: {a: 0}\n", 2, "a must be a whole number from 1 on"),
        ("aliases:\n  prod: {a: 1.5}\n", 2, "a must be a whole number from 1 on"),
        ("aliases:\n  prod: {}\n", 2, "prod needs a target"),
        ("aliases:\n  prod:\n", 2, "prod needs a target"),
        ("aliases:\n  prod: [a]\n", 2, "prod must be a mapping"),
        (ENTRY + "aliases:\n  a: b\n", 5, "a is the id of an adapter too"),
        ("adapters:\n\ta: b\n", 2, "found character '\\t'"),
        ("adapters: {\n", 2, "expected the node content"),
        ("a: b\n---\nc: d\n", 2, "but found another document"),
        ("adapters: *nowhere\n", 1, "found undefined alias"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    """Whoever wrote it finds it."""
    with pytest.raises(ManifestError) as caught:
        manifest(tmp_path, text)

    assert f"{tmp_path / 'adapters.yaml'}, line {line}: " in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\xfa", b"a: \x00"])
def test_what_is_no_text_is_told(tmp_path: Path, content: bytes) -> None:
    """Without a stack trace."""
    path = tmp_path / "adapters.yaml"
    path.write_bytes(content)

    with pytest.raises(ManifestError, match="isn't YAML"):
        read(path)
