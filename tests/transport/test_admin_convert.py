"""What operators see of adapters and of the scheduler."""

from pathlib import Path

import pytest

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.room import TierLimits
from adaptermux_server.transport import admin_convert
from adaptermux_server.types import AdapterSpec, AdapterState, ExecutorKind, Kernel, Task, Tier, TierCounts
from tests.transport.builders import scheduler_status

PROTO = Path(__file__).parents[2] / "proto" / "adaptermux" / "v1" / "adapter_admin.proto"


def record(executor: ExecutorKind, state: AdapterState = AdapterState.READY) -> AdapterRecord:
    spec = AdapterSpec(Task.FEATURE_EXTRACTION, None, (), "LORA", 8, ("query",), 1024, executor)
    return AdapterRecord("vectors", state, "/vectors", spec=spec)


def server_status(**fields: object) -> adapter_admin_pb2.GetServerStatusResponse:
    scheduler = scheduler_status(**fields)
    picture = admin_convert.ServerPicture(
        version="1.0",
        start_time=0.0,
        adapters_by_state={},
        adapters_by_tier={Tier.HOST: 2},
        tier_counts=TierCounts(hits=5, disk_misses=1),
        tier_limits=TierLimits(device_bytes=7),
        adapter_of_slot={},
        scheduler=scheduler,
        base_bytes=0,
        adapter_bytes=0,
        host_adapter_bytes=3,
        store_bytes=4,
        resident_bytes=0,
        library_versions={},
    )
    return admin_convert.server_status(picture)


@pytest.mark.parametrize("state", [AdapterState.READY, AdapterState.UNLOADED])
@pytest.mark.parametrize(
    ("kind", "name"), [(ExecutorKind.BANK, "EXECUTOR_BANK"), (ExecutorKind.SWITCH, "EXECUTOR_SWITCH")]
)
def test_an_adapter_names_its_executor_whether_loaded_or_only_checked(
    kind: ExecutorKind, name: str, state: AdapterState
) -> None:
    message = admin_convert.adapter(record(kind, state))

    assert name == adapter_admin_pb2.Executor.Name(message.executor)


def test_every_executor_has_a_value_in_the_api() -> None:
    assert set(ExecutorKind) == set(admin_convert.EXECUTORS)
    assert {0, *admin_convert.EXECUTORS.values()} == set(adapter_admin_pb2.Executor.values())


def test_an_adapter_that_was_never_checked_has_no_executor() -> None:
    loading = AdapterRecord("vectors", AdapterState.LOADING, "/vectors")

    assert adapter_admin_pb2.EXECUTOR_UNSPECIFIED == admin_convert.adapter(loading).executor


def test_the_status_gives_means_over_forwards() -> None:
    status = server_status(num_batches=4, num_batched_rows=10, num_batched_adapters=6)

    assert (4, 2.5, 1.5) == (status.num_batches, status.mean_batch_rows, status.mean_batch_adapters)


def test_a_server_that_computed_nothing_has_means_of_0() -> None:
    status = server_status()

    assert (0.0, 0.0) == (status.mean_batch_rows, status.mean_batch_adapters)


def test_the_status_counts_forwards_by_the_names_of_kernels() -> None:
    counts = {Kernel.BASE: 1, Kernel.UNIFORM: 2, Kernel.SEGMENTS: 3, Kernel.GATHERED: 4, Kernel.SWITCH: 5}

    status = server_status(num_batches=15, forwards_by_kernel=counts)

    assert {"base": 1, "uniform": 2, "segments": 3, "gathered": 4, "switch": 5} == dict(status.forwards_by_kernel)


def test_every_kernel_is_documented_in_the_api() -> None:
    comment = PROTO.read_text().partition("// Forwards since the start, by how")[2].partition("map<")[0]

    assert [] == [kernel for kernel in Kernel if f'"{kernel.value}" (' not in comment]
