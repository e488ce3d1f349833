"""The short form of `python -m benchmarks soak`: some seconds of everything at once, at a server's process."""

import pytest

from benchmarks import soak

_MINUTES = 0.2


@pytest.mark.timeout(300)
def test_no_answer_is_wrong_and_no_failure_unexpected_while_all_goes_on_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics = soak.run_for(_MINUTES)

    told = capsys.readouterr().out
    assert (0, 0) == (metrics["wrong"], metrics["unexpected"]), told
    assert 0 == metrics["exit_status"]
    assert metrics["answers"] > 0
    assert metrics["changes"] > 0
    assert soak.TARGETS.keys() <= metrics.keys()
