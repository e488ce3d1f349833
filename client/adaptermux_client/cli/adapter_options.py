"""Options and arguments of the commands about adapters."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from adaptermux_client.results import ProblemType

AdapterId = Annotated[str, typer.Argument(metavar="ID", help="The adapter's id.", show_default=False)]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", help="A label's name, in the order of the logits; repeat it. None: the files' own."),
]
Kind = Annotated[
    ProblemType, typer.Option(case_sensitive=False, help="How logits become scores; UNSPECIFIED: as the files say.")
]
Weight = Annotated[float, typer.Option(help="Share of compute, relative to other adapters.")]
MaxWait = Annotated[float | None, typer.Option(metavar="SECONDS", help="Wait after which it is given precedence.")]
Pin = Annotated[bool, typer.Option("--pin", help="Keep it in the engine, come what may.")]
Meta = Annotated[list[str] | None, typer.Option("--meta", metavar="KEY=VALUE", help="A note to filter by; repeat it.")]
DrainTimeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for requests in flight.")]
Force = Annotated[bool, typer.Option("--force", help="Fail the requests that wait in the queue.")]
Folder = Annotated[
    Path,
    typer.Argument(
        metavar="DIR",
        exists=True,
        file_okay=False,
        help="The adapter's folder on this machine, as save_pretrained writes it.",
        show_default=False,
    ),
]

DRAIN_SECONDS = 30.0
LOAD_TIMEOUT = 300.0


def metadata_of(meta: Iterable[str] | None) -> dict[str, str]:
    """The notes that `--meta` gave. One without a value, or given twice, is wrong usage."""
    found: dict[str, str] = {}
    for text in meta or ():
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"is KEY=VALUE, not {text!r}", param_hint="--meta")
        if key in found:
            raise typer.BadParameter(f"gives {key} twice", param_hint="--meta")
        found[key] = value
    return found
