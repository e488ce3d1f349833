"""Settings files: TOML or YAML, a mapping from the names of settings to their values."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]


class SettingsFileError(Exception):
    """A file can't be read, or isn't what its name says; the text names the file and, where known, the line."""


def read(file: Path) -> dict[str, Any]:
    """What a file holds, unchecked. A file without a word is an empty mapping. Raises SettingsFileError."""
    parse = _PARSERS.get(file.suffix.lower())
    if parse is None:
        raise SettingsFileError(f"{file}: its name must end in {', '.join(_PARSERS)}")
    try:
        found = parse(file.read_text("utf-8"))
    except OSError as error:
        raise SettingsFileError(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsFileError(f"{file}: isn't UTF-8") from None
    except (tomllib.TOMLDecodeError, yaml.YAMLError, RecursionError) as error:
        raise SettingsFileError(f"{file}: {_problem(error)}") from None
    if not isinstance(found, dict):
        raise SettingsFileError(f"{file}: must be a mapping from the names of settings to their values")
    return {str(name): value for name, value in found.items()}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML in which no key of a mapping is there twice, as in TOML."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"{name} is there twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


def _yaml(text: str) -> Any:
    found = yaml.load(text, _Loader)
    return {} if found is None else found


_PARSERS: dict[str, Callable[[str], Any]] = {".toml": tomllib.loads, ".yaml": _yaml, ".yml": _yaml}


def _problem(error: Exception) -> str:
    # The whole text of such an error quotes a line of the file, and with it perhaps a secret.
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return " ".join(str(error).split())
