"""A real `adaptermux serve` with the models of the table."""

from collections.abc import Iterator
from contextlib import contextmanager

from adaptermux_server.testing import LocalServer, local_server
from tests.conformance.models import MODEL_ID, RECIPES, SPARE, Models


@contextmanager
def serving(models: Models) -> Iterator[LocalServer]:
    """Serve all adapters but the spare one, until the context ends."""
    options = [f"--model={models.base}", f"--model-id={MODEL_ID}", f"--adapter-root={models.adapters}"]
    options += [f"--adapter={name}={models.adapters / name}" for name in RECIPES if name != SPARE]
    environment = {"OMP_NUM_THREADS": "1", "ADAPTERMUX_DRAIN_SECONDS": "5"}
    with local_server([*options, "--num-threads=1"], environment) as server:
        yield server
