"""How large an adapter's files may be."""

from dataclasses import dataclass

from adaptermux_server.adapters.safetensors_header import WEIGHTS_FILE


@dataclass(frozen=True, slots=True)
class CheckpointLimits:
    """How large the files of an adapter may be, in bytes."""

    weights_bytes: int = 1 << 30
    header_bytes: int = 1 << 20
    config_bytes: int = 1 << 20
    """Of `adapter_config.json` and `config.json` each; the largest in use (many labels) take some 100 KiB."""

    def of_file(self, name: str) -> int:
        """The limit for file `name` of an adapter."""
        return self.weights_bytes if name == WEIGHTS_FILE else self.config_bytes


DEFAULT_LIMITS = CheckpointLimits()
