"""The Python client of AdapterMux.

`AdapterMuxClient` asks the data listener and `AdminClient` the admin listener; `AsyncAdapterMuxClient` and
`AsyncAdminClient` are the same for asyncio. Every failure is an `AdapterMuxClientError`; see `errors` for the tree.
"""

from adaptermux_client import errors
from adaptermux_client._version import __version__
from adaptermux_client.admin_results import (
    AdapterInfo,
    AdapterPage,
    AdapterState,
    CostEstimates,
    MemoryStatus,
    QueueStatus,
    RowCounts,
    ServerStatus,
)
from adaptermux_client.async_client import AsyncAdapterMuxClient, AsyncAdminClient
from adaptermux_client.channel import channel_options
from adaptermux_client.errors import AdapterMuxClientError
from adaptermux_client.requests import (
    AnalyzeRequest,
    AnalyzeTask,
    AnswerTask,
    ClassifyTask,
    EmbedTask,
    Input,
    Inputs,
    Question,
    TagTask,
)
from adaptermux_client.results import (
    AdapterRef,
    Analysis,
    AnswerResult,
    AnswerSpan,
    Classification,
    Embedding,
    HealthStatus,
    InputAnalysis,
    LabelScore,
    ModelInfo,
    Pooling,
    ProblemType,
    Results,
    Span,
    StreamedAnalysis,
    Tag,
    TaggedSequence,
    Task,
    TaskResult,
    Timings,
    Token,
    Tokenization,
    TokenizedInput,
)
from adaptermux_client.sync_client import AdapterMuxClient, AdminClient

__all__ = [
    "AdapterInfo",
    "AdapterMuxClient",
    "AdapterMuxClientError",
    "AdapterPage",
    "AdapterRef",
    "AdapterState",
    "AdminClient",
    "Analysis",
    "AnalyzeRequest",
    "AnalyzeTask",
    "AnswerResult",
    "AnswerSpan",
    "AnswerTask",
    "AsyncAdapterMuxClient",
    "AsyncAdminClient",
    "Classification",
    "ClassifyTask",
    "CostEstimates",
    "EmbedTask",
    "Embedding",
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
    "Span",
    "StreamedAnalysis",
    "Tag",
    "TagTask",
    "TaggedSequence",
    "Task",
    "TaskResult",
    "Timings",
    "Token",
    "Tokenization",
    "TokenizedInput",
    "__version__",
    "channel_options",
    "errors",
]
