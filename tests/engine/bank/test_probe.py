"""Whether a base may have a bank: it is put to the test, and an odd one is served by the switch executor."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.engine.bank.bank import Bank
from adaptermux_server.engine.bank.probe import bank_holds
from adaptermux_server.engine.engine import EngineSettings, assemble
from adaptermux_server.engine.executor import CombinedExecutor
from adaptermux_server.engine.switch.executor import SwitchExecutor
from adaptermux_server.types import ExecutorKind
from tests.engine.bank.made_up import GATHERING, SEGMENTING
from tests.engine.bank.odd_bases import Bypassing, InPlace, PlainBase, SequenceFirst, Touching
from tests.engine.conftest import MakeCheckpoint
from tests.support.models import FAMILIES

SETTINGS = EngineSettings(model="in memory", kernel_costs=GATHERING)


@pytest.mark.parametrize("family", FAMILIES)
def test_bank_holds_for_every_family(
    family: str, backbone_of: Callable[[str], Backbone], bank_of: Callable[[str], Bank]
) -> None:
    assert bank_holds(bank_of(family), backbone_of(family))


def test_bank_holds_however_it_computes(bert: Backbone) -> None:
    assert bank_holds(Bank(bert, SEGMENTING), bert)


def test_bank_holds_on_a_narrower_base(base_folder: Callable[[str], object]) -> None:
    narrow = load_backbone(str(base_folder("bert")), dtype="bfloat16")

    assert bank_holds(Bank(narrow, GATHERING), narrow)


@pytest.mark.parametrize("base", [PlainBase, Touching, InPlace, Bypassing])
def test_bank_does_not_hold_for_odd_bases(base: type[PlainBase], bert: Backbone) -> None:
    """Rows that touch each other; inputs that change between two readers; modules that aren't always run."""
    backbone = Backbone(base(), bert.tokenizer)

    assert (base is PlainBase) is bank_holds(Bank(backbone, GATHERING), backbone)


def test_probing_leaves_nothing_behind(bert: Backbone) -> None:
    """No hook, no answer that differs, nothing of what was made up."""
    bank = Bank(bert, GATHERING)

    assert bank_holds(bank, bert)
    assert bank_holds(bank, bert)
    assert not any(site.module._forward_hooks for site in bank.sites)
    assert not bank._workspace._held


def test_family_has_a_bank_beside_the_switch_executor(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    with capture_logs() as logs:
        executor, preparer = assemble(bert, SETTINGS)

    assert [] == logs
    assert isinstance(executor, CombinedExecutor)
    assert ExecutorKind.BANK is preparer.prepare(checkpoint_of()).spec.executor


def test_settings_turn_the_bank_off(bert: Backbone, checkpoint_of: MakeCheckpoint) -> None:
    executor, preparer = assemble(bert, EngineSettings(model="in memory", executor="switch"))

    assert isinstance(executor, SwitchExecutor)
    assert ExecutorKind.SWITCH is preparer.prepare(checkpoint_of()).spec.executor


@pytest.mark.parametrize(
    ("base", "reason"),
    [
        (SequenceFirst, "no module of the base model reads its input row by row"),
        (InPlace, "rows side by side would be answered otherwise than alone"),
    ],
)
def test_odd_base_is_served_by_the_switch_executor(base: type[PlainBase], reason: str, bert: Backbone) -> None:
    """Which the log says."""
    with capture_logs() as logs:
        executor, preparer = assemble(Backbone(base(), bert.tokenizer), SETTINGS)

    assert isinstance(executor, SwitchExecutor)
    assert preparer._bank is None
    assert [("bank is off", "warning", reason)] == [(log["event"], log["log_level"], log["reason"]) for log in logs]
