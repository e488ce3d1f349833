"""What one would write first: PEFT behind a lock, one request at a time. The yardstick for `served`.

Speaks the same protocol as AdapterMux, as far as the benchmark needs it: `Infer.Classify` with texts.
Run as `python -m benchmarks.naive_server BASE ID=FOLDER …`; it says on standard error, in JSON, where it listens.
"""

import json
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from adaptermux.v1.infer_pb2 import Classification, ClassifyRequest, ClassifyResponse
from adaptermux.v1.types_pb2 import AdapterRef
from benchmarks.adapters import load_classifier

_MAX_WORKERS = 64


class NaiveInfer:
    """All adapters in one `PeftModel`. `set_adapter` changes it as a whole, so a request holds it for itself."""

    def __init__(self, base: Path, adapters: Mapping[str, Path]) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        (first, folder), *others = adapters.items()
        self._model = PeftModel.from_pretrained(load_classifier(base), folder, adapter_name=first).eval()
        for adapter_id, folder in others:
            self._model.load_adapter(folder, adapter_id)
        self._lock = threading.Lock()

    def classify(self, request: ClassifyRequest, context: grpc.ServicerContext) -> ClassifyResponse:
        """Classify each text of the request."""
        with self._lock:
            self._model.set_adapter(request.adapter)
            results = [self._classify(item.text) for item in request.inputs]
        return ClassifyResponse(results=results, adapter=AdapterRef(id=request.adapter))

    @torch.inference_mode()
    def _classify(self, text: str) -> Classification:
        encoded = self._tokenizer(text, return_tensors="pt")
        logits = self._model(**encoded).logits[0]
        result = Classification(num_tokens=encoded["input_ids"].shape[1])
        for score, index in zip(*logits.softmax(-1).sort(descending=True), strict=True):
            result.labels.add(label=self._model.config.id2label[int(index)], score=float(score))
        return result


def main(arguments: Sequence[str]) -> None:
    """Serve until killed."""
    base, *adapters = arguments
    pairs = (adapter.partition("=") for adapter in adapters)
    servicer = NaiveInfer(Path(base), {adapter_id: Path(folder) for adapter_id, _, folder in pairs})
    server = grpc.server(ThreadPoolExecutor(_MAX_WORKERS))
    server.add_generic_rpc_handlers((_handlers(servicer),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    _log(event="listening", listener="data", address=f"127.0.0.1:{port}")
    _log(event="serving")
    server.wait_for_termination()


def _handlers(servicer: NaiveInfer) -> grpc.GenericRpcHandler:
    classify = grpc.unary_unary_rpc_method_handler(
        servicer.classify, ClassifyRequest.FromString, ClassifyResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler("adaptermux.v1.Infer", {"Classify": classify})


def _log(**fields: str) -> None:
    print(json.dumps(fields), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
