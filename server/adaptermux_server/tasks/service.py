"""The one way from a checked request to its answer: lease, tokenise, queue, post-process.

Every RPC of inference is a case of `analyze`: some tasks (adapter and options) on some inputs.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Protocol, TypeVar

from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.adapters.served import ServedAdapter
from adaptermux_server.adapters.tiers import Tiers
from adaptermux_server.errors import AdapterRequiredError, InvalidRequestError, TaskMismatchError
from adaptermux_server.scheduler.admission import Demand
from adaptermux_server.tasks.answer import answer_result
from adaptermux_server.tasks.classify import classification
from adaptermux_server.tasks.embed import embedding
from adaptermux_server.tasks.inputs import Input, TextInput, WordsInput
from adaptermux_server.tasks.options import (
    DEFAULT_OPTIONS,
    RPC_OF_TASK,
    AnswerOptions,
    ClassifyOptions,
    EmbedOptions,
    Options,
    TagOptions,
    fits,
)
from adaptermux_server.tasks.results import Result
from adaptermux_server.tasks.tag import tagged_sequence
from adaptermux_server.tasks.text_room import TextRoom
from adaptermux_server.tasks.tokenizing import Encoded, Tokenizing
from adaptermux_server.tracing.calls import current_call, phase
from adaptermux_server.types import BASE_SLOT, Deadline, Row, RowAnswer, Values

_T = TypeVar("_T")

# In characters: some 200 tokens, which take well under a millisecond. What an input costs beside its characters counts
# as so many more.
_SMALL_CALL_WORK = 1000
_INPUT_WORK = 50


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """One adapter to ask. `adapter` empty: the base; `options` None: the defaults of the adapter's task."""

    adapter: str
    options: Options | None = None


@dataclass(frozen=True, slots=True)
class AnalyzeCall:
    """Every task is asked about every input. `rpc` is the name of the call, for error messages."""

    rpc: str
    tasks: tuple[TaskRequest, ...]
    inputs: tuple[Input, ...]
    truncate: bool = False
    request_key: str = ""
    """Calls of equal keys get the same target of an alias; empty: any."""


@dataclass(frozen=True, slots=True)
class AnsweredBy:
    """Id and revision digest of the adapter that answered."""

    id: str
    revision: str


@dataclass(frozen=True, slots=True)
class Analyzed:
    """The answer to a call: `results[input][task]`."""

    results: tuple[tuple[Result, ...], ...]
    answered_by: tuple[AnsweredBy | None, ...]
    """For each task; None: the base."""
    queue_seconds: float
    """The longest wait of a row."""
    compute_seconds: float
    """Of the batches that computed the rows, added up."""


@dataclass(frozen=True, slots=True)
class _Target:
    """A task with its adapter leased; `served` None: the base."""

    served: ServedAdapter | None
    options: Options

    @property
    def slot(self) -> int | None:
        """None: its adapter isn't in the engine now."""
        return BASE_SLOT if self.served is None else self.served.slot

    @property
    def takes_context(self) -> bool:
        return isinstance(self.options, AnswerOptions)


class RowQueue(Protocol):
    """Whoever has the rows computed."""

    def check(self, demands: Mapping[int | None, Demand], deadline: Deadline) -> None:
        """Raise what `submit` would for such rows."""

    def submit(self, rows: Sequence[Row]) -> None:
        """Take all rows or none. Raises QueueFullError, DeadlineExceededError or ShuttingDownError."""


class InferenceService:
    """Answers calls. Owned by the event loop; tokenising and post-processing run beside it in a pool of threads.

    A small call is not worth two changes of the thread, each of which may wait for the engine thread to let go of the
    interpreter: it is tokenised and post-processed at once. What the queue would refuse isn't tokenised at all.
    """

    def __init__(
        self,
        registry: AdapterRegistry,
        tiers: Tiers,
        *,
        queue: RowQueue,
        tokenizing: Tokenizing,
        pool: ThreadPoolExecutor,
        text_room: TextRoom | None = None,
    ) -> None:
        """`text_room`: bounds the texts that wait for the pool; None: by the default."""
        self._registry, self._tiers = registry, tiers
        self._queue, self._tokenizing, self._pool = queue, tokenizing, pool
        self._text_room = text_room or TextRoom()

    async def analyze(self, call: AnalyzeCall, deadline: Deadline, finish: Callable[[Analyzed], _T]) -> _T:
        """Ask every task about every input; the answer is whole, or there is none.

        `finish` makes what the caller wants of it, for a large call beside the event loop.

        Raises:
            InvalidRequestError, InputTooLongError: an input doesn't fit.
            AdapterNotFoundError, AdapterNotReadyError, AdapterRequiredError, TaskMismatchError: a task can't be served.
            MemoryFullError: an adapter can't be brought into the engine beside those that are pinned.
            QueueFullError, DeadlineExceededError, AdapterUnloadedError, ShuttingDownError: the rows weren't computed;
                mostly they weren't even tokenised.
        """
        with ExitStack() as leases:
            targets = [self._target(task, call, leases) for task in call.tasks]
            self._queue.check(_demands(targets, len(call.inputs)), deadline)
            num_characters = _work_of(call.inputs)
            small = len(call.tasks) * num_characters <= _SMALL_CALL_WORK
            with phase("tokenise"):
                encoded = await self._tokenised(lambda: self._encode(call, targets), num_characters, small)
            async with self._tiers.holding([target.served for target in targets if target.served is not None]):
                rows = [[_row(item, target, deadline) for item in encoded[target.takes_context]] for target in targets]
                answers = await self._compute(rows)
            for target, answered in zip(targets, answers, strict=True):
                if target.served is not None:
                    target.served.num_rows_answered += len(answered)
            with phase("post-process"):
                return await self._beside(lambda: finish(_analyzed(targets, encoded, answers)), small)

    async def tokenize(self, inputs: Sequence[Input], finish: Callable[[list[Encoded]], _T]) -> _T:
        """Encode inputs whole; `finish` as for `analyze`. Raises QueueFullError where too many texts wait."""
        num_characters = _work_of(inputs)
        return await self._tokenised(
            lambda: finish([self._tokenizing.encode_whole(item) for item in inputs]),
            num_characters,
            num_characters <= _SMALL_CALL_WORK,
        )

    def _target(self, task: TaskRequest, call: AnalyzeCall, leases: ExitStack) -> _Target:
        if not task.adapter:
            if not isinstance(task.options, EmbedOptions):
                raise AdapterRequiredError(call.rpc)
            return _Target(None, task.options)
        served = leases.enter_context(self._registry.lease(task.adapter, call.request_key))
        options = task.options or DEFAULT_OPTIONS[served.spec.task]
        if not fits(options, served.spec.task):
            raise TaskMismatchError(served.id, served.spec.task, RPC_OF_TASK[served.spec.task])
        _check_pairs(options, call.inputs)
        return _Target(served, options)

    def _encode(self, call: AnalyzeCall, targets: Sequence[_Target]) -> dict[bool, list[Encoded]]:
        """Encode once for each way of cutting that the targets need: context alone, or longest first."""
        kinds = {target.takes_context for target in targets}
        return {
            context: self._tokenizing.encode(call.inputs, truncate=call.truncate, context=context) for context in kinds
        }

    async def _compute(self, rows: Sequence[Sequence[Row]]) -> list[list[RowAnswer]]:
        flat = [row.future for group in rows for row in group]
        try:
            self._queue.submit([row for group in rows for row in group])
            await asyncio.gather(*flat)
        finally:
            # After a failure or a cancelled call the other rows' places are of no use to anybody.
            for future in flat:
                future.cancel()
        return [[row.future.result() for row in group] for group in rows]

    async def _tokenised(self, work: Callable[[], _T], num_characters: int, small: bool) -> _T:
        if small:
            return work()
        with self._text_room.holding(num_characters):
            result, character_seconds = await self._beside(self._text_room.timed(work, num_characters), small)
        self._text_room.learn(character_seconds)
        return result

    async def _beside(self, work: Callable[[], _T], small: bool) -> _T:
        return work() if small else await asyncio.get_running_loop().run_in_executor(self._pool, work)


def _demands(targets: Sequence[_Target], num_inputs: int) -> dict[int | None, Demand]:
    """By slot; the tokens are not known yet."""
    counts = Counter(target.slot for target in targets)
    return {slot: Demand.at_least(num_targets * num_inputs) for slot, num_targets in counts.items()}


def _work_of(inputs: Sequence[Input]) -> int:
    return _INPUT_WORK * len(inputs) + sum(
        sum(map(len, item.words)) if isinstance(item, WordsInput) else len(item.text) + len(item.pair or "")
        for item in inputs
    )


def _check_pairs(options: Options, inputs: Sequence[Input]) -> None:
    if isinstance(options, AnswerOptions):
        for index, item in enumerate(inputs):
            if not (isinstance(item, TextInput) and item.pair):
                text = "question answering needs a pair: `text` is the question, `text_pair` the context"
                raise InvalidRequestError((f"inputs[{index}]", text))
    elif isinstance(options, TagOptions):
        for index, item in enumerate(inputs):
            if isinstance(item, TextInput) and item.pair:
                raise InvalidRequestError((f"inputs[{index}].text_pair", "tagging takes one text: leave it empty"))


def _row(encoded: Encoded, target: _Target, deadline: Deadline) -> Row:
    call = current_call.get()
    return Row(
        slot=BASE_SLOT if target.served is None else target.served.held_slot,
        columns=encoded.columns,
        pooling=target.options.pooling if isinstance(target.options, EmbedOptions) else None,
        future=asyncio.get_running_loop().create_future(),
        deadline=deadline,
        adapter="" if target.served is None else target.served.id,
        request_id=call.request_id,
        span=call.span,
    )


def _results(
    targets: Sequence[_Target], encoded: dict[bool, list[Encoded]], answers: Sequence[Sequence[RowAnswer]]
) -> tuple[tuple[Result, ...], ...]:
    by_task = [
        [_result(target, item, answer.values) for item, answer in zip(encoded[target.takes_context], rows, strict=True)]
        for target, rows in zip(targets, answers, strict=True)
    ]
    return tuple(zip(*by_task, strict=True))


def _result(target: _Target, encoded: Encoded, values: Values) -> Result:
    match target.options, target.served:
        case EmbedOptions() as options, _:
            return embedding(encoded, values, options)
        case AnswerOptions() as options, _:
            return answer_result(encoded, values, options)
        case ClassifyOptions() as options, ServedAdapter(spec=spec):
            return classification(encoded, values, spec, options)
        case TagOptions() as options, ServedAdapter(spec=spec):
            return tagged_sequence(encoded, values, spec, options)
    raise AssertionError("this is a bug: a head's task without an adapter")


def _analyzed(
    targets: Sequence[_Target], encoded: dict[bool, list[Encoded]], answers: Sequence[Sequence[RowAnswer]]
) -> Analyzed:
    flat = [answer for answered in answers for answer in answered]
    batches = {id(answer.batch): answer.batch for answer in flat}
    return Analyzed(
        results=_results(targets, encoded, answers),
        answered_by=tuple(AnsweredBy(t.served.id, t.served.revision) if t.served else None for t in targets),
        queue_seconds=max(answer.queue_seconds for answer in flat),
        compute_seconds=sum(batch.compute_seconds for batch in batches.values()),
    )
