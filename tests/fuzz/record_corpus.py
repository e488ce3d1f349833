"""Write `corpus/` anew, through a relay: what gRPC's client sends. `python -m tests.fuzz.record_corpus`."""

import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import grpc

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc, infer_pb2, infer_pb2_grpc
from adaptermux_server.testing import local_server
from adaptermux_server.types import Task
from tests.e2e.expected import TEXTS
from tests.support.models import make_adapter, make_base

CORPUS = Path(__file__).parent / "corpus"
_CHUNK_BYTES = 1 << 16


@contextmanager
def _relay(address: str, kept: bytearray) -> Iterator[str]:
    """A port that leads to `address`, once; what is sent to it is kept."""
    host, _, port = address.rpartition(":")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            client, _ = listening.accept()
            server = socket.create_connection((host, int(port)))
            back = threading.Thread(target=_pump, args=(server, client, bytearray()), daemon=True)
            back.start()
            _pump(client, server, kept)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def _pump(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
    # The other direction may have closed both.
    with suppress(OSError):
        while content := source.recv(_CHUNK_BYTES):
            kept += content
            sink.sendall(content)
    sink.close()


def _record(name: str, address: str, call: Callable[[grpc.Channel], object]) -> None:
    kept = bytearray()
    with _relay(address, kept) as relayed:
        options = (("grpc.use_local_subchannel_pool", 1), ("grpc.primary_user_agent", "fuzz"))
        with grpc.insecure_channel(relayed, options) as channel:
            call(channel)
            (CORPUS / f"{name}.h2").write_bytes(bytes(kept))


def _upload(folder: Path) -> Iterator[adapter_admin_pb2.UploadAdapterRequest]:
    content = (folder / "adapter_config.json").read_bytes()
    files = [
        adapter_admin_pb2.UploadFile(name="adapter_config.json", size_bytes=len(content)),
        adapter_admin_pb2.UploadFile(name="adapter_model.safetensors", size_bytes=16),
    ]
    yield adapter_admin_pb2.UploadAdapterRequest(metadata=adapter_admin_pb2.UploadMetadata(files=files))
    yield adapter_admin_pb2.UploadAdapterRequest(chunk=content)
    yield adapter_admin_pb2.UploadAdapterRequest(chunk=bytes(16))


def _refused(call: Callable[[], object]) -> None:
    try:
        call()
    except grpc.RpcError:
        return
    raise AssertionError("an upload of sixteen zeros was taken for an adapter")


def main() -> None:
    """Serve a tiny model, and record."""
    CORPUS.mkdir(exist_ok=True)
    inputs = [infer_pb2.Input(text=TEXTS[0], text_pair=TEXTS[1]), infer_pb2.Input(text=TEXTS[2])]
    classify = infer_pb2.ClassifyRequest(
        adapter="sentiment", inputs=inputs, options=infer_pb2.ClassifyOptions(return_logits=True, top_k=2)
    )
    words = infer_pb2.Input(words=infer_pb2.Words(words=TEXTS[0].split()))
    tasks = [infer_pb2.AnalyzeTask(adapter="sentiment"), infer_pb2.AnalyzeTask(embed=infer_pb2.EmbedOptions())]
    streamed = [
        infer_pb2.StreamAnalyzeRequest(
            request_id=str(number), request=infer_pb2.AnalyzeRequest(tasks=tasks, inputs=[words])
        )
        for number in range(3)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        base = make_base("bert", Path(scratch) / "base")
        folder = make_adapter(base, Path(scratch) / "sentiment", Task.SEQUENCE_CLASSIFICATION)
        with local_server(["--model", str(base), "--adapter", f"sentiment={folder}"]) as server:
            infer: Any = infer_pb2_grpc.InferStub
            admin: Any = adapter_admin_pb2_grpc.AdapterAdminStub
            alias = adapter_admin_pb2.Alias(
                name="prod", targets=[adapter_admin_pb2.AliasTarget(adapter="sentiment", weight=1)]
            )
            data, control = server.data_address, server.admin_address
            _record("data-classify", data, lambda it: infer(it).Classify(classify))
            _record("data-stream-analyze", data, lambda it: list(infer(it).StreamAnalyze(iter(streamed))))
            _record("admin-set-alias", control, lambda it: admin(it).SetAlias(
                adapter_admin_pb2.SetAliasRequest(alias=alias)))  # fmt: skip
            _record("admin-upload", control, lambda it: _refused(lambda: admin(it).UploadAdapter(_upload(folder))))


if __name__ == "__main__":
    main()
