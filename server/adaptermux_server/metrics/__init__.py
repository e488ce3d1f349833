"""Prometheus metrics: counted where things happen, or read from those who know when they are scraped.

Each file owns the metrics of one subject; `assembly` puts all of them into one registry. docs/metrics.md is their
reference, generated from here.
"""

from adaptermux_server.metrics.assembly import Figures, Instruments, assemble
from adaptermux_server.metrics.changes import ChangeMetrics, LoadOutcome, RestoreOutcome, UploadOutcome
from adaptermux_server.metrics.forwards import ForwardMetrics
from adaptermux_server.metrics.gateway import GatewayCollector, GatewayFigures
from adaptermux_server.metrics.health import HealthCollector
from adaptermux_server.metrics.per_adapter import AdapterCollector
from adaptermux_server.metrics.rpcs import RpcMetrics
from adaptermux_server.metrics.scheduling import SchedulerCollector
from adaptermux_server.metrics.tiers import TierCollector, TierFigures

__all__ = [
    "AdapterCollector",
    "ChangeMetrics",
    "Figures",
    "ForwardMetrics",
    "GatewayCollector",
    "GatewayFigures",
    "HealthCollector",
    "Instruments",
    "LoadOutcome",
    "RestoreOutcome",
    "RpcMetrics",
    "SchedulerCollector",
    "TierCollector",
    "TierFigures",
    "UploadOutcome",
    "assemble",
]
