"""Settings written out with their origins, as TOML that can be read again or as JSON. Secrets stay hidden."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from adaptermux_server.config.sources import Configuration

_HIDDEN = "**********"
_COMMENT_COLUMN = 44
# Such a root is refused at the start, and may be looked at here to find out why.
_USER_OF_URI = re.compile(r"(?<=://)[^/@]*@")


def as_toml(found: Configuration) -> str:
    """A settings file of the same meaning. What TOML has no word for (nothing), or mustn't show, is a comment."""
    return "\n".join(_toml_lines(found)) + "\n"


def as_json(found: Configuration) -> str:
    """One document: for each setting its value, the kind of its origin, and the origin's name."""
    settings = {
        name: {"value": value, "origin": found.origins[name].kind.value, "name": found.origins[name].name}
        for name, value in _values(found)
    }
    return json.dumps({"settings": settings}, ensure_ascii=False, indent=2) + "\n"


def _values(found: Configuration) -> Iterator[tuple[str, Any]]:
    """Names, and values in types that both forms know."""
    for name in found.origins:
        yield name, _plain(getattr(found.settings, name))


def _plain(value: Any) -> Any:
    match value:
        case SecretStr():
            return _HIDDEN
        case Path():
            return str(value)
        case str():
            return _USER_OF_URI.sub(f"{_HIDDEN}@", value)
        case Mapping():
            return {key: _plain(each) for key, each in value.items()}
        case tuple():
            return [_plain(each) for each in value]
        case _:
            return value


def _toml_lines(found: Configuration) -> Iterator[str]:
    for name, value in _values(found):
        line = f"{name} = {_toml(value)}" if value is not None else f"{name} ="
        is_hidden = isinstance(getattr(found.settings, name), SecretStr)
        line = f"# {line}" if is_hidden or value is None else line
        yield f"{line:{_COMMENT_COLUMN}}  # {found.origins[name]}"


def _toml(value: Any) -> str:
    match value:
        case Mapping():
            return f"{{{', '.join(f'{_toml(key)} = {_toml(each)}' for key, each in value.items())}}}"
        case list():
            return f"[{', '.join(map(_toml, value))}]"
        case _:
            # TOML's texts are JSON's, but for the one control character that JSON leaves as it is.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
