"""Tiny bases, loaded once for the session; nothing that these tests do may change one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adaptermux_server.adapters.checkpoint import Checkpoint, read_checkpoint
from adaptermux_server.engine.backbone import Backbone, load_backbone
from adaptermux_server.types import Task
from tests.support.models import make_adapter, make_base

MakeCheckpoint = Callable[..., Checkpoint]


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a family's tiny base."""
    folders: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in folders:
            folders[family] = make_base(family, tmp_path_factory.mktemp(family))
        return folders[family]

    return folder


@pytest.fixture(scope="session")
def backbone_of(base_folder: Callable[[str], Path]) -> Callable[[str], Backbone]:
    """A family's tiny base, loaded."""
    backbones: dict[str, Backbone] = {}

    def loaded(family: str) -> Backbone:
        if family not in backbones:
            backbones[family] = load_backbone(str(base_folder(family)))
        return backbones[family]

    return loaded


@pytest.fixture
def bert(backbone_of: Callable[[str], Backbone]) -> Backbone:
    return backbone_of("bert")


@pytest.fixture
def checkpoint_of(base_folder: Callable[[str], Path], tmp_path: Path) -> MakeCheckpoint:
    """Make an adapter for a family's base and read it."""

    def made(
        family: str = "bert", task: Task = Task.TOKEN_CLASSIFICATION, method: str = "lora", **fields: Any
    ) -> Checkpoint:
        folder = tmp_path / f"adapter{len(list(tmp_path.iterdir()))}"
        return read_checkpoint(make_adapter(base_folder(family), folder, task, method, **fields))

    return made
