import asyncio
import os
import socket
import stat
from dataclasses import asdict, fields

import pytest
from structlog.testing import capture_logs

from adaptermux.v1 import infer_pb2, infer_pb2_grpc
from adaptermux_server.config import ServerSettings
from adaptermux_server.transport import listeners
from adaptermux_server.transport.connections import ConnectionLimits
from adaptermux_server.transport.listeners import ListenError, Security
from adaptermux_server.transport.secured import connection_limits
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tls import Certificates, TlsFiles
from adaptermux_server.transport.security.tokens import TokenFile
from tests.support.certificates import Authority
from tests.transport.listening import admin, bearer, calling, data, outcome, write_tokens

CALL_SECONDS = 5.0


async def get_model(channel, **metadata):
    stub = infer_pb2_grpc.InferStub(channel)
    return await stub.GetModel(
        infer_pb2.GetModelRequest(), metadata=tuple(metadata.items()), timeout=CALL_SECONDS, wait_for_ready=False
    )


@pytest.mark.parametrize("form", ["unix:{}", "unix://{}"])
async def test_a_listener_may_be_a_unix_socket_for_its_owner_alone(tmp_path, form):
    path = tmp_path / "data.sock"
    mask = os.umask(0o022)
    os.umask(mask)

    async with data(form.format(path)) as reached, calling(reached.address) as channel:
        mode = path.stat().st_mode
        answered = await get_model(channel)

    assert form.format(path) == reached.address
    assert stat.S_ISSOCK(mode)
    assert 0o600 == stat.S_IMODE(mode)
    assert "nobody" == answered.model_id
    assert mask == os.umask(mask)
    assert not path.exists()


async def test_a_second_server_does_not_take_the_socket_of_the_first(tmp_path):
    address = f"unix:{tmp_path / 'data.sock'}"

    async with data(address) as first, calling(first.address) as channel:
        with pytest.raises(ListenError, match="in use"):
            async with data(address):
                pass
        await get_model(channel)
    async with calling(address) as channel:
        assert ("UNAVAILABLE", "") == await outcome(get_model(channel))


async def test_a_socket_that_a_killed_server_left_is_replaced(tmp_path):
    path = tmp_path / "data.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))

    async with data(f"unix:{path}") as reached, calling(reached.address) as channel:
        assert ("OK", "") == await outcome(get_model(channel))


@pytest.mark.parametrize("address", ["unix:{}/file", "unix:{}/nowhere/data.sock", "unix:{}/" + "x" * 200])
async def test_a_path_that_cannot_be_a_socket_is_refused(tmp_path, address):
    (tmp_path / "file").write_text("precious")

    with pytest.raises(ListenError):
        async with data(address.format(tmp_path)):
            pass

    assert "precious" == (tmp_path / "file").read_text()


async def test_an_admin_socket_is_audited_by_its_path(tmp_path):
    with capture_logs() as log:
        async with admin(f"unix:{tmp_path / 'admin.sock'}") as reached, calling(reached.address) as channel:
            await outcome(channel.unary_unary("/adaptermux.v1.AdapterAdmin/GetServerStatus")(b""))

    (line,) = (line for line in log if line["event"] == "audit")
    assert line["peer"].startswith("unix:")


@pytest.mark.parametrize(
    ("is_loopback", "tls", "expected"), [(False, False, 1), (True, False, 0), (False, True, 0), (True, True, 0)]
)
async def test_tokens_in_the_clear_on_a_network_are_warned_of(tmp_path, monkeypatch, is_loopback, tls, expected):
    if not is_loopback:
        monkeypatch.setattr(listeners, "_LOOPBACK", ("unix:",))
    files = TlsFiles(*Authority().sign("server").write(tmp_path, "server"))
    tokens = TokenFile(write_tokens(tmp_path / "tokens.toml", ("amx_x", "acme", Role.INFER)))

    with capture_logs() as log:
        async with data(security=Security(Certificates(files) if tls else None, tokens)):
            pass

    assert expected == sum(line["log_level"] == "warning" for line in log)


async def test_metadata_beyond_the_limit_is_refused_and_the_connection_goes_on():
    limits = ConnectionLimits(max_metadata_bytes=4 << 10)

    async with data(connections=limits) as reached, calling(reached.address) as channel:
        outcomes = [await outcome(get_model(channel, padding="x" * size)) for size in (2 << 10, 8 << 10, 1)]

    assert [("OK", ""), ("RESOURCE_EXHAUSTED", ""), ("OK", "")] == outcomes


async def test_a_token_fits_the_smallest_metadata(tmp_path):
    tokens = TokenFile(write_tokens(tmp_path / "tokens.toml", ("amx_x", "acme", Role.INFER)))
    limits = ConnectionLimits(max_metadata_bytes=4 << 10)

    security = Security(tokens=tokens)
    async with data(connections=limits, security=security) as reached, calling(reached.address) as channel:
        assert ("OK", "") == await outcome(get_model(channel, **dict(bearer("amx_x"))))


async def test_calls_beyond_the_limit_of_a_connection_wait_for_their_turn():
    limits = ConnectionLimits(max_concurrent_streams=2)

    async with data(connections=limits) as reached, calling(reached.address) as channel:
        stub = infer_pb2_grpc.InferStub(channel)
        open_streams = [stub.StreamAnalyze() for _ in range(2)]
        for stream in open_streams:
            await stream.write(infer_pb2.StreamAnalyzeRequest(request_id="a"))
            await stream.read()
        third = asyncio.ensure_future(get_model(channel))
        done, _ = await asyncio.wait([third], timeout=0.3)
        await open_streams[0].done_writing()
        await open_streams[0].read()

        assert set() == done
        assert "nobody" == (await third).model_id


async def test_an_old_connection_is_renewed_without_a_failing_call():
    limits = ConnectionLimits(max_connection_age_seconds=0.2, max_connection_age_grace_seconds=5)
    peers = set()

    async with data(connections=limits) as reached, calling(reached.address) as channel:
        async with asyncio.timeout(CALL_SECONDS):
            while len(peers) < 3:
                peers.add((await get_model(channel)).device)

    assert 3 == len(peers)


def test_every_limit_of_connections_is_a_setting():
    chosen = {each.name: index for index, each in enumerate(fields(ConnectionLimits), 5_000)}

    limits = connection_limits(ServerSettings(model="m", **chosen))

    assert chosen == asdict(limits)
    assert {"grpc.keepalive_time_ms": 5_004_000, "grpc.keepalive_timeout_ms": 5_005_000}.items() <= dict(
        limits.options()
    ).items()
    assert 5_001_000 == dict(limits.options())["grpc.max_connection_idle_ms"]


def test_the_usual_limits_are_those_of_the_settings():
    assert ConnectionLimits() == connection_limits(ServerSettings(model="m"))


@pytest.mark.parametrize(
    "given", [["tls_certificate"], ["tls_key"], ["tls_client_ca"], ["tls_certificate", "tls_client_ca"]]
)
@pytest.mark.parametrize("prefix", ["", "admin_"])
def test_settings_of_a_certificate_stand_together(given, prefix):
    with pytest.raises(ValueError, match=f"{prefix}tls_"):
        ServerSettings(model="m", **{f"{prefix}{name}": "x" for name in given})
