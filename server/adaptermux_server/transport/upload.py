"""UploadAdapter: the stream of messages as announced files and their bytes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from adaptermux.v1 import adapter_admin_pb2
from adaptermux_server.adapters.canonical import check_digest
from adaptermux_server.adapters.store.incoming import AnnouncedFile
from adaptermux_server.adapters.uploads import Uploads
from adaptermux_server.errors import InvalidRequestError

MAX_CHUNK_BYTES = 1 << 20
_Request = adapter_admin_pb2.UploadAdapterRequest


async def upload_adapter(
    uploads: Uploads, requests: AsyncIterator[_Request]
) -> adapter_admin_pb2.UploadAdapterResponse:
    """Receive an upload. Raises InvalidRequestError, and as `Uploads.receive` does."""
    files, revision = _check_metadata(await uploads.first(requests))
    async with aclosing(_chunks(requests)) as chunks:
        stored = await uploads.receive(files, revision, chunks)
    return adapter_admin_pb2.UploadAdapterResponse(
        revision=stored.digest, size_bytes=stored.num_bytes, already_stored=stored.already_stored
    )


def _check_metadata(request: _Request | None) -> tuple[list[AnnouncedFile], str | None]:
    """The announced files, which the store checks, and the revision that they must have."""
    if request is None or request.WhichOneof("content") != "metadata":
        raise InvalidRequestError(("metadata", "is missing: it must be the first message"))
    metadata = request.metadata
    if not metadata.files:
        raise InvalidRequestError(("metadata.files", "must not be empty"))
    revision = check_digest(metadata.revision, "metadata.revision") if metadata.revision else None
    return [(file.name, file.size_bytes) for file in metadata.files], revision


async def _chunks(requests: AsyncIterator[_Request]) -> AsyncGenerator[bytes, None]:
    async for request in requests:
        if request.WhichOneof("content") == "metadata":
            raise InvalidRequestError(("metadata", "must come once, in the first message"))
        if not 1 <= len(request.chunk) <= MAX_CHUNK_BYTES:
            text = f"has {len(request.chunk)} bytes, allowed are 1 to {MAX_CHUNK_BYTES}"
            raise InvalidRequestError(("chunk", text))
        yield request.chunk
