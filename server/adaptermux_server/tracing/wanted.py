"""Whether there are to be traces: by the settings, or by the environment that OpenTelemetry defines."""

import os

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_USUAL_PROTOCOL = "http/protobuf"


class TracingError(Exception):
    """Traces can't be sent as it is configured."""


def is_wanted(endpoint: str | None) -> bool:
    """Whether traces have somewhere to go, and aren't switched off. `endpoint`: of the settings."""
    is_disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    has_none = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    return bool(endpoint or _first(_ENDPOINTS)) and not is_disabled and not has_none


def protocol() -> str:
    """How spans are sent."""
    return _first(_PROTOCOLS) or _USUAL_PROTOCOL


def _first(names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := os.environ.get(name, "").strip())), "")
