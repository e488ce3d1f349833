"""Command line: fetch the data, choose settings on dev rows, train adapters, write the table."""

import argparse
import random
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from transformers import logging as transformers_logging

from examples.train.card import write_card, write_table
from examples.train.data import read_treebank
from examples.train.evaluate import Scores, evaluate, evaluate_trees
from examples.train.fetch import fetch_all
from examples.train.rows import Row
from examples.train.tasks import TASKS, Settings, Task
from examples.train.training import Trained, reload_difference, save, train

ADAPTERS = Path("examples/adapters")
# The learning rates and batches that `tune` compares, on few rows.
CANDIDATES = ((1e-3, 32), (1e-3, 16), (2e-3, 16), (3e-3, 16))
TUNING_ROWS = 2000
DEV_ROWS = 800


def main() -> None:
    """Run one command."""
    arguments = _parser().parse_args()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(arguments.threads)
    match arguments.command:
        case "fetch":
            fetch_all(arguments.data)
        case "tune":
            for name in arguments.tasks:
                tune(TASKS[name], arguments.data)
        case "table":
            write_table(ADAPTERS)
        case "all":
            for task in TASKS.values():
                make_adapter(task, arguments.data, ADAPTERS / task.name)
            write_table(ADAPTERS)
        case name:
            make_adapter(TASKS[name], arguments.data, arguments.out or ADAPTERS / name)


def make_adapter(task: Task, data: Path, folder: Path) -> None:
    """Train one adapter, save it, check the saved copy, score it and write its card."""
    splits = task.load(data)
    started = time.monotonic()
    trained = train(task, splits.train, task.settings, _log)
    _log(f"{task.name}: trained in {time.monotonic() - started:.0f} s")
    save(trained, folder)
    difference = reload_difference(trained, folder, splits.test[:64])
    _log(f"{task.name}: the saved adapter differs by {difference:g}")
    dev, test = (_score(trained, rows, data, part) for part, rows in (("dev", splits.dev), ("test", splits.test)))
    _log(f"{task.name}: dev {dev}\n{task.name}: test {test}")
    write_card(trained, splits, dev, test, folder)


def tune(task: Task, data: Path) -> None:
    """Compare learning rates and batches on dev rows after a short training; the test rows stay unread."""
    splits = task.load(data)
    dev = random.Random(0).sample(list(splits.dev), min(DEV_ROWS, len(splits.dev)))
    for learning_rate, batch in CANDIDATES:
        settings: Settings = replace(
            task.settings, learning_rate=learning_rate, batch=batch, train_rows=TUNING_ROWS, passes=1
        )
        trained = train(task, splits.train, settings, lambda line: None)
        _log(f"{task.name}: learning rate {learning_rate:g}, batch {batch}: {evaluate(trained, dev)}")


def _score(trained: Trained, rows: Sequence[Row], data: Path, part: str) -> Scores:
    if trained.task.name == "parse":
        return evaluate_trees(trained, read_treebank(data, part), ADAPTERS / "pos")
    return evaluate(trained, rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m examples.train", description=__doc__)
    parser.add_argument("command", choices=["fetch", "tune", "all", "table", *TASKS], help="a step, or a task to train")
    parser.add_argument("tasks", nargs="*", help="the tasks to tune")
    parser.add_argument("--data", type=Path, default=Path("data"), help="where `fetch` puts the data")
    parser.add_argument("--out", type=Path, help=f"where a task's adapter goes (default {ADAPTERS}/TASK)")
    parser.add_argument("--threads", type=int, default=1, help="threads to train with; one is reproducible")
    return parser


def _log(line: str) -> None:
    print(line, flush=True)


main()
