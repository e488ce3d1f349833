import asyncio
import hashlib
import hmac

import pytest
from structlog.testing import capture_logs

from adaptermux_server.errors import UnauthenticatedError
from adaptermux_server.transport.security import tokens
from adaptermux_server.transport.security.callers import AllowList, Role
from adaptermux_server.transport.security.files import MAX_BYTES, SecurityFileError
from adaptermux_server.transport.security.tokens import TokenFile, entry_of, new_token
from tests.transport.listening import eventually, write_tokens

TOKEN, OTHER = "amx_first-secret", "amx_second-secret"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
ENTRY = entry_of(TOKEN, "acme", Role.INFER)


@pytest.fixture
def path(tmp_path):
    return write_tokens(tmp_path / "tokens.toml", (TOKEN, "acme", Role.INFER))


def name_of(file, token):
    try:
        return file.caller(token).name
    except UnauthenticatedError:
        return None


def test_a_token_is_known_by_its_digest_alone(path):
    caller = TokenFile(path).caller(TOKEN)

    assert ("acme", Role.INFER, None) == (caller.name, caller.role, caller.adapters)
    assert TOKEN not in path.read_text()


@pytest.mark.parametrize("token", ["", "amx_", TOKEN + " ", TOKEN.upper(), OTHER, DIGEST, "ü", "\udcff", "x" * 100_000])
def test_no_other_token_is_known(path, token):
    with pytest.raises(UnauthenticatedError, match="isn't known") as refused:
        TokenFile(path).caller(token)

    assert not token or token not in str(refused.value)


@pytest.mark.parametrize(("now", "expected"), [(1798718399.9, "acme"), (1798718400.0, None)])
def test_a_token_expires_at_the_second(tmp_path, now, expected):
    path = tmp_path / "tokens.toml"
    path.write_text(f"{ENTRY}expires = 2026-12-31T12:00:00Z\n")

    assert expected == name_of(TokenFile(path, clock=lambda: now), TOKEN)


def test_digests_are_compared_in_constant_time(path, monkeypatch):
    compared = []

    def compare_digest(mine, theirs):
        compared.append((len(mine), len(theirs)))
        return hmac.compare_digest(mine, theirs)

    monkeypatch.setattr(tokens, "hmac", type("Spied", (), {"compare_digest": staticmethod(compare_digest)}))
    for token in (TOKEN, OTHER):
        name_of(TokenFile(path), token)

    assert [(32, 32), (32, 32)] == compared


def test_digests_that_begin_alike_are_told_apart(tmp_path):
    digest = bytearray.fromhex(DIGEST)
    digest[-1] ^= 1
    path = tmp_path / "tokens.toml"
    path.write_text(ENTRY.replace(DIGEST, digest.hex()))

    assert name_of(TokenFile(path), TOKEN) is None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "tokens: Field required"),
        (f"[[tokens]]\nname = '{TOKEN}", "it isn't TOML at end of document"),
        (f"{ENTRY}{TOKEN} = {TOKEN}", "it isn't TOML at line 5"),
        ("\udcff", "it isn't TOML"),
        ("tokens = " + "[" * 100_000, "it isn't TOML"),
        (f"'{TOKEN}' = 'admin'\n{ENTRY}", "the file: Extra inputs"),
        (f"{ENTRY}'{TOKEN}' = 1", "tokens.0: Extra inputs"),
        (ENTRY.replace(DIGEST, TOKEN), "tokens.0.sha256: String should match"),
        (ENTRY.replace(DIGEST, DIGEST.upper()), "tokens.0.sha256: String should match"),
        (ENTRY.replace('"infer"', f'"{TOKEN}"'), "tokens.0.role: Input should be 'infer' or 'admin'"),
        (ENTRY.replace("acme", f"{TOKEN} {TOKEN}"), "tokens.0.name: String should match"),
        (ENTRY.replace("acme", ""), "tokens.0.name: String should match"),
        (f"{ENTRY}expires = 2026-12-31T12:00:00", "tokens.0.expires: Input should have timezone info"),
        (f"{ENTRY}adapters = ['{TOKEN}*x']", "tokens.0.adapters: Value error, entry 0 is neither an id"),
        (f"{ENTRY}adapters = 'acme'", "tokens.0.adapters: Input should be a valid"),
        (ENTRY.replace("infer", "admin") + "adapters = ['acme-*']", "stands with the role infer alone"),
        (ENTRY + ENTRY.replace(DIGEST, "0" * 64), "two tokens have the same name"),
        (ENTRY + ENTRY.replace("acme", "other"), "two tokens have the same sha256"),
        ("#" * (MAX_BYTES + 1), "is larger than"),
    ],
)
def test_a_file_that_is_wrong_is_refused_without_telling_what_it_holds(tmp_path, content, problem):
    path = tmp_path / "tokens.toml"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))

    with pytest.raises(SecurityFileError) as refused:
        TokenFile(path)

    assert problem in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(SecurityFileError, match=r"tokens\.toml can't be read: No such file"):
        TokenFile(tmp_path / "tokens.toml")


def test_a_token_can_be_replaced_while_the_server_runs(path):
    file = TokenFile(path)
    write_tokens(path, (OTHER, "acme", Role.INFER))

    assert file.refresh()
    assert (None, "acme") == (name_of(file, TOKEN), name_of(file, OTHER))
    assert not file.refresh()


def test_a_broken_file_keeps_the_tokens_and_is_logged_once(path):
    file = TokenFile(path)
    path.write_text(f"{ENTRY}'{OTHER}'")

    with capture_logs() as log:
        refreshed = [file.refresh() for _ in range(3)]

    assert [False] * 3 == refreshed
    assert ("acme", None) == (name_of(file, TOKEN), name_of(file, OTHER))
    (line,) = log
    assert ("error", f"tokens of {path}") == (line["log_level"], line["what"])
    assert OTHER not in str(line)


def test_a_file_that_is_gone_for_a_while_keeps_the_tokens(path):
    file, content = TokenFile(path), path.read_text()
    path.unlink()
    with capture_logs() as log:
        file.refresh()
        file.refresh()
    path.write_text(content)

    assert not file.refresh()
    assert 1 == len(log)
    assert "acme" == name_of(file, TOKEN)


def test_a_file_is_mended_by_the_content_that_it_had(path):
    file, content = TokenFile(path), path.read_text()
    path.write_text("[")
    file.refresh()
    path.write_text(content)

    assert file.refresh()
    assert "acme" == name_of(file, TOKEN)


async def test_changes_are_followed(path, monkeypatch):
    monkeypatch.setattr(tokens, "REFRESH_SECONDS", 0.02)
    file = TokenFile(path)

    async with file.watched():
        write_tokens(path, (OTHER, "other", Role.ADMIN))
        await eventually(lambda: name_of(file, OTHER) == "other")

    assert name_of(file, TOKEN) is None
    assert 1 == len(asyncio.all_tasks())


def test_new_tokens_are_long_and_differ():
    made = {new_token() for _ in range(100)}

    assert 100 == len(made)
    assert 43 <= min(len(token.removeprefix("amx_")) for token in made)


@pytest.mark.parametrize(
    ("patterns", "name", "expected"),
    [
        (["acme"], "acme", True),
        (["acme"], "acme-v2", False),
        (["acme-*"], "acme-v2", True),
        (["acme-*"], "acme-", True),
        (["acme-*"], "acme", False),
        (["acme-*"], "acmex-v2", False),
        (["x", "acme*"], "acme", True),
        ([], "acme", False),
        (["*"], "acme", True),
        (["*"], "base", True),
        (["base"], "base", True),
        (["b*"], "base", False),
        (["base*"], "base", False),
        (["base*"], "base-v2", True),
        (["acme-*"], "base", False),
    ],
)
def test_an_allow_list_holds_ids_and_beginnings(patterns, name, expected):
    assert expected == (name in AllowList(patterns))


@pytest.mark.parametrize("pattern", ["", "**", "*-v2", "a*b", "A*", "acme@0f0f0f0f", "a b", "acme*\n", "x" * 65])
def test_a_pattern_is_an_id_or_the_beginning_of_one(pattern):
    with pytest.raises(ValueError, match="entry 0"):
        AllowList([pattern])
