"""`kill -9` of a whole server at every step of every change: it comes back old or new, and answers as before."""

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest

from tests.faults.durable_world import CHANGES, DurableWorld, Operator, Picture, fill, operating
from tests.faults.server_forks import ForkedServer, Forks

_NUM_AT_ONCE = 2
_OLD, _NEW = "old", "new"
_COMMIT = (("database.before_commit", _OLD), ("database.after_commit", _NEW))
_ARRIVAL = ("store.begun", "store.file_written", "store.file_synced", "store.folder_synced", "store.cleared")

# Which points each change passes, and how the server is after a death there.
_DEATHS: dict[str, tuple[tuple[str, str], ...]] = {
    "upload": (
        *((point, _OLD) for point in _ARRIVAL),
        *((point, _NEW) for point in ("store.renamed", "store.parent_synced")),
        *((point, _NEW) for point, _ in _COMMIT),
    ),
    # The content comes first, by the steps of an upload; the adapter isn't registered yet when the process dies.
    "load": tuple((point, _OLD) for point in ("store.file_synced", "store.renamed", *(point for point, _ in _COMMIT))),
    "load of what is stored": _COMMIT,
    "swap": _COMMIT,
    "change of options": _COMMIT,
    "move of an alias": _COMMIT,
    "deletion of an alias": _COMMIT,
    "unload": _COMMIT,
    # The adapter is forgotten first, and then its content.
    "delete": (*_COMMIT, *((f"store.{point}", _NEW) for point in ("removing", "renamed", "parent_synced", "removed"))),
}
# What may be there or not, whatever becomes of the adapters: contents that come or go in a step of their own.
_LOOSE = {"load": "four", "delete": "five"}
_CASES = [(name, point, expected) for name, deaths in _DEATHS.items() for point, expected in deaths]


@dataclass
class Stage:
    """A filled store, and servers on copies of it."""

    world: DurableWorld
    filled: Path
    forks: SimpleQueue[Forks] = field(default_factory=SimpleQueue)

    @contextmanager
    def server(self, store: Path, **environment: str) -> Iterator[tuple[ForkedServer, Operator]]:
        forks = self.forks.get()
        try:
            arguments = [*self.world.arguments, "--store", str(store)]
            log = store.with_name(f"{store.name}-{len(list(store.parent.iterdir()))}.log")
            with (
                forks.server(log, arguments, **environment) as server,
                operating(self.world, server.address("data"), server.address("admin")) as operator,
            ):
                yield server, operator
        finally:
            self.forks.put(forks)

    def undisturbed(self, name: str | None) -> Picture:
        """How a server is that starts after a change, or after none."""
        store = self.world.copied(self.filled, self.world.root / f"undisturbed-{name}")
        if name is not None:
            with self.server(store) as (_, operator):
                CHANGES[name](operator)
        with self.server(store) as (_, operator):
            return operator.picture()

    def after_a_death(self, name: str, point: str) -> tuple[int, Picture, Picture]:
        """Die there, start again, and make the change; returns how it ended, and what was there before and after."""
        store = self.world.copied(self.filled, self.world.root / f"{name}-{point}")
        with self.server(store, ADAPTERMUX_FAILPOINT=point, ADAPTERMUX_TESTING="1") as (server, operator):
            with pytest.raises(grpc.RpcError) as caught:
                CHANGES[name](operator)
            assert grpc.StatusCode.UNAVAILABLE is caught.value.code()
            status = server.wait()
        with self.server(store) as (_, operator):
            found = operator.picture()
            _repeat(name, operator)
            return status, found, operator.picture()


def _repeat(name: str, operator: Operator) -> None:
    try:
        CHANGES[name](operator)
    except grpc.RpcError as error:
        # It was gone before.
        assert grpc.StatusCode.NOT_FOUND is error.code()  # noqa: PT017


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("crashes")
    with ExitStack() as stack:
        forks = [stack.enter_context(Forks()) for _ in range(_NUM_AT_ONCE)]
        stage = Stage(DurableWorld(root), root / "filled")
        for each in forks:
            stage.forks.put(each)
        with stage.server(stage.filled) as (_, operator):
            fill(operator)
        yield stage


@pytest.fixture(scope="module")
def pictures(stage: Stage, pool: ThreadPoolExecutor) -> dict[str | None, Future[Picture]]:
    """By change; None: before any."""
    _ = stage.world.expected, stage.world.digests  # made here once, not in each thread
    return {name: pool.submit(stage.undisturbed, name) for name in (None, *CHANGES)}


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(_NUM_AT_ONCE) as pool:
        yield pool
        pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def deaths(
    request: pytest.FixtureRequest,
    stage: Stage,
    pool: ThreadPoolExecutor,
    pictures: dict[str | None, Future[Picture]],
) -> dict[tuple[str, str], Future[tuple[int, Picture, Picture]]]:
    """All that the tests which were chosen will ask for, some at a time."""
    own = [item for item in request.session.items if item.path == request.path]
    wanted = [item.callspec.params for item in own if hasattr(item, "callspec")]
    return {(it["name"], it["point"]): pool.submit(stage.after_a_death, it["name"], it["point"]) for it in wanted}


@pytest.mark.parametrize(("name", "point", "expected"), _CASES)
def test_after_a_death_at_any_point_the_server_is_old_or_new_and_works_on(
    deaths: dict[tuple[str, str], Future[tuple[int, Picture, Picture]]],
    pictures: dict[str | None, Future[Picture]],
    name: str,
    point: str,
    expected: str,
) -> None:
    states = {_OLD: pictures[None].result(), _NEW: pictures[name].result()}
    status, found, after = deaths[name, point].result()

    assert -signal.SIGKILL == status
    loose = _LOOSE.get(name, "")
    assert states[expected].without(loose) == found.without(loose)
    assert states[_NEW].without(loose) == after.without(loose)


def test_the_pictures_tell_the_states_apart(pictures: dict[str | None, Future[Picture]]) -> None:
    before = pictures[None].result()

    for name in CHANGES:
        loose = _LOOSE.get(name, "")
        assert before.without(loose) != pictures[name].result().without(loose)
    assert CHANGES.keys() == _DEATHS.keys()
