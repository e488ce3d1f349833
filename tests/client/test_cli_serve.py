"""`adaptermux serve` and `config` are plugged in by the server's package; without it there is a hint."""

from importlib.metadata import EntryPoint, entry_points
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from adaptermux_client.cli import serve
from adaptermux_client.cli.app import app


def plugged(model: Annotated[str, typer.Option(help="Which base.")]) -> None:
    """Serve a model."""
    typer.echo(f"serving {model}")
    raise typer.Exit(7)


plugged_group = typer.Typer()


@plugged_group.command()
def show(dtype: str = "none") -> None:
    """Show what there is."""
    typer.echo(f"dtype {dtype}")
    raise typer.Exit(7)


@plugged_group.command()
def check() -> None:
    """Check it."""


def lacking() -> None:
    """Needs a package that isn't there."""
    import a_package_that_is_not_there  # type: ignore[import-not-found]  # noqa: F401


def plug_in(monkeypatch: pytest.MonkeyPatch, *targets: str, name: str = "serve") -> None:
    """Let the entry points of the group that have this name be these objects of this module."""
    points = [EntryPoint(name, f"{__name__}:{target}", serve._GROUP) for target in targets]
    monkeypatch.setattr(EntryPoint, "load", lambda point: globals()[point.attr])
    monkeypatch.setattr(serve, "entry_points", lambda group, name: [each for each in points if each.name == name])


def test_serve_passes_its_arguments_and_exit_code_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line knows none of the server's options."""
    plug_in(monkeypatch, "plugged")

    result = CliRunner().invoke(app, ["serve", "--model", "tiny"])

    assert (result.exit_code, result.stdout) == (7, "serving tiny\n")


def test_serve_shows_the_help_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--help` isn't taken by the outer command."""
    plug_in(monkeypatch, "plugged")

    assert "Which base." in CliRunner().invoke(app, ["serve", "--help"]).stdout


def test_config_is_a_group_of_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named, has its options and its exit code, and the group its help."""
    plug_in(monkeypatch, "plugged_group", name="config")

    result = CliRunner().invoke(app, ["config", "show", "--dtype", "float16"])

    assert (result.exit_code, result.stdout) == (7, "dtype float16\n")
    assert "Show what there is." in CliRunner().invoke(app, ["config", "--help"]).stdout


def test_the_commands_of_the_server_are_where_the_entry_points_say() -> None:
    """What the package announces can be loaded, and asks for help without loading torch."""
    assert ["config", "serve", "token"] == sorted(point.name for point in entry_points(group=serve._GROUP))

    for name in ("config", "serve", "token"):
        assert "--help" in CliRunner().invoke(app, [name, "--help"]).stdout


@pytest.mark.parametrize("name", ["serve", "config"])
@pytest.mark.parametrize(
    ("targets", "package"), [((), "adaptermux_server"), (("lacking",), "a_package_that_is_not_there")]
)
def test_without_the_packages_of_the_server_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...], package: str, name: str
) -> None:
    """Exit code 3, the package's name, and the extra."""
    plug_in(monkeypatch, *targets, name=name)

    result = CliRunner().invoke(app, [name])

    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        f"error: the server needs a package that isn't installed: {package}",
        "       pip install 'adaptermux[server]'",
    ]
