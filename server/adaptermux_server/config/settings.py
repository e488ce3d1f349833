"""All settings of the server, each described once: option help, the reference and the checks are made of this."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict


class ServerSettings(BaseSettings):
    """All that an operator may choose. Sizes are in bytes, times in seconds, queue limits in rows.

    The constructor takes what it is given and nothing else; `load` looks at the environment and a file too.
    """

    model_config = SettingsConfigDict(
        env_prefix="ADAPTERMUX_",
        env_ignore_empty=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    model: str
    """Folder of the base model, or its id in the local cache of the model hub."""
    model_id: str | None = None
    """Name of the base model towards clients; by default the last part of `model`."""

    adapters: dict[str, str] = Field(default_factory=dict)
    """Adapters to load at the start, each an id and its folder."""
    adapter_roots: tuple[str, ...] = ()
    """Folders, or URIs such as s3://bucket/prefix, under which LoadAdapter may read. The folders of `adapters` are
    always readable."""
    store: Path | None = None
    """Folder that keeps contents, registrations and aliases over restarts; by default a temporary one, gone at the
    end."""
    keep_unused_seconds: float = Field(default=7 * 86400.0, ge=60)
    """How long the store keeps a content that no adapter has or had."""

    max_device_adapters: int | None = Field(default=None, ge=1)
    """Adapters in the engine at once; the others wait in host memory or in the store. By default as many as come."""
    max_device_adapter_bytes: int | None = Field(default=None, ge=1 << 20)
    """Memory of their tensors; by default as much as it takes."""
    max_host_adapter_bytes: int | None = Field(default=None, ge=0)
    """Memory of adapters that have left the engine and are kept ready; by default as much as it takes."""

    address: str = "127.0.0.1:50051"
    """Data listener: service `Infer`."""
    admin_address: str = "127.0.0.1:50052"
    """Admin listener: service `AdapterAdmin`. Keep it on loopback or a private network."""
    metrics_address: str | None = None
    """Where to serve Prometheus metrics, and health, over HTTP; by default nowhere."""
    live_page: bool = False
    """Whether a page at `metrics_address` shows the server at work: its adapters, queues, and every forward. Whoever
    reaches the address may read it."""
    metrics_max_adapters: int = Field(default=100, ge=0, le=10_000)
    """How many adapters have metrics of their own, those with most rows; all others share one series."""
    max_message_bytes: int = Field(default=4 << 20, ge=64 << 10, le=256 << 20)
    """Largest request."""
    max_pending_rpcs: int = Field(default=20_000, ge=100)
    """Calls that gRPC holds before a handler takes them; beyond it gRPC itself drops calls."""
    tls_certificate: Path | None = None
    """PEM file with the data listener's certificate, then those between it and a root; by default it is plain."""
    tls_key: Path | None = None
    """PEM file with its private key, not encrypted."""
    tls_client_ca: Path | None = None
    """PEM file with certificates of which one must have signed a client's; by default clients need none."""
    admin_tls_certificate: Path | None = None
    """As `tls_certificate`, for the admin listener."""
    admin_tls_key: Path | None = None
    """As `tls_key`, for the admin listener."""
    admin_tls_client_ca: Path | None = None
    """As `tls_client_ca`, for the admin listener."""
    tokens_file: Path | None = None
    """TOML file of the tokens that callers of both listeners must show; by default anybody may call."""
    max_concurrent_streams: int | None = Field(default=None, ge=1)
    """Calls at once on one connection, more wait at the client; by default no limit."""
    max_connection_idle_seconds: float | None = Field(default=None, ge=1)
    """A connection without calls is closed after so long; by default never."""
    max_connection_age_seconds: float | None = Field(default=None, ge=1)
    """A connection takes no new calls after so long, and clients connect anew; by default never."""
    max_connection_age_grace_seconds: float = Field(default=300.0, gt=0)
    """Calls of such a connection are ended after so long again."""
    keepalive_seconds: float = Field(default=60.0, ge=1)
    """A connection that is silent for so long is asked whether there is still somebody."""
    keepalive_timeout_seconds: float = Field(default=20.0, gt=0)
    """Whoever doesn't answer that for so long is taken for gone."""
    max_metadata_bytes: int = Field(default=16 << 10, ge=4 << 10, le=1 << 20)
    """Metadata of a call."""
    max_concurrent_streamed_requests: int = Field(default=64, ge=1, le=4096)
    """Requests of one StreamAnalyze stream that are worked on at once."""

    device: str = "cpu"
    """Where to compute, as torch names it, for example `cpu` or `cuda:0`."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """What to compute in."""
    num_threads: int | None = Field(default=None, ge=1)
    """Threads of one forward on the CPU; by default as torch chooses."""
    executor: Literal["auto", "switch"] = "auto"
    """`auto`: adapters that fit the bank's form share batches, the others take turns; `switch`: all take turns."""
    adapters_per_tree: int = Field(default=16, ge=1, le=4096)
    """Adapters that share one PEFT module tree: a bound on the cost of a traversal and of a load. With 1 there are no
    traversals, for more memory."""
    num_text_workers: int = Field(default=2, ge=1, le=64)
    """Threads that tokenise and post-process."""

    max_batch_rows: int = Field(default=32, ge=1, le=4096)
    """Rows of one batch, which may take several forwards."""
    max_batch_tokens: int = Field(default=4096, ge=16)
    """Tokens of one batch without padding; with padding (longest row × rows), of one forward. A lone row always
    runs."""
    max_wait_seconds: float = Field(default=1.0, gt=0, le=3600)
    """How long an adapter's oldest row waits before its adapter is given precedence."""
    max_queued_rows: int = Field(default=8192, ge=1)
    """Rows that may wait, of all adapters."""
    max_queued_rows_per_adapter: int = Field(default=4096, ge=1)
    """Rows that may wait for one adapter."""
    max_waiting_characters: int = Field(default=8_000_000, ge=1000)
    """Characters of texts that may wait to be tokenised, of all calls but the first; some seconds of work. An input
    counts as 50 more."""

    drain_seconds: float = Field(default=30.0, ge=0, le=3600)
    """How long a stopping server lets queued requests finish."""
    engine_stall_seconds: float = Field(default=60.0, gt=0, le=3600)
    """A forward, or another command to the engine, that takes longer turns the health of the data listener to
    NOT_SERVING, until it ends."""
    log_format: Literal["console", "json"] = "console"
    """Form of the log, on stderr."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    tracing_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/]+")
    """URL of a collector for OpenTelemetry traces; by default what OTEL_EXPORTER_OTLP_ENDPOINT says, else none are
    made."""
    tracing_ratio: float | None = Field(default=None, ge=0, le=1)
    """Share of the calls to trace, of those whose caller didn't decide; by default what OTEL_TRACES_SAMPLER says, else
    all."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What the constructor is given alone: `load` puts the sources together, and knows what came from where."""
        return (init_settings,)

    @field_validator("adapter_roots")
    @classmethod
    def _make_absolute(cls, roots: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(root if "://" in root else str(cls.resolved(root)) for root in roots)

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if self.address == self.admin_address and not self.address.endswith(":0"):
            raise ValueError(f"address and admin_address must differ, both are {self.address}")
        return self

    @model_validator(mode="after")
    def _check_live_page(self) -> Self:
        if self.live_page and self.metrics_address is None:
            raise ValueError("live_page needs metrics_address")
        return self

    @model_validator(mode="after")
    def _check_tls(self) -> Self:
        for prefix in ("", "admin_"):
            certificate, key, client_ca = (
                getattr(self, f"{prefix}tls_{part}") for part in ("certificate", "key", "client_ca")
            )
            if (certificate is None) != (key is None):
                raise ValueError(f"{prefix}tls_certificate and {prefix}tls_key stand together")
            if client_ca is not None and certificate is None:
                raise ValueError(f"{prefix}tls_client_ca needs {prefix}tls_certificate and {prefix}tls_key")
        return self

    @property
    def shown_model_id(self) -> str:
        """The name of the base model towards clients."""
        return self.model_id or Path(self.model).name

    @property
    def allowed_roots(self) -> tuple[str, ...]:
        """Where loads may read: the configured roots, and the folders of the adapters loaded at the start."""
        return self.adapter_roots + tuple(str(self.resolved(folder)) for folder in self.adapters.values())

    @staticmethod
    def resolved(folder: str) -> Path:
        """An adapter's folder as an absolute path."""
        return Path(folder).resolve()


SECTIONS = {
    "model": "Base model",
    "adapters": "Adapters",
    "max_device_adapters": "Memory",
    "address": "Network",
    "device": "Computing",
    "max_batch_rows": "Batches and queues",
    "drain_seconds": "Running",
}
"""The title that a setting, and what follows it, stands under."""
