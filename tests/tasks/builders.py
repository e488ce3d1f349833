"""Small tokenizers and encodings for the tests of this package."""

from dataclasses import dataclass, field

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from adaptermux_server.tasks.inputs import Input
from adaptermux_server.tasks.tokenizing import Encoded, Tokenizing
from adaptermux_server.types import AdapterSpec, ExecutorKind, ProblemType, Task

_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
_PIECES = ["the", "cat", "##s", "sit", "##ting", "in", "new", "york", "city", ".", ",", "a", "b", "c"]


@dataclass
class FakeFastTokenizer:
    """What `Tokenizing` needs of a transformers fast tokenizer."""

    backend_tokenizer: Tokenizer
    model_input_names: list[str] = field(default_factory=lambda: ["input_ids", "token_type_ids", "attention_mask"])


def make_tokenizing(max_tokens: int = 32) -> Tokenizing:
    """WordPiece over a dozen pieces, framed by [CLS] and [SEP] as BERT does."""
    vocab = {piece: index for index, piece in enumerate([*_SPECIAL, *_PIECES])}
    backend = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    return Tokenizing(FakeFastTokenizer(backend), max_tokens)


def encode(item: Input) -> Encoded:
    """Encode one input whole."""
    return make_tokenizing().encode_whole(item)


def make_spec(task: Task, labels: tuple[str, ...] = (), problem_type: ProblemType | None = None) -> AdapterSpec:
    """The facts of an adapter with these labels."""
    return AdapterSpec(task, problem_type, labels, "LORA", 8, ("query",), 1024, ExecutorKind.BANK)
