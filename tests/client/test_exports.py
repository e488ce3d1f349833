"""What the package offers by name."""

import inspect
from types import ModuleType

import pytest

import adaptermux_client
from adaptermux_client import AdapterMuxClient, AdminClient, AsyncAdapterMuxClient, AsyncAdminClient

PUBLIC = [
    "AdapterChanged",
    "AdapterInfo",
    "AdapterMuxClient",
    "AdapterMuxClientError",
    "AdapterPage",
    "AdapterRef",
    "AdapterRemoved",
    "AdapterState",
    "AdminClient",
    "AliasChanged",
    "AliasInfo",
    "AliasPage",
    "AliasRemoved",
    "AliasTarget",
    "Analysis",
    "AnalyzeRequest",
    "AnalyzeTask",
    "AnswerResult",
    "AnswerSpan",
    "AnswerTask",
    "AsyncAdapterMuxClient",
    "AsyncAdminClient",
    "BatchInfo",
    "BatchRowInfo",
    "Classification",
    "ClassifyTask",
    "CostEstimates",
    "EmbedTask",
    "Embedding",
    "Executor",
    "HealthStatus",
    "Input",
    "InputAnalysis",
    "Inputs",
    "LabelScore",
    "MemoryStatus",
    "ModelInfo",
    "Pooling",
    "ProblemType",
    "Question",
    "QueueStatus",
    "Results",
    "RowCounts",
    "ServerStatus",
    "SnapshotBegan",
    "SnapshotEnded",
    "Span",
    "StreamedAnalysis",
    "Tag",
    "TagTask",
    "TaggedSequence",
    "Task",
    "TaskResult",
    "Tier",
    "TierCounts",
    "Timings",
    "TlsOptions",
    "Token",
    "Tokenization",
    "TokenizedInput",
    "UNSET",
    "UploadedRevision",
    "WatchEvent",
    "WatchedBatches",
    "__version__",
    "channel_options",
    "errors",
]


def test_the_exported_names_are_these() -> None:
    """A name is added or taken away on purpose, and then here too."""
    assert sorted(PUBLIC) == sorted(adaptermux_client.__all__)


def test_nothing_else_is_public_but_modules() -> None:
    """What isn't exported has no business among the package's names."""
    names = {name for name, value in vars(adaptermux_client).items() if not isinstance(value, ModuleType)}

    assert {name for name in names if not name.startswith("_")} <= set(PUBLIC)


@pytest.mark.parametrize(
    ("blocking", "asynchronous"), [(AdapterMuxClient, AsyncAdapterMuxClient), (AdminClient, AsyncAdminClient)]
)
def test_both_clients_have_the_same_methods(blocking: type, asynchronous: type) -> None:
    """Who knows one client knows the other: the same names, and the same parameters with the same defaults."""
    ours = {name: member for name, member in inspect.getmembers(blocking, callable) if not name.startswith("_")}

    for name, member in ours.items():
        theirs = inspect.signature(getattr(asynchronous, name)).parameters.values()
        expected = [(each.name, each.default) for each in inspect.signature(member).parameters.values()]
        assert expected == [(each.name, each.default) for each in theirs]


@pytest.mark.parametrize("name", ["classify", "tag", "answer", "embed", "analyze", "tokenize", "model"])
def test_a_method_shows_its_parameters_and_its_docstring(name: str) -> None:
    """`help()` and editors show the whole signature, with `self` bound away."""
    method = getattr(AdapterMuxClient, name)

    assert "timeout" in inspect.signature(method).parameters
    assert next(iter(inspect.signature(method).parameters)) == "self"
    assert inspect.getdoc(method)
