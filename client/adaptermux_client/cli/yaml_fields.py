"""YAML read strictly: each value by the type that it shall have, each error with its line."""

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import TypeVar

import yaml  # type: ignore[import-untyped]

_TRUTHS = {"true": True, "false": False}

E = TypeVar("E", bound=StrEnum)


class ManifestError(Exception):
    """A file isn't what it shall be; the text says where and why."""


class Field:
    """A value of the file, with its name and place."""

    def __init__(self, name: str, node: yaml.Node, line: int, file: str) -> None:
        self.name = name
        self._node = node
        self._line = line
        self._file = file

    def error(self, what: str) -> ManifestError:
        """An error about this value."""
        return ManifestError(f"{self._file}, line {self._line}: {self.name or 'the file'} {what}")

    def entries(self) -> Iterator["Field"]:
        """The values of a mapping, under whatever names, in their order. Nothing at all is an empty mapping."""
        if self._is_empty:
            return
        if not isinstance(self._node, yaml.MappingNode):
            raise self.error("must be a mapping")
        seen = set()
        for key, value in self._node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or not key.value:
                raise ManifestError(f"{self._file}, line {line}: a key must be a text")
            field = Field(key.value, value, line, self._file)
            if key.value in seen:
                raise field.error("is there twice")
            seen.add(key.value)
            yield field

    def fields(self, *known: str) -> dict[str, "Field"]:
        """The values of a mapping whose names are known."""
        found = {}
        for field in self.entries():
            if field.name not in known:
                raise field.error(f"isn't known; known here are {', '.join(known)}")
            found[field.name] = field
        return found

    @property
    def is_text(self) -> bool:
        """Whether it is one value that isn't empty."""
        return isinstance(self._node, yaml.ScalarNode) and not self._is_empty

    def text(self, *, may_be_empty: bool = False) -> str:
        """It as it is written."""
        if not isinstance(self._node, yaml.ScalarNode):
            raise self.error("must be a text")
        text = "" if self._is_empty else str(self._node.value)
        if not text and not may_be_empty:
            raise self.error("is empty")
        return text

    def texts(self) -> tuple[str, ...]:
        """The texts of a list."""
        if not isinstance(self._node, yaml.SequenceNode):
            raise self.error("must be a list")
        return tuple(Field(self.name, each, each.start_mark.line + 1, self._file).text() for each in self._node.value)

    def number(self) -> float:
        """A finite number."""
        try:
            value = float(self.text())
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error("must be a number")
        return value

    def count(self) -> int:
        """A whole number from 1 on."""
        value = self.number()
        if value < 1 or value != int(value):
            raise self.error("must be a whole number from 1 on")
        return int(value)

    def truth(self) -> bool:
        """`true` or `false`."""
        value = _TRUTHS.get(self.text())
        if value is None:
            raise self.error("must be true or false")
        return value

    def member(self, kind: type[E]) -> E:
        """A member of an enum, in letters of either case."""
        try:
            return kind(self.text().upper())
        except ValueError:
            raise self.error(f"must be one of {', '.join(each.lower() for each in kind)}") from None

    @property
    def _is_empty(self) -> bool:
        # Quotes make even the empty text one.
        return isinstance(self._node, yaml.ScalarNode) and self._node.tag == "tag:yaml.org,2002:null"


def parse(content: bytes, file: str) -> Field:
    """The file as a whole. Raises ManifestError where it isn't YAML, or has more than one document."""
    try:
        node = yaml.compose(content, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ManifestError(f"{file}{line}: {error.problem or error.context}") from None
    except yaml.YAMLError as error:  # bytes that are no text
        raise ManifestError(f"{file} isn't YAML: {error}") from None
    empty = yaml.ScalarNode("tag:yaml.org,2002:null", "")
    return Field("", empty if node is None else node, 1, file)
