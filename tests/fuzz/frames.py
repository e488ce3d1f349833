"""HTTP/2 as far as a fuzzer needs it: a recording in parts, parts changed by chance, and what the server said to it.

The frame layout is that of RFC 9113, section 4.1: length (3 bytes), type, flags, stream (4 bytes), payload.
"""

import base64
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import hpack
from hyperframe.frame import Frame, HeadersFrame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD_BYTES = 9
_MESSAGE_HEAD_BYTES = 5
DATA = 0
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x3FFF, 0x4000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass(frozen=True)
class RawFrame:
    """A frame that may be malformed; `length` None: that of the payload."""

    type: int
    flags: int
    stream: int
    payload: bytes
    length: int | None = None

    def __bytes__(self) -> bytes:
        length = len(self.payload) if self.length is None else self.length
        head = length.to_bytes(3, "big") + bytes((self.type & 0xFF, self.flags & 0xFF))
        return head + (self.stream & 0xFFFFFFFF).to_bytes(4, "big") + self.payload


def split(recording: bytes) -> list[RawFrame]:
    """The frames of what a client sent, without its preface."""
    assert recording.startswith(PREFACE)
    return [RawFrame(head[3], head[4], int.from_bytes(head[5:], "big"), body) for head, body in _parts(recording)]


def _parts(recording: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(PREFACE)
    while at < len(recording):
        head = recording[at : at + _HEAD_BYTES]
        end = at + _HEAD_BYTES + int.from_bytes(head[:3], "big")
        yield head, recording[at + _HEAD_BYTES : end]
        at = end


def mutated(frames: Sequence[RawFrame], dice: random.Random) -> bytes:
    """A connection's bytes with one to three changes, of frames or of bytes below them."""
    changed = list(frames)
    for _ in range(dice.randint(1, 3)):
        dice.choice(_CHANGES)(changed, dice)
    content = PREFACE + b"".join(map(bytes, changed))
    return damaged(content, dice) if dice.random() < 0.15 else content


def damaged(content: bytes, dice: random.Random) -> bytes:
    """Bytes with a few of them flipped, cut out, repeated or cut off."""
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(changed) or 1)
        match dice.randrange(5):
            case 0:
                changed[at : at + 1] = bytes([dice.randrange(256)])
            case 1:
                changed[at : at + 1] = bytes([(changed[at : at + 1] or b"\0")[0] ^ 1 << dice.randrange(8)])
            case 2:
                del changed[at : at + dice.choice((1, 2, 9, 200))]
            case 3:
                changed[at:at] = changed[at : at + dice.choice((1, 5, 9, 100))]
            case _:
                del changed[at:]
    return bytes(changed)


def _swap(frames: list[RawFrame], dice: random.Random) -> None:
    one, other = dice.randrange(len(frames)), dice.randrange(len(frames))
    frames[one], frames[other] = frames[other], frames[one]


def _drop(frames: list[RawFrame], dice: random.Random) -> None:
    if len(frames) > 1:
        del frames[dice.randrange(len(frames))]


def _repeat(frames: list[RawFrame], dice: random.Random) -> None:
    at = dice.randrange(len(frames))
    frames[at:at] = [frames[at]] * dice.choice((1, 2, 50))


def _insert(frames: list[RawFrame], dice: random.Random) -> None:
    payload = dice.randbytes(dice.choice((0, 1, 4, 5, 8, 40, 16_384, 20_000)))
    stream = dice.choice((0, 1, 2, 3, 0x7FFFFFFF))
    frames.insert(dice.randrange(len(frames) + 1), RawFrame(dice.randrange(12), dice.randrange(256), stream, payload))


def _reheaded(frames: list[RawFrame], dice: random.Random) -> None:
    at = dice.randrange(len(frames))
    name = dice.choice(("type", "flags", "stream", "length"))
    value = dice.choice(_EDGES) if dice.random() < 0.5 else dice.randrange(12)
    if name == "length":
        value = min(value, 0xFFFFFF)
    frames[at] = replace(frames[at], **{name: value})  # type: ignore[arg-type]


def _payload(frames: list[RawFrame], dice: random.Random) -> None:
    at = dice.randrange(len(frames))
    frames[at] = replace(frames[at], payload=damaged(frames[at].payload, dice))


def _message(frames: list[RawFrame], dice: random.Random) -> None:
    """Another protobuf in a message whose frame and length are right, so that it gets as far as the handlers."""
    carrying = [at for at, it in enumerate(frames) if it.type == DATA and len(it.payload) > _MESSAGE_HEAD_BYTES]
    if carrying:
        at = dice.choice(carrying)
        content = damaged(frames[at].payload[_MESSAGE_HEAD_BYTES:], dice)
        head = bytes([dice.choice((0, 0, 0, 1, 2, 255))]) + len(content).to_bytes(4, "big")
        frames[at] = replace(frames[at], payload=head + content)


def _split_up(frames: list[RawFrame], dice: random.Random) -> None:
    at = dice.randrange(len(frames))
    frame, cut = frames[at], dice.randrange(len(frames[at].payload) + 1)
    frames[at : at + 1] = [replace(frame, payload=frame.payload[:cut]), replace(frame, payload=frame.payload[cut:])]


_CHANGES: Sequence[Callable[[list[RawFrame], random.Random], None]] = (
    _swap, _drop, _repeat, _insert, _reheaded, _payload, _message, _message, _split_up,
)  # fmt: skip


@dataclass(frozen=True)
class Ending:
    """How a call ended: the number of its status, and the bytes of its details, if it has any."""

    code: int
    message: str
    details: bytes


def endings(said: bytes) -> list[Ending]:
    """The endings of calls among what a server sent."""
    decoder, found, at = hpack.Decoder(), [], 0
    while len(said) - at >= _HEAD_BYTES:
        frame, length = Frame.parse_frame_header(memoryview(said[at : at + _HEAD_BYTES]))
        body, at = said[at + _HEAD_BYTES : at + _HEAD_BYTES + length], at + _HEAD_BYTES + length
        if len(body) < length:
            break
        frame.parse_body(memoryview(body))
        if isinstance(frame, HeadersFrame):
            headers = {bytes(name): bytes(value) for name, value in decoder.decode(frame.data, raw=True)}
            if b"grpc-status" in headers:
                found.append(_ending(headers))
    return found


def _ending(headers: dict[bytes, bytes]) -> Ending:
    message = headers.get(b"grpc-message", b"").decode(errors="replace")
    return Ending(int(headers[b"grpc-status"]), message, _binary(headers.get(b"grpc-status-details-bin", b"")))


def _binary(value: bytes) -> bytes:
    # gRPC's own clients announce that they take bytes as they are; these begin with NUL.
    return value[1:] if value.startswith(b"\0") else base64.b64decode(value + b"=" * (-len(value) % 4))
