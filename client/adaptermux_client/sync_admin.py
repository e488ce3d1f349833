"""The blocking client for administration. Safe to share between threads."""

import os
import time
from collections.abc import Generator, Iterator, Mapping, Sequence

import grpc

from adaptermux.v1 import adapter_admin_pb2
from adaptermux.v1.adapter_admin_pb2_grpc import AdapterAdminStub
from adaptermux_client import admin_calls, alias_calls, convert_admin, uploads
from adaptermux_client.admin_events import WatchEvent
from adaptermux_client.admin_results import AdapterInfo, AdapterState, AliasInfo, UploadedRevision
from adaptermux_client.batch_results import WatchedBatches
from adaptermux_client.channel import DEFAULT_ADMIN_ADDRESS
from adaptermux_client.convert_batches import watched_batches
from adaptermux_client.errors import AdapterMuxClientError, from_rpc_error
from adaptermux_client.results import ProblemType
from adaptermux_client.security import TlsOptions, Token
from adaptermux_client.sync_connection import SyncConnection, method_of
from adaptermux_client.watching import OnLost, Watch


class AdminClient(SyncConnection[AdapterAdminStub]):
    """Asks the admin listener: adapters, aliases, the server.

    The signatures and docstrings of its methods are those of the functions in `admin_calls` and `alias_calls`.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADMIN_ADDRESS,
        *,
        timeout: float | None = 120.0,
        channel: grpc.Channel | None = None,
        tls: TlsOptions | None = None,
        token: Token | None = None,
    ) -> None:
        """As `AdapterMuxClient`; `address` is that of the admin listener, and loads take longer."""
        super().__init__(address, timeout, channel, tls, token)

    def _make_stub(self, channel: grpc.Channel) -> AdapterAdminStub:
        return AdapterAdminStub(channel)

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

    def upload_adapter(
        self,
        folder: str | os.PathLike[str],
        *,
        revision: str | None = None,
        on_progress: uploads.OnProgress | None = None,
        timeout: float | None = None,
    ) -> UploadedRevision:
        """Send the files of an adapter's folder on this machine to the server's store.

        What the store has already isn't sent again. Only `adapter_config.json`, `adapter_model.safetensors` and (if it
        is there) `config.json` are sent.

        Args:
            folder: as `save_pretrained` writes it.
            revision: that of the folder, where the caller knows it; None: it is computed, which reads the files once.
            on_progress: called from another thread after each MiB, with the bytes sent so far and those of all files.
                What it raises ends the upload and is raised here.
            timeout: seconds; None: as long as it takes.

        Raises:
            OSError: the folder can't be read, a file is missing, or one changes meanwhile.
            DigestMismatchError: what arrived isn't of `revision`.
            AdapterMuxClientError: another subclass by status and reason. Nothing was kept.
        """
        feed = uploads.SyncUpload(uploads.prepare(folder, revision), on_progress)
        call = self.stub.UploadAdapter.future(feed.messages(), timeout=timeout)
        try:
            response = call.result()
        except grpc.RpcError as error:
            feed.raise_failure()
            raise from_rpc_error(error) from error
        finally:
            call.cancel()
        feed.raise_failure()
        return convert_admin.uploaded_revision(response)

    def push_adapter(
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
        timeout: float | None = None,
    ) -> AdapterInfo:
        """Load an adapter from a folder of this machine: `upload_adapter`, then `load_adapter` of what it gives.

        Args:
            adapter_id: see `load_adapter`.
            folder: see `upload_adapter`.
            revision: see `upload_adapter`.
            labels: see `load_adapter`, as of the other options.
            problem_type: see `load_adapter`.
            weight: see `load_adapter`.
            max_wait_seconds: see `load_adapter`.
            pinned: see `load_adapter`.
            metadata: see `load_adapter`.
            on_progress: see `upload_adapter`.
            timeout: seconds of each of the two calls; None: any for the upload, the client's own for the load.

        Raises:
            OSError: see `upload_adapter`.
            AdapterMuxClientError: a subclass by status and reason; no adapter has changed.
        """
        uploaded = self.upload_adapter(folder, revision=revision, on_progress=on_progress, timeout=timeout)
        return self.load_adapter(
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

    def watch_adapters(
        self,
        resume_token: str = "",
        *,
        reconnect: bool = True,
        on_lost: OnLost | None = None,
        timeout: float | None = None,
    ) -> Generator[WatchEvent, None, None]:
        """Follow adapters and aliases: first all that there are, then every change, until the generator is closed.

        Args:
            resume_token: of the last event that was seen; empty: from the start. If the server doesn't remember that
                long, or was restarted, the first event is `SnapshotBegan`.
            reconnect: whether to connect again after a lost connection, from the last event on, at growing intervals of
                at most 5 s. A first connection that fails is an error all the same, unless there is a token.
            on_lost: called with the failure each time before the wait for a new connection.
            timeout: seconds for the whole watch; None is none.

        Raises:
            AdapterMuxClientError: a subclass by status and reason; see `errors`.
        """
        watch = Watch(resume_token, reconnect, timeout, on_lost)
        while True:
            lost: AdapterMuxClientError | None = None
            stream = self.stub.WatchAdapters(watch.request(), timeout=watch.time_remaining())
            try:
                for response in stream:
                    if (event := watch.seen(response)) is not None:
                        yield event
            except grpc.RpcError as error:
                lost = from_rpc_error(error)
                lost.__cause__ = error
            finally:
                stream.cancel()
            time.sleep(watch.delay_after(lost))

    def watch_batches(self, *, timeout: float | None = None) -> Generator[WatchedBatches, None, None]:
        """Follow the forwards that the engine computes from now on, until the generator is closed.

        Nothing is told while nothing is computed. Who reads too slowly misses some, and holds up nobody.

        Args:
            timeout: seconds for the whole watch; None is none.

        Raises:
            DeadlineExceededError: the timeout has passed: how a watch that has one ends.
            UnavailableError: the connection was lost, or the server stops. Call again to go on from then.
            AdapterMuxClientError: another subclass by status and reason.
        """
        stream = self.stub.WatchBatches(adapter_admin_pb2.WatchBatchesRequest(), timeout=timeout)
        try:
            for response in stream:
                yield watched_batches(response)
        except grpc.RpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()

    def adapters(
        self,
        *,
        state: AdapterState = AdapterState.UNSPECIFIED,
        filter: str = "",
        page_size: int = 0,
        timeout: float | None = None,
    ) -> Iterator[AdapterInfo]:
        """Walk over all adapters by id, fetching page after page; see `adapter_page`."""
        token = ""
        while True:
            page = self.adapter_page(state=state, filter=filter, page_size=page_size, page_token=token, timeout=timeout)
            yield from page.adapters
            token = page.next_page_token
            if not token:
                return

    def aliases(self, *, page_size: int = 0, timeout: float | None = None) -> Iterator[AliasInfo]:
        """Walk over all aliases by name, fetching page after page; see `alias_page`."""
        token = ""
        while True:
            page = self.alias_page(page_size=page_size, page_token=token, timeout=timeout)
            yield from page.aliases
            token = page.next_page_token
            if not token:
                return
