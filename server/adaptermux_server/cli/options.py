"""Options made from the settings, so that each is described at one place; pydantic checks their values."""

import functools
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from adaptermux_server.config import FILE_VARIABLE, Configuration, ConfigurationError, Setting, load, settings_of

_EXIT_USAGE = 2

_FILE = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help=f"Settings in TOML or YAML; any option, and any variable, wins over it. Variable: {FILE_VARIABLE}.",
        ),
    ],
)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command with an option for each setting and --config. In place of these it is given, as its first argument, the
    Configuration that they make; wrong settings end it with a line for each on stderr and exit code 2."""
    settings = [setting for setting in settings_of() if setting.flag]
    own = list(inspect.signature(command).parameters.values())[1:]
    parameters = [*own, _FILE, *map(_parameter, settings)]

    @functools.wraps(command)
    def wrapped(config: Path | None, **given: Any) -> None:
        rest = {parameter.name: given.pop(parameter.name) for parameter in own}
        command(_configuration(given, config), **rest)

    # Typer reads both.
    wrapped.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return wrapped


def _parameter(setting: Setting) -> inspect.Parameter:
    option = typer.Option(setting.flag, metavar=setting.unit, help=_help(setting), rich_help_panel=setting.section)
    kind = list[str] if setting.is_repeatable else str
    return inspect.Parameter(
        setting.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


def _help(setting: Setting) -> str:
    parts = [
        setting.meaning,
        "Repeatable." if setting.is_repeatable else "",
        "Required." if setting.is_required else "",
        # Not in brackets, which rich takes for markup.
        f"Default: {setting.default}." if setting.default else "",
    ]
    return " ".join(filter(None, parts))


def _configuration(given: dict[str, Any], file: Path | None) -> Configuration:
    flags = {name: value for name, value in given.items() if value is not None}
    if "adapters" in flags:
        flags["adapters"] = _adapters(flags["adapters"])
    try:
        return load(flags, file)
    except ConfigurationError as error:
        for problem in error.problems:
            typer.echo(f"error: {problem}", err=True)
        raise typer.Exit(_EXIT_USAGE) from None


def _adapters(options: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for option in options:
        adapter_id, _, folder = option.partition("=")
        if not adapter_id or not folder:
            raise typer.BadParameter(f"{option!r}: want ID=FOLDER, for example sentiment=adapters/sentiment")
        if adapter_id in found:
            raise typer.BadParameter(f"{adapter_id!r} is there twice")
        found[adapter_id] = folder
    return found
