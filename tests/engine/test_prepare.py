"""What is refused before it comes near the model, and what is known of that which isn't."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptermux_server.adapters.checkpoint import Checkpoint
from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.engine.peft_layers import Layers
from adaptermux_server.engine.prepare import AdapterPreparer
from adaptermux_server.errors import (
    BaseMismatchError,
    CheckpointMismatchError,
    ConfigUnsupportedError,
    HeadIncompleteError,
    InvalidRequestError,
)
from adaptermux_server.types import ProblemType, Task
from tests.engine.conftest import MakeCheckpoint
from tests.support.models import make_base

QUERY = "base_model.model.bert.encoder.layer.0.attention.self.query"
SEQUENCE, TOKEN = Task.SEQUENCE_CLASSIFICATION, Task.TOKEN_CLASSIFICATION


def test_spec_states_what_the_adapter_is(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Method, rank, targets within the base, labels by the head's size, bytes in memory."""
    checkpoint = checkpoint_of(num_labels=4, target_modules=["query"])

    spec = AdapterPreparer(bert, None).prepare(checkpoint).spec

    assert (TOKEN, None, "LORA", 4) == (spec.task, spec.problem_type, spec.peft_type, spec.rank)
    assert spec.labels == ("LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3")
    assert spec.target_modules == tuple(f"encoder.layer.{layer}.attention.self.query" for layer in range(2))
    assert spec.size_bytes == checkpoint.num_bytes


@pytest.mark.parametrize(
    ("num_labels", "given", "expected"),
    [
        (1, None, ProblemType.REGRESSION),
        (3, None, ProblemType.SINGLE_LABEL),
        (3, ProblemType.MULTI_LABEL, ProblemType.MULTI_LABEL),
        (2, ProblemType.REGRESSION, ProblemType.REGRESSION),
    ],
)
def test_problem_type_is_as_given_or_by_the_head(
    num_labels: int,
    given: ProblemType | None,
    expected: ProblemType,
    bert: Backbone,
    checkpoint_of: MakeCheckpoint,
) -> None:
    checkpoint = checkpoint_of(task=SEQUENCE, num_labels=num_labels)

    assert AdapterPreparer(bert, None).prepare(checkpoint, (), given).spec.problem_type is expected


def test_labels_of_the_request_name_the_outputs(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    prepared = AdapterPreparer(bert, None).prepare(checkpoint_of(num_labels=2), ("no", "yes"), None)

    assert ("no", "yes") == prepared.spec.labels


def test_labels_of_the_request_must_be_as_many_as_outputs(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    with pytest.raises(InvalidRequestError, match="labels: are 2, and the head has 3 outputs"):
        AdapterPreparer(bert, None).prepare(checkpoint_of(num_labels=3), ("no", "yes"), None)


def test_labels_of_the_files_must_be_as_many_as_outputs(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    checkpoint = checkpoint_of(num_labels=3, labels=("no", "yes"))

    with pytest.raises(CheckpointMismatchError, match=r"classifier\.(weight|bias): has 3 outputs, and config.json"):
        AdapterPreparer(bert, None).prepare(checkpoint, checkpoint.labels or (), None)


def test_task_without_a_head_has_no_labels(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    for task in (Task.QUESTION_ANSWERING, Task.FEATURE_EXTRACTION):
        assert AdapterPreparer(bert, None).prepare(checkpoint_of(task=task)).spec.labels == ()


MISFITS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], Any], type[Exception], str]] = {
    "a tensor is missing": (
        lambda tensors: tensors.pop(f"{QUERY}.lora_A.weight"),
        CheckpointMismatchError,
        f"{QUERY}.lora_A.weight: is missing",
    ),
    "a tensor too many, of an adapted module": (
        lambda tensors: tensors.update({f"{QUERY}.lora_C.weight": torch.zeros(4, 32)}),
        CheckpointMismatchError,
        f"{QUERY}.lora_C.weight: is in the file",
    ),
    "weights of a module that isn't saved": (
        lambda tensors: tensors.update({f"{QUERY}.weight": torch.zeros(32, 32)}),
        CheckpointMismatchError,
        f"{QUERY}.weight: is in the file",
    ),
    "a tensor outside of the model": (
        lambda tensors: tensors.update({"prompt_embeddings": torch.zeros(4, 32)}),
        CheckpointMismatchError,
        "prompt_embeddings: is in the file",
    ),
    "another rank than the configuration's": (
        lambda tensors: tensors.update({f"{QUERY}.lora_A.weight": torch.zeros(5, 32)}),
        CheckpointMismatchError,
        f"{QUERY}.lora_A.weight: has shape [5, 32], expected is [4, 32]",
    ),
    "another number of axes": (
        lambda tensors: tensors.update({f"{QUERY}.lora_A.weight": torch.zeros(4, 32, 1)}),
        CheckpointMismatchError,
        f"{QUERY}.lora_A.weight: has shape [4, 32, 1]",
    ),
    "a hidden size of another base": (
        lambda tensors: tensors.update({f"{QUERY}.lora_A.weight": torch.zeros(4, 48)}),
        BaseMismatchError,
        f"{QUERY}.lora_A.weight: has shape [4, 48], expected is [4, 32]",
    ),
    "a layer that this base lacks": (
        lambda tensors: tensors.update({QUERY.replace("0", "7") + ".lora_A.weight": torch.zeros(4, 32)}),
        BaseMismatchError,
        QUERY.replace("0", "7") + ".lora_A.weight: has no counterpart",
    ),
    "a head on another hidden size": (
        lambda tensors: tensors.update({"base_model.model.classifier.weight": torch.zeros(3, 48)}),
        BaseMismatchError,
        "base_model.model.classifier.weight: has shape [3, 48]",
    ),
    "a head without its weight": (
        lambda tensors: tensors.pop("base_model.model.classifier.weight"),
        HeadIncompleteError,
        "the checkpoint lacks classifier.weight",
    ),
    "a head with fewer biases than rows": (
        lambda tensors: tensors.update({"base_model.model.classifier.bias": torch.zeros(2)}),
        CheckpointMismatchError,
        "base_model.model.classifier.bias: has shape [2], expected is [3]",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_every_tensor_is_used_once_or_the_first_misfit_is_named(
    name: str, bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    change, error, message = MISFITS[name]
    checkpoint = checkpoint_of(target_modules=["query"])
    tensors = dict(checkpoint.tensors)
    change(tensors)

    with pytest.raises(error) as caught:
        AdapterPreparer(bert, None).prepare(replace(checkpoint, tensors=tensors))

    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("trained_on", "served_on"), [("electra", "bert"), ("bert", "roberta"), ("bert", "modernbert")]
)
def test_adapter_of_another_family_is_refused(
    trained_on: str, served_on: str, backbone_of: Callable[[str], Backbone], checkpoint_of: MakeCheckpoint
) -> None:
    with pytest.raises(BaseMismatchError):
        AdapterPreparer(backbone_of(served_on), None).prepare(checkpoint_of(trained_on))


def test_adapter_of_a_deeper_base_is_refused(checkpoint_of: MakeCheckpoint, tmp_path: Path) -> None:
    """Its last layers have no counterpart."""
    shallow = load_backbone(str(make_base("bert", tmp_path / "shallow", num_hidden_layers=1)))

    with pytest.raises(BaseMismatchError, match=r"layer\.1\..* has no counterpart"):
        AdapterPreparer(shallow, None).prepare(checkpoint_of())


def test_head_that_peft_did_not_save_whole_is_refused(
    backbone_of: Callable[[str], Backbone], checkpoint_of: MakeCheckpoint
) -> None:
    """PEFT saves DeBERTa's `classifier` by itself, and not the `pooler` before it."""
    checkpoint = checkpoint_of("deberta-v2", SEQUENCE, modules_to_save=None)

    with pytest.raises(HeadIncompleteError, match=r"lacks pooler\.dense\.bias.*names pooler;"):
        AdapterPreparer(backbone_of("deberta-v2"), None).prepare(checkpoint)


def test_head_that_a_file_holds_in_part_is_refused(
    backbone_of: Callable[[str], Backbone], checkpoint_of: MakeCheckpoint
) -> None:
    """This PEFT saves DistilBERT's `pre_classifier` since its name ends in "classifier"; others don't."""
    checkpoint = checkpoint_of("distilbert", SEQUENCE, modules_to_save=None)
    tensors = {name: tensor for name, tensor in checkpoint.tensors.items() if "pre_classifier" not in name}

    with pytest.raises(HeadIncompleteError, match=r"lacks pre_classifier\.bias, pre_classifier\.weight"):
        AdapterPreparer(backbone_of("distilbert"), None).prepare(replace(checkpoint, tensors=tensors))


def test_head_over_a_pooler_that_the_base_never_had_is_refused(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Its values are random in every process; the adapter may bring its own."""
    without = Backbone(bert.model, bert.tokenizer, missing=frozenset({"pooler.dense.weight", "pooler.dense.bias"}))
    own = {"modules_to_save": ["pooler"], "target_modules": ["query"]}

    with pytest.raises(HeadIncompleteError, match=r"lacks bert\.pooler\.dense\.bias.*names pooler;"):
        AdapterPreparer(without, None).prepare(checkpoint_of(task=SEQUENCE))
    AdapterPreparer(without, None).prepare(checkpoint_of(task=SEQUENCE, **own))
    AdapterPreparer(without, None).prepare(checkpoint_of(task=TOKEN))
    AdapterPreparer(without, None).prepare(checkpoint_of(task=Task.FEATURE_EXTRACTION))


def test_targets_that_name_nothing_are_refused(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    checkpoint = _configured(checkpoint_of(), target_modules=["q_proj"])

    with pytest.raises(BaseMismatchError, match="target_modules names no module of the base model"):
        AdapterPreparer(bert, None).prepare(checkpoint)


def test_configuration_that_peft_can_not_apply_is_refused(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Here: all linear layers of a token classifier, the head among them, which must also be saved."""
    checkpoint = _configured(checkpoint_of(), target_modules="all-linear", modules_to_save=None)

    with pytest.raises(ConfigUnsupportedError, match="PEFT can't apply it to BertModel"):
        AdapterPreparer(bert, None).prepare(checkpoint)


@pytest.mark.parametrize(
    "pattern", [{"query.lora_E": [True] * 6}, {"bert.encoder.layer.0.attention.self.query.lora_E": [True] * 5}]
)
def test_values_kept_by_adalora_must_fit(
    pattern: dict[str, list[bool]], bert: Backbone, checkpoint_of: MakeCheckpoint
) -> None:
    """Each mask belongs to one adapted module, by its full name, and counts all its initial ranks."""
    checkpoint = _configured(checkpoint_of(method="adalora"), rank_pattern=pattern)

    with pytest.raises(ConfigUnsupportedError, match="PEFT can't apply it"):
        AdapterPreparer(bert, None).prepare(checkpoint)


def test_catastrophic_target_pattern_does_not_hang(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """RE2 has matched it before PEFT sees it (the limit on test time would end this test)."""
    with pytest.raises(BaseMismatchError):
        AdapterPreparer(bert, None).prepare(_configured(checkpoint_of(), target_modules=r"(([a-z.0-9_]+)+)+X"))


def test_architecture_without_a_model_for_the_task_is_refused(
    bert: Backbone, checkpoint_of: MakeCheckpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparer = AdapterPreparer(bert, None)
    monkeypatch.setattr(bert, "model", torch.nn.Linear(1, 1))

    with pytest.raises(ConfigUnsupportedError, match="BertModel has no model for token classification"):
        preparer.prepare(checkpoint_of())


def test_methods_compute_in_float32_on_a_narrower_base(
    base_folder: Callable[[str], Path], checkpoint_of: MakeCheckpoint
) -> None:
    """As PEFT has it by default; modules that are replaced as a whole are of the base's type."""
    narrow = load_backbone(str(base_folder("bert")), dtype="bfloat16")
    own = {"modules_to_save": ["pooler"], "target_modules": ["query"]}

    layers = AdapterPreparer(narrow, None).prepare(checkpoint_of(task=SEQUENCE, **own)).content

    assert isinstance(layers, Layers)
    assert {("lora", torch.float32), ("pooler", torch.bfloat16)} == {
        ("lora" if "lora" in name else "pooler", tensor.dtype) for name, tensor in layers.tensors.items()
    }


def test_preparing_touches_nothing_of_the_base(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    """Not a value, not a gradient flag, not a module."""
    before = {name: value.clone() for name, value in bert.model.state_dict().items()}
    modules = [type(module) for module in bert.model.modules()]

    for method in ("lora", "dora", "vera", "oft"):
        AdapterPreparer(bert, None).prepare(checkpoint_of(method=method))

    assert modules == [type(module) for module in bert.model.modules()]
    assert all(torch.equal(before[name], value) for name, value in bert.model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in bert.model.parameters())


def _configured(checkpoint: Checkpoint, **fields: object) -> Checkpoint:
    return replace(checkpoint, config={**checkpoint.config, **fields})
