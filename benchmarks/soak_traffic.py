"""The traffic of `soak`: callers of every kind, each of which goes on until it is told that it is over."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from adaptermux_client import AdapterMuxClientError, AsyncAdapterMuxClient, AsyncAdminClient, errors
from adaptermux_client.requests import AnalyzeRequest
from benchmarks.soak_subjects import BASE, QUESTIONS, TEXTS, Answer, Content, ask, numbers, same, task_for

_STREAMED_REQUESTS = 20
_HURRY_SECONDS = 0.02
_WATCH_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
"""Of those who only disturb, between two calls."""

Gone = (errors.AdapterNotFoundError, errors.AdapterNotReadyError)


@dataclass
class Tally:
    """What happened so far."""

    num_wrong: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    """Calls, changes and refusals by what they were."""
    unexpected: Counter[str] = field(default_factory=Counter)
    """Failures that should not have been."""

    @contextmanager
    def expecting(self, name: str, *refusals: type[AdapterMuxClientError]) -> Iterator[None]:
        """Count a call, and note its failure unless it is one of these."""
        self.calls[name] += 1
        try:
            yield
        except refusals as error:
            self.calls[f"{name}: {type(error).__name__}"] += 1
        except AdapterMuxClientError as error:
            self.unexpected[f"{name}: {error.code.name} {error.reason} {error.message}"] += 1


class Traffic:
    """Callers of one server. `residents` stay loaded; `answers` are those of the quiet server."""

    def __init__(
        self,
        client: AsyncAdapterMuxClient,
        admin: AsyncAdminClient,
        answers: Mapping[Content, Sequence[Answer]],
        residents: Mapping[str, Content],
        seed: int = 0,
    ) -> None:
        self.tally = Tally()
        self._client, self._admin, self._answers = client, admin, answers
        self._subjects = {"": BASE, **residents}
        self._random = random.Random(seed)

    async def ask_plainly(self) -> None:
        """One to six texts, by the RPC of the task."""
        adapter, content = self._subject()
        await self._ask(adapter, content)

    async def analyze(self) -> None:
        """Several adapters on the same inputs."""
        chosen = self._side_by_side()
        indexes = self._indexes()
        with self.tally.expecting("Analyze"):
            results = await self._client.analyze(_tasks(chosen), _inputs(chosen, indexes))
            self._check_analyses(chosen, indexes, results)

    async def stream(self) -> None:
        """A stream of `Analyze`; one in four is left half-read."""
        chosen = [(self._side_by_side(), self._indexes()) for _ in range(_STREAMED_REQUESTS)]
        requests = (AnalyzeRequest(_tasks(each), _inputs(each, indexes)) for each, indexes in chosen)
        last = self._random.choice([_STREAMED_REQUESTS] * 3 + [_STREAMED_REQUESTS // 2])
        with self.tally.expecting("StreamAnalyze"):
            async with aclosing(self._client.stream_analyze(requests)) as outcomes:
                num_read = 0
                async for outcome in outcomes:
                    self._check_analyses(*chosen[outcome.index], outcome.unwrap())
                    num_read += 1
                    if num_read == last:
                        return

    async def cancel(self) -> None:
        """A call that its caller gives up, sooner or later."""
        call = asyncio.ensure_future(self._ask(*self._subject(), name="cancelled"))
        await asyncio.sleep(self._random.uniform(0, _HURRY_SECONDS))
        call.cancel()
        await asyncio.wait([call])
        await asyncio.sleep(_PAUSE_SECONDS)

    async def hurry(self) -> None:
        """A call with a deadline that is hard to meet."""
        adapter, content = self._subject()
        index = self._random.randrange(len(TEXTS))
        timeout = self._random.uniform(0.001, _HURRY_SECONDS)
        with self.tally.expecting("in a hurry", errors.DeadlineExceededError):
            tasks = [task_for(adapter, content)]
            chosen = {adapter: content}
            results = await self._client.analyze(tasks, _inputs(chosen, [index]), timeout=timeout)
            self._check_analyses(chosen, [index], results)
        await asyncio.sleep(_PAUSE_SECONDS)

    async def look(self) -> None:
        """All that reads."""
        for name, read in self._reading().items():
            with self.tally.expecting(name):
                await read()
        with self.tally.expecting("WatchBatches", errors.DeadlineExceededError):
            async with aclosing(self._admin.watch_batches(timeout=_WATCH_SECONDS)) as batches:
                await anext(batches)
        await asyncio.sleep(_PAUSE_SECONDS)

    def _reading(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        adapter = next(reversed(self._subjects))
        return {
            "GetServerStatus": self._admin.status,
            "ListAdapters": self._admin.adapter_page,
            "ListAliases": self._admin.alias_page,
            "GetAdapter": lambda: self._admin.adapter(adapter),
            "GetModel": self._client.model,
            "Tokenize": lambda: self._client.tokenize(TEXTS),
        }

    async def watch(self) -> None:
        """A stream of changes that is read to its twentieth, or for some seconds, and resumed once."""
        token = ""
        for _ in range(2):
            with self.tally.expecting("WatchAdapters", errors.DeadlineExceededError):
                async with aclosing(self._admin.watch_adapters(token, timeout=_WATCH_SECONDS)) as events:
                    for _ in range(20):
                        event = await anext(events)
                        token = event.resume_token or token

    async def err(self, root: Path) -> None:
        """Requests of which each must be refused for its own reason."""
        adapter = next(name for name, content in self._subjects.items() if not content.takes_pairs and name)
        refused: list[tuple[type[AdapterMuxClientError], Awaitable[Any]]] = [
            (errors.AdapterNotFoundError, self._client.classify("nobody", TEXTS)),
            (errors.TaskMismatchError, self._client.tag(adapter, TEXTS)),
            (errors.InputTooLongError, self._client.classify(adapter, "river " * 2000)),
            (errors.InvalidRequestError, self._client.classify(adapter, [])),
            (errors.InvalidRequestError, self._client.analyze([], TEXTS)),
            (errors.InvalidRequestError, self._admin.load_adapter("No Id!", root)),
            (errors.SourceForbiddenError, self._admin.load_adapter("bad", "/etc")),
            (errors.InvalidArgumentError, self._admin.load_adapter("bad", root / "nothing")),
            (errors.RevisionNotFoundError, self._admin.load_adapter("bad", revision="0" * 64)),
            (errors.AdapterNotFoundError, self._admin.unload_adapter("nobody")),
            (errors.AliasNotFoundError, self._admin.delete_alias("nothing")),
        ]
        for reason, call in refused:
            name = f"wrong, expecting {reason.__name__}"
            with self.tally.expecting(name, reason):
                await call
                self.tally.unexpected[f"{name}: it was answered"] += 1
        await asyncio.sleep(_PAUSE_SECONDS)

    async def change(self, guest: str, contents: "cycle[Content]") -> None:
        """Load or push, ask, swap, point an alias at the earlier revision, unload or delete while one still asks."""
        first, second, alias = next(contents), next(contents), f"{guest}-alias"
        with self.tally.expecting("changes of a guest"):
            loaded = await self._load(guest, first)
            await self._ask(guest, first)
            await self._admin.set_alias(alias, guest)
            await self._load(guest, second)
            await self._ask(alias, second)
            await self._admin.update_adapter(guest, weight=2.0)
            await self._admin.set_alias(alias, f"{guest}@{loaded.revision}")
            await self._ask(alias, first)
            await self._admin.delete_alias(alias)
            late = asyncio.ensure_future(self._ask(guest, second, *Gone))
            await asyncio.sleep(0)
            await self._random.choice([self._admin.unload_adapter, self._admin.delete_adapter])(guest)
            await late

    async def _load(self, guest: str, content: Content) -> Any:
        call = self._random.choice([self._admin.load_adapter, self._admin.push_adapter])
        self.tally.calls[call.__name__] += 1
        return await call(guest, content.folder)

    async def _ask(
        self, adapter: str, content: Content, *refusals: type[AdapterMuxClientError], name: str | None = None
    ) -> None:
        indexes = self._indexes()
        with self.tally.expecting(name or content.task.__name__, *refusals):
            answers = await ask(self._client, adapter, content, indexes)
            for index, answer in zip(indexes, answers, strict=True):
                self._check(content, index, answer)

    def _check_analyses(self, chosen: Mapping[str, Content], indexes: Sequence[int], results: Any) -> None:
        for index, analysed in zip(indexes, results, strict=True):
            for content, analysis in zip(chosen.values(), analysed.analyses, strict=True):
                self._check(content, index, numbers(analysis.result))

    def _check(self, content: Content, index: int, answer: Answer) -> None:
        self.tally.calls["answers"] += 1
        self.tally.num_wrong += not same(answer, self._answers[content][index])

    def _subject(self) -> tuple[str, Content]:
        return self._random.choice(list(self._subjects.items()))

    def _side_by_side(self) -> dict[str, Content]:
        """Up to three that take the same inputs."""
        adapter, content = self._subject()
        others = [name for name, other in self._subjects.items() if other.takes_pairs == content.takes_pairs]
        names = {adapter, *self._random.sample(others, min(2, len(others)))}
        return {name: self._subjects[name] for name in names}

    def _indexes(self) -> list[int]:
        return self._random.sample(range(len(TEXTS)), self._random.randint(1, 6))


def _tasks(chosen: Mapping[str, Content]) -> list[Any]:
    return [task_for(adapter, content) for adapter, content in chosen.items()]


def _inputs(chosen: Mapping[str, Content], indexes: Sequence[int]) -> list[Any]:
    pairs = any(content.takes_pairs for content in chosen.values())
    return [QUESTIONS[index] if pairs else TEXTS[index] for index in indexes]
