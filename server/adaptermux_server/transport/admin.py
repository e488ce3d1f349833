"""Service `AdapterAdmin`: each handler checks the request, delegates, and converts the answer."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc
from adaptermux_server.adapters.control import ControlPlane
from adaptermux_server.adapters.paging import page_of
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.scheduler.loop import Scheduler
from adaptermux_server.transport import admin_checks, admin_convert
from adaptermux_server.transport.border import Context, client_stream, server_stream, unary
from adaptermux_server.transport.upload import upload_adapter
from adaptermux_server.transport.watch import watch_adapters, watch_batches

SERVICE_NAME = adapter_admin_pb2.DESCRIPTOR.services_by_name["AdapterAdmin"].full_name


class AdapterAdminServicer(adapter_admin_pb2_grpc.AdapterAdminServicer):
    """Serves the control plane."""

    def __init__(
        self,
        control: ControlPlane,
        scheduler: Scheduler,
        read_status: Callable[[], admin_convert.ServerPicture],
        rpc_metrics: RpcMetrics,
    ) -> None:
        self.rpc_metrics = rpc_metrics
        self._registry, self._lifecycle, self._aliases = control.registry, control.lifecycle, control.aliases
        self._uploads = control.uploads
        self._scheduler = scheduler
        self._read_status = read_status

    @client_stream
    async def UploadAdapter(
        self, requests: AsyncIterator[adapter_admin_pb2.UploadAdapterRequest], context: Context
    ) -> adapter_admin_pb2.UploadAdapterResponse:
        """See adapter_admin.proto."""
        return await upload_adapter(self._uploads, requests)

    @unary
    async def LoadAdapter(
        self, request: adapter_admin_pb2.LoadAdapterRequest, context: Context
    ) -> adapter_admin_pb2.LoadAdapterResponse:
        """See adapter_admin.proto."""
        record = await self._lifecycle.load(admin_checks.check_load(request))
        return adapter_admin_pb2.LoadAdapterResponse(adapter=admin_convert.adapter(record))

    @unary
    async def UnloadAdapter(
        self, request: adapter_admin_pb2.UnloadAdapterRequest, context: Context
    ) -> adapter_admin_pb2.UnloadAdapterResponse:
        """See adapter_admin.proto."""
        drain_seconds = admin_checks.check_drain_timeout(request)
        record = await self._lifecycle.unload(request.adapter_id, drain_seconds, force=request.force)
        return adapter_admin_pb2.UnloadAdapterResponse(adapter=admin_convert.adapter(record))

    @unary
    async def DeleteAdapter(
        self, request: adapter_admin_pb2.DeleteAdapterRequest, context: Context
    ) -> adapter_admin_pb2.DeleteAdapterResponse:
        """See adapter_admin.proto."""
        drain_seconds = admin_checks.check_drain_timeout(request)
        record = await self._lifecycle.unload(request.adapter_id, drain_seconds, force=request.force, delete=True)
        return adapter_admin_pb2.DeleteAdapterResponse(adapter=admin_convert.adapter(record))

    @unary
    async def UpdateAdapter(
        self, request: adapter_admin_pb2.UpdateAdapterRequest, context: Context
    ) -> adapter_admin_pb2.UpdateAdapterResponse:
        """See adapter_admin.proto."""
        record = await self._lifecycle.update(request.adapter.id, admin_checks.check_update(request))
        return adapter_admin_pb2.UpdateAdapterResponse(adapter=admin_convert.adapter(record))

    @unary
    async def GetAdapter(
        self, request: adapter_admin_pb2.GetAdapterRequest, context: Context
    ) -> adapter_admin_pb2.GetAdapterResponse:
        """See adapter_admin.proto."""
        record = self._registry.get(request.adapter_id)
        return adapter_admin_pb2.GetAdapterResponse(adapter=admin_convert.adapter(record))

    @unary
    async def ListAdapters(
        self, request: adapter_admin_pb2.ListAdaptersRequest, context: Context
    ) -> adapter_admin_pb2.ListAdaptersResponse:
        """See adapter_admin.proto."""
        wanted, keep = admin_checks.check_listing(request)
        page = page_of(self._registry.list(), lambda record: record.id, wanted, keep)
        return adapter_admin_pb2.ListAdaptersResponse(
            adapters=map(admin_convert.adapter, page.items), next_page_token=page.next_token
        )

    @unary
    async def SetAlias(
        self, request: adapter_admin_pb2.SetAliasRequest, context: Context
    ) -> adapter_admin_pb2.SetAliasResponse:
        """See adapter_admin.proto."""
        alias = await self._aliases.set(admin_checks.check_alias(request))
        return adapter_admin_pb2.SetAliasResponse(alias=admin_convert.alias(alias))

    @unary
    async def DeleteAlias(
        self, request: adapter_admin_pb2.DeleteAliasRequest, context: Context
    ) -> adapter_admin_pb2.DeleteAliasResponse:
        """See adapter_admin.proto."""
        alias = await self._aliases.delete(request.name)
        return adapter_admin_pb2.DeleteAliasResponse(alias=admin_convert.alias(alias))

    @unary
    async def ListAliases(
        self, request: adapter_admin_pb2.ListAliasesRequest, context: Context
    ) -> adapter_admin_pb2.ListAliasesResponse:
        """See adapter_admin.proto."""
        wanted = admin_checks.check_page(request)
        page = page_of(self._registry.aliases(), lambda alias: alias.name, wanted)
        return adapter_admin_pb2.ListAliasesResponse(
            aliases=map(admin_convert.alias, page.items), next_page_token=page.next_token
        )

    @server_stream
    def WatchAdapters(
        self, request: adapter_admin_pb2.WatchAdaptersRequest, context: Context
    ) -> AsyncGenerator[adapter_admin_pb2.WatchAdaptersResponse, None]:
        """See adapter_admin.proto."""
        return watch_adapters(self._registry.feed, request.resume_token)

    @server_stream
    def WatchBatches(
        self, request: adapter_admin_pb2.WatchBatchesRequest, context: Context
    ) -> AsyncGenerator[adapter_admin_pb2.WatchBatchesResponse, None]:
        """See adapter_admin.proto."""
        return watch_batches(self._scheduler)

    @unary
    async def GetServerStatus(
        self, request: adapter_admin_pb2.GetServerStatusRequest, context: Context
    ) -> adapter_admin_pb2.GetServerStatusResponse:
        """See adapter_admin.proto."""
        return admin_convert.server_status(self._read_status())
