"""Adapters as people read them: pure, from what the server says to something that rich prints."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from adaptermux_client.admin_results import AdapterInfo, AdapterState, Executor, Tier
from adaptermux_client.cli.output import fitting, plain
from adaptermux_client.cli.units import size, span_of_time
from adaptermux_client.results import ProblemType

_NUM_NAMES = 20
_SHORT = 8  # digits of a revision: as many as requests need to name it
_EXECUTORS = {
    Executor.BANK: "bank (shares batches with other adapters)",
    Executor.SWITCH: "switch (batches of its own)",
}
_TIERS = {
    Tier.DEVICE: "device (in the engine)",
    Tier.HOST: "host (in memory, some milliseconds away)",
    Tier.DISK: "disk (read again when it is asked)",
}
_STATE_STYLES = {
    AdapterState.READY: "green",
    AdapterState.LOADING: "yellow",
    AdapterState.DRAINING: "yellow",
    AdapterState.FAILED: "bold red",
}


def named(adapter: AdapterInfo) -> str:
    """Its id with the beginning of its revision, as requests may name it."""
    return f"{adapter.id}@{adapter.revision[:_SHORT]}" if adapter.revision else adapter.id


def sentence(adapter: AdapterInfo, what_happened: str) -> Text:
    """One line about an adapter that something was done to."""
    text = Text(f"{what_happened} ").append_text(plain(named(adapter), "bold"))
    return text.append_text(plain("".join(f" · {fact}" for fact in summary(adapter)), "dim"))


def summary(adapter: AdapterInfo) -> list[str]:
    """What it is, in a few words each."""
    if not adapter.peft_type:
        return []
    labels = f"{len(adapter.labels)} labels" if adapter.labels else ""
    facts = (words(adapter.task), labels, method(adapter), executor(adapter), size(adapter.size_bytes))
    return [fact for fact in (*facts, "pinned" if adapter.pinned else "") if fact]


def listing(adapters: Sequence[AdapterInfo], now: datetime) -> Table:
    """Adapters, one on a line."""
    return fitting(
        {
            "ID": [plain(each.id, "bold") for each in adapters],
            "STATE": [state(each) for each in adapters],
            "TIER": [Text(tier(each)) for each in adapters],
            "TASK": [Text(words(each.task)) for each in adapters],
            "METHOD": [plain(method(each)) for each in adapters],
            "EXECUTOR": [Text(executor(each)) for each in adapters],
            "LABELS": [Text(str(len(each.labels) or "")) for each in adapters],
            "SIZE": [Text(size(each.size_bytes)) for each in adapters],
            "ROWS": [Text(f"{each.num_rows_answered:,}") for each in adapters],
            "LAST USED": [Text(_ago(each.last_used_time, now)) for each in adapters],
        },
        right=("LABELS", "SIZE", "ROWS"),
        expendable=("EXECUTOR", "ROWS", "LABELS", "LAST USED", "METHOD", "SIZE"),
    )


def details(adapter: AdapterInfo) -> Table:
    """All that is known of one adapter."""
    grid = Table.grid(padding=(0, 2))
    for name, value in _facts(adapter):
        if value:
            grid.add_row(Text(name, style="bold"), value if isinstance(value, Text) else plain(value))
    return grid


def _facts(adapter: AdapterInfo) -> list[tuple[str, str | Text]]:
    waits = "" if adapter.max_wait_seconds is None else f" · waits at most {adapter.max_wait_seconds:g} s"
    kind = "" if adapter.problem_type is ProblemType.UNSPECIFIED else f", {words(adapter.problem_type)}"
    error = f"{adapter.error.reason}: {adapter.error.message}" if adapter.error else ""
    return [
        ("id", plain(adapter.id, "bold")),
        ("state", state(adapter)),
        ("error", plain(error, "red")),
        ("revision", adapter.revision),
        ("earlier", "\n".join(adapter.earlier_revisions)),
        ("task", "" if not adapter.peft_type else words(adapter.task) + kind),
        ("labels", first_few(adapter.labels)),
        ("method", method(adapter)),
        ("executor", _EXECUTORS.get(adapter.executor, "")),
        ("targets", first_few(patterns(adapter.target_modules))),
        ("size", size(adapter.size_bytes) if adapter.size_bytes else ""),
        ("tier", _TIERS.get(adapter.tier, "") + (" · pinned" if adapter.pinned else "")),
        ("share", f"weight {adapter.weight:g}{waits}" if adapter.weight else ""),
        ("metadata", pairs(adapter.metadata)),
        ("source", adapter.uri),
        ("loaded", adapter.load_time.isoformat(timespec="seconds") if adapter.load_time else ""),
        ("answered", f"{adapter.num_rows_answered:,} rows · {adapter.num_in_flight:,} requests in flight"),
    ]


def pairs(metadata: Mapping[str, str]) -> str:
    """Notes as the command line takes them."""
    return "  ".join(f"{key}={value}" for key, value in sorted(metadata.items()))


def patterns(modules: Sequence[str]) -> list[str]:
    """Names with their numbers left open, each once: what is adapted in every layer is one line."""
    return list(dict.fromkeys(re.sub(r"\b\d+\b", "*", module) for module in modules))


def first_few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - _NUM_NAMES
    return ", ".join(names[:_NUM_NAMES]) + (f" … {more:,} more (--json has them all)" if more > 0 else "")


def state(adapter: AdapterInfo) -> Text:
    """Its state, in the colour of it."""
    return Text(adapter.state, style=_STATE_STYLES.get(adapter.state, ""))


def tier(adapter: AdapterInfo) -> str:
    """Where its tensors are, and whether they stay there."""
    return " ".join(filter(None, (words(adapter.tier), "pinned" if adapter.pinned else "")))


def words(name: str) -> str:
    """An enum's name for people; empty where it says nothing."""
    return "" if name == "UNSPECIFIED" else name.replace("_", " ").lower()


def method(adapter: AdapterInfo) -> str:
    """The PEFT method, with its rank where it has one."""
    return f"{adapter.peft_type} r={adapter.rank}" if adapter.rank else adapter.peft_type


def executor(adapter: AdapterInfo) -> str:
    """What computes its rows, if known."""
    return words(adapter.executor)


def _ago(time: datetime | None, now: datetime) -> str:
    return f"{span_of_time((now - time).total_seconds())} ago" if time else "never"
