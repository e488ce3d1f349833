"""Row 5: texts that are valid and strange: right offsets, no crash, and a time that doesn't grow with their square."""

import time

from adaptermux.v1 import infer_pb2
from tests.contract.world import Case, World

_MEGABYTE = 1 << 20
# A text of some megabyte takes tens of milliseconds; what is quadratic takes hours.
_MAX_SECONDS = 20.0
_WORD = "cat"

_TEXTS = {
    "one-emoji": "🙂" * (_MEGABYTE // 4),
    "emoji-apart": "🙂 " * (_MEGABYTE // 20),
    "joined-emoji": "👩‍👩‍👧‍👦" * (_MEGABYTE // 25),
    "right-to-left": "שלום עולם " * 10_000,
    "zero-width": "\u200b\u200d\ufeff" * (_MEGABYTE // 9),
    "control-characters": "\x00\x01\x1f\x7f" * 240_000,
    "combining-marks": "e" + "\u0301" * (_MEGABYTE // 2),
}


def _strange(name: str, text: str) -> Case:
    async def scenario(world: World) -> None:
        # The words stand behind and between what may be dropped, replaced or counted in other units.
        whole = f"{text} {_WORD} {text[:100]} {_WORD}"
        started = time.perf_counter()
        response = await world.infer.Tokenize(infer_pb2.TokenizeRequest(inputs=[infer_pb2.Input(text=whole)]))
        assert time.perf_counter() - started < _MAX_SECONDS
        _assert_offsets(whole, response.results[0].tokens)

    return Case(5, f"tokens-of-{name}", scenario)


def _assert_offsets(text: str, tokens: object) -> None:
    found = [(token.start, token.end) for token in tokens if not token.special]  # type: ignore[attr-defined]
    first = len(text) - len(text[text.index(_WORD) :])
    last = len(text) - len(_WORD)
    assert {(first, first + len(_WORD)), (last, len(text))} <= set(found)
    assert all(0 <= start <= end <= len(text) for start, end in found)
    assert sorted(found) == found


def _cut(name: str, text: str) -> Case:
    async def scenario(world: World) -> None:
        whole = f"{_WORD} {text}"
        request = infer_pb2.TagTokensRequest(adapter="pos", inputs=[infer_pb2.Input(text=whole)], truncate=True)
        started = time.perf_counter()
        tags = (await world.infer.TagTokens(request)).results[0].tags
        assert time.perf_counter() - started < _MAX_SECONDS
        assert _WORD == tags[0].text
        assert all(tag.text == whole[tag.start : tag.end] for tag in tags)

    return Case(5, f"tags-of-{name}", scenario)


async def _words_without_tokens(world: World) -> None:
    words = infer_pb2.Words(words=["\u200b", _WORD, "\x00", "\u202e", _WORD])
    request = infer_pb2.TagTokensRequest(adapter="pos", inputs=[infer_pb2.Input(words=words)])
    tags = (await world.infer.TagTokens(request)).results[0].tags
    assert [(1, _WORD), (4, _WORD)] == [(tag.index, tag.text) for tag in tags]


CASES = [
    *(_strange(name, text) for name, text in _TEXTS.items()),
    *(_cut(name, text) for name, text in _TEXTS.items()),
    Case(5, "words-without-tokens", _words_without_tokens),
]
