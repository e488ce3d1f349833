"""Folders of made-up adapters: a client never looks into their files."""

from pathlib import Path

MIB = 1 << 20


def adapter_folder(path: Path, weights: bytes = b"weights", *, config: bytes | None = None) -> Path:
    """A folder as `save_pretrained` writes it, with files beside that are no part of the content."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "adapter_config.json").write_bytes(b"{}")
    (path / "adapter_model.safetensors").write_bytes(weights)
    (path / "README.md").write_text("a card")
    (path / "checkpoint-10").mkdir(exist_ok=True)
    if config is not None:
        (path / "config.json").write_bytes(config)
    return path


def contents(path: Path) -> dict[str, bytes]:
    """The files of a folder that are its content."""
    names = ("adapter_config.json", "adapter_model.safetensors", "config.json")
    return {name: (path / name).read_bytes() for name in names if (path / name).exists()}
