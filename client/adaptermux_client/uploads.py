"""The sending sides of `UploadAdapter`: what is to come, then the bytes of a folder in chunks.

The server may answer at any time, for example since it has the content. gRPC then takes no more messages.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_client.contents import LocalContent, local_content

OnProgress: TypeAlias = Callable[[int, int], object]
"""Called with the bytes handed to gRPC so far, and those of all files."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What is sent: a content with its revision."""

    content: LocalContent
    revision: str

    def metadata(self) -> adapter_admin_pb2.UploadAdapterRequest:
        """The first message."""
        message = adapter_admin_pb2.UploadAdapterRequest()
        message.metadata.revision = self.revision
        for file in self.content.files:
            message.metadata.files.add(name=file.name, size_bytes=file.size_bytes)
        return message


def prepare(folder: str | os.PathLike[str], revision: str | None) -> Upload:
    """Look at a folder, and read it once where its revision isn't known. Raises OSError."""
    content = local_content(folder)
    return Upload(content, content.revision() if revision is None else revision)


class _Feed:
    """Keeps what reading the folder or reporting raised: gRPC would log it and cancel, the caller wants it raised."""

    def __init__(self, upload: Upload, on_progress: OnProgress | None) -> None:
        self._upload = upload
        self._on_progress = on_progress
        self._num_bytes = 0
        self._failure: Exception | None = None

    def _message(self, chunk: bytes) -> adapter_admin_pb2.UploadAdapterRequest:
        self._num_bytes += len(chunk)
        return adapter_admin_pb2.UploadAdapterRequest(chunk=chunk)

    def _report(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._num_bytes, self._upload.content.size_bytes)

    def raise_failure(self) -> None:
        """Raise what stopped the feed, if anything."""
        if self._failure is not None:
            raise self._failure


class SyncUpload(_Feed):
    """Sends from gRPC's own thread, which calls `on_progress` too."""

    def messages(self) -> Iterator[adapter_admin_pb2.UploadAdapterRequest]:
        """The messages; ends early on a failure, so that the server refuses what came."""
        try:
            yield self._upload.metadata()
            for chunk in self._upload.content.read():
                yield self._message(chunk)
                self._report()
        except Exception as error:
            self._failure = error


class AsyncUpload(_Feed):
    """Sends from a task of the caller's loop; files are read beside it."""

    async def messages(self) -> AsyncIterator[adapter_admin_pb2.UploadAdapterRequest]:
        """As of `SyncUpload`."""
        try:
            yield self._upload.metadata()
            chunks = self._upload.content.read()
            while chunk := await asyncio.to_thread(next, chunks, b""):
                yield self._message(chunk)
                self._report()
        except Exception as error:
            self._failure = error
