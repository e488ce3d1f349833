"""`adaptermux token`: what it prints, and what it does to a file of tokens."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adaptermux_server.cli.token import app
from adaptermux_server.errors import UnauthenticatedError
from adaptermux_server.transport.security import admitting
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.files import MAX_BYTES, SecurityFileError
from adaptermux_server.transport.security.tokens import TokenFile, entry_of, new_token

MOMENT = 1_801_353_600.0
"""2027-01-31T00:00:00Z."""


def new(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["new", *map(str, arguments)])


def test_the_token_goes_to_stdout_alone_and_its_entry_to_stderr(tmp_path: Path) -> None:
    result = new("acme", "--role", "infer", "--adapter", "acme-*", "--adapter", "base")

    token = result.stdout.removesuffix("\n")
    (tmp_path / "tokens.toml").write_text(result.stderr)
    caller = TokenFile(tmp_path / "tokens.toml").caller(token)
    assert (0, False) == (result.exit_code, token in result.stderr)
    assert ("acme", Role.INFER) == (caller.name, caller.role)
    assert [True, True, False] == [caller.may_use(name) for name in ("acme-1", "base", "other")]


def test_without_adapters_a_token_may_use_all(tmp_path: Path) -> None:
    token = new("acme", "--role", "infer", "--append", tmp_path / "t.toml").stdout.strip()

    assert TokenFile(tmp_path / "t.toml").caller(token).adapters is None


@pytest.mark.parametrize("date", ["2027-01-31", "2027-01-31T00:00:00", "2027-01-31T02:00:00+0200"])
def test_a_token_expires_when_it_says(tmp_path: Path, date: str) -> None:
    now = MOMENT - 1
    token = new("acme", "--role", "admin", "--expires", date, "--append", tmp_path / "t.toml").stdout.strip()
    tokens = TokenFile(tmp_path / "t.toml", lambda: now)

    assert Role.ADMIN is tokens.caller(token).role
    now = MOMENT
    with pytest.raises(UnauthenticatedError, match="expired"):
        tokens.caller(token)


def test_entries_are_appended_to_what_is_there(tmp_path: Path) -> None:
    """Comments of the operator's stay, and a last line without its end doesn't run into the entry."""
    path = tmp_path / "tokens.toml"
    path.write_text("# ours\n" + entry_of("amx_old", "old", Role.ADMIN).rstrip())

    results = [new(name, "--role", "infer", "--append", path) for name in ("one", "two")]

    tokens = TokenFile(path)
    names = [tokens.caller(token).name for token in ("amx_old", *[each.stdout.strip() for each in results])]
    assert ["old", "one", "two"] == names
    assert path.read_text().startswith("# ours\n")
    assert ["", ""] == [each.stderr for each in results]
    assert [path] == list(tmp_path.iterdir())


def test_a_new_file_is_its_owners_and_an_old_one_keeps_its_mode(tmp_path: Path) -> None:
    modes = []
    for mode in (None, 0o640):
        path = tmp_path / f"{mode}.toml"
        if mode is not None:
            path.write_text("")
            path.chmod(mode)
        assert 0 == new("acme", "--role", "infer", "--append", path).exit_code
        modes.append(stat.S_IMODE(path.stat().st_mode))

    assert [0o600, 0o640] == modes


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.toml").symlink_to("real.toml")
    (tmp_path / "real.toml").write_text("")

    new("acme", "--role", "infer", "--append", tmp_path / "link.toml")

    assert (tmp_path / "link.toml").is_symlink()
    assert 'name = "acme"' in (tmp_path / "real.toml").read_text()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (entry_of("amx_old", "acme", Role.INFER), "two tokens have the same name"),
        ("[[tokens]\n", "isn't TOML"),
        ("tokens = []\n", "isn't TOML"),
        ("#" * MAX_BYTES, "larger than"),
    ],
)
def test_what_the_server_would_not_read_is_not_written(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(content)

    result = new("acme", "--role", "infer", "--append", path)

    assert (2, "") == (result.exit_code, result.stdout)
    assert problem in result.stderr
    assert content == path.read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("a b", "--role", "infer"),
        ('"\nrole = "admin', "--role", "infer"),
        ("", "--role", "infer"),
        ("acme", "--role", "infer", "--adapter", "No Id"),
        ("acme", "--role", "admin", "--adapter", "acme-*"),
        ("acme", "--role", "root"),
        ("acme", "--role", "infer", "--expires", "tomorrow"),
        ("acme",),
    ],
)
def test_what_a_file_cannot_say_is_wrong_usage(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    result = new(*arguments, "--append", tmp_path / "t.toml")

    assert (2, "", []) == (result.exit_code, result.stdout, list(tmp_path.iterdir()))
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = new("acme", "--role", "infer", "--append", tmp_path / "nowhere" / "t.toml")

    assert (2, "") == (result.exit_code, result.stdout)
    assert "can't be written" in result.stderr


def test_a_failure_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text("# ours\n")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SecurityFileError, match="No space left"):
        admitting.append_entry(path, entry_of(new_token(), "acme", Role.INFER))

    assert ("# ours\n", [path]) == (path.read_text(), list(tmp_path.iterdir()))


def test_entries_that_are_appended_at_once_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    script = (
        "import sys, pathlib\n"
        "from adaptermux_server.transport.security.admitting import append_entry\n"
        "from adaptermux_server.transport.security.callers import Role\n"
        "from adaptermux_server.transport.security.tokens import entry_of, new_token\n"
        "for each in range(20):\n"
        "    append_entry(pathlib.Path(sys.argv[1]), entry_of(new_token(), f'{sys.argv[2]}-{each}', Role.INFER))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", script, path, name]) for name in ("a", "b")]

    assert [0, 0] == [writer.wait(60) for writer in writers]
    assert 40 == path.read_text().count("[[tokens]]")
