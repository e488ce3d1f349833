"""`adaptermux serve`: settings from options, the environment and defaults; then the server until a signal."""

import asyncio
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from pydantic import ValidationError

from adaptermux_server.config import ServerSettings

_EXIT_USAGE = 2
_EXIT_FAILED = 1
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def serve(  # noqa: PLR0917 - typer makes options of parameters
    model: Annotated[
        str | None, typer.Option(help="Folder of the base model, or its id in the local hub cache.")
    ] = None,
    adapter: Annotated[
        list[str] | None, typer.Option(metavar="ID=FOLDER", help="An adapter to load at the start; repeatable.")
    ] = None,
    adapter_root: Annotated[
        list[Path] | None, typer.Option(help="A folder under which LoadAdapter may read; repeatable.")
    ] = None,
    model_id: Annotated[str | None, typer.Option(help="Name of the base model towards clients.")] = None,
    address: Annotated[str | None, typer.Option(help="Data listener, host:port. [default: 127.0.0.1:50051]")] = None,
    admin_address: Annotated[
        str | None, typer.Option(help="Admin listener, host:port. [default: 127.0.0.1:50052]")
    ] = None,
    metrics_address: Annotated[
        str | None, typer.Option(help="Prometheus metrics over HTTP, host:port. [default: none]")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Where to compute, as torch names it. [default: cpu]")] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16. [default: float32]")] = None,
    num_threads: Annotated[int | None, typer.Option(help="Threads of one forward on the CPU.")] = None,
    executor: Annotated[
        str | None, typer.Option(help="auto: adapters share batches where they can; switch: never. [default: auto]")
    ] = None,
    adapters_per_tree: Annotated[
        int | None, typer.Option(help="Adapters that share a PEFT tree; 1: no traversals, more memory. [default: 16]")
    ] = None,
    max_wait_seconds: Annotated[
        float | None, typer.Option(help="Wait after which an adapter is given precedence. [default: 1.0]")
    ] = None,
    log_format: Annotated[str | None, typer.Option(help="console or json. [default: console]")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error. [default: info]")] = None,
) -> None:
    """Serve adapters on one base model until SIGTERM or Ctrl-C.

    Every setting of the server can also come from the environment as ADAPTERMUX_NAME, also those without an option
    here (docs/configuration.md lists them). An option wins over the environment.
    """
    given = {name: value for name, value in locals().items() if name not in ("adapter", "adapter_root")}
    if adapter:
        given["adapters"] = _adapters(adapter)
    if adapter_root:
        given["adapter_roots"] = tuple(root.resolve() for root in adapter_root)
    settings = _settings({name: value for name, value in given.items() if value is not None})
    _configure_logging(settings)
    raise typer.Exit(_run(settings))


def _adapters(options: list[str]) -> dict[str, str]:
    pairs = [option.partition("=") for option in options]
    for adapter_id, _, folder in pairs:
        if not adapter_id or not folder:
            raise typer.BadParameter(f"{adapter_id!r}: want ID=FOLDER, for example sentiment=adapters/sentiment")
    return {adapter_id: folder for adapter_id, _, folder in pairs}


def _settings(given: dict[str, Any]) -> ServerSettings:
    try:
        return ServerSettings(**given)
    except ValidationError as error:
        for problem in error.errors():
            name = ".".join(map(str, problem["loc"])) or "settings"
            hint = " (give --model, or set ADAPTERMUX_MODEL)" if name == "model" else ""
            typer.echo(f"error: {name}: {problem['msg']}{hint}", err=True)
        raise typer.Exit(_EXIT_USAGE) from None


def _configure_logging(settings: ServerSettings) -> None:
    """One form for all lines on stderr, those of libraries and their warnings too."""
    # A rich traceback shows all locals: callers' texts, and tensors that take seconds to print on the event loop.
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    as_json: list[structlog.types.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    rendering: list[structlog.types.Processor] = as_json if settings.log_format == "json" else [console]
    common: list[structlog.types.Processor] = [
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
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*common, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )


def _run(settings: ServerSettings) -> int:
    # Nothing is fetched from the network behind the operator's back.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
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
