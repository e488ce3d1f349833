"""Service `AdapterAdmin`: each handler checks the request, delegates, and converts the answer."""

from collections.abc import Callable

from adaptermux.v1 import adapter_admin_pb2, adapter_admin_pb2_grpc
from adaptermux_server.adapters.lifecycle import Lifecycle
from adaptermux_server.adapters.paging import page_of
from adaptermux_server.adapters.registry import AdapterRegistry
from adaptermux_server.metrics import RpcMetrics
from adaptermux_server.transport import admin_checks, admin_convert
from adaptermux_server.transport.border import Context, unary

SERVICE_NAME = adapter_admin_pb2.DESCRIPTOR.services_by_name["AdapterAdmin"].full_name


class AdapterAdminServicer(adapter_admin_pb2_grpc.AdapterAdminServicer):
    """Serves the control plane."""

    def __init__(
        self,
        registry: AdapterRegistry,
        lifecycle: Lifecycle,
        read_status: Callable[[], admin_convert.ServerPicture],
        rpc_metrics: RpcMetrics,
    ) -> None:
        self.rpc_metrics = rpc_metrics
        self._registry = registry
        self._lifecycle = lifecycle
        self._read_status = read_status

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
        state = admin_checks.check_state(request.state)
        page = page_of(self._registry.list(), request.page_size, request.page_token, state)
        return adapter_admin_pb2.ListAdaptersResponse(
            adapters=map(admin_convert.adapter, page.records), next_page_token=page.next_page_token
        )

    @unary
    async def GetServerStatus(
        self, request: adapter_admin_pb2.GetServerStatusRequest, context: Context
    ) -> adapter_admin_pb2.GetServerStatusResponse:
        """See adapter_admin.proto."""
        return admin_convert.server_status(self._read_status())
