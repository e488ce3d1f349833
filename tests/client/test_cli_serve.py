"""`adaptermux serve` is plugged in by the server's package; without it there is a hint."""

from importlib.metadata import EntryPoint
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


def lacking() -> None:
    """Needs a package that isn't there."""
    import a_package_that_is_not_there  # type: ignore[import-not-found]  # noqa: F401


def plug_in(monkeypatch: pytest.MonkeyPatch, *targets: str) -> None:
    """Let the entry points of the group be these functions of this module."""
    points = [EntryPoint("serve", f"{__name__}:{target}", serve._GROUP) for target in targets]
    monkeypatch.setattr(EntryPoint, "load", lambda point: globals()[point.attr])
    monkeypatch.setattr(serve, "entry_points", lambda group, name: points)


def test_serve_passes_its_arguments_and_exit_code_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line knows none of the server's options."""
    plug_in(monkeypatch, "plugged")

    result = CliRunner().invoke(app, ["serve", "--model", "tiny"])

    assert (result.exit_code, result.stdout) == (7, "serving tiny\n")


def test_serve_shows_the_help_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--help` isn't taken by the outer command."""
    plug_in(monkeypatch, "plugged")

    assert "Which base." in CliRunner().invoke(app, ["serve", "--help"]).stdout


@pytest.mark.parametrize(
    ("targets", "package"), [((), "adaptermux_server"), (("lacking",), "a_package_that_is_not_there")]
)
def test_serve_without_its_packages_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, targets: tuple[str, ...], package: str
) -> None:
    """Exit code 3, the package's name, and the extra."""
    plug_in(monkeypatch, *targets)

    result = CliRunner().invoke(app, ["serve"])

    assert result.exit_code == 3
    assert result.stderr.splitlines() == [
        f"error: the server needs a package that isn't installed: {package}",
        "       pip install 'adaptermux[server]'",
    ]
