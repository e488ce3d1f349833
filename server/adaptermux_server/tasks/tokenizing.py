"""Texts and words to token ids, with offsets; safe to call from many threads.

transformers' tokenizers keep truncation as mutable state of one shared object, so two threads that want different
truncation race ("Already borrowed"). Here each way of cutting has a tokenizer of its own that is never changed again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tokenizers import Encoding as RawEncoding
from tokenizers import Tokenizer

from adaptermux_server.errors import InputTooLongError, InvalidRequestError
from adaptermux_server.tasks.inputs import Input, TextInput, WordsInput


class FastTokenizer(Protocol):
    """What this module needs of a transformers fast tokenizer."""

    backend_tokenizer: Any
    model_input_names: Sequence[str]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One input as tokens. All sequences but `columns` have an entry for each token, special ones included."""

    source: Input
    columns: Mapping[str, tuple[int, ...]]
    """What the model takes, by name, without the attention mask."""
    tokens: tuple[str, ...]
    offsets: tuple[tuple[int, int], ...]
    """Code points of the text (of the word, for words) that the token belongs to."""
    word_ids: tuple[int | None, ...]
    """Position of the word: as given, or as the tokenizer splits a text. None: special."""
    sequence_ids: tuple[int | None, ...]
    """0 for the first text, 1 for the second. None: special."""
    truncated: bool

    @property
    def num_tokens(self) -> int:
        """Special tokens included."""
        return len(self.tokens)


class Tokenizing:
    """Encodes inputs for one base model, whole or cut to what the model takes."""

    def __init__(self, tokenizer: FastTokenizer, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._columns = tuple(name for name in tokenizer.model_input_names if name != "attention_mask")
        texts = tokenizer.backend_tokenizer.to_str()
        words = _with_prefix_space(texts)
        self._whole = {TextInput: _backend(texts), WordsInput: _backend(words)}
        self._cut = {TextInput: _backend(texts, max_tokens), WordsInput: _backend(words, max_tokens)}
        self._cut_context = _backend(texts, max_tokens, "only_second")

    def encode(self, inputs: Sequence[Input], *, truncate: bool, context: bool = False) -> list[Encoded]:
        """Encode each input; `context`: they are (question, context) pairs of which only the context may be cut.

        Raises:
            InputTooLongError: an input has too many tokens, and `truncate` is off.
            InvalidRequestError: the question alone leaves no room for its context.
        """
        encoded = []
        for index, item in enumerate(inputs):
            whole = self.encode_whole(item)
            if whole.num_tokens <= self.max_tokens:
                encoded.append(whole)
            elif truncate:
                encoded.append(self._encode_cut(index, item, context))
            else:
                raise InputTooLongError(index, whole.num_tokens, self.max_tokens)
        return encoded

    def encode_whole(self, item: Input) -> Encoded:
        """Encode one input without cutting it."""
        return self._encoded(item, _encode(self._whole[type(item)], item), truncated=False)

    def _encode_cut(self, index: int, item: Input, context: bool) -> Encoded:
        backend = self._cut_context if context else self._cut[type(item)]
        try:
            raw = _encode(backend, item)
        except Exception as error:  # the library raises a bare Exception where the first text alone is too long
            text = f"the question alone has more tokens than the model takes ({self.max_tokens}): shorten it"
            raise InvalidRequestError((f"inputs[{index}]", text)) from error
        return self._encoded(item, raw, truncated=True)

    def _encoded(self, item: Input, raw: RawEncoding, *, truncated: bool) -> Encoded:
        return Encoded(
            source=item,
            columns={name: tuple(getattr(raw, _RAW_NAMES.get(name, name))) for name in self._columns},
            tokens=tuple(raw.tokens),
            offsets=tuple(raw.offsets),
            word_ids=tuple(raw.word_ids),
            sequence_ids=tuple(raw.sequence_ids),
            truncated=truncated,
        )


_RAW_NAMES = {"input_ids": "ids", "token_type_ids": "type_ids"}


def _with_prefix_space(serialized: str) -> str:
    """The same tokenizer for ready-made words: byte-level ones must treat each as if a space stood before it.

    As `add_prefix_space=True` does, with which transformers insists that such tokenizers are loaded for words.
    """
    return json.dumps(json.loads(serialized, object_hook=_set_prefix_space))


def _set_prefix_space(fields: dict[str, Any]) -> dict[str, Any]:
    return {**fields, "add_prefix_space": True} if "add_prefix_space" in fields else fields


def _backend(serialized: str, max_tokens: int | None = None, strategy: str = "longest_first") -> Tokenizer:
    backend = Tokenizer.from_str(serialized)
    backend.no_padding()
    if max_tokens is None:
        backend.no_truncation()
    else:
        backend.enable_truncation(max_tokens, strategy=strategy)
    return backend


def _encode(backend: Tokenizer, item: Input) -> RawEncoding:
    if isinstance(item, WordsInput):
        return backend.encode(list(item.words), is_pretokenized=True)
    return backend.encode(item.text, item.pair)
