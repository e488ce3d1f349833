import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.transport.listeners import Security
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tokens import TokenFile
from tests.transport.listening import admin, bearer, calling, data, outcome, write_tokens

INFER, ADMIN, UNKNOWN = "amx_of-a-tenant", "amx_of-an-operator", "amx_of-nobody"
METADATA = {
    "no token": (),
    "an unknown token": bearer(UNKNOWN),
    "another scheme": (("authorization", f"Digest {INFER}"),),
    "a bare token": (("authorization", INFER),),
    "two tokens": bearer(UNKNOWN) + bearer(ADMIN),
    "an expired token": bearer("amx_old"),
    "infer": bearer(INFER),
    "admin": bearer(ADMIN),
    "a scheme in capitals": (("authorization", f"BEARER  {ADMIN}"),),
}
OK, NO_TOKEN, NO_ROLE = ("OK", ""), ("UNAUTHENTICATED", "UNAUTHENTICATED"), ("PERMISSION_DENIED", "PERMISSION_DENIED")
REFUSED = dict.fromkeys(list(METADATA)[:6], NO_TOKEN)
ADMITTED = dict.fromkeys(list(METADATA)[6:], OK)


@pytest.fixture
def path(tmp_path):
    path = write_tokens(tmp_path / "tokens.toml", (INFER, "acme", Role.INFER), (ADMIN, "ops", Role.ADMIN))
    entry = write_tokens(tmp_path / "old.toml", ("amx_old", "old", Role.ADMIN)).read_text()
    path.write_text(f"{path.read_text()}\n{entry}expires = 2020-01-01T00:00:00Z\n")
    return path


@pytest.fixture
def security(path):
    return Security(tokens=TokenFile(path))


async def drained(stream):
    return [message async for message in stream]


def get_model(channel, metadata):
    return infer_pb2_grpc.InferStub(channel).GetModel(infer_pb2.GetModelRequest(), metadata=metadata)


def stream_analyze(channel, metadata):
    requests = iter([infer_pb2.StreamAnalyzeRequest(request_id="a")])
    return drained(infer_pb2_grpc.InferStub(channel).StreamAnalyze(requests, metadata=metadata))


def load(channel, metadata):
    request = adapter_admin_pb2.LoadAdapterRequest(adapter_id="acme")
    return adapter_admin_pb2_grpc.AdapterAdminStub(channel).LoadAdapter(request, metadata=metadata)


def upload(channel, metadata):
    requests = iter([adapter_admin_pb2.UploadAdapterRequest(chunk=b"x")])
    return adapter_admin_pb2_grpc.AdapterAdminStub(channel).UploadAdapter(requests, metadata=metadata)


async def first_event(channel, metadata):
    stub = adapter_admin_pb2_grpc.AdapterAdminStub(channel)
    watch = stub.WatchAdapters(adapter_admin_pb2.WatchAdaptersRequest(), metadata=metadata)
    await watch.read()
    if watch.done():
        raise grpc.aio.AioRpcError(
            await watch.code(), await watch.initial_metadata(), await watch.trailing_metadata(), await watch.details()
        )


def health(channel, metadata):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), metadata=metadata)


def reflection(channel, metadata):
    requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    return drained(stub.ServerReflectionInfo(requests, metadata=metadata))


def no_such_rpc(channel, metadata):
    return channel.unary_unary("/adaptermux.v1.Infer/Nothing")(b"", metadata=metadata)


@pytest.mark.parametrize("kind", METADATA)
@pytest.mark.parametrize("call", [get_model, stream_analyze, reflection], ids=lambda call: call.__name__)
async def test_the_data_listener_takes_calls_with_any_valid_token(security, kind, call):
    async with data(security=security) as reached, calling(reached.address) as channel:
        assert (REFUSED | ADMITTED)[kind] == await outcome(call(channel, METADATA[kind]))


@pytest.mark.parametrize("kind", METADATA)
@pytest.mark.parametrize("call", [load, upload, first_event], ids=lambda call: call.__name__)
async def test_the_admin_service_takes_calls_of_admins_alone(security, kind, call):
    async with admin(security=security) as reached, calling(reached.address) as channel:
        reached.servicer.events.put_nowait("acme")

        expected = REFUSED | ADMITTED | {"infer": NO_ROLE}
        assert expected[kind] == await outcome(call(channel, METADATA[kind]))


@pytest.mark.parametrize("kind", METADATA)
async def test_reflection_of_the_admin_listener_takes_any_valid_token(security, kind):
    async with admin(security=security) as reached, calling(reached.address) as channel:
        assert (REFUSED | ADMITTED)[kind] == await outcome(reflection(channel, METADATA[kind]))


@pytest.mark.parametrize("listen", [data, admin])
async def test_health_is_for_anybody(security, listen):
    async with listen(security=security) as reached, calling(reached.address) as channel:
        assert OK == await outcome(health(channel, ()))


@pytest.mark.parametrize("call", [load, upload, first_event, no_such_rpc], ids=lambda call: call.__name__)
@pytest.mark.parametrize("kind", ["no token", "admin"])
async def test_what_the_data_listener_has_not_is_unimplemented_for_anybody(security, kind, call):
    async with data(security=security) as reached, calling(reached.address) as channel:
        assert ("UNIMPLEMENTED", "") == await outcome(call(channel, METADATA[kind]))


@pytest.mark.parametrize(
    ("listen", "call"), [(data, get_model), (data, stream_analyze), (admin, load), (admin, upload), (data, reflection)]
)
async def test_without_tokens_anybody_may_call(listen, call):
    async with listen() as reached, calling(reached.address) as channel:
        assert OK == await outcome(call(channel, ()))


async def test_handlers_know_the_caller(security):
    async with data(security=security) as reached, calling(reached.address) as channel:
        names = [(await get_model(channel, METADATA[kind])).model_id for kind in ("infer", "admin")]
    async with data() as reached, calling(reached.address) as channel:
        names.append((await get_model(channel, METADATA["infer"])).model_id)

    assert ["acme", "ops", "nobody"] == names


async def test_a_refusal_says_what_is_missing_and_not_what_was_sent(security):
    async with admin(security=security) as reached, calling(reached.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as unknown:
            await load(channel, METADATA["an unknown token"])
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await load(channel, METADATA["infer"])

    assert "the token isn't known" in unknown.value.details()
    assert UNKNOWN not in str(unknown.value)
    assert "the token 'acme' isn't of role 'admin'" in denied.value.details()


async def test_refused_calls_are_counted(security):
    async with data(security=security) as reached, calling(reached.address) as channel:
        for kind in ("no token", "an unknown token", "infer"):
            await outcome(get_model(channel, METADATA[kind]))
        counts = [
            reached.servicer.registry.get_sample_value("adaptermux_rpcs_total", {"rpc": "GetModel", "code": code})
            for code in ("UNAUTHENTICATED", "OK")
        ]

    assert [2, 1] == counts


async def test_a_token_that_is_replaced_is_refused_at_once(path, security):
    async with data(security=security) as reached, calling(reached.address) as channel:
        before = [await outcome(get_model(channel, bearer(token))) for token in (INFER, UNKNOWN)]
        write_tokens(path, (UNKNOWN, "acme", Role.INFER))
        security.tokens.refresh()
        after = [await outcome(get_model(channel, bearer(token))) for token in (INFER, UNKNOWN)]

    assert [OK, NO_TOKEN] == before
    assert [NO_TOKEN, OK] == after


async def test_a_stream_of_requests_ends_with_its_token(path, security):
    async with data(security=security) as reached, calling(reached.address) as channel:
        stream = infer_pb2_grpc.InferStub(channel).StreamAnalyze(metadata=bearer(INFER))
        await stream.write(infer_pb2.StreamAnalyzeRequest(request_id="a"))
        answered = await stream.read()
        write_tokens(path)
        security.tokens.refresh()
        await stream.write(infer_pb2.StreamAnalyzeRequest(request_id="b"))

        assert "a" == answered.request_id
        assert NO_TOKEN == await outcome(stream.read())


async def test_a_watch_ends_with_its_token(path, security):
    async with admin(security=security) as reached, calling(reached.address) as channel:
        stub = adapter_admin_pb2_grpc.AdapterAdminStub(channel)
        watch = stub.WatchAdapters(adapter_admin_pb2.WatchAdaptersRequest(), metadata=bearer(ADMIN))
        reached.servicer.events.put_nowait("a")
        told = await watch.read()
        write_tokens(path, (INFER, "acme", Role.INFER))
        security.tokens.refresh()
        reached.servicer.events.put_nowait("b")

        assert "a" == told.removed_adapter_id
        assert NO_TOKEN == await outcome(watch.read())


async def test_an_upload_ends_with_its_token(path, security):
    async with admin(security=security) as reached, calling(reached.address) as channel:
        upload = adapter_admin_pb2_grpc.AdapterAdminStub(channel).UploadAdapter(metadata=bearer(ADMIN))
        await upload.write(adapter_admin_pb2.UploadAdapterRequest(chunk=b"x"))
        await reached.servicer.receiving.wait()
        # The token stays, but isn't an admin's any more.
        write_tokens(path, (ADMIN, "ops", Role.INFER))
        security.tokens.refresh()
        await upload.write(adapter_admin_pb2.UploadAdapterRequest(chunk=b"x"))

        assert NO_ROLE == await outcome(upload)
