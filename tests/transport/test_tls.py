import asyncio
import os
import socket
import ssl

import grpc
import pytest
from structlog.testing import capture_logs

from adaptermux.v1 import infer_pb2, infer_pb2_grpc
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security import tls
from adaptermux_server.transport.security.files import SecurityFileError
from adaptermux_server.transport.security.tls import Certificates, TlsFiles
from tests.support.certificates import Authority, serial_number
from tests.transport.listening import calling, data

CALL_SECONDS = 5.0


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def stranger():
    return Authority("another authority")


@pytest.fixture
def files(tmp_path, authority):
    return TlsFiles(*authority.sign("server").write(tmp_path, "server"))


@pytest.fixture
def mutual_files(files, tmp_path, authority):
    client_ca = tmp_path / "clients.pem"
    client_ca.write_bytes(authority.certificate)
    return TlsFiles(files.certificate, files.key, client_ca)


def shown_by(authority, signed=None):
    """Credentials of a client that trusts `authority`, with a certificate or without one."""
    mine = () if signed is None else (signed.key, signed.certificate)
    return grpc.ssl_channel_credentials(authority.certificate, *mine)


async def get_model(channel):
    stub = infer_pb2_grpc.InferStub(channel)
    return await stub.GetModel(infer_pb2.GetModelRequest(), timeout=CALL_SECONDS)


async def code_of(reached, credentials):
    async with calling(reached.address, credentials) as channel:
        try:
            await get_model(channel)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"


async def presented(reached):
    """Serial number of the certificate that a new connection is shown."""
    host, _, port = reached.address.rpartition(":")
    pem = await asyncio.to_thread(ssl.get_server_certificate, (host, int(port)), timeout=CALL_SECONDS)
    return serial_number(pem.encode())


async def test_a_client_that_trusts_the_authority_is_answered(files, authority):
    async with data(security=Security(tls=Certificates(files))) as reached:
        assert "OK" == await code_of(reached, shown_by(authority))


async def test_a_client_that_trusts_another_authority_does_not_connect(files, stranger):
    async with data(security=Security(tls=Certificates(files))) as reached:
        assert "UNAVAILABLE" == await code_of(reached, shown_by(stranger))


async def test_a_plain_client_does_not_connect_and_the_listener_goes_on(files, authority):
    async with data(security=Security(tls=Certificates(files))) as reached:
        assert ["UNAVAILABLE", "OK"] == [await code_of(reached, each) for each in (None, shown_by(authority))]


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_old_versions_of_tls_are_refused(files, version):
    context = ssl._create_unverified_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version

    def shake_hands(address):
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), CALL_SECONDS) as plain, context.wrap_socket(plain):
            pass

    async with data(security=Security(tls=Certificates(files))) as reached:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(shake_hands, reached.address)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("valid", "OK"), ("none", "UNAVAILABLE"), ("expired", "UNAVAILABLE"), ("another authority's", "UNAVAILABLE")],
)
async def test_mutual_tls_takes_valid_certificates_alone(mutual_files, authority, stranger, kind, expected):
    signed = {
        "valid": authority.sign("tenant"),
        "none": None,
        "expired": authority.sign("tenant", expired=True),
        "another authority's": stranger.sign("tenant"),
    }

    async with data(security=Security(tls=Certificates(mutual_files))) as reached:
        assert expected == await code_of(reached, shown_by(authority, signed[kind]))


async def test_new_files_are_served_to_new_connections_and_old_ones_go_on(files, authority, tmp_path):
    renewed = authority.sign("server")
    async with (
        data(security=Security(tls=Certificates(files))) as reached,
        calling(reached.address, shown_by(authority)) as old,
    ):
        await get_model(old)
        before = await presented(reached)
        renewed.write(tmp_path, "server")
        with capture_logs() as log:
            after = [await presented(reached) for _ in range(3)]
            fresh = await code_of(reached, shown_by(authority))

        assert before != serial_number(renewed.certificate)
        assert [serial_number(renewed.certificate)] * 3 == after
        assert "OK" == fresh
        assert ["read anew"] == [line["event"] for line in log if line["event"] != "call"]
        await get_model(old)


async def test_a_new_authority_of_clients_is_in_force_for_new_connections(mutual_files, authority, stranger):
    mine, theirs = authority.sign("tenant"), stranger.sign("tenant")

    async with data(security=Security(tls=Certificates(mutual_files))) as reached:
        before = [await code_of(reached, shown_by(authority, each)) for each in (mine, theirs)]
        mutual_files.client_ca.write_bytes(stranger.certificate)
        after = [await code_of(reached, shown_by(authority, each)) for each in (mine, theirs)]

    assert ["OK", "UNAVAILABLE"] == before
    assert ["UNAVAILABLE", "OK"] == after


@pytest.mark.parametrize("what", ["no PEM", "empty", "the key of another", "gone", "half of it"])
async def test_broken_files_keep_the_certificate_and_are_logged_once(files, authority, what):
    other = authority.sign("server")
    async with data(security=Security(tls=Certificates(files))) as reached:
        before = await presented(reached)
        match what:
            case "no PEM":
                files.certificate.write_text("certificate")
            case "empty":
                files.key.write_bytes(b"")
            case "the key of another":
                files.key.write_bytes(other.key)
            case "gone":
                files.key.unlink()
            case "half of it":
                files.certificate.write_bytes(files.certificate.read_bytes()[:200])
        with capture_logs() as log:
            broken = [await presented(reached) for _ in range(3)]
        files.certificate.write_bytes(other.certificate)
        files.key.write_bytes(other.key)

        assert [before] * 3 == broken
        assert ["error"] == [line["log_level"] for line in log]
        assert "PRIVATE" not in str(log)
        assert serial_number(other.certificate) == await presented(reached)


@pytest.mark.parametrize("what", ["certificate", "key", "client_ca"])
@pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\n"])
def test_broken_files_are_refused_by_name(mutual_files, what, content):
    path = getattr(mutual_files, what)
    path.unlink()
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SecurityFileError, match=path.name):
        Certificates(mutual_files)


def test_files_that_change_while_they_are_read_are_refused(files, authority, tmp_path, monkeypatch):
    read, paths = tls._read, []

    def read_and_change(path):
        content = read(path)
        paths.append(path)
        if len(paths) == 2:
            authority.sign("server").write(tmp_path, "server")
        return content

    monkeypatch.setattr(tls, "_read", read_and_change)

    with pytest.raises(SecurityFileError, match="being changed"):
        Certificates(files)


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(files):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"secret")
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    files.key.write_bytes(pem)

    with pytest.raises(SecurityFileError, match=files.key.name):
        Certificates(files)


async def test_links_that_are_swapped_are_followed(tmp_path, authority):
    """As orchestrators mount secrets: a link to a folder is replaced, its files never change."""
    first, second = authority.sign("server"), authority.sign("server")
    for name, signed in (("1", first), ("2", second)):
        (tmp_path / name).mkdir()
        signed.write(tmp_path / name, "tls")
    (tmp_path / "now").symlink_to("1")
    files = TlsFiles(tmp_path / "now" / "tls.pem", tmp_path / "now" / "tls.key")

    async with data(security=Security(tls=Certificates(files))) as reached:
        before = await presented(reached)
        (tmp_path / "next").symlink_to("2")
        os.replace(tmp_path / "next", tmp_path / "now")

        assert [serial_number(first.certificate), serial_number(second.certificate)] == [
            before,
            await presented(reached),
        ]
