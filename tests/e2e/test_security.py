"""A server process with certificates and tokens: who gets in, what they may use, and what the log tells of it."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.testing import LocalServer, ServerDiedError, local_server
from adaptermux_server.transport.security.callers import Role
from adaptermux_server.transport.security.tokens import entry_of, new_token
from tests.e2e.expected import TEXTS
from tests.e2e.zoo import Zoo
from tests.support.certificates import Authority, Signed

CALL_SECONDS = 20.0
PATIENCE_SECONDS = 20.0
OK, DENIED, UNKNOWN = ("OK", ""), ("PERMISSION_DENIED",) * 2, ("UNAUTHENTICATED",) * 2
NOT_FOUND = ("NOT_FOUND", "ADAPTER_NOT_FOUND")
_ADAPTERS = ("topic", "sentiment", "language")


@dataclass
class Guarded:
    """The server, and what callers have."""

    folder: Path
    authority: Authority = field(default_factory=Authority)
    tokens: dict[str, str] = field(default_factory=lambda: {name: new_token() for name in ("acme", "all", "ops")})
    server: LocalServer = field(init=False)

    def __post_init__(self) -> None:
        self.robot = self.authority.sign("robot")
        self.authority.sign("server").write(self.folder, "server")
        (self.folder / "clients.pem").write_bytes(self.authority.certificate)
        self.write_tokens()

    def write_tokens(self, more: str = "") -> None:
        """Tell the server of the tokens that there are; the tenant "acme" may use some adapters and no base."""
        roles = {"acme": Role.INFER, "all": Role.INFER, "ops": Role.ADMIN}
        lists = {"acme": 'adapters = ["topic", "sen*", "prod", "stolen", "missing"]\n'}
        entries = [entry_of(self.tokens[name], name, role) + lists.get(name, "") for name, role in roles.items()]
        (self.folder / "tokens.toml").write_text("\n".join(entries) + more)

    @property
    def arguments(self) -> list[str]:
        """Of the server: a certificate for both listeners, and of clients for the admin listener alone."""
        certificate, key = str(self.folder / "server.pem"), str(self.folder / "server.key")
        data = ["--tls-certificate", certificate, "--tls-key", key, "--tokens-file", str(self.folder / "tokens.toml")]
        admin = ["--admin-tls-certificate", certificate, "--admin-tls-key", key]
        return [*data, *admin, "--admin-tls-client-ca", str(self.folder / "clients.pem")]

    def infer(self, token: str = "") -> Any:
        """Stub of a caller with a token, or without one."""
        return infer_pb2_grpc.InferStub(_channel(self.server.data_address, self.authority, None, token))

    def admin(self, token: str = "", signed: Signed | None = None) -> Any:
        """Stub of a caller with a token and a certificate."""
        channel = _channel(self.server.admin_address, self.authority, signed, token)
        return adapter_admin_pb2_grpc.AdapterAdminStub(channel)


@pytest.fixture(scope="module")
def guarded(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    guarded = Guarded(tmp_path_factory.mktemp("security"))
    adapters = [part for name in _ADAPTERS for part in ("--adapter", f"{name}={zoo.residents[name].folder}")]
    arguments = ["--model", str(zoo.base), "--num-threads", "1", *adapters, *guarded.arguments]
    with local_server(arguments) as guarded.server:
        admin = guarded.admin(guarded.tokens["ops"], guarded.robot)
        for name, target in (("prod", "sentiment"), ("stolen", "language")):
            alias = adapter_admin_pb2.Alias(name=name, targets=[adapter_admin_pb2.AliasTarget(adapter=target)])
            admin.SetAlias(adapter_admin_pb2.SetAliasRequest(alias=alias))
        yield guarded


class _WithToken(
    grpc.UnaryUnaryClientInterceptor, grpc.StreamStreamClientInterceptor, grpc.StreamUnaryClientInterceptor
):
    def __init__(self, token: str) -> None:
        self._metadata = (("authorization", f"Bearer {token}"),)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(client_call_details._replace(metadata=self._metadata, timeout=CALL_SECONDS), request)

    def intercept_stream_stream(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        details = client_call_details._replace(metadata=self._metadata, timeout=CALL_SECONDS)
        return continuation(details, request_iterator)

    intercept_stream_unary = intercept_stream_stream


def _channel(address: str, authority: Authority, signed: Signed | None, token: str) -> grpc.Channel:
    mine = () if signed is None else (signed.key, signed.certificate)
    credentials = grpc.ssl_channel_credentials(authority.certificate, *mine)
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.secure_channel(address.replace("127.0.0.1", "localhost"), credentials, options=options)
    return grpc.intercept_channel(channel, _WithToken(token)) if token else channel


def outcome(call: Callable[[], object]) -> tuple[str, str]:
    """Code and reason that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return _ending(error)
    return OK


def _ending(error: Any) -> tuple[str, str]:
    return error.code().name, _reason(rpc_status.from_call(error))


def _reason(status: Any) -> str:
    info = error_details_pb2.ErrorInfo()
    return info.reason if status is not None and status.details and status.details[0].Unpack(info) else ""


def eventually(holds: Callable[[], bool]) -> None:
    """Return once `holds` is true: the server looks at files by its own clock."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def analyze_request(adapters: Sequence[str]) -> infer_pb2.AnalyzeRequest:
    tasks = [infer_pb2.AnalyzeTask(adapter=each) for each in adapters if each]
    tasks += [infer_pb2.AnalyzeTask(embed=infer_pb2.EmbedOptions()) for each in adapters if not each]
    return infer_pb2.AnalyzeRequest(tasks=tasks, inputs=[infer_pb2.Input(text=TEXTS[0])])


def classify(stub: Any, adapter: str) -> Any:
    return stub.Classify(infer_pb2.ClassifyRequest(adapter=adapter, inputs=[infer_pb2.Input(text=TEXTS[0])]))


@pytest.mark.parametrize(
    ("who", "adapters", "expected"),
    [
        ("acme", ["topic"], OK),
        ("acme", ["sentiment"], OK),
        ("acme", ["topic", "sentiment", "prod"], OK),
        ("acme", ["language"], DENIED),
        ("acme", ["topic", "language"], DENIED),
        ("acme", [""], DENIED),
        ("acme", ["topic", ""], DENIED),
        ("acme", ["stolen"], DENIED),
        ("acme", ["nothing-like-it"], DENIED),
        ("acme", ["missing"], NOT_FOUND),
        ("all", ["topic", "language", "stolen", ""], OK),
        ("all", ["nothing-like-it"], NOT_FOUND),
        ("ops", ["language", ""], OK),
        ("", ["topic"], UNKNOWN),
        ("nobody", ["topic"], UNKNOWN),
    ],
)
def test_a_caller_may_use_what_its_token_allows(
    guarded: Guarded, who: str, adapters: list[str], expected: tuple[str, str]
) -> None:
    stub = guarded.infer(guarded.tokens.get(who, who))
    request = analyze_request(adapters)

    assert expected == outcome(lambda: stub.Analyze(request))
    assert expected == _streamed(stub, [request])[0]


def _streamed(stub: Any, requests: Sequence[infer_pb2.AnalyzeRequest]) -> list[tuple[str, str]]:
    """What each request on one stream gets, in their order; a stream that is refused as a whole gives one."""
    streamed = [infer_pb2.StreamAnalyzeRequest(request_id=str(i), request=it) for i, it in enumerate(requests)]
    try:
        answers = sorted(stub.StreamAnalyze(iter(streamed)), key=lambda answer: int(answer.request_id))
    except grpc.RpcError as error:
        return [_ending(error)]
    codes = {code.value[0]: code.name for code in grpc.StatusCode}
    return [(codes[answer.error.code], _reason(answer.error)) for answer in answers]


def test_a_denied_request_leaves_its_stream_open(guarded: Guarded) -> None:
    requests = [analyze_request([name]) for name in ("topic", "language", "prod", "stolen", "sentiment")]

    assert [OK, DENIED, OK, DENIED, OK] == _streamed(guarded.infer(guarded.tokens["acme"]), requests)


@pytest.mark.parametrize("rpc", ["Classify", "Embed"])
def test_every_rpc_of_one_adapter_holds_to_the_list(guarded: Guarded, rpc: str) -> None:
    stub, inputs = guarded.infer(guarded.tokens["acme"]), [infer_pb2.Input(text=TEXTS[0])]
    request: Any = {"Classify": infer_pb2.ClassifyRequest, "Embed": infer_pb2.EmbedRequest}[rpc]

    assert DENIED == outcome(lambda: getattr(stub, rpc)(request(adapter="language", inputs=inputs)))


@pytest.mark.parametrize("rpc", ["TagTokens", "Answer"])
def test_the_list_comes_before_what_the_adapter_is_for(guarded: Guarded, rpc: str) -> None:
    stub = guarded.infer(guarded.tokens["acme"])
    requests: dict[str, Any] = {
        "TagTokens": infer_pb2.TagTokensRequest(adapter="language", inputs=[infer_pb2.Input(text=TEXTS[0])]),
        "Answer": infer_pb2.AnswerRequest(
            adapter="language", inputs=[infer_pb2.QuestionInput(question="Who?", context=TEXTS[0])]
        ),
    }

    assert DENIED == outcome(lambda: getattr(stub, rpc)(requests[rpc]))


def test_what_names_no_adapter_needs_a_token_alone(guarded: Guarded) -> None:
    tokenize = infer_pb2.TokenizeRequest(inputs=[infer_pb2.Input(text=TEXTS[0])])
    known, unknown = guarded.infer(guarded.tokens["acme"]), guarded.infer()

    for stub, expected in ((known, OK), (unknown, UNKNOWN)):
        assert expected == outcome(partial(stub.Tokenize, tokenize))
        assert expected == outcome(partial(stub.GetModel, infer_pb2.GetModelRequest()))


def test_a_denial_tells_nothing_of_other_adapters(guarded: Guarded) -> None:
    with pytest.raises(grpc.RpcError) as missing:
        classify(guarded.infer(guarded.tokens["acme"]), "missing")
    with pytest.raises(grpc.RpcError) as stolen:
        classify(guarded.infer(guarded.tokens["acme"]), "stolen")

    assert "language" not in str(missing.value) + str(stolen.value)


def test_health_needs_no_token(guarded: Guarded) -> None:
    channel = _channel(guarded.server.data_address, guarded.authority, None, "")

    answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=CALL_SECONDS)

    assert health_pb2.HealthCheckResponse.SERVING == answer.status


def test_the_admin_listener_takes_certificate_and_role_together(guarded: Guarded) -> None:
    expired, stranger = guarded.authority.sign("robot", expired=True), Authority("another").sign("robot")
    cases = [
        ("ops", guarded.robot),
        ("acme", guarded.robot),
        ("", guarded.robot),
        ("ops", None),
        ("ops", expired),
        ("ops", stranger),
    ]

    request = adapter_admin_pb2.GetServerStatusRequest()
    stubs = [guarded.admin(guarded.tokens.get(who, ""), signed) for who, signed in cases]
    outcomes = [outcome(partial(stub.GetServerStatus, request, timeout=CALL_SECONDS)) for stub in stubs]

    assert [OK, DENIED, UNKNOWN, *[("UNAVAILABLE", "")] * 3] == outcomes


def test_an_admin_rpc_is_not_on_the_data_listener(guarded: Guarded) -> None:
    channel = _channel(guarded.server.data_address, guarded.authority, None, guarded.tokens["ops"])
    stub: Any = adapter_admin_pb2_grpc.AdapterAdminStub(channel)

    assert ("UNIMPLEMENTED", "") == outcome(lambda: stub.ListAdapters(adapter_admin_pb2.ListAdaptersRequest()))


def test_an_upload_without_the_role_leaves_nothing(guarded: Guarded, zoo: Zoo) -> None:
    folder = zoo.guest.folder
    assert folder is not None
    names = ("adapter_config.json", "adapter_model.safetensors")
    contents = [(folder / name).read_bytes() for name in names]
    files = [
        adapter_admin_pb2.UploadFile(name=name, size_bytes=len(content))
        for name, content in zip(names, contents, strict=True)
    ]
    metadata = adapter_admin_pb2.UploadAdapterRequest(metadata=adapter_admin_pb2.UploadMetadata(files=files))
    requests = [metadata, *(adapter_admin_pb2.UploadAdapterRequest(chunk=content) for content in contents)]
    refused, uploaded = (guarded.admin(guarded.tokens[who], guarded.robot) for who in ("acme", "ops"))

    assert DENIED == outcome(lambda: refused.UploadAdapter(iter(requests)))
    assert not uploaded.UploadAdapter(iter(requests)).already_stored


def test_a_token_is_replaced_while_the_server_runs(guarded: Guarded) -> None:
    old, new = guarded.tokens["all"], new_token()
    before = [outcome(partial(classify, guarded.infer(token), "topic")) for token in (old, new)]
    guarded.tokens["all"] = new
    guarded.write_tokens()
    eventually(lambda: outcome(lambda: classify(guarded.infer(new), "topic")) == OK)

    assert [OK, UNKNOWN] == before
    assert UNKNOWN == outcome(lambda: classify(guarded.infer(old), "topic"))


def test_a_broken_token_file_keeps_the_tokens_and_is_logged(guarded: Guarded) -> None:
    secret = new_token()
    guarded.write_tokens(more=f"\n{secret}")
    eventually(lambda: any("tokens of" in str(line.get("what")) and line["level"] == "error" for line in _log(guarded)))
    answered = outcome(lambda: classify(guarded.infer(guarded.tokens["acme"]), "topic"))
    guarded.write_tokens()

    assert OK == answered
    assert secret not in str(guarded.server.log)


def test_a_certificate_is_renewed_while_the_server_runs(guarded: Guarded) -> None:
    open_before = guarded.infer(guarded.tokens["acme"])
    classify(open_before, "topic")
    guarded.authority, old = Authority("the next authority"), guarded.authority
    try:
        guarded.authority.sign("server").write(guarded.folder, "server")
        renewed = outcome(lambda: classify(guarded.infer(guarded.tokens["acme"]), "topic"))
    finally:
        guarded.authority = old
        guarded.authority.sign("server").write(guarded.folder, "server")

    assert OK == renewed
    classify(open_before, "topic")
    assert OK == outcome(lambda: classify(guarded.infer(guarded.tokens["acme"]), "topic"))


def test_the_log_tells_who_did_what_and_no_secret(guarded: Guarded, zoo: Zoo) -> None:
    admin = guarded.admin(guarded.tokens["ops"], guarded.robot)
    request = adapter_admin_pb2.LoadAdapterRequest(adapter_id="again", uri=str(zoo.residents["topic"].folder))
    admin.LoadAdapter(request)
    outcome(lambda: guarded.admin(guarded.tokens["acme"], guarded.robot).LoadAdapter(request))
    outcome(lambda: guarded.admin("amx_of-a-thief", guarded.robot).LoadAdapter(request))
    outcome(lambda: classify(guarded.infer("amx_of-a-thief"), "topic"))
    eventually(lambda: 3 <= len(_audited(guarded, "again")))

    lines = _audited(guarded, "again")
    assert [("ops", "OK"), ("acme", DENIED[0]), ("", UNKNOWN[0])] == [(it["token"], it["code"]) for it in lines]
    assert {"robot"} == {line["certificate"] for line in lines}
    assert {"info"} == {line["level"] for line in lines}
    everything = str(guarded.server.log)
    assert not [secret for secret in (*guarded.tokens.values(), "amx_", "Bearer", "PRIVATE") if secret in everything]


def _log(guarded: Guarded) -> list[dict[str, object]]:
    return list(guarded.server.log)


def _audited(guarded: Guarded, adapter_id: str) -> list[dict[str, object]]:
    return [line for line in _log(guarded) if line.get("event") == "audit" and line.get("adapter_id") == adapter_id]


@pytest.mark.parametrize("broken", ["tokens.toml", "server.key", "clients.pem"])
def test_a_server_with_a_broken_file_does_not_start_and_says_which(zoo: Zoo, tmp_path: Path, broken: str) -> None:
    guarded = Guarded(tmp_path)
    (tmp_path / broken).write_text("x")

    arguments = ["--model", str(zoo.base), "--num-threads", "1", *guarded.arguments]
    with pytest.raises(ServerDiedError) as died, local_server(arguments):
        pass

    assert broken in str(died.value)
    assert "Traceback" not in str(died.value)
