"""Folders of adapters: what is read, what is never opened, and what is refused (contract rows 15 to 19 and 22)."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptermux_server.adapters.checkpoint import CheckpointLimits, read_checkpoint
from adaptermux_server.adapters.safetensors_header import parse_header
from adaptermux_server.errors import CheckpointMismatchError, ConfigUnsupportedError, SourceInvalidError
from adaptermux_server.types import ProblemType, Task
from tests.adapters.builders import LORA_CONFIG, lora_tensors, raw_safetensors, write_adapter

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_adapter(tmp_path / "adapter")


def test_a_good_adapter_is_read_as_it_was_saved(folder: Path) -> None:
    checkpoint = read_checkpoint(folder)

    assert (checkpoint.peft_type, checkpoint.task, checkpoint.config["r"]) == ("LORA", Task.SEQUENCE_CLASSIFICATION, 2)
    assert lora_tensors().keys() == checkpoint.tensors.keys()
    for name, tensor in lora_tensors().items():
        assert torch.equal(tensor, checkpoint.tensors[name])
    assert checkpoint.num_bytes == 4 * (8 + 8 + 12)
    assert (checkpoint.labels, checkpoint.problem_type) == (None, None)


def test_labels_and_problem_type_come_from_config_json(tmp_path: Path) -> None:
    model_config = {"id2label": {"1": "b", "0": "a"}, "problem_type": "multi_label_classification"}

    checkpoint = read_checkpoint(write_adapter(tmp_path / "a", model_config=model_config))

    assert (checkpoint.labels, checkpoint.problem_type) == (("a", "b"), ProblemType.MULTI_LABEL)


@pytest.mark.parametrize("task_type", ["QUESTION_ANS", "FEATURE_EXTRACTION"])
def test_tasks_without_labels_take_none_from_config_json(tmp_path: Path, task_type: str) -> None:
    model_config = {"num_labels": 2, "problem_type": "regression"}
    config = {**LORA_CONFIG, "task_type": task_type}

    checkpoint = read_checkpoint(write_adapter(tmp_path / "a", config=config, model_config=model_config))

    assert (checkpoint.labels, checkpoint.problem_type) == (None, None)


def test_the_digest_is_of_the_content_of_the_files_used_alone(tmp_path: Path) -> None:
    first = write_adapter(tmp_path / "a")
    second = write_adapter(tmp_path / "b")
    (second / "README.md").write_text("another card")

    digest = read_checkpoint(first).digest

    assert digest == read_checkpoint(second).digest
    assert len(digest) == 64


@pytest.mark.parametrize("changed", ["weights", "config", "model config"])
def test_the_digest_changes_with_each_file_used(tmp_path: Path, folder: Path, changed: str) -> None:
    options: dict[str, dict[str, Any]] = {
        "weights": {"seed": 1},
        "config": {"config": {**LORA_CONFIG, "revision": "other"}},
        "model config": {"model_config": {}},
    }

    other = write_adapter(tmp_path / "other", **options[changed])

    assert read_checkpoint(folder).digest != read_checkpoint(other).digest


def test_files_that_usually_lie_beside_an_adapter_are_never_opened(folder: Path) -> None:
    for name in ("README.md", "tokenizer.json", "vocab.txt", "spiece.model", ".gitattributes", "training_args.bin"):
        (folder / name).write_bytes(b"\xff")
        (folder / name).chmod(0)
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "adapter_model.bin").write_bytes(b"")

    assert Task.SEQUENCE_CLASSIFICATION is read_checkpoint(folder).task


class Bomb:
    """A pickle of it runs code when it is opened."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("pickle-was-opened",)


@pytest.mark.parametrize("name", ["adapter_model.bin", "x.pt", "x.PTH", "x.pkl", "x.pickle", "x.ckpt"])
def test_row_17_a_pickle_is_refused_and_never_opened(
    folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (folder / name).write_bytes(pickle.dumps(Bomb()))

    with pytest.raises(SourceInvalidError, match="pickle") as caught:
        read_checkpoint(folder)

    assert name == caught.value.metadata["file"]
    assert not (tmp_path / "pickle-was-opened").exists()


@pytest.mark.parametrize(
    "name",
    ["modeling.py", "a.zip", "a.tar.gz", "a.so", "a.sh", "model.safetensors", "model.gguf", "unknown", "..x", "é\n"],
)
def test_row_17_a_file_of_another_kind_is_refused_by_name(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"")

    with pytest.raises(SourceInvalidError, match="no file of an adapter") as caught:
        read_checkpoint(folder)

    assert name == caught.value.metadata["file"]


def test_row_17_a_name_that_is_no_text_is_refused_in_words_that_can_be_sent(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.py")).write_bytes(b"")

    with pytest.raises(SourceInvalidError) as caught:
        read_checkpoint(folder)

    assert caught.value.metadata["file"] == "�.py"


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "README.md", "dangling.json"])
def test_row_17_symlinks_are_refused(folder: Path, name: str, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    if (folder / name).exists():
        (folder / name).rename(target)
    (folder / name).symlink_to(target)

    with pytest.raises(SourceInvalidError, match="symlink"):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_row_17_a_named_pipe_or_folder_in_place_of_a_file_is_refused_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)

    with pytest.raises(SourceInvalidError, match="plain file"):
        read_checkpoint(folder)

    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(SourceInvalidError, match=name):
        read_checkpoint(folder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_row_19_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()

    with pytest.raises(SourceInvalidError, match="is missing") as caught:
        read_checkpoint(folder)

    assert name == caught.value.metadata["file"]


def test_row_19_an_empty_or_absent_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    for name in ("empty", "absent"):
        with pytest.raises(SourceInvalidError):
            read_checkpoint(tmp_path / name)


def test_a_folder_of_very_many_files_is_refused(folder: Path) -> None:
    for index in range(1001):
        (folder / f"{index}.txt").touch()

    with pytest.raises(SourceInvalidError, match="more than 1000 files"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("name", "limits"),
    [
        (CONFIG, CheckpointLimits(config_bytes=10)),
        (WEIGHTS, CheckpointLimits(weights_bytes=100)),
        (WEIGHTS, CheckpointLimits(header_bytes=10)),
    ],
)
def test_a_file_above_its_limit_is_refused(folder: Path, name: str, limits: CheckpointLimits) -> None:
    with pytest.raises(SourceInvalidError, match="allowed are") as caught:
        read_checkpoint(folder, limits)

    assert name == caught.value.metadata["file"]


def test_row_18_a_configuration_of_10_mb_is_refused_unread(folder: Path) -> None:
    os.truncate(folder / CONFIG, 10_000_000)

    with pytest.raises(SourceInvalidError, match="10000000 bytes"):
        read_checkpoint(folder)


def test_row_16_a_sparse_file_with_a_huge_header_is_refused_unread(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((95 << 20).to_bytes(8, "little"))
    os.truncate(folder / WEIGHTS, 1 << 30)

    with pytest.raises(SourceInvalidError, match="the header has 99614720 bytes"):
        read_checkpoint(folder)


@pytest.mark.parametrize("size", [0, 4, 8, 50, -1])
def test_row_16_truncated_weights_are_refused(folder: Path, size: int) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:size])

    with pytest.raises(SourceInvalidError):
        read_checkpoint(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_row_15_a_tensor_that_is_not_finite_is_named(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    tensors = lora_tensors()
    name = sorted(tensors)[1]
    tensors[name] = tensors[name].to(dtype)
    tensors[name][-1, -1] = value

    with pytest.raises(CheckpointMismatchError) as caught:
        read_checkpoint(write_adapter(tmp_path / "a", tensors=tensors))

    assert name == caught.value.metadata["tensor"]


def test_row_22_a_file_that_shrinks_while_it_is_read_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = os.fstat

    def longer(descriptor: int) -> os.stat_result:
        status = honest(descriptor)
        return os.stat_result([*status[:6], status.st_size + 1, *status[7:]])

    monkeypatch.setattr(os, "fstat", longer)

    with pytest.raises(SourceInvalidError, match="became shorter"):
        read_checkpoint(folder)


def test_row_22_the_weights_that_were_checked_are_the_weights_that_are_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced after its check changes nothing: all is read from one descriptor."""
    expected = read_checkpoint(folder)

    def replace_then_parse(header: bytes, data_bytes: int) -> Any:
        os.replace(write_adapter(folder.parent / "other", seed=1) / WEIGHTS, folder / WEIGHTS)
        return parse_header(header, data_bytes)

    monkeypatch.setattr("adaptermux_server.adapters.checkpoint.parse_header", replace_then_parse)

    found = read_checkpoint(folder)

    assert expected.digest == found.digest
    assert all(torch.equal(tensor, found.tensors[name]) for name, tensor in expected.tensors.items())


def test_a_file_that_holds_only_a_header_is_refused(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(raw_safetensors({}))

    with pytest.raises(SourceInvalidError, match="no tensor"):
        read_checkpoint(folder)


def test_row_18_a_method_that_is_not_served_is_refused_by_name(folder: Path) -> None:
    (folder / CONFIG).write_text(json.dumps({"peft_type": "XLORA"}))

    with pytest.raises(ConfigUnsupportedError, match="peft_type"):
        read_checkpoint(folder)
