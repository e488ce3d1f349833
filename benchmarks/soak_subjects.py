"""What `soak` asks: adapters of all tasks and several methods, the texts, and the answers of each when it is quiet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from peft import LoHaConfig, LoraConfig, PeftConfig, get_peft_model
from transformers import AutoModelForQuestionAnswering, AutoModelForTokenClassification

from adaptermux_client import AsyncAdapterMuxClient, AsyncAdminClient
from adaptermux_client.requests import AnswerTask, ClassifyTask, EmbedTask, TagTask
from adaptermux_client.results import AnswerResult, Classification, Embedding, TaggedSequence, TaskResult
from benchmarks.adapters import BASE_FOLDER, ia3, lora, save_adapters
from benchmarks.traffic import traffic

Answer = npt.NDArray[np.float32]
"""All numbers that one task gives for one input: logits, or the vector."""

TEXTS = tuple(request.text for request in traffic(12, seed=7))
QUESTIONS = tuple(("which market was it", text) for text in TEXTS)
TOLERANCE = 1e-4
"""By which a number may differ, absolutely or, if it is above 1, relatively."""


@dataclass(frozen=True, slots=True)
class Content:
    """An adapter's files and its task; `folder` None: the base, which embeds."""

    folder: Path | None
    task: type[ClassifyTask | TagTask | AnswerTask | EmbedTask]

    @property
    def takes_pairs(self) -> bool:
        """Whether it answers questions, and isn't asked with others."""
        return self.task is AnswerTask


BASE = Content(None, EmbedTask)


def save_contents(folder: Path) -> tuple[Content, ...]:
    """Four adapters of each of six kinds, in turn. LoHa is served by the switch executor, the rest by the bank."""
    loha = LoHaConfig(task_type="SEQ_CLS", r=4, target_modules=["query", "value"])
    configs: Mapping[str, PeftConfig] = {"lora": lora(), "dora": lora(use_dora=True), "ia3": ia3(), "loha": loha}
    kinds = [
        [Content(it, ClassifyTask) for it in save_adapters(folder / name, 4, config=config).values()]
        for name, config in configs.items()
    ]
    kinds.append([_save(folder / f"tag-{seed}", TagTask, seed) for seed in range(4)])
    kinds.append([_save(folder / f"answer-{seed}", AnswerTask, seed) for seed in range(4)])
    return tuple(content for turn in zip(*kinds, strict=True) for content in turn)


def _save(folder: Path, task: type[TagTask | AnswerTask], seed: int) -> Content:
    name, model_class = {
        TagTask: ("TOKEN_CLS", AutoModelForTokenClassification),
        AnswerTask: ("QUESTION_ANS", AutoModelForQuestionAnswering),
    }[task]
    torch.manual_seed(seed)
    config = LoraConfig(task_type=name, r=4, target_modules=["query", "value"], init_lora_weights=False)
    model = get_peft_model(model_class.from_pretrained(BASE_FOLDER), config)
    model.save_pretrained(folder, save_embedding_layers=False)
    return Content(folder, task)


async def ask(client: AsyncAdapterMuxClient, adapter: str, content: Content, indexes: Sequence[int]) -> list[Answer]:
    """Ask for some of the texts by the RPC of the content's own task."""
    texts, questions = [TEXTS[each] for each in indexes], [QUESTIONS[each] for each in indexes]
    results: Any
    match content.task.__name__:
        case "ClassifyTask":
            results = await client.classify(adapter, texts, return_logits=True)
        case "TagTask":
            results = await client.tag(adapter, texts, return_logits=True)
        case "AnswerTask":
            results = await client.answer(adapter, questions, return_logits=True)
        case _:
            results = await client.embed(texts, adapter=adapter)
    return [numbers(result) for result in results]


def task_for(adapter: str, content: Content) -> ClassifyTask | TagTask | AnswerTask | EmbedTask:
    """The same as a task of `analyze`."""
    return EmbedTask(adapter) if content.task is EmbedTask else content.task(adapter, return_logits=True)


def numbers(result: TaskResult) -> Answer:
    """What is compared of a result, [num_numbers]."""
    match result:
        case Classification():
            found: Sequence[float] = result.logits
        case TaggedSequence():
            found = [logit for tag in result.tags for logit in tag.logits]
        case AnswerResult():
            found = [*result.start_logits, *result.end_logits]
        case Embedding():
            found = result.values
    return np.array(found, np.float32)


async def quiet_answers(
    client: AsyncAdapterMuxClient, admin: AsyncAdminClient, contents: Sequence[Content]
) -> Mapping[Content, Sequence[Answer]]:
    """What each content, and the base, answers to each text, asked one text at a time with nothing else going on."""
    answers = {BASE: [(await ask(client, "", BASE, [index]))[0] for index in range(len(TEXTS))]}
    for content in contents:
        await admin.load_adapter("alone", content.folder)
        answers[content] = [(await ask(client, "alone", content, [index]))[0] for index in range(len(TEXTS))]
    await admin.delete_adapter("alone")
    return answers


def same(answer: Answer, expected: Answer) -> bool:
    """Whether all numbers are right."""
    return answer.shape == expected.shape and np.allclose(answer, expected, rtol=TOLERANCE, atol=TOLERANCE)
