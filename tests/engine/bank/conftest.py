"""Banks on tiny bases, opened once for the session: they hold no adapter that isn't given with a batch."""

from collections.abc import Callable

import pytest

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.prepare import AdapterPreparer
from tests.engine.bank.made_up import GATHERING


@pytest.fixture(scope="session")
def bank_of(backbone_of: Callable[[str], Backbone]) -> Callable[[str], Bank]:
    """A family's bank; what can be gathered is."""
    banks: dict[str, Bank] = {}

    def opened(family: str) -> Bank:
        if family not in banks:
            banks[family] = Bank(backbone_of(family), GATHERING)
        return banks[family]

    return opened


@pytest.fixture(scope="session")
def preparer(backbone_of: Callable[[str], Backbone], bank_of: Callable[[str], Bank]) -> AdapterPreparer:
    """For BERT's bank."""
    return AdapterPreparer(backbone_of("bert"), bank_of("bert"))
