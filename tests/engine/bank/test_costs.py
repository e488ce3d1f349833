"""When copying weights costs less than more calls."""

import pytest
import torch

from adaptermux_server.engine.bank.costs import KernelCosts, measure_costs
from adaptermux_server.engine.bank.layout import Layouts
from tests.engine.bank.made_up import MadeUp, low_rank, make_sites

LAYOUT = Layouts(make_sites(MadeUp())).lay_out(dict.fromkeys(("query", "out"), low_rank(4)))
"""256 floats at two sites."""


@pytest.mark.parametrize(
    ("num_rows", "num_segments", "expected"),
    [(2, 2, True), (3, 2, False), (3, 3, True), (4, 3, True), (5, 3, False), (1, 1, False)],
)
def test_gathering_is_preferred_where_its_copies_cost_less(num_rows: int, num_segments: int, expected: bool) -> None:
    """A row's copy costs 0.9 calls: each segment but the first saves two."""
    costs = KernelCosts(call=1.0, copied_float=0.9 / 256)

    assert (256, 2) == (LAYOUT.size, LAYOUT.num_adapted)
    assert expected is costs.prefer_gathering(LAYOUT, num_rows, num_segments)


def test_costs_are_measured_on_the_device() -> None:
    """Starting a product costs far more than copying a float."""
    costs = measure_costs(torch.device("cpu"))

    assert costs.call > costs.copied_float > 0
