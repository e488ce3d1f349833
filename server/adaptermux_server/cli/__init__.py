"""`adaptermux serve`: settings from options, the environment, a file and defaults; then the server until a signal."""

import asyncio
import logging
import os
import sys

import structlog
import typer

from adaptermux_server.cli.options import with_settings
from adaptermux_server.config import Configuration, ServerSettings

_EXIT_FAILED = 1
_GRPC_LOGGER = "grpc._cython.cygrpc"
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


@with_settings
def serve(found: Configuration) -> None:
    """Serve adapters on one base model until SIGTERM or Ctrl-C.

    Each option can also come from the environment, as ADAPTERMUX_NAME, or from a file. An option wins over the
    environment, and that over the file. `adaptermux config show` tells what came from where.
    """
    _configure_logging(found.settings)
    raise typer.Exit(_run(found.settings))


def _configure_logging(settings: ServerSettings) -> None:
    """One form for all lines on stderr, those of libraries and their warnings too."""
    # A rich traceback shows all locals: callers' texts, and tensors that take seconds to print on the event loop.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    as_json: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    rendering: list[structlog.types.Processor] = as_json if settings.log_format == "json" else [console]
    common: list[structlog.types.Processor] = [
        # What a line is about: ids of the call, wherever in its work the line was written.
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper("iso", utc=True),
    ]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *common],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=_LEVELS[settings.log_level], handlers=[handler])
    logging.getLogger(_GRPC_LOGGER).addFilter(_is_no_callers_doing)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _is_no_callers_doing(record: logging.LogRecord) -> bool:
    """Leave out what gRPC says, with a traceback, of callers that are gone or whose path is no text."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or kind.__name__ not in ("ExecuteBatchError", "UnicodeDecodeError")


def _run(settings: ServerSettings) -> int:
    # Nothing is fetched from the network behind the operator's back.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    _silence_grpc()
    # Imported here: they load torch, which no other command and no wrong option should wait for.
    from adaptermux_server.app import StartError, serve_until_signal  # noqa: PLC0415
    from adaptermux_server.errors import AdapterMuxError  # noqa: PLC0415
    from adaptermux_server.transport.listeners import ListenError  # noqa: PLC0415

    try:
        asyncio.run(serve_until_signal(settings))
    except (AdapterMuxError, ListenError, StartError) as error:
        typer.echo(f"error: {error}", err=True)
        return _EXIT_FAILED
    return 0


def _silence_grpc() -> None:
    """Keep gRPC's core from writing to stderr past our logging: it quotes clients, who could forge whole lines.

    It looks at this once, when it is imported, as the client's command line has done; so the process starts over.
    """
    if "GRPC_VERBOSITY" not in os.environ:
        os.environ["GRPC_VERBOSITY"] = "NONE"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
