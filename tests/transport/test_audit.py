import asyncio
import logging

import grpc
import pytest
import structlog
from structlog.testing import capture_logs

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security import audit
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tls import Certificates, TlsFiles
from adaptermux_server.transport.security.tokens import TokenFile
from tests.support.certificates import Authority
from tests.transport.listening import admin, bearer, calling, eventually, outcome, write_tokens

ADMIN, INFER = "amx_of-an-operator", "amx_of-a-tenant"
Load = adapter_admin_pb2.LoadAdapterRequest


@pytest.fixture
def security(tmp_path):
    path = write_tokens(tmp_path / "tokens.toml", (ADMIN, "ops", Role.ADMIN), (INFER, "acme", Role.INFER))
    return Security(tokens=TokenFile(path))


def stub_of(channel):
    return adapter_admin_pb2_grpc.AdapterAdminStub(channel)


async def audited(call, security, credentials=None):
    """Lines of the audit log that `call`, of the stub, makes."""
    with capture_logs() as log:
        async with admin(security=security) as reached, calling(reached.address, credentials) as channel:
            await outcome(call(stub_of(channel)))
    return [line for line in log if line["event"] == "audit"]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (
            lambda stub: stub.LoadAdapter(Load(adapter_id="pos", uri="file:///a/pos"), metadata=bearer(ADMIN)),
            {"rpc": "LoadAdapter", "token": "ops", "adapter_id": "pos", "uri": "file:///a/pos", "code": "OK"},
        ),
        (
            lambda stub: stub.LoadAdapter(Load(adapter_id="pos"), metadata=bearer(INFER)),
            {"token": "acme", "adapter_id": "pos", "code": "PERMISSION_DENIED", "reason": "PERMISSION_DENIED"},
        ),
        (
            lambda stub: stub.LoadAdapter(Load(adapter_id="pos"), metadata=bearer("amx_x")),
            {"token": "", "adapter_id": "pos", "code": "UNAUTHENTICATED", "reason": "UNAUTHENTICATED"},
        ),
        (
            lambda stub: stub.GetAdapter(adapter_admin_pb2.GetAdapterRequest(adapter_id="pos"), metadata=bearer(ADMIN)),
            {"rpc": "GetAdapter", "adapter_id": "pos", "code": "NOT_FOUND", "reason": "ADAPTER_NOT_FOUND"},
        ),
        (
            lambda stub: stub.LoadAdapter(Load(adapter_id="broken"), metadata=bearer(ADMIN)),
            {"code": "INTERNAL", "reason": "INTERNAL"},
        ),
        (
            lambda stub: stub.UploadAdapter(
                iter(
                    [
                        adapter_admin_pb2.UploadAdapterRequest(
                            metadata=adapter_admin_pb2.UploadMetadata(revision="0f" * 32)
                        ),
                        adapter_admin_pb2.UploadAdapterRequest(chunk=b"secret"),
                    ]
                ),
                metadata=bearer(ADMIN),
            ),
            {"rpc": "UploadAdapter", "token": "ops", "revision": "0f" * 32, "size_bytes": 6, "code": "OK"},
        ),
    ],
)
async def test_each_call_is_one_line(security, call, expected):
    (line,) = await audited(call, security)

    assert expected.items() <= line.items()
    assert line["peer"].startswith("ipv4:127.0.0.1:")
    assert 0 < line["seconds"] < 10
    assert "secret" not in str(line)
    assert not any(token in str(line) for token in (ADMIN, INFER, "amx_x"))


async def test_without_tokens_calls_are_logged_too():
    (line,) = await audited(lambda stub: stub.LoadAdapter(Load(adapter_id="pos")), Security())

    assert ("", "pos", "OK") == (line["token"], line["adapter_id"], line["code"])


async def test_a_call_that_is_cancelled_is_logged(security):
    with capture_logs() as log:
        async with admin(security=security) as reached, calling(reached.address) as channel:
            call = stub_of(channel).LoadAdapter(Load(adapter_id="slow"), metadata=bearer(ADMIN))
            sent = asyncio.ensure_future(outcome(call))
            await reached.servicer.loading.wait()
            call.cancel()
            await eventually(lambda: any(line["event"] == "audit" for line in log))
            await asyncio.wait([sent])

    (line,) = (line for line in log if line["event"] == "audit")
    assert ("ops", "slow", "CANCELLED") == (line["token"], line["adapter_id"], line["code"])


async def test_a_watch_is_logged_when_it_ends(security):
    with capture_logs() as log:
        async with admin(security=security) as reached, calling(reached.address) as channel:
            request = adapter_admin_pb2.WatchAdaptersRequest()
            watch = stub_of(channel).WatchAdapters(request, metadata=bearer(ADMIN))
            reached.servicer.events.put_nowait("a")
            await watch.read()
            before = [line for line in log if line["event"] == "audit"]
            watch.cancel()
            await eventually(lambda: any(line["event"] == "audit" for line in log))

    assert [] == before
    (line,) = (line for line in log if line["event"] == "audit")
    assert ("WatchAdapters", "ops", "CANCELLED") == (line["rpc"], line["token"], line["code"])


async def test_the_name_in_a_client_certificate_is_logged(tmp_path):
    authority = Authority()
    client_ca = tmp_path / "clients.pem"
    client_ca.write_bytes(authority.certificate)
    files = TlsFiles(*authority.sign("server").write(tmp_path, "server"), client_ca)
    mine = authority.sign("ci robot")
    credentials = grpc.ssl_channel_credentials(authority.certificate, mine.key, mine.certificate)

    (line,) = await audited(
        lambda stub: stub.LoadAdapter(Load(adapter_id="pos")), Security(tls=Certificates(files)), credentials
    )

    assert ("ci robot", "OK") == (line["certificate"], line["code"])


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://bucket/pos", "s3://bucket/pos"),
        ("https://user:secret@host:443/pos?signature=secret#secret", "https://host:443/pos"),
        ("https://secret@host/pos", "https://host/pos"),
        ("/a/pos", "/a/pos"),
        ("http://[broken?secret", "(not a URI)"),
        ("/a/pos\nfake=line\x1b[31m", "/a/posfake=line\N{REPLACEMENT CHARACTER}[31m"),
        ("/" + "x" * 1000, "/" + "x" * 255 + "…"),
    ],
)
async def test_what_callers_send_is_cut_to_what_is_safe(uri, expected):
    request = Load(adapter_id="pos", uri=uri, metadata={"password": "secret"})
    (line,) = await audited(lambda stub: stub.LoadAdapter(request), Security())

    assert line["uri"].startswith(expected)
    assert "secret" not in str(line)
    assert "\n" not in line["uri"]
    assert len(line["uri"]) <= 257


async def test_a_request_that_is_none_is_logged(security):
    with capture_logs() as log:
        async with admin(security=security) as reached, calling(reached.address) as channel:
            send = channel.unary_unary("/adaptermux.v1.AdapterAdmin/LoadAdapter")
            await outcome(send(b"\xff\xff", metadata=bearer(ADMIN)))

    (line,) = (line for line in log if line["event"] == "audit")
    assert ("ops", "INVALID_ARGUMENT", "INVALID_REQUEST") == (line["token"], line["code"], line["reason"])
    assert "adapter_id" not in line


def test_every_rpc_of_the_service_has_a_subject():
    service = adapter_admin_pb2.DESCRIPTOR.services_by_name["AdapterAdmin"]

    assert {method.name for method in service.methods} == set(audit.SUBJECTS)


@pytest.mark.parametrize(
    ("rpc", "request_", "expected"),
    [
        (
            "SetAlias",
            adapter_admin_pb2.SetAliasRequest(
                alias=adapter_admin_pb2.Alias(
                    name="prod",
                    targets=[
                        adapter_admin_pb2.AliasTarget(adapter="a", weight=9),
                        adapter_admin_pb2.AliasTarget(adapter="b"),
                    ],
                )
            ),
            {"alias": "prod", "targets": ["a=9", "b=1"]},
        ),
        (
            "UnloadAdapter",
            adapter_admin_pb2.UnloadAdapterRequest(adapter_id="a", force=True),
            {"adapter_id": "a", "force": True},
        ),
        ("DeleteAdapter", adapter_admin_pb2.DeleteAdapterRequest(adapter_id="a"), {"adapter_id": "a"}),
        (
            "UpdateAdapter",
            adapter_admin_pb2.UpdateAdapterRequest(
                adapter=adapter_admin_pb2.Adapter(id="a"), update_mask={"paths": ["pinned"]}
            ),
            {"adapter_id": "a", "fields": ["pinned"]},
        ),
    ],
)
def test_a_line_says_what_a_request_is_about(rpc, request_, expected):
    assert expected == audit._subject(rpc, request_)


def test_the_lines_come_however_little_is_logged(caplog):
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    try:
        audit.Audit("x")._log.info("audit", rpc="LoadAdapter")
    finally:
        structlog.reset_defaults()
        root.setLevel(level)

    assert ["audit"] == [record.name for record in caplog.records]
