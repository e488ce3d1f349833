"""The settings one by one, as what an operator reads of each: names, meaning, default, section."""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from adaptermux_server.config.settings import SECTIONS, ServerSettings

_UNITS = {
    "_bytes": "BYTES",
    "_seconds": "SECONDS",
    "address": "HOST:PORT",
    **dict.fromkeys(("_certificate", "_key", "_client_ca", "_file"), "FILE"),
}
_BOUNDS = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
_KINDS = {bool: "on|off", int: "N", float: "NUMBER", Path: "FOLDER"}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the server.

    Attributes:
        section: the title that it stands under.
        unit: what a value is, for example SECONDS, or the values that there are, for example auto|switch.
        values: which ones are taken, in words; empty: all of its type.
        default: as an option or a variable would give it; empty: there is none, or none to name.
    """

    name: str
    section: str
    meaning: str
    unit: str
    values: str
    default: str
    is_required: bool
    is_secret: bool
    is_repeatable: bool

    @property
    def flag(self) -> str:
        """Its option; one that may be repeated is named in the singular. Empty for a secret: all processes of the
        machine can read a command line."""
        if self.is_secret:
            return ""
        name = self.name.removesuffix("s") if self.is_repeatable else self.name
        return f"--{name.replace('_', '-')}"

    @property
    def variable(self) -> str:
        """Its environment variable."""
        return f"{ServerSettings.model_config['env_prefix']}{self.name.upper()}"


def settings_of(cls: type[ServerSettings] = ServerSettings) -> Iterator[Setting]:
    """All settings, in their order."""
    section = ""
    for name, field in cls.model_fields.items():
        section = SECTIONS.get(name, section)
        kind = _kind(field.annotation)
        yield Setting(
            name=name,
            section=section,
            meaning=" ".join((field.description or "").split()),
            unit=_unit(name, kind),
            values=", ".join(get_args(kind)) if get_origin(kind) is Literal else _bounds(field),
            default=_default(field),
            is_required=field.is_required(),
            is_secret=kind is SecretStr,
            is_repeatable=get_origin(kind) in (dict, tuple),
        )


def _kind(annotation: Any) -> Any:
    """The type of a value, where there is one."""
    if get_origin(annotation) is types.UnionType:
        (annotation,) = (each for each in get_args(annotation) if each is not type(None))
    return annotation


def _unit(name: str, kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if get_origin(kind) is dict:
        return "ID=FOLDER"
    named = (unit for end, unit in _UNITS.items() if name.endswith(end))
    return next(named, _KINDS.get(kind, "TEXT"))


def _bounds(field: FieldInfo) -> str:
    """The numbers that are taken, for example `1 to 64`."""
    found = {bound: getattr(limit, bound) for limit in field.metadata for bound in _BOUNDS if hasattr(limit, bound)}
    if found.keys() == {"ge", "le"}:
        return f"{found['ge']} to {found['le']}"
    return ", ".join(f"{_BOUNDS[bound]} {limit}" for bound, limit in found.items())


def _default(field: FieldInfo) -> str:
    value = None if field.is_required() else field.get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
