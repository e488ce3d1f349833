"""Tokens, offsets, cutting, and what is too long."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from adaptermux_server.errors import InputTooLongError, InvalidRequestError
from adaptermux_server.tasks.inputs import TextInput, WordsInput
from tests.tasks.builders import encode, make_tokenizing


def test_offsets_count_code_points_of_the_text():
    encoded = encode(TextInput("\U0001f600 cats,a"))

    assert [o for o, w in zip(encoded.offsets[2:-1], encoded.word_ids[2:-1], strict=True)] == [
        (2, 5),
        (5, 6),
        (6, 7),
        (7, 8),
    ]


def test_words_keep_their_own_boundaries():
    encoded = encode(WordsInput(("new york", "cats")))

    assert encoded.word_ids == (None, 0, 0, 1, 1, None)


def test_a_pair_has_sequence_ids_and_types():
    encoded = encode(TextInput("a", "b c"))

    assert encoded.sequence_ids == (None, 0, None, 1, 1, None)
    assert encoded.columns["token_type_ids"] == (0, 0, 0, 1, 1, 1)


def test_the_attention_mask_is_left_to_the_batch():
    assert {"input_ids", "token_type_ids"} == set(encode(TextInput("a")).columns)


def test_a_text_that_fits_exactly_is_not_cut():
    (encoded,) = make_tokenizing(max_tokens=4).encode([TextInput("a b")], truncate=True)

    assert (encoded.num_tokens, encoded.truncated) == (4, False)


def test_a_text_that_is_too_long_is_refused_with_both_numbers():
    with pytest.raises(InputTooLongError) as caught:
        make_tokenizing(max_tokens=4).encode([TextInput("a"), TextInput("a b c")], truncate=False)

    assert caught.value.metadata == {"tokens": "5", "max_tokens": "4"}
    assert "inputs[1]" in str(caught.value)


def test_truncate_cuts_and_says_so():
    (encoded,) = make_tokenizing(max_tokens=4).encode([TextInput("a b c")], truncate=True)

    assert (encoded.tokens, encoded.truncated) == (("[CLS]", "a", "b", "[SEP]"), True)


def test_of_a_question_and_its_context_only_the_context_is_cut():
    (encoded,) = make_tokenizing(max_tokens=7).encode([TextInput("a b", "c c c c")], truncate=True, context=True)

    assert encoded.tokens == ("[CLS]", "a", "b", "[SEP]", "c", "c", "[SEP]")


def test_a_question_that_leaves_no_room_for_its_context_is_refused():
    with pytest.raises(InvalidRequestError, match="question alone"):
        make_tokenizing(max_tokens=5).encode([TextInput("a b c a b c", "a")], truncate=True, context=True)


def test_threads_that_cut_and_threads_that_do_not_agree_with_one_thread():
    tokenizing = make_tokenizing(max_tokens=6)
    texts = [TextInput("a b c " * n) for n in range(1, 9)]
    expected = tokenizing.encode(texts, truncate=True)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: tokenizing.encode(texts, truncate=True), range(50)))

    assert [expected] * 50 == found


def test_a_million_emoji_are_one_unknown_word():
    encoded = encode(TextInput("\U0001f600" * 1_000_000))

    assert encoded.tokens == ("[CLS]", "[UNK]", "[SEP]")
