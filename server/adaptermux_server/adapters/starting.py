"""Adapters that the operator wants served from the start."""

import logging
from collections.abc import Mapping
from pathlib import Path

from adaptermux_server.adapters.control import ControlPlane
from adaptermux_server.adapters.options import LoadOptions
from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.adapters.served import ServingOptions

_log = logging.getLogger(__name__)


async def load_at_start(control: ControlPlane, folders: Mapping[str, Path]) -> None:
    """Load adapters by id from absolute folders. Their options stay as they were changed while an earlier server ran.

    Raises as `Lifecycle.load` does.
    """
    for adapter_id, folder in folders.items():
        await control.restoring.checked(adapter_id)
        entries = {entry.id: entry for entry in control.registry.entries()}
        options = entries[adapter_id].options if adapter_id in entries else ServingOptions()
        record = await control.lifecycle.load(
            LoadOptions(
                adapter_id=adapter_id,
                uri=str(folder),
                weight=options.weight,
                max_wait_seconds=options.max_wait_seconds,
                pinned=options.pinned,
                metadata=options.metadata,
            )
        )
        _tell(record)


def _tell(record: AdapterRecord) -> None:
    _log.info("adapter %s loaded, revision %s", record.id, record.revision[:12])
