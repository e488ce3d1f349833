"""A store with thousands of adapters, each with weights of its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from adaptermux_server.adapters.store.store import Store
from adaptermux_server.adapters.store.stored import StoredAdapter
from adaptermux_server.types import AdapterSpec

_WEIGHTS_FILE = "adapter_model.safetensors"
_DEVIATION = 0.05
_IN_MEMORY = Path("/dev/shm")


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder for a store, in memory where the system has such a place: nothing there waits for a disk to sync."""
    with TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def adapter_id(number: int) -> str:
    """Of the adapter with a number, from 0."""
    return f"adapter-{number}"


def fill_store(root: Path, template: Path, count: int, spec: AdapterSpec, base: str) -> None:
    """Register adapters as loads would: random weights in the place of those of `template`. 2 ms each in memory.

    `spec`: of the template; `base`: see `StoredAdapter`.
    """
    folder = root.parent / "written"
    shutil.copytree(template, folder)
    shapes = {name: tensor.shape for name, tensor in load_file(template / _WEIGHTS_FILE).items()}
    with Store(root) as store:
        for number in range(count):
            save_file(_random(shapes, number), folder / _WEIGHTS_FILE)
            content = store.content.add_folder(folder)
            store.database.put_adapter(StoredAdapter(adapter_id(number), content.digest, spec=spec, base=base))


def _random(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, npt.NDArray[np.float32]]:
    random = np.random.default_rng(seed)
    return {name: random.normal(0.0, _DEVIATION, shape).astype(np.float32) for name, shape in shapes.items()}
