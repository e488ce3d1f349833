"""Settings that contradict each other are refused at the start, by both names."""

import pytest

from adaptermux_server.scheduler.settings import SchedulerSettings


@pytest.mark.parametrize("name", ["max_batch_rows", "max_batch_tokens", "max_wait_seconds", "max_queued_rows"])
def test_settings_must_be_above_zero(name: str) -> None:
    """The message names the setting."""
    with pytest.raises(ValueError, match=f"{name} is 0: it must be above 0"):
        SchedulerSettings(**{name: 0})


@pytest.mark.parametrize(
    ("lower", "upper"),
    [("max_batch_rows", "max_queued_rows_per_adapter"), ("max_queued_rows_per_adapter", "max_queued_rows")],
)
def test_limits_that_contradict_are_named_together(lower: str, upper: str) -> None:
    """One adapter's share can't be above the whole, nor a batch above the share."""
    with pytest.raises(ValueError, match=f"{lower} is 11 and {upper} is 10"):
        SchedulerSettings(**{"max_batch_rows": 1, lower: 11, upper: 10})
