"""The tokenizer of all tiny models: some words, and for the rest single characters."""

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

SPECIAL = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
"""The first ids."""
_WORDS = [
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "ran",
    "on",
    "under",
    "mat",
    "tree",
    "good",
    "bad",
    "not",
    "is",
    "red",
    "one",
]
_PIECES = [*"abcdefghijklmnopqrstuvwxyz0123456789.,!?'-", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz0123456789")]


def make_tokenizer(max_tokens: int, *, typed: bool, padded: bool) -> PreTrainedTokenizerFast:
    """Build it for one family: whether it types the tokens of pairs, and whether it has a token for padding."""
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *_WORDS, *_PIECES])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 0), ("[SEP]", 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        model_input_names=["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"],
        cls_token="[CLS]",
        pad_token="[PAD]" if padded else None,
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    )
