"""What arrival order would have cost."""

import random

from hypothesis import given
from hypothesis import strategies as st

from adaptermux_server.scheduler.arrivals import ArrivalOrder
from adaptermux_server.types import BASE_SLOT


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30), st.randoms())
def test_changes_are_counted_along_answered_rows_in_arrival_order(
    rows: list[tuple[int, bool]], order_of_leaving: random.Random
) -> None:
    """In whatever order they left; unanswered rows and those of the base don't count."""
    order = ArrivalOrder()
    arrivals = [(order.joined(slot), answered) for slot, answered in rows]
    order_of_leaving.shuffle(arrivals)

    for arrival, answered in arrivals:
        order.left(arrival, answered)

    slots = [slot for slot, answered in rows if answered and slot != BASE_SLOT]
    changes = sum(slot != previous for previous, slot in zip([BASE_SLOT, *slots], slots, strict=False))
    assert changes == order.num_traversals
