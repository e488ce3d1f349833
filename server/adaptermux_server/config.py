"""Settings of the server: from the command line, the environment (`ADAPTERMUX_…`) or defaults."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class ServerSettings(BaseSettings):
    """All that an operator may choose. Sizes are in bytes, times in seconds, queue limits in rows."""

    model_config = SettingsConfigDict(env_prefix="ADAPTERMUX_", frozen=True, extra="forbid")

    model: str
    """Folder of the base model, or its id in the local cache of the model hub."""
    model_id: str | None = None
    """Name of the base model towards clients; None: the last part of `model`."""
    adapters: dict[str, str] = Field(default_factory=dict)
    """Adapters to load at the start: id → folder."""
    adapter_roots: tuple[Path, ...] = ()
    """Folders under which LoadAdapter may read. The folders of `adapters` are always readable."""

    address: str = "127.0.0.1:50051"
    admin_address: str = "127.0.0.1:50052"
    metrics_address: str | None = None
    """Where to serve Prometheus metrics over HTTP; None: nowhere."""
    max_message_bytes: int = Field(default=4 << 20, ge=64 << 10, le=256 << 20)
    max_pending_rpcs: int = Field(default=20_000, ge=100)
    """Calls that gRPC holds before a handler takes them; beyond it gRPC itself drops calls."""
    max_concurrent_streamed_requests: int = Field(default=64, ge=1, le=4096)
    """Requests of one StreamAnalyze stream that are worked on at once."""

    device: str = "cpu"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    num_threads: int | None = Field(default=None, ge=1)
    """Threads of one forward on the CPU; None: as torch chooses."""
    executor: Literal["auto", "switch"] = "auto"
    """`auto`: adapters that fit the bank's form share batches, the others take turns; `switch`: all take turns."""
    adapters_per_tree: int = Field(default=16, ge=1, le=4096)
    """Adapters that share one PEFT module tree: a bound on the cost of a traversal and of a load."""
    num_text_workers: int = Field(default=2, ge=1, le=64)
    """Threads that tokenise and post-process."""

    max_batch_rows: int = Field(default=32, ge=1, le=4096)
    max_batch_tokens: int = Field(default=4096, ge=16)
    """Of one batch without padding; of one forward with it: longest row × rows."""
    max_wait_seconds: float = Field(default=1.0, gt=0, le=3600)
    """How long an adapter's oldest row waits before its adapter is given precedence."""
    max_queued_rows: int = Field(default=8192, ge=1)
    max_queued_rows_per_adapter: int = Field(default=4096, ge=1)

    drain_seconds: float = Field(default=30.0, ge=0, le=3600)
    """How long a stopping server lets queued requests finish."""
    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.address == self.admin_address and not self.address.endswith(":0"):
            raise ValueError(f"address and admin_address must differ, both are {self.address}")
        return self

    @property
    def shown_model_id(self) -> str:
        """The name of the base model towards clients."""
        return self.model_id or Path(self.model).name

    @property
    def allowed_roots(self) -> tuple[Path, ...]:
        """Folders that loads may read: the configured roots, and the folders of the adapters loaded at the start."""
        return self.adapter_roots + tuple(self.resolved(folder) for folder in self.adapters.values())

    @staticmethod
    def resolved(folder: str) -> Path:
        """An adapter's folder as an absolute path."""
        return Path(folder).resolve()
