"""Rows of the database to values. Rows that make no sense raise ValueError or TypeError: the database is damaged."""

import json
import sqlite3

from pydantic import TypeAdapter

from adaptermux_server.adapters.store.stored import StoredAdapter, StoredAlias, StoredRevision, StoredServing
from adaptermux_server.types import AdapterSpec, ProblemType

_SPEC = TypeAdapter(AdapterSpec)


def written_spec(spec: AdapterSpec | None) -> str | None:
    """A spec as it stands in a row."""
    return None if spec is None else _SPEC.dump_json(spec).decode()


def _read_spec(text: str | None) -> AdapterSpec | None:
    # Strict, but for what JSON can't say: a damaged row must not become another spec. (pydantic raises ValueError.)
    return None if text is None else _SPEC.validate_json(text, strict=True)


def read_revisions(connection: sqlite3.Connection) -> tuple[StoredRevision, ...]:
    """All revisions, by digest."""
    rows = connection.execute("SELECT digest, num_bytes, added_at FROM revisions ORDER BY digest")
    return tuple(StoredRevision(*row) for row in rows)


def read_unused_revisions(connection: sqlite3.Connection) -> tuple[StoredRevision, ...]:
    """Those that no adapter has or had, by digest."""
    rows = connection.execute(
        """
        SELECT digest, num_bytes, added_at FROM revisions
        WHERE digest NOT IN (SELECT digest FROM adapters) AND digest NOT IN (SELECT digest FROM earlier_revisions)
        ORDER BY digest
        """
    )
    return tuple(StoredRevision(*row) for row in rows)


def read_adapters(connection: sqlite3.Connection) -> tuple[StoredAdapter, ...]:
    """All adapters, by id."""
    rows = connection.execute(
        """
        SELECT id, digest, labels, problem_type, weight, max_wait_seconds, pinned, metadata, uri, changed_at, spec, base
        FROM adapters ORDER BY id
        """
    )
    return tuple(
        StoredAdapter(
            id=adapter_id,
            digest=digest,
            labels=tuple(json.loads(labels)),
            problem_type=problem_type and ProblemType(problem_type),
            weight=weight,
            max_wait_seconds=max_wait_seconds,
            pinned=bool(pinned),
            metadata=dict(json.loads(metadata)),
            uri=uri,
            changed_at=changed_at,
            spec=_read_spec(spec),
            base=base,
        )
        for (
            adapter_id, digest, labels, problem_type, weight, max_wait_seconds, pinned, metadata, uri, changed_at, spec,
            base,
        ) in rows
    )  # fmt: skip


def read_earlier_revisions(connection: sqlite3.Connection, adapter_id: str) -> tuple[StoredServing, ...]:
    """What served under this id before, newest first."""
    rows = connection.execute(
        """
        SELECT digest, labels, problem_type, spec FROM earlier_revisions WHERE adapter_id = ? ORDER BY number DESC
        """,
        (adapter_id,),
    )
    return tuple(
        StoredServing(digest, tuple(json.loads(labels)), problem_type and ProblemType(problem_type), _read_spec(spec))
        for digest, labels, problem_type, spec in rows
    )


def read_aliases(connection: sqlite3.Connection) -> tuple[StoredAlias, ...]:
    """All aliases, by name."""
    rows = connection.execute("SELECT name, targets, update_time FROM aliases ORDER BY name")
    return tuple(
        StoredAlias(name, tuple((adapter_id, weight) for adapter_id, weight in json.loads(targets)), update_time)
        for name, targets, update_time in rows
    )
