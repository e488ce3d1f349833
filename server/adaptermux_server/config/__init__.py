"""The server's settings: what there are, where they come from, and how they are shown."""

from adaptermux_server.config.described import Setting, settings_of
from adaptermux_server.config.settings import ServerSettings
from adaptermux_server.config.shown import as_json, as_toml
from adaptermux_server.config.sources import (
    FILE_VARIABLE,
    Configuration,
    ConfigurationError,
    Origin,
    OriginKind,
    load,
)

__all__ = [
    "FILE_VARIABLE",
    "Configuration",
    "ConfigurationError",
    "Origin",
    "OriginKind",
    "ServerSettings",
    "Setting",
    "as_json",
    "as_toml",
    "load",
    "settings_of",
]
