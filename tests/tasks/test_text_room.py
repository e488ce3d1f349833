"""The bound on texts that wait to be tokenised."""

import pytest

from adaptermux_server.errors import QueueFullError
from adaptermux_server.tasks.text_room import TextRoom


def test_calls_beyond_the_room_are_refused_and_told_when_to_retry() -> None:
    """By how long texts took lately."""
    room = TextRoom(max_characters=1000)
    for _ in range(100):
        room.learn(0.001)

    with (
        room.holding(800),
        pytest.raises(QueueFullError, match=r"full \(limit 1000 characters\): retry after 0\.5 s") as failure,
        room.holding(700),
    ):
        pass

    assert pytest.approx(0.5) == failure.value.retry_seconds


def test_a_call_gives_its_share_back_however_it_ends() -> None:
    """A refused one has none."""
    room = TextRoom(max_characters=1000)

    with pytest.raises(ValueError, match="of ours"), room.holding(600):
        raise ValueError("of ours")
    with room.holding(600), pytest.raises(QueueFullError), room.holding(600):
        pass

    assert 0 == room.num_characters
    with room.holding(1000):
        assert 1000 == room.num_characters


def test_a_lone_call_may_be_larger_than_the_room() -> None:
    """It could never be served otherwise."""
    room = TextRoom(max_characters=1000)

    with room.holding(5000), pytest.raises(QueueFullError), room.holding(1):
        pass


def test_work_is_timed_by_the_character() -> None:
    """What it returns is passed on, what it raises too."""
    room = TextRoom()

    result, character_seconds = room.timed(lambda: "done", 100)()

    assert "done" == result
    assert 0 < character_seconds < 1
    with pytest.raises(ZeroDivisionError):
        room.timed(lambda: 1 / 0, 100)()
