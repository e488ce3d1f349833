"""What can't keep the promise that answers don't depend on the batch is refused before it serves."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.padding import PaddingProbe
from adaptermux_server.engine.prepare import AdapterPreparer
from adaptermux_server.errors import ConfigUnsupportedError
from adaptermux_server.types import Task
from tests.engine.conftest import MakeCheckpoint
from tests.support.models import FAMILIES


@pytest.mark.parametrize("family", FAMILIES)
def test_families_keep_the_promise(family: str, backbone_of: Callable[[str], Backbone]) -> None:
    PaddingProbe(backbone_of(family))


def test_base_whose_answers_depend_on_padding_is_refused(bert: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a model that doesn't look at the attention mask."""
    forward = bert.model.forward

    def blind(input_ids: torch.Tensor, **_: Any) -> Any:
        return forward(input_ids=input_ids)

    monkeypatch.setattr(bert.model, "forward", blind)

    with pytest.raises(ValueError, match="BertModel can't be served: its answers depend on padding"):
        PaddingProbe(bert)


def test_base_that_needs_more_than_a_sequence_is_refused(backbone_of: Callable[[str], Backbone]) -> None:
    """T5's decoder wants tokens of its own."""
    with pytest.raises(ValueError, match="T5Model can't be served: it needs more than one sequence of tokens"):
        PaddingProbe(backbone_of("t5"))


def test_head_that_reads_the_last_position_is_refused(
    backbone_of: Callable[[str], Backbone], checkpoint_of: MakeCheckpoint
) -> None:
    """XLNet's sequence classifier would read padding; its token classifier serves."""
    preparer = AdapterPreparer(backbone_of("xlnet"), None)

    with pytest.raises(ConfigUnsupportedError, match="XLNetModel's head for sequence classification can't be served"):
        preparer.prepare(checkpoint_of("xlnet", Task.SEQUENCE_CLASSIFICATION))
    preparer.prepare(checkpoint_of("xlnet", Task.TOKEN_CLASSIFICATION))
