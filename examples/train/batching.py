"""From rows to tensors: tokens, where each word begins, targets, and batches of similar length."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from examples.train.rows import QuestionRow, Row, TaggedRow, TextRow

IGNORED = -100  # The target that the losses of transformers skip.


@dataclass(frozen=True)
class Item:
    """A tokenised row. `words` holds each word's first token; `offsets` the context's characters, for questions."""

    ids: list[int]
    types: list[int]
    targets: Mapping[str, int | float | list[int]]
    words: tuple[int, ...] = ()
    offsets: tuple[tuple[int, int] | None, ...] = ()


def tokenize(
    tokenizer: PreTrainedTokenizerBase, row: Row, label_ids: Mapping[str, int], max_tokens: int
) -> Item | None:
    """Tokenise a row, cut to `max_tokens`; None where the answer of a question was cut away."""
    match row:
        case TextRow():
            encoded = tokenizer(row.text, truncation=True, max_length=max_tokens)
            # A class that training never showed counts as missed, since no prediction equals it.
            target = label_ids.get(row.target, IGNORED) if isinstance(row.target, str) else row.target
            return Item(encoded["input_ids"], encoded["token_type_ids"], {"labels": target})
        case TaggedRow():
            return _tokenize_words(tokenizer, row, label_ids, max_tokens)
        case QuestionRow():
            return _tokenize_question(tokenizer, row, max_tokens)


def batches(items: Sequence[Item], size: int, rng: random.Random | None) -> Iterator[list[int]]:
    """Yield index batches of near-equal lengths; in random order and make-up if `rng` is given."""
    order = list(range(len(items)))
    if rng is None:
        order.sort(key=lambda index: len(items[index].ids))
        yield from (order[at : at + size] for at in range(0, len(order), size))
        return
    rng.shuffle(order)
    # Sorting within windows of 16 batches keeps padding low and the batches still random.
    window = 16 * size
    groups = []
    for start in range(0, len(order), window):
        part = sorted(order[start : start + window], key=lambda index: len(items[index].ids))
        groups += [part[at : at + size] for at in range(0, len(part), size)]
    rng.shuffle(groups)
    yield from groups


def collate(items: Sequence[Item], pad_id: int) -> dict[str, Tensor]:
    """Pad items to one width: input_ids, attention_mask, token_type_ids [rows, width], and the targets."""
    width = max(len(item.ids) for item in items)
    batch = {
        "input_ids": torch.tensor([_pad(item.ids, width, pad_id) for item in items]),
        "attention_mask": torch.tensor([_pad([1] * len(item.ids), width, 0) for item in items]),
        "token_type_ids": torch.tensor([_pad(item.types, width, 0) for item in items]),
    }
    for name in items[0].targets:
        values = [item.targets[name] for item in items]
        batch[name] = torch.tensor([_pad(v, width, IGNORED) if isinstance(v, list) else v for v in values])
    return batch


def _tokenize_words(
    tokenizer: PreTrainedTokenizerBase, row: TaggedRow, label_ids: Mapping[str, int], max_tokens: int
) -> Item:
    encoded = tokenizer(list(row.words), is_split_into_words=True, truncation=True, max_length=max_tokens)
    word_of = encoded.word_ids()
    firsts = [at for at, word in enumerate(word_of) if word is not None and word_of[at - 1] != word]
    targets = [IGNORED] * len(word_of)
    for at in firsts:
        targets[at] = label_ids.get(row.tags[word_of[at]], IGNORED)
    return Item(encoded["input_ids"], encoded["token_type_ids"], {"labels": targets}, words=tuple(firsts))


def _tokenize_question(tokenizer: PreTrainedTokenizerBase, row: QuestionRow, max_tokens: int) -> Item | None:
    encoded = tokenizer(
        row.question, row.context, truncation="only_second", max_length=max_tokens, return_offsets_mapping=True
    )
    offsets = tuple(
        span if sequence == 1 else None
        for span, sequence in zip(encoded["offset_mapping"], encoded.sequence_ids(), strict=True)
    )
    inside = [at for at, span in enumerate(offsets) if span and span[0] < row.end and span[1] > row.start]
    if not inside or offsets[inside[-1]][1] < row.end:  # type: ignore[index]  # `inside` holds no None
        return None
    targets = {"start_positions": inside[0], "end_positions": inside[-1]}
    return Item(encoded["input_ids"], encoded["token_type_ids"], targets, offsets=offsets)


def _pad(values: list[int], width: int, value: int) -> list[int]:
    return values + [value] * (width - len(values))
