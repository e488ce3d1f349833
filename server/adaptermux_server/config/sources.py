"""Settings put together: options win over the environment, it over a file, that over defaults."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from adaptermux_server.config import files
from adaptermux_server.config.described import Setting, settings_of
from adaptermux_server.config.settings import ServerSettings

PREFIX = str(ServerSettings.model_config["env_prefix"])
FILE_VARIABLE = f"{PREFIX}CONFIG"

# What other parts of AdapterMux read: the clients, the failpoints of the tests, and the tests of clients in other
# languages.
_CLIENT_VARIABLES = {
    f"{PREFIX}{name}"
    for name in (
        "CLIENT_CA",
        "CLIENT_CERT",
        "CLIENT_KEY",
        "CLIENT_SERVER_NAME",
        "CLIENT_TLS",
        "TOKEN",
        "TOKEN_FILE",
    )
}
_OTHER_VARIABLES = {
    FILE_VARIABLE,
    f"{PREFIX}TESTING",
    f"{PREFIX}FAILPOINT",
    f"{PREFIX}CONFORMANCE",
    *_CLIENT_VARIABLES,
}
# Kubernetes gives every container such variables for each service, also for one that is named adaptermux.
_SERVICE_LINK = re.compile(
    r"\w+_(SERVICE_HOST=.*|SERVICE_PORT(_\w+)?=.*|PORT=\w+://.*|PORT_\d+_[A-Z]+(_PROTO|_PORT|_ADDR)?=.*)"
)


class OriginKind(StrEnum):
    """Where a value may come from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from; `name` is that of the option, the variable or the file, empty for a default."""

    kind: OriginKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


@dataclass(frozen=True, slots=True)
class Configuration:
    """Settings that were checked, and where each came from."""

    settings: ServerSettings
    origins: Mapping[str, Origin]


class ConfigurationError(Exception):
    """Settings are wrong; `problems` has a line for each."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one place says: values by the names of settings, where each stands, and what is wrong there."""

    values: Mapping[str, Any]
    origins: Mapping[str, Origin]
    problems: tuple[str, ...] = ()


def load(
    flags: Mapping[str, Any], file: Path | None = None, cls: type[ServerSettings] = ServerSettings
) -> Configuration:
    """The settings from options, the environment, a file and defaults. A setting comes as a whole from one place.

    Args:
        flags: values from the command line, by the names of settings.
        file: the file to read; None: the one that ADAPTERMUX_CONFIG names, if any.
        cls: the settings that there are.

    Raises ConfigurationError with all that is wrong, unknown names in the environment and the file included.
    """
    file = file or (Path(named) if (named := os.environ.get(FILE_VARIABLE)) else None)
    layers = (_file_layer(file, cls), _environment_layer(cls), _flag_layer(flags, cls))
    values: dict[str, Any] = {}
    origins = {name: Origin(OriginKind.DEFAULT) for name in cls.model_fields}
    for layer in layers:
        values |= layer.values
        origins |= layer.origins
    problems = [problem for layer in layers for problem in layer.problems]
    try:
        settings = cls(**values)
    except ValidationError as error:
        problems += _problems(error, origins, {setting.name: setting for setting in settings_of(cls)})
    if problems:
        raise ConfigurationError(problems)
    return Configuration(settings, origins)


def _flag_layer(flags: Mapping[str, Any], cls: type[ServerSettings]) -> _Layer:
    names = {setting.name: setting.flag for setting in settings_of(cls)}
    return _Layer(flags, {name: Origin(OriginKind.FLAG, names[name]) for name in flags})


def _environment_layer(cls: type[ServerSettings]) -> _Layer:
    source = EnvSettingsSource(cls)
    values, origins, problems = {}, {}, list(_unknown_variables(cls))
    for setting in settings_of(cls):
        field = cls.model_fields[setting.name]
        value, _, is_complex = source.get_field_value(field, setting.name)
        if value is None:
            continue
        try:
            values[setting.name] = source.prepare_field_value(setting.name, field, value, is_complex)
        except ValueError:
            problems.append(f"{setting.name} (environment {setting.variable}): must be JSON")
        origins[setting.name] = Origin(OriginKind.ENVIRONMENT, setting.variable)
    return _Layer(values, origins, tuple(problems))


def _unknown_variables(cls: type[ServerSettings]) -> Iterable[str]:
    known = {setting.variable for setting in settings_of(cls)} | _OTHER_VARIABLES
    for name, value in sorted(os.environ.items()):
        variable = name.upper()
        is_ours = variable.startswith(PREFIX) and not _SERVICE_LINK.fullmatch(f"{name}={value}")
        if is_ours and variable not in known:
            # Compared without what all of them begin with, which would make any two similar.
            near = _near(variable.removeprefix(PREFIX).lower(), (*cls.model_fields, "config"))
            yield f"{name}: no setting has this variable" + (f"; did you mean {PREFIX}{near.upper()}?" if near else "")


def _file_layer(file: Path | None, cls: type[ServerSettings]) -> _Layer:
    if file is None:
        return _Layer({}, {})
    try:
        found = files.read(file)
    except files.SettingsFileError as error:
        # Alone: that settings are missing which it may hold would only distract.
        raise ConfigurationError([str(error)]) from None
    known = cls.model_fields
    values = {name: value for name, value in found.items() if name in known}
    origin = Origin(OriginKind.FILE, str(file))
    unknown = tuple(_unknown_name(name, origin, known) for name in found if name not in known)
    return _Layer(values, dict.fromkeys(values, origin), unknown)


def _unknown_name(name: str, origin: Origin, known: Iterable[str]) -> str:
    near = _near(name.replace("-", "_").lower(), known)
    return f"{name} ({origin}): no such setting" + (f"; did you mean {near}?" if near else "")


def _near(name: str, known: Iterable[str]) -> str:
    """The known name of the nearest spelling; empty where none is near."""
    return next(iter(get_close_matches(name, known, n=1, cutoff=0.7)), "")


def _problems(error: ValidationError, origins: Mapping[str, Origin], settings: Mapping[str, Setting]) -> Iterable[str]:
    """A line for each wrong value. The value isn't repeated: it may be a secret."""
    for problem in error.errors(include_input=False, include_url=False):
        if not problem["loc"]:
            yield problem["msg"].removeprefix("Value error, ")
            continue
        name = str(problem["loc"][0])
        where = ".".join(map(str, problem["loc"]))
        if problem["type"] == "missing":
            yield f"{where}: is required: {_ways(settings[name])}"
        else:
            yield f"{where} ({origins[name]}): {problem['msg']}"


def _ways(setting: Setting) -> str:
    """How a setting is given."""
    option = f"give {setting.flag}, " if setting.flag else ""
    return f"{option}set {setting.variable}, or write {setting.name} into the file of --config"
