"""Options and arguments that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adaptermux_client.channel import DEFAULT_ADDRESS, DEFAULT_ADMIN_ADDRESS


class InputForm(StrEnum):
    """How the command line's texts are meant."""

    TEXT = "text"
    WORDS = "words"
    PAIR = "pair"


Address = Annotated[
    str, typer.Option("--address", envvar="ADAPTERMUX_ADDRESS", metavar="HOST:PORT", help="The data listener.")
]
AdminAddress = Annotated[
    str,
    typer.Option("--admin-address", envvar="ADAPTERMUX_ADMIN_ADDRESS", metavar="HOST:PORT", help="The admin listener."),
]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0.001, help="Deadline of each call.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Truncate = Annotated[bool, typer.Option("--truncate", help="Cut inputs that are too long instead of failing.")]
Form = Annotated[
    InputForm,
    typer.Option("--as", help="What a text is: itself, words split at blanks, or a pair split at its first tab."),
]
Adapter = Annotated[str, typer.Argument(metavar="ADAPTER", help="An adapter's id, or ID@REVISION.", show_default=False)]
Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT", help="Texts; or `-` for one in each line of stdin, as when piped.", show_default=False
    ),
]

_TLS = "TLS and tokens"
UseTls = Annotated[
    bool,
    typer.Option(
        "--tls",
        envvar="ADAPTERMUX_CLIENT_TLS",
        help="Speak TLS. Goes without saying with the options below; alone it trusts public authorities.",
        rich_help_panel=_TLS,
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca",
        envvar="ADAPTERMUX_CLIENT_CA",
        metavar="FILE",
        help="The authorities that may have signed the server's certificate.",
        rich_help_panel=_TLS,
    ),
]
Cert = Annotated[
    Path | None,
    typer.Option(
        "--cert", envvar="ADAPTERMUX_CLIENT_CERT", metavar="FILE", help="Your certificate.", rich_help_panel=_TLS
    ),
]
Key = Annotated[
    Path | None,
    typer.Option(
        "--key", envvar="ADAPTERMUX_CLIENT_KEY", metavar="FILE", help="Its private key.", rich_help_panel=_TLS
    ),
]
ServerName = Annotated[
    str | None,
    typer.Option(
        "--server-name",
        envvar="ADAPTERMUX_CLIENT_SERVER_NAME",
        metavar="NAME",
        help="What the server's certificate is for, where that isn't the host of its address.",
        rich_help_panel=_TLS,
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar="ADAPTERMUX_TOKEN_FILE",
        metavar="FILE",
        help="Holds your token. Or set ADAPTERMUX_TOKEN to the token itself.",
        rich_help_panel=_TLS,
    ),
]

ADDRESS = DEFAULT_ADDRESS
ADMIN_ADDRESS = DEFAULT_ADMIN_ADDRESS
TIMEOUT = 30.0
