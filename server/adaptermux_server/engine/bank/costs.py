"""What the bank's kernels cost, measured at the start: how to add up many adapters depends on the machine."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from adaptermux_server.engine.bank.layout import Layout

_CALLS, _COPIES = 200, 20
_COPIED_FLOATS = 1 << 18
"""A mebibyte: about what an adapter of a small model has."""


@dataclass(frozen=True, slots=True)
class KernelCosts:
    """In seconds."""

    call: float
    """Starting the products of one block at one site."""
    copied_float: float
    """Gathering a float."""

    def prefer_gathering(self, layout: Layout, num_rows: int, num_segments: int) -> bool:
        """Whether copying the weights of each row costs less than computing segment by segment.

        The products themselves cost the same either way.
        """
        return num_rows * layout.size * self.copied_float < (num_segments - 1) * layout.num_adapted * self.call


@torch.inference_mode()
def measure_costs(device: torch.device) -> KernelCosts:
    """Take some milliseconds to time tiny products and a copy on the device."""
    x, a, b = (torch.zeros(shape, device=device) for shape in ((4, 8), (4, 8), (8, 4)))
    y = torch.zeros(4, 8, device=device)
    rows = torch.zeros(4, _COPIED_FLOATS, device=device)
    sources = [torch.zeros(_COPIED_FLOATS, device=device) for _ in rows]
    call = _best(lambda: y.addmm_(x @ a.T, b.T), _CALLS, device)
    copy = _best(lambda: torch.stack(sources, out=rows), _COPIES, device)
    return KernelCosts(call=call, copied_float=copy / rows.numel())


def _best(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds of a run, the least of a few averages: whatever else runs can only make it slower."""
    return min(_average(work, repeats, device) for _ in range(3))


def _average(work: Callable[[], object], repeats: int, device: torch.device) -> float:
    _synchronize(device)
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    _synchronize(device)
    return (time.perf_counter() - started) / repeats


def _synchronize(device: torch.device) -> None:
    if device.type != "cpu":
        torch.get_device_module(device).synchronize(device)
