"""What `mixed` compares: forwards of the bank and of plain PEFT with the same adapters."""

from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.content import BankContent
from adaptermux_server.engine.collate import Batch, Columns
from benchmarks.adapters import BASE_FOLDER, load_peft
from benchmarks.engines import OpenBank, plan
from benchmarks.pairs import Work


def can_mix(config: PeftConfig) -> bool:
    """Whether plain PEFT mixes adapters by `adapter_names=`: it does so for LoRA without DoRA."""
    return isinstance(config, LoraConfig) and not config.use_dora


def bare_forward(backbone: Backbone, batch: Batch) -> Work:
    """The base model alone."""

    @torch.inference_mode()
    def work() -> None:
        backbone.model(**batch.inputs)

    return work


class BankLineup:
    """Adapters in the bank. From batch to batch they change, so that nothing is left over from the one before."""

    def __init__(self, backbone: Backbone, folders: Sequence[Path], count: int) -> None:
        self._open = OpenBank(backbone)
        self._open.install(folders, count)
        self._slots = cycle(range(1, count + 1))

    def uniform(self, batch: Batch) -> Work:
        """The forward with all rows of one adapter."""
        return lambda: self._open.bank.compute(batch, self._contents(1) * len(batch.lengths))

    def mixed(self, batch: Batch) -> Work:
        """The forward with each row of another."""
        return lambda: self._open.bank.compute(batch, self._contents(len(batch.lengths)))

    def mixed_with_base(self, batch: Batch) -> Work:
        """The same, but for one row of the base."""
        return lambda: self._open.bank.compute(batch, [*self._contents(len(batch.lengths) - 1), None])

    def engine_uniform(self, rows: Sequence[Columns]) -> Work:
        """All that the engine does for rows of one adapter."""
        return lambda: self._open.executor.run(plan(self._take(1) * len(rows), rows))

    def engine_mixed(self, rows: Sequence[Columns]) -> Work:
        """All that the engine does for rows of as many adapters."""
        return lambda: self._open.executor.run(plan(self._take(len(rows)), rows))

    def logits(self, slots: Sequence[int], rows: Sequence[Columns]) -> torch.Tensor:
        """What rows of `slots` yield in one batch, [rows, labels]."""
        values = self._open.executor.run(plan(slots, rows)).values
        return torch.stack([torch.from_numpy(row) for row in values])

    def _contents(self, num_slots: int) -> list[BankContent | None]:
        """Of the next slots, those of one layout side by side as the bank wants it."""
        contents = (self._open.contents[slot - 1] for slot in self._take(num_slots))
        return [*sorted(contents, key=lambda content: id(content.layout))]

    def _take(self, num_slots: int) -> list[int]:
        return list(islice(self._slots, num_slots))


class PeftLineup:
    """The same adapters in one plain PEFT model."""

    def __init__(self, folders: Sequence[Path], base: Path = BASE_FOLDER) -> None:
        self._names = [str(number) for number in range(len(folders))]
        self._model = load_peft(folders, base)

    def uniform(self, batch: Batch) -> Work:
        """The forward with the adapter that was activated before."""
        return lambda: self._forward(batch)

    def mixed(self, batch: Batch) -> Callable[[], torch.Tensor]:
        """The forward with each row of another adapter; yields their logits."""
        return lambda: self._forward(batch, adapter_names=self._names[: len(batch.lengths)])

    def logits(self, number: int, batch: Batch) -> torch.Tensor:
        """What one adapter alone yields, [rows, labels]."""
        self._model.set_adapter(self._names[number])
        return self._forward(batch)

    @torch.inference_mode()
    def _forward(self, batch: Batch, **options: list[str]) -> torch.Tensor:
        logits: torch.Tensor = self._model(**batch.inputs, **options).logits
        return logits
