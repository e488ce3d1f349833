"""The bank: a twin of the backbone whose modules add what each row's adapter changes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from adaptermux_server.engine.backbone import Backbone
from adaptermux_server.engine.bank.batch import plan_batch
from adaptermux_server.engine.bank.columns import telling_columns
from adaptermux_server.engine.bank.content import BankContent, fits, make_blank, make_content
from adaptermux_server.engine.bank.costs import KernelCosts, measure_costs
from adaptermux_server.engine.bank.layout import Layouts
from adaptermux_server.engine.bank.modules import Cell, adapt
from adaptermux_server.engine.bank.sites import find_sites
from adaptermux_server.engine.bank.workspace import Workspace
from adaptermux_server.engine.collate import Batch
from adaptermux_server.engine.forms import Form
from adaptermux_server.engine.peft_layers import Layers
from adaptermux_server.engine.twin import twin
from adaptermux_server.types import Kernel


class Bank:
    """Computes rows of many adapters at once. `compute` and `forget` belong to the engine thread, the rest to the one
    that prepares.
    """

    def __init__(self, backbone: Backbone, costs: KernelCosts | None = None) -> None:
        """`costs`: None measures them."""
        self._tree = twin(backbone)
        self.sites = find_sites(self._tree, backbone)
        self._sites_by_name = {site.name: site for site in self.sites}
        self._layouts = Layouts(self.sites)
        self._cell = Cell()
        for site in self.sites:
            adapt(site, self._cell)
        self._telling_columns = telling_columns(backbone)
        self._workspace = Workspace(backbone.device)
        self._costs = costs or measure_costs(backbone.device)

    @property
    def num_bytes(self) -> int:
        """Memory that it takes beside the base and the adapters."""
        return self._workspace.num_bytes

    def can_hide(self, columns: frozenset[str]) -> bool:
        """Whether inputs can be kept from some of a batch's rows: by zeros, where they mean the same as absence."""
        return not columns & self._telling_columns

    def fits(self, layers: Layers) -> bool:
        """Whether it can represent an adapter's layers exactly."""
        return fits(self._sites_by_name, layers)

    def make_content(self, layers: Layers) -> BankContent:
        """Build what `fits`, for `compute`."""
        return make_content(self.sites, self._layouts, layers)

    def make_blank(self, forms: Mapping[str, Form]) -> BankContent:
        """Content without embeddings that changes nothing, to be filled. `forms`: by the sites' names."""
        return make_blank(self._layouts, forms, self._workspace.device)

    @torch.inference_mode()
    def compute(self, batch: Batch, contents: Sequence[BankContent | None]) -> tuple[Any, Kernel]:
        """One forward of the backbone. `contents`: by row, in the order of `order_rows`; None: the base.

        Returns: the backbone's outputs, and how they were computed.
        """
        planned = plan_batch(contents, self._workspace, self._costs)
        with self._cell.computing(planned):
            return self._tree(**batch.inputs), planned.kernel

    def forget(self, content: BankContent, *, poison: bool = True) -> None:
        """Free an adapter: whoever still reads it gets NaN. `poison` False: its tensors are kept for later."""
        self._workspace.forget(content)
        if poison:
            content.poison()
