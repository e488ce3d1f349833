"""`AdapterAdmin` over dictionaries: the real server's rules, as far as a client can tell them."""

import threading
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc
from adaptermux_server.adapters.canonical import digest_of
from tests.client.fake_answers import POS, REVISION, SENTIMENT, failure, not_found, server_status
from tests.client.script import Context, Script

T = TypeVar("T")
Happening: TypeAlias = T | status_pb2.Status
"""What a watch tells, or the failure that ends it."""

pb = adapter_admin_pb2


class FakeAdmin(adapter_admin_pb2_grpc.AdapterAdminServicer):
    """Adapters, aliases and contents; two to a page."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self.adapters = {adapter.id: _copy(adapter) for adapter in (SENTIMENT, POS)}
        self.aliases: dict[str, pb.Alias] = {}
        self.contents: dict[str, int] = {REVISION: 1}
        """Sizes by revision."""
        self.revision_at: dict[str, str] = {}
        """Revisions by URI, where it isn't REVISION."""
        self.chunks: list[int] = []
        """Sizes of the chunks that came."""
        self.refuse_upload_after: tuple[int, status_pb2.Status] | None = None
        """So many chunks are taken, then the upload fails."""
        self.watches: list[list[Happening[pb.WatchAdaptersResponse]]] = []
        """What happens in the watches to come. One that has no failure stays open until it is cancelled."""
        self.batches: list[list[Happening[pb.WatchBatchesResponse]]] = []
        """As `watches`, of forwards."""
        self.watch_ended = threading.Event()
        """Set once a watch is over, whoever ended it."""

    def UploadAdapter(
        self, request_iterator: Iterator[pb.UploadAdapterRequest], context: Context
    ) -> pb.UploadAdapterResponse:
        first = next(request_iterator)
        self._script.enter(first, context)
        announced = first.metadata.revision
        if announced in self.contents:
            return pb.UploadAdapterResponse(
                revision=announced, size_bytes=self.contents[announced], already_stored=True
            )
        found = self._received(first.metadata, request_iterator, context)
        if found is None:
            _abort(context, failure(grpc.StatusCode.INVALID_ARGUMENT, "too short or too long", "INVALID_REQUEST"))
        elif announced and found != announced:
            facts = {"expected": announced, "found": found}
            _abort(context, failure(grpc.StatusCode.DATA_LOSS, "other bytes", "DIGEST_MISMATCH", facts))
        self.contents[found or ""] = sum(self.chunks)
        return pb.UploadAdapterResponse(revision=found or "", size_bytes=sum(self.chunks))

    def _received(
        self, metadata: pb.UploadMetadata, chunks: Iterator[pb.UploadAdapterRequest], context: Context
    ) -> str | None:
        """The revision of what comes; None if it isn't as long as announced."""
        received = b""
        for message in chunks:
            self.chunks.append(len(message.chunk))
            received += message.chunk
            if self.refuse_upload_after and len(self.chunks) == self.refuse_upload_after[0]:
                _abort(context, self.refuse_upload_after[1])
        files, start = {}, 0
        for file in metadata.files:
            files[file.name] = received[start : start + file.size_bytes]
            start += file.size_bytes
        return digest_of(files) if start == len(received) else None

    def LoadAdapter(self, request: pb.LoadAdapterRequest, context: Context) -> pb.LoadAdapterResponse:
        self._script.enter(request, context)
        if request.revision and request.revision not in self.contents:
            facts = {"digest": request.revision}
            _abort(context, failure(grpc.StatusCode.NOT_FOUND, "no such content", "REVISION_NOT_FOUND", facts))
        before = self.adapters.get(request.adapter_id)
        adapter = _copy(SENTIMENT)
        adapter.id, adapter.uri, adapter.weight = request.adapter_id, request.uri, request.weight
        adapter.revision = request.revision or self.revision_at.get(request.uri, REVISION)
        adapter.pinned = request.pinned
        adapter.metadata.update(request.metadata)
        if request.HasField("max_wait"):
            adapter.max_wait.CopyFrom(request.max_wait)
        if request.labels:
            adapter.labels[:] = request.labels
        if before is not None and before.revision != adapter.revision:
            adapter.earlier_revisions[:] = [before.revision, *before.earlier_revisions]
        if request.validate_only:
            adapter.state = pb.ADAPTER_STATE_UNLOADED
        else:
            self.adapters[adapter.id] = adapter
        return pb.LoadAdapterResponse(adapter=adapter)

    def UnloadAdapter(self, request: pb.UnloadAdapterRequest, context: Context) -> pb.UnloadAdapterResponse:
        self._script.enter(request, context)
        adapter = self._known(request.adapter_id, context)
        return pb.UnloadAdapterResponse(adapter=pb.Adapter(id=adapter.id, state=pb.ADAPTER_STATE_UNLOADED))

    def DeleteAdapter(self, request: pb.DeleteAdapterRequest, context: Context) -> pb.DeleteAdapterResponse:
        self._script.enter(request, context)
        adapter = self._known(request.adapter_id, context)
        names = [
            alias.name
            for alias in self.aliases.values()
            if any(target.adapter.partition("@")[0] == adapter.id for target in alias.targets)
        ]
        if names:
            facts = {"adapter": adapter.id, "aliases": ",".join(names)}
            _abort(context, failure(grpc.StatusCode.FAILED_PRECONDITION, "has aliases", "ALIASED", facts))
        del self.adapters[adapter.id]
        return pb.DeleteAdapterResponse(adapter=pb.Adapter(id=adapter.id, state=pb.ADAPTER_STATE_UNLOADED))

    def UpdateAdapter(self, request: pb.UpdateAdapterRequest, context: Context) -> pb.UpdateAdapterResponse:
        self._script.enter(request, context)
        adapter = _copy(self._known(request.adapter.id, context))
        for path in request.update_mask.paths:
            adapter.ClearField(path)  # type: ignore[arg-type]
        changed = pb.Adapter()
        request.update_mask.MergeMessage(
            request.adapter, changed, replace_message_field=True, replace_repeated_field=True
        )
        adapter.MergeFrom(changed)
        adapter.weight = adapter.weight or 1.0
        self.adapters[adapter.id] = adapter
        return pb.UpdateAdapterResponse(adapter=adapter)

    def GetAdapter(self, request: pb.GetAdapterRequest, context: Context) -> pb.GetAdapterResponse:
        self._script.enter(request, context)
        return pb.GetAdapterResponse(adapter=self._known(request.adapter_id, context))

    def ListAdapters(self, request: pb.ListAdaptersRequest, context: Context) -> pb.ListAdaptersResponse:
        self._script.enter(request, context)
        ids, size = sorted(self.adapters), request.page_size or 2
        start = int(request.page_token or 0)
        page = [self.adapters[each] for each in ids[start : start + size]]
        token = str(start + size) if start + size < len(ids) else ""
        return pb.ListAdaptersResponse(adapters=page, next_page_token=token)

    def SetAlias(self, request: pb.SetAliasRequest, context: Context) -> pb.SetAliasResponse:
        self._script.enter(request, context)
        alias = pb.Alias()
        alias.CopyFrom(request.alias)
        alias.update_time.GetCurrentTime()
        for target in alias.targets:
            adapter_id, at, _ = target.adapter.partition("@")
            adapter = self._known(adapter_id, context)
            target.adapter = f"{adapter_id}@{adapter.revision}" if at else adapter_id
            target.weight = target.weight or 1
        self.aliases[alias.name] = alias
        return pb.SetAliasResponse(alias=alias)

    def DeleteAlias(self, request: pb.DeleteAliasRequest, context: Context) -> pb.DeleteAliasResponse:
        self._script.enter(request, context)
        if request.name not in self.aliases:
            facts = {"alias": request.name}
            _abort(context, failure(grpc.StatusCode.NOT_FOUND, "no such alias", "ALIAS_NOT_FOUND", facts))
        return pb.DeleteAliasResponse(alias=self.aliases.pop(request.name))

    def ListAliases(self, request: pb.ListAliasesRequest, context: Context) -> pb.ListAliasesResponse:
        self._script.enter(request, context)
        names, size = sorted(self.aliases), request.page_size or 2
        start = int(request.page_token or 0)
        page = [self.aliases[each] for each in names[start : start + size]]
        token = str(start + size) if start + size < len(names) else ""
        return pb.ListAliasesResponse(aliases=page, next_page_token=token)

    def WatchAdapters(self, request: pb.WatchAdaptersRequest, context: Context) -> Iterator[pb.WatchAdaptersResponse]:
        self._script.enter(request, context)
        yield from self._happening(self.watches, context)

    def WatchBatches(self, request: pb.WatchBatchesRequest, context: Context) -> Iterator[pb.WatchBatchesResponse]:
        self._script.enter(request, context)
        yield from self._happening(self.batches, context)

    def _happening(self, watches: list[list[Happening[T]]], context: Context) -> Iterator[T]:
        ended = threading.Event()
        context.add_callback(ended.set)
        context.add_callback(self.watch_ended.set)
        for happening in watches.pop(0) if watches else []:
            if isinstance(happening, status_pb2.Status):
                _abort(context, happening)
            else:
                yield happening
        ended.wait(30)

    def GetServerStatus(self, request: pb.GetServerStatusRequest, context: Context) -> pb.GetServerStatusResponse:
        self._script.enter(request, context)
        return server_status()

    def _known(self, adapter_id: str, context: Context) -> pb.Adapter:
        if adapter_id not in self.adapters:
            _abort(context, not_found(adapter_id))
        return self.adapters[adapter_id]


def _copy(adapter: pb.Adapter) -> pb.Adapter:
    copied = pb.Adapter()
    copied.CopyFrom(adapter)
    return copied


def _abort(context: Context, status: status_pb2.Status) -> None:
    context.abort_with_status(rpc_status.to_status(status))
