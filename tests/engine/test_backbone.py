"""Loading a base and stating its facts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
from transformers import AutoTokenizer

from adaptermux_server.engine.backbone import load_backbone
from tests.support.models import FAMILIES, HIDDEN, MAX_TOKENS, make_base


@pytest.mark.parametrize("family", FAMILIES)
def test_any_family_states_its_facts(family: str, base_folder: Callable[[str], Path]) -> None:
    """Families name their sizes differently; RoBERTa keeps two positions for padding."""
    facts = load_backbone(str(base_folder(family))).facts

    assert (HIDDEN, MAX_TOKENS, "float32", "cpu") == (facts.hidden_size, facts.max_tokens, facts.dtype, facts.device)
    assert facts.base_bytes >= 4 * facts.num_parameters > 0


def test_tokenizer_may_set_the_shorter_limit(tmp_path: Path) -> None:
    """The smaller of the model's and the tokenizer's limits holds."""
    base = make_base("bert", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.model_max_length = 20
    tokenizer.save_pretrained(base)

    assert load_backbone(str(base)).facts.max_tokens == 20


def test_reserved_positions_are_not_offered(tmp_path: Path) -> None:
    """Without a limit of the tokenizer's, the model's own counts, less RoBERTa's two positions for padding."""
    base = make_base("roberta", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.model_max_length = int(1e30)
    tokenizer.save_pretrained(base)

    assert load_backbone(str(base)).facts.max_tokens == MAX_TOKENS


def test_weights_are_read_in_the_type_asked_for(base_folder: Callable[[str], Path]) -> None:
    """Facts state the type, and bytes follow it."""
    facts = load_backbone(str(base_folder("electra")), dtype="bfloat16").facts

    assert facts.dtype == "bfloat16"
    assert facts.base_bytes < 3 * facts.num_parameters


def test_missing_pooler_is_noted(tmp_path: Path) -> None:
    """A pooler isn't needed for hidden states: the base loads, and what is random is known."""
    base = _without(make_base("bert", tmp_path), "pooler")

    assert load_backbone(str(base)).missing == {"pooler.dense.weight", "pooler.dense.bias"}


def test_base_without_weights_on_the_way_to_its_answers_is_refused(tmp_path: Path) -> None:
    """Transformers would fill them with random values and only warn."""
    base = _without(make_base("bert", tmp_path), "encoder.layer.1.output.dense")

    with pytest.raises(ValueError, match=r"lacks weights of its own class, such as encoder\.layer\.1\.output\.dense"):
        load_backbone(str(base))


def test_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """Nothing is asked of the network."""
    with pytest.raises((OSError, ValueError)):
        load_backbone(str(tmp_path))


def _without(base: Path, part: str) -> Path:
    path = base / "model.safetensors"
    kept = {name: tensor for name, tensor in safetensors.torch.load_file(path).items() if part not in name}
    safetensors.torch.save_file(kept, path, metadata={"format": "pt"})
    return base
