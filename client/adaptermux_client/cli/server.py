"""Commands about the server itself."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from adaptermux_client.admin_results import MemoryStatus, ServerStatus, TierCounts
from adaptermux_client.cli import options
from adaptermux_client.cli.border import reporting
from adaptermux_client.cli.connecting import admin_client, chosen, data_client
from adaptermux_client.cli.diagnosis import diagnose
from adaptermux_client.cli.failing import ExitCode
from adaptermux_client.cli.output import plain, print_json, show, stderr, table
from adaptermux_client.cli.units import size, span_of_time
from adaptermux_client.errors import AdapterMuxClientError, UnavailableError
from adaptermux_client.results import HealthStatus, ModelInfo


def status(
    admin_address: options.AdminAddress = options.ADMIN_ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Show the queue, batches, traversals made and avoided, memory and versions."""
    with reporting(admin_address), admin_client(admin_address, timeout) as client:
        found = client.status()
    if as_json:
        print_json(found)
        return
    show(_summary(found, datetime.now(UTC)), *([_queues(found)] if found.queues else []))


def model(
    address: options.Address = options.ADDRESS,
    timeout: options.Timeout = options.TIMEOUT,
    as_json: options.Json = False,
) -> None:
    """Describe the base model, and the PEFT methods that its server loads."""
    with reporting(address), data_client(address, timeout) as client:
        found = client.model()
    if as_json:
        print_json(found)
    else:
        show(_model(found))


def health(
    address: options.Address = options.ADDRESS,
    service: Annotated[str, typer.Option(help="Full name of one service; none: the server as a whole.")] = "",
    timeout: options.Timeout = 5.0,
) -> None:
    """Ask whether the server serves: exits with 0 if it is SERVING, else (also if nobody answers) with 1."""
    try:
        with data_client(address, timeout) as client:
            found = client.health(service)
    except AdapterMuxClientError as error:
        why = diagnose(address, chosen().tls) if isinstance(error, UnavailableError) else ""
        stderr().print(plain(f"{address}: {error.code.name}: {why or error.message}"))
        raise typer.Exit(ExitCode.SERVER_ERROR) from None
    typer.echo(found.value)
    raise typer.Exit(0 if found is HealthStatus.SERVING else ExitCode.SERVER_ERROR)


def _facts(*rows: tuple[str, str]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(plain(name, "bold"), plain(value))
    return grid


def _summary(found: ServerStatus, now: datetime) -> Table:
    up = f", up {span_of_time((now - found.start_time).total_seconds())}" if found.start_time else ""
    states = (f"{count} {state}" for state, count in sorted(found.adapters_by_state.items()))
    kernels = sorted(found.forwards_by_kernel.items())
    rows, costs = found.rows, found.costs
    return _facts(
        ("server", f"AdapterMux {found.version}{up}"),
        ("adapters", " · ".join(states) or "none"),
        ("rows", f"{rows.answered:,} answered of {rows.accepted:,} taken · {found.num_rows_queued:,} waiting"),
        (
            "",
            f"{rows.failed:,} failed · {rows.cancelled:,} cancelled · {rows.expired:,} expired"
            f" · {rows.rejected:,} refused",
        ),
        (
            "batches",
            f"{found.num_batches:,}, of {found.mean_batch_rows:.1f} rows and {found.mean_batch_adapters:.1f} adapters"
            " on average",
        ),
        ("kernels", " · ".join(f"{count:,} {kernel}" for kernel, count in kernels) or "none"),
        ("traversals", _traversals(found)),
        (
            "costs",
            f"traversal {costs.traversal_seconds * 1e3:.2f} ms · batch {costs.batch_seconds * 1e3:.2f} ms"
            f" + {costs.token_seconds * 1e6:.1f} µs a token",
        ),
        *_memory(found.memory),
        ("tiers", " · ".join(f"{count} {tier}" for tier, count in sorted(found.adapters_by_tier.items())) or "none"),
        ("", _tier_counts(found.tier_counts)),
        ("libraries", " · ".join(f"{name} {version}" for name, version in sorted(found.library_versions.items()))),
    )


def _memory(memory: MemoryStatus) -> list[tuple[str, str]]:
    engine = _bounded(memory.adapter_bytes, memory.adapter_bytes_limit)
    host = _bounded(memory.host_adapter_bytes, memory.host_adapter_bytes_limit)
    return [
        ("memory", f"base {size(memory.base_bytes)} · process {size(memory.resident_bytes)}"),
        ("", f"adapters {engine} in the engine · {host} in host memory · {size(memory.store_bytes)} in the store"),
    ]


def _bounded(num_bytes: int, limit: int) -> str:
    return f"{size(num_bytes)} of {size(limit)}" if limit else size(num_bytes)


def _tier_counts(counts: TierCounts) -> str:
    return (
        f"{counts.hits:,} requests found theirs in the engine · {counts.host_misses:,} in host memory"
        f" · {counts.disk_misses:,} on disk · {counts.evictions:,} evictions · {counts.prefetches:,} prefetches"
    )


def _traversals(found: ServerStatus) -> str:
    made, naive = found.num_traversals, found.num_traversals_in_arrival_order
    share = f" ({made / naive:.1%})" if naive else ""
    return f"{made:,} made · {naive:,} in the order of arrival{share}"


def _queues(found: ServerStatus) -> Table:
    grid = table("QUEUE OF", "ROWS", "OLDEST WAITS", right=("ROWS", "OLDEST WAITS"))
    for queue in found.queues:
        name = plain(queue.adapter_id or "base model")
        grid.add_row(name, f"{queue.num_rows:,}", f"{queue.oldest_wait_seconds * 1e3:.1f} ms")
    return grid


def _model(found: ModelInfo) -> Table:
    return _facts(
        ("model", found.model_id),
        ("architecture", found.architecture),
        ("computes", f"in {found.dtype} on {found.device}"),
        ("size", f"{found.num_parameters:,} parameters · hidden size {found.hidden_size:,}"),
        ("input", f"at most {found.max_tokens:,} tokens of {found.vocab_size:,}"),
        ("RPCs", ", ".join(found.rpcs)),
        ("PEFT methods", ", ".join(found.peft_types)),
    )
