"""The asyncio client for administration. It is made and used within one running loop."""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import grpc

from adaptermux.v1 import adapter_admin_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux_client import admin_calls, alias_calls, convert_admin, uploads
from adaptermux_client.admin_events import WatchEvent
from adaptermux_client.admin_results import AdapterInfo, AdapterState, AliasInfo, UploadedRevision
from adaptermux_client.async_connection import AsyncConnection, method_of
from adaptermux_client.batch_results import WatchedBatches
from adaptermux_client.channel import DEFAULT_ADMIN_ADDRESS
from adaptermux_client.convert_batches import watched_batches
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_client.first_status import FirstStatus
from adaptermux_client.results import ProblemType
from adaptermux_client.security import TlsOptions, Token
from adaptermux_client.watching import OnLost, Watch

if TYPE_CHECKING:  # one class of stub serves both at run time; only their types differ
    from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminAsyncStub


class AsyncAdminClient(AsyncConnection["AdapterAdminAsyncStub"]):
    """Asks the admin listener: adapters, aliases, the server.

    The signatures and docstrings of its methods are those of the functions in `admin_calls` and `alias_calls`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADMIN_ADDRESS,
        *,
        timeout: float | None = 120.0,
        channel: grpc.aio.Channel | None = None,
        tls: TlsOptions | None = None,
        token: Token | None = None,
    ) -> None:
        """As `AsyncAdapterMuxClient`; `address` is that of the admin listener, and loads take longer."""
        super().__init__(address, timeout, channel, tls, token)

    def _make_stub(self, channel: grpc.aio.Channel) -> "AdapterAdminAsyncStub":
        return cast("AdapterAdminAsyncStub", AdapterAdminStub(channel))

    load_adapter = method_of(admin_calls.load_adapter)
    unload_adapter = method_of(admin_calls.unload_adapter)
    delete_adapter = method_of(admin_calls.delete_adapter)
    update_adapter = method_of(admin_calls.update_adapter)
    adapter = method_of(admin_calls.adapter)
    adapter_page = method_of(admin_calls.adapter_page)
    set_alias = method_of(alias_calls.set_alias)
    delete_alias = method_of(alias_calls.delete_alias)
    alias_page = method_of(alias_calls.alias_page)
    status = method_of(admin_calls.status)

    async def upload_adapter(
        self,
        folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        on_progress: uploads.OnProgress | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> UploadedRevision:
        """As `AdminClient.upload_adapter`; files are read in threads, and `on_progress` is called in the loop."""
        upload = await asyncio.to_thread(uploads.prepare, folder, revision)
        feed = uploads.AsyncUpload(upload, on_progress)
        call = self.stub.UploadAdapter(feed.messages(), timeout=timeout)
        status = FirstStatus(call)
        try:
            response = await call
        except grpc.RpcError as error:
            feed.raise_failure()
            raise status.error(error) from error
        finally:
            call.cancel()
        feed.raise_failure()
        return convert_admin.uploaded_revision(response)

    async def push_adapter(
        self,
        adapter_id: str,
        folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        labels: Sequence[str] = (),
        problem_type: ProblemType = ProblemType.UNSPECIFIED,
        weight: float = 1.0,
        max_wait_seconds: float | None = None,
        pinned: bool = False,
        metadata: Mapping[str, str] | None = None,
        on_progress: uploads.OnProgress | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AdapterInfo:
        """As `AdminClient.push_adapter`."""
        uploaded = await self.upload_adapter(folder, revision=revision, on_progress=on_progress, timeout=timeout)
        return await self.load_adapter(
            adapter_id,
            revision=uploaded.revision,
            labels=labels,
            problem_type=problem_type,
            weight=weight,
            max_wait_seconds=max_wait_seconds,
            pinned=pinned,
            metadata=metadata,
            timeout=timeout,
        )

    async def watch_adapters(
        self,
        resume_token: str = "",
        *,
        reconnect: bool = True,
        on_lost: OnLost | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncGenerator[WatchEvent, None]:
        """As `AdminClient.watch_adapters`; `on_lost` is called in the loop."""
        watch = Watch(resume_token, reconnect, timeout, on_lost)
        while True:
            lost: AdapterMuxClientError | None = None
            stream = self.stub.WatchAdapters(watch.request(), timeout=watch.time_remaining())
            try:
                async for response in stream:
                    if (event := watch.seen(response)) is not None:
                        yield event
            except grpc.RpcError as error:
                lost = from_rpc_error(error)
                lost.__cause__ = error
            finally:
                stream.cancel()
            await asyncio.sleep(watch.delay_after(lost))

    async def watch_batches(
        self,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncGenerator[WatchedBatches, None]:
        """As `AdminClient.watch_batches`."""
        stream = self.stub.WatchBatches(adapter_admin_pb2.WatchBatchesRequest(), timeout=timeout)
        try:
            async for response in stream:
                yield watched_batches(response)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()

    async def adapters(
        self,
        *,
        state: AdapterState = AdapterState.UNSPECIFIED,
        filter: str = "",
        page_size: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncIterator[AdapterInfo]:
        """Walk over all adapters by id, fetching page after page; see `adapter_page`."""
        token = ""
        while True:
            page = await self.adapter_page(
                state=state, filter=filter, page_size=page_size, page_token=token, timeout=timeout
            )
            for adapter in page.adapters:
                yield adapter
            token = page.next_page_token
            if not token:
                return

    async def aliases(
        self,
        *,
        page_size: int = 0,
        timeout: float | None = None,  # noqa: ASYNC109  # it travels to the server
    ) -> AsyncIterator[AliasInfo]:
        """Walk over all aliases by name, fetching page after page; see `alias_page`."""
        token = ""
        while True:
            page = await self.alias_page(page_size=page_size, page_token=token, timeout=timeout)
            for alias in page.aliases:
                yield alias
            token = page.next_page_token
            if not token:
                return
