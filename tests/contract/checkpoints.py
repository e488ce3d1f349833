"""Rows 13 to 20 and 22: adapters that can't be served, through `LoadAdapter`."""

import pickle
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import torch

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.types import Task
from tests.contract.spoiling import CONFIG, WEIGHTS, Spoil, config, file, first_lora_a, header, tensors, without
from tests.contract.world import Case, Ground, Scenario, World, assert_refused, refusal, world_inside
from tests.support.models import make_adapter, make_base

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

_ID = "candidate"
# What is refused is refused without reading or allocating much. Seconds of the processor: the clock on the wall would
# tell of whoever else computes. The first of its kind costs a module tree on top.
_MAX_SECONDS = 1.0
_MAX_BYTES = 64 << 20
_OPENED: list[str] = []


@dataclass(frozen=True)
class Refusal:
    """What a refused load is answered."""

    code: grpc.StatusCode
    reason: str
    says: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()


FORBIDDEN = Refusal(grpc.StatusCode.PERMISSION_DENIED, "SOURCE_FORBIDDEN")
BASE_MISMATCH = Refusal(PRECONDITION, "BASE_MISMATCH", ("base_model.model.",))


def source_invalid(*says: str) -> Refusal:
    """The files can't be read, or must not be."""
    return Refusal(INVALID, "SOURCE_INVALID", says)


def checkpoint_mismatch(*says: str) -> Refusal:
    """The weights aren't what the configuration says."""
    return Refusal(PRECONDITION, "CHECKPOINT_MISMATCH", says)


def spoilt(row: int, name: str, spoil: Spoil, refused: Refusal) -> Case:
    """A copy of a good adapter, spoilt."""

    async def scenario(world: World) -> None:
        folder = world.copy_of("spare", f"{row}-{name}")
        spoil(folder)
        await _assert_load_refused(world, str(folder), refused)

    return Case(row, name, scenario)


def refused_uri(row: int, name: str, uri: str, refused: Refusal) -> Case:
    """A source that is none; `{root}` in it is the allowed root."""

    async def scenario(world: World) -> None:
        (world.root.parent / "outside").mkdir(exist_ok=True)
        await _assert_load_refused(world, uri.format(root=world.root), refused)

    return Case(row, name, scenario)


async def _assert_load_refused(world: World, uri: str, refused: Refusal) -> None:
    """Refused under a new id, which is then FAILED and serves nothing; over an id that serves; and as a mere check."""
    with _little_used(world):
        new = await refusal(world.load(_ID, uri))
    over = await refusal(world.load("sentiment", uri))
    checked = await refusal(world.load("sentiment", uri, validate_only=True))
    for error in (new, over, checked):
        assert_refused(error, refused.code, refused.reason, fields=refused.fields, says=refused.says)
    assert "FAILED" == await world.state_of(_ID)
    asked = await refusal(world.classify(_ID))
    assert (PRECONDITION, "ADAPTER_NOT_READY", "FAILED") == (asked.code, asked.reason, asked.metadata["state"])
    await world.unload(_ID)


@contextmanager
def _little_used(world: World) -> Iterator[None]:
    """The server takes little time and memory meanwhile."""
    (Path("/proc") / str(world.process.pid) / "clear_refs").write_text("5")  # the peak starts anew
    num_bytes, seconds = world.process.memory_info().rss, sum(world.process.cpu_times()[:2])
    yield
    assert sum(world.process.cpu_times()[:2]) - seconds < _MAX_SECONDS
    assert _peak_bytes(world) - num_bytes < _MAX_BYTES


def _peak_bytes(world: World) -> int:
    status = (Path("/proc") / str(world.process.pid) / "status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def accepted(row: int, name: str, spoil: Spoil) -> Case:
    """A copy of a good adapter with something odd that changes no answer: it loads."""

    async def scenario(world: World) -> None:
        folder = world.copy_of("spare", f"{row}-{name}")
        spoil(folder)
        await world.load(_ID, str(folder))
        world.expected["spare"].assert_answered(0, (await world.classify(_ID)).results[0])
        await world.unload(_ID)

    return Case(row, name, scenario)


def other_base(row: int, name: str, family: str, **base_config: Any) -> Case:
    """An adapter that was trained on a base of another family or size."""

    async def scenario(world: World) -> None:
        base = world.root.parent / "bases" / name
        folder = world.root / f"{row}-{name}"
        if not folder.exists():
            make_adapter(make_base(family, base, **base_config), folder, Task.SEQUENCE_CLASSIFICATION)
        await _assert_load_refused(world, str(folder), BASE_MISMATCH)

    return Case(row, name, scenario)


class _Opened:
    """A pickle of it leaves a trace where it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_OPENED.append, ("a pickle was opened",))


def _pickled(name: str) -> Spoil:
    return file(name, pickle.dumps(_Opened(), protocol=4))


def _pickle_case(name: str) -> Case:
    case = spoilt(17, f"pickle-{name}", _pickled(name), source_invalid(name))

    async def scenario(world: World) -> None:
        await case.scenario(world)
        assert not _OPENED

    return Case(17, case.name, scenario)


def _linked(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        target = folder.parent.parent / "linked" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return spoil


def _link_out_of_the_root() -> Scenario:
    async def scenario(world: World) -> None:
        outside, link = world.root.parent / "outside", world.root / "link"
        outside.mkdir(exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(outside)
        await _assert_load_refused(world, str(link), FORBIDDEN)

    return scenario


def _sparse_header(folder: Path) -> None:
    """A header of 95 MB that is really there."""
    with (folder / WEIGHTS).open("wb") as stream:
        stream.write((95_000_000).to_bytes(8, "little") + b'{"')
        stream.truncate(95_000_100)


def _truncate(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-5])


def _empty(folder: Path) -> None:
    for each in folder.iterdir():
        each.unlink()


def _set_nan(content: dict[str, torch.Tensor]) -> None:
    content[first_lora_a(content)][0, 0] = float("nan")


def _set_infinity(content: dict[str, torch.Tensor]) -> None:
    content[max(content)].view(-1)[-1] = float("inf")


def _widen(content: dict[str, torch.Tensor]) -> None:
    for name in content:
        if "lora_A" in name:
            content[name] = torch.zeros(7, content[name].shape[1])
        elif "lora_B" in name:
            content[name] = torch.zeros(content[name].shape[0], 7)


async def _head_not_saved(world: World) -> None:
    """DistilBERT's head has two layers, and the base's files have neither."""
    base = make_base("distilbert", world.root.parent / "bases" / "distilbert")
    folder = world.root / "distilbert"
    make_adapter(base, folder, Task.SEQUENCE_CLASSIFICATION)
    tensors(_drop_first_layer_of_head)(folder)
    ground = Ground(folder, base, {})
    async with world_inside(ground, adapters={}) as other:
        error = await refusal(other.load(_ID, str(folder)))
    assert_refused(
        error,
        PRECONDITION,
        "HEAD_INCOMPLETE",
        says=["pre_classifier.weight", "pre_classifier.bias", "`modules_to_save`"],
    )


def _drop_first_layer_of_head(content: dict[str, torch.Tensor]) -> None:
    for name in [name for name in content if "pre_classifier" in name]:
        del content[name]


async def _no_network_call(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}/adapter"
        await _assert_load_refused(world, uri, FORBIDDEN)
        try:
            listening.accept()
        except BlockingIOError:
            return
    raise AssertionError("the server called a source that isn't allowed")


def _not_json(name: str, field: str, value: str) -> Case:
    """A number that JSON has not."""

    def spoil(folder: Path) -> None:
        content = (folder / CONFIG).read_text()
        (folder / CONFIG).write_text(content.rstrip().rstrip("}") + f', "{field}_": {value}}}')

    return spoilt(15, name, spoil, source_invalid(CONFIG))


async def _upload_of_a_name(world: World) -> None:
    """No name is a path, and none is that of a pickle."""
    before = (await world.status()).memory.store_bytes
    for name in ("../adapter_config.json", "/etc/passwd", "adapter_model.bin", "a/adapter_config.json", "x.py", ""):
        files = [adapter_admin_pb2.UploadFile(name=name, size_bytes=2)]
        # Nothing is sent after it: gRPC's client would report that it couldn't write, in place of the refusal.
        metadata = adapter_admin_pb2.UploadAdapterRequest(metadata=adapter_admin_pb2.UploadMetadata(files=files))
        error = await refusal(world.admin.UploadAdapter(iter([metadata])))
        assert_refused(error, INVALID, "SOURCE_INVALID")
    assert before == (await world.status()).memory.store_bytes


def _tensor(begin: int, end: int) -> dict[str, object]:
    return {"dtype": "F32", "shape": [(end - begin) // 4], "data_offsets": [begin, end]}


def _mismatch(name: str, spoil: Spoil, *says: str) -> Case:
    return spoilt(14, name, spoil, checkpoint_mismatch(*says))


def _bad_file(name: str, spoil: Spoil, *says: str) -> Case:
    return spoilt(16, name, spoil, source_invalid(*says or [WEIGHTS]))


def _bad_config(name: str, field: str, value: object, row: int = 18) -> Case:
    return spoilt(row, name, config(**{field: value}), Refusal(INVALID, "CONFIG_UNSUPPORTED", (field,)))


CASES = [
    other_base(13, "smaller-base", "bert", hidden_size=16),
    other_base(13, "deeper-base", "bert", num_hidden_layers=3),
    other_base(13, "another-family", "distilbert"),
    _mismatch("tensor-missing", tensors(lambda content: content.pop(first_lora_a(content))), "lora_A"),
    _mismatch("tensor-too-many", tensors(lambda content: content.update(extra=torch.zeros(3))), "extra"),
    _mismatch("rank-of-the-tensors-differs", tensors(_widen), "lora_A"),
    _mismatch("rank-of-the-config-differs", config(r=5), "lora_A"),
    spoilt(15, "nan", tensors(_set_nan), checkpoint_mismatch("lora_A")),
    spoilt(15, "infinity", tensors(_set_infinity), checkpoint_mismatch("infinity")),
    _bad_config("huge-alpha", "lora_alpha", 1e38, row=15),
    _bad_config("rank-0", "r", 0, row=15),
    _bad_config("rank-negative", "r", -4, row=15),
    _bad_config("rank-million", "r", 10**6, row=15),
    _bad_config("rank-boolean", "r", True, row=15),
    _not_json("alpha-nan", "lora_alpha", "NaN"),
    _not_json("alpha-infinite", "lora_alpha", "1e999"),
    _bad_file("truncated", _truncate),
    _bad_file("empty", file(WEIGHTS, b"")),
    _bad_file("header-of-2-to-the-63", header({}, length=1 << 63)),
    _bad_file("header-claims-95-mb", header({}, length=95_000_000)),
    _bad_file("header-of-95-mb", _sparse_header),
    _bad_file("overlapping", header({"a": _tensor(0, 8), "b": _tensor(4, 8)})),
    _bad_file("hole", header({"a": _tensor(4, 8)})),
    _bad_file("key-twice", header('{"a": %s, "a": %s}' % ((str(_tensor(0, 8)).replace("'", '"'),) * 2))),
    _pickle_case("adapter_model.bin"),
    _pickle_case("extra.pkl"),
    spoilt(17, "pickle-as-weights", _pickled(WEIGHTS), source_invalid(WEIGHTS)),
    Case(17, "upload-of-a-name", _upload_of_a_name),
    spoilt(17, "tar", file("adapter.tar.gz", b"\x1f\x8b"), source_invalid("adapter.tar.gz")),
    spoilt(17, "archive", file("adapter.zip", b"PK\3\4"), source_invalid("adapter.zip")),
    spoilt(17, "code", file("modeling.py", b"raise SystemExit"), source_invalid()),
    spoilt(17, "symlink", _linked(WEIGHTS), source_invalid("symlink")),
    Case(17, "symlink-out-of-the-root", _link_out_of_the_root()),
    refused_uri(17, "parent-in-the-path", "{root}/../outside", FORBIDDEN),
    refused_uri(17, "parent-in-the-uri", "file://{root}/%2e%2e/outside", FORBIDDEN),
    spoilt(18, "no-json", file(CONFIG, b"{"), source_invalid(CONFIG)),
    spoilt(18, "no-object", file(CONFIG, b"[]"), source_invalid(CONFIG)),
    spoilt(18, "10-mb", file(CONFIG, b" " * 10_000_000 + b"{}"), source_invalid(CONFIG)),
    spoilt(18, "nested-deep", file(CONFIG, b'{"a":' * 100_000), source_invalid(CONFIG)),
    _bad_config("unknown-method", "peft_type", "NO_SUCH_METHOD"),
    _bad_config("method-of-another-kind", "peft_type", {"a": 1}),
    _bad_config("unknown-task", "task_type", "CAUSAL_LM"),
    _bad_config("unknown-field", "no_such_field", 1),
    _bad_config("bias-all", "bias", "all"),
    _bad_config("pissa", "init_lora_weights", "pissa"),
    _bad_config("olora", "init_lora_weights", "olora"),
    _bad_config("layer-replication", "layer_replication", [[0, 1], [0, 1]]),
    _bad_config("backtracking-pattern-as-a-key", "rank_pattern", {"(a+)+$": 4}),
    _bad_config("no-ranks", "rank_pattern", None),
    _bad_config("no-alphas", "alpha_pattern", None),
    _bad_config("look-around", "target_modules", "(?=query).*"),
    spoilt(18, "evil-pattern", config(target_modules="(([a-z0-9]+)+[.]?)+!$"), BASE_MISMATCH),
    spoilt(18, "evil-pattern-of-the-table", config(target_modules="(a+)+$"), BASE_MISMATCH),
    accepted(18, "auto-mapping", config(auto_mapping={"base_model_class": "X", "parent_library": "no_such_library"})),
    spoilt(19, "no-weights", without(WEIGHTS), source_invalid(WEIGHTS)),
    spoilt(19, "no-config", without(CONFIG), source_invalid(CONFIG)),
    spoilt(
        19, "empty-folder", _empty, source_invalid()
    ),
    refused_uri(19, "no-such-folder", "{root}/nothing", source_invalid()),
    refused_uri(19, "outside-the-roots", "{root}/../bases/bert", FORBIDDEN),
    refused_uri(19, "etc", "file:///etc", FORBIDDEN),
    refused_uri(19, "http", "http://127.0.0.1:1/adapter", FORBIDDEN),
    Case(19, "no-network-call", _no_network_call),
    refused_uri(19, "model-hub", "someone/something", FORBIDDEN),
    refused_uri(19, "relative", "adapters/spare", FORBIDDEN),
    refused_uri(19, "nul", "{root}/a\0b", Refusal(INVALID, "INVALID_REQUEST", fields=("uri",))),
    Case(20, "head-not-saved", _head_not_saved),
]  # fmt: skip
