"""The yardstick of `served` gives right answers: a fast wrong one would be none."""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoTokenizer

from adaptermux.v1.infer_pb2 import ClassifyRequest, Input
from benchmarks.adapters import NUM_LABELS, load_classifier, save_adapters
from benchmarks.naive_server import NaiveInfer


def test_adapters_differ_in_every_tensor(base: Path, tmp_path: Path) -> None:
    first, second = (
        PeftModel.from_pretrained(load_classifier(base), folder) for folder in save_adapters(tmp_path, 2, base).values()
    )

    pairs = [
        (name, ours, theirs)
        for (name, ours), theirs in zip(first.named_parameters(), second.parameters(), strict=True)
        if "lora_" in name or "modules_to_save" in name
    ]
    assert pairs
    assert [] == [name for name, ours, theirs in pairs if torch.equal(ours, theirs)]


def test_answers_equal_plain_peft_with_one_adapter(base: Path, tmp_path: Path) -> None:
    """Whatever adapter was asked before."""
    adapters = save_adapters(tmp_path, 3, base)
    server = NaiveInfer(base, adapters)
    text = "good bad film film"

    for adapter_id in [*adapters, *reversed(adapters)]:
        request = ClassifyRequest(adapter=adapter_id, inputs=[Input(text=text)])
        response = server.classify(request, context=None)  # type: ignore[arg-type]

        answer = {label.label: label.score for label in response.results[0].labels}
        assert _plain_peft(base, adapters[adapter_id], text) == pytest.approx(answer, abs=1e-6)


def _plain_peft(base: Path, folder: Path, text: str) -> dict[str, float]:
    model = PeftModel.from_pretrained(load_classifier(base), folder).eval()
    encoded = AutoTokenizer.from_pretrained(base)(text, return_tensors="pt")
    with torch.inference_mode():
        scores = model(**encoded).logits[0].softmax(-1)
    return {f"LABEL_{index}": float(scores[index]) for index in range(NUM_LABELS)}
