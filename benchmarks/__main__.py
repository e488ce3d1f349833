"""`python -m benchmarks NAME|all [--quick] [--minutes N] [--json FILE] [--check]`: measure, compare with targets."""

import argparse
import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

from rich.console import Console

from benchmarks.report import Benchmark, Report, environment, table

BENCHMARKS: Mapping[str, str] = {
    "simulation": "benchmarks.simulation",
    "traversals": "benchmarks.traversals",
    "served": "benchmarks.served",
    "switch": "benchmarks.switch",
    "mixed": "benchmarks.mixed",
    "swap": "benchmarks.swap",
    "scale": "benchmarks.scale",
    "tiers": "benchmarks.tiers",
    "churn": "benchmarks.churn",
    "overload": "benchmarks.overload",
    "soak": "benchmarks.soak",
}
"""Name → module; each is a `Benchmark`, imported only when it runs since most of them load torch."""

ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
"""Nothing is fetched, and alternatives compete with one computing thread each. What the caller has set wins."""


def main(arguments: Sequence[str] | None = None, modules: Mapping[str, str] = BENCHMARKS) -> int:
    """Run what the command line names; returns the exit code.

    0: done; 1: `--check` was given and a target is missed. A wrong name or option exits with 2, as argparse does.
    """
    options = _parser(modules).parse_args(arguments)
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    # Of transformers, about what peft calls.
    warnings.filterwarnings("ignore", category=FutureWarning)
    console = Console()
    names = list(modules) if options.name == "all" else [options.name]
    reports = [_run(name, modules[name], options, console) for name in names]
    if options.json:
        _write(options.json, reports, as_list=options.name == "all")
    return int(options.check and any(report.missed for report in reports))


def _parser(modules: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Run benchmarks against their targets.")
    parser.add_argument("name", choices=[*modules, "all"], help="which benchmark to run")
    parser.add_argument("--quick", action="store_true", help="fewer requests, rounds and adapters: less exact")
    parser.add_argument("--minutes", type=float, metavar="N", help="how long soak goes on, rather than five")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write metrics and environment to FILE")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    return parser


def _run(name: str, module: str, options: argparse.Namespace, console: Console) -> Report:
    with console.status(f"{name}: running"):
        benchmark: Benchmark = import_module(module)
        run_for = getattr(benchmark, "run_for", None)
        timed = run_for is not None and options.minutes is not None
        report = Report(name, run_for(options.minutes) if timed else benchmark.run(options.quick), benchmark.TARGETS)
    console.print(table(report))
    return report


def _write(file: Path, reports: Sequence[Report], *, as_list: bool) -> None:
    env = environment()
    documents = [{"name": report.name, "metrics": report.metrics, "env": env} for report in reports]
    file.write_text(json.dumps(documents if as_list else documents[0], indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
