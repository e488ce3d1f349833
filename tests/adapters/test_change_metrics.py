"""Loads, uploads and restored adapters are counted, each once and by how it ended."""

import shutil
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from adaptermux_server.adapters.canonical import digest_of
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.errors import AdapterMuxError, ConfigUnsupportedError
from adaptermux_server.metrics import ChangeMetrics
from tests.adapters.rig import BROKEN, Rig
from tests.adapters.uploading import joined, uploading


def counted(metrics: ChangeMetrics, name: str, label: str = "outcome") -> dict[str, float]:
    """Values that aren't 0, by label."""
    registry = CollectorRegistry()
    registry.register(metrics)
    samples = [sample for family in registry.collect() for sample in family.samples if sample.name == name]
    return {sample.labels.get(label, ""): sample.value for sample in samples if sample.value}


async def test_loads_are_counted_by_how_they_ended(rig: Rig) -> None:
    await rig.load("x", "a")
    await rig.load("x", "a", weight=2.0)
    await rig.load("x", "b")
    await rig.load("y", "b")
    rig.model.failures["prepare"] = BROKEN
    for folder in ("c", "nowhere"):
        with pytest.raises(AdapterMuxError):
            await rig.load("z", folder)

    metrics = rig.control.metrics
    expected = {"loaded": 2, "unchanged": 1, "replaced": 1, "failed": 2}
    assert expected == counted(metrics, "adaptermux_loads_total")
    assert expected == counted(metrics, "adaptermux_load_seconds_count")
    failures = counted(metrics, "adaptermux_load_failures_total", "reason")
    assert {"BASE_MISMATCH": 1, "SOURCE_INVALID": 1} == failures


async def test_a_load_that_only_validates_is_none(rig: Rig) -> None:
    await rig.lifecycle.load(LoadOptions("x", uri=str(rig.root / "a"), validate_only=True))

    assert {} == counted(rig.control.metrics, "adaptermux_loads_total")


async def test_restored_adapters_are_counted(rig: Rig) -> None:
    await rig.load("x", "a")
    lost = rig.content((await rig.load("y", "b")).revision)
    shutil.rmtree(lost)
    await rig.stop_and_open()

    await rig.control.restoring.run()

    assert {"restored": 1, "failed": 1} == counted(rig.control.metrics, "adaptermux_restored_adapters")


async def test_adapters_that_are_checked_anew_are_counted(rig: Rig) -> None:
    await rig.load("x", "a")

    await rig.restart("base 2")

    assert {"checked": 1} == counted(rig.control.metrics, "adaptermux_restored_adapters")
    assert {"loaded": 1} == counted(rig.control.metrics, "adaptermux_loads_total")


async def test_uploads_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    async with uploading(tmp_path) as world:
        metrics = ChangeMetrics()
        world.uploads = Uploads(world.catalog, metrics=metrics)

        await world.begin(world.content)
        await world.begin(world.content, digest=digest_of(world.content))
        with pytest.raises(ConfigUnsupportedError):
            await world.begin(world.bad)

        assert {"stored": 1, "known": 1, "failed": 1} == counted(metrics, "adaptermux_uploads_total")
        assert {"": len(joined(world.content))} == counted(metrics, "adaptermux_uploaded_bytes_total")
