"""Write an adapter's model card, and the table of all adapters."""

import json
from pathlib import Path

from examples.train.evaluate import ALTERNATIVES, Scores
from examples.train.rows import Splits
from examples.train.tasks import TASKS, Kind, Task
from examples.train.training import BASE_NAME, Trained

RPC = {Kind.CLASSIFY: "classify", Kind.SCORE: "classify", Kind.TAG: "tag", Kind.ANSWER: "answer"}
PIPELINES = {
    Kind.CLASSIFY: "text-classification",
    Kind.SCORE: "text-classification",
    Kind.TAG: "token-classification",
    Kind.ANSWER: "question-answering",
}


def write_card(trained: Trained, splits: Splits, dev: Scores, test: Scores, folder: Path) -> None:
    """Write README.md beside the adapter's weights."""
    task = trained.task
    sections = [
        _front_matter(task),
        f"# {task.name}",
        task.summary,
        f"## Data\n\n{_capital(task.source.name)}. Licence: {task.source.licence}.\n"
        f"Rows: {trained.num_rows} used of {len(splits.train)} to learn from, {len(splits.dev)} to choose settings on, "
        f"{len(splits.test)} held out.",
        f"## Settings\n\n{_settings(trained)}",
        _score_table(task, dev, test),
        f"## Use\n\n{task.use}",
        f"## Limits\n\n{task.limits} It is a small example to serve beside others on one base, not a product.",
    ]
    (folder / "README.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")


def write_table(adapters: Path) -> None:
    """Write the table of all adapters that lie below a folder, from their own cards."""
    lines = [
        "# Example adapters",
        "",
        f"All on one base, `{BASE_NAME}`, and trained by `python -m examples.train` (see each folder's card).",
        "",
        "| adapter | kind | labels | method | data and licence | held-out score |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [_table_row(task, adapters / task.name) for task in TASKS.values() if (adapters / task.name).is_dir()]
    lines += ["", "The weights carry the licence of the data that they were trained on; the base is Apache-2.0."]
    (adapters / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _front_matter(task: Task) -> str:
    return "\n".join(
        [
            "---",
            f"base_model: {BASE_NAME}",
            "library_name: peft",
            f"pipeline_tag: {PIPELINES[task.kind]}",
            f"license: {task.source.licence_id}",
            "language:",
            # Quoted: YAML 1.1 would read Norwegian's `no` as false.
            *(f'- "{code}"' for code in task.source.language),
            "tags:",
            f"- {task.settings.method.title.lower()}",
            "---",
        ]
    )


def _settings(trained: Trained) -> str:
    settings = trained.task.settings
    weights = sum(parameter.numel() for parameter in trained.model.parameters() if parameter.requires_grad)
    return (
        f"{settings.method.title}, rank {settings.rank}, alpha {2 * settings.rank}, no dropout, on every linear layer "
        f"of the encoder, and the head: {weights} trained values.\nAdamW, learning rate {settings.learning_rate:g} "
        f"with warm-up and linear decay, batch {settings.batch}, {settings.passes} "
        f"{'pass' if settings.passes == 1 else 'passes'} over the rows, texts cut to {settings.train_tokens} tokens, "
        f"seed {settings.seed}.\nThe learning rate and batch were chosen by trainings and dev rows of the "
        f"`{settings.tuned_on}` task, not by test rows."
    )


def _score_table(task: Task, dev: Scores, test: Scores) -> str:
    how = "Trees are decoded from " if task.name == "parse" else ""
    how += f"{ALTERNATIVES} labels per word and predicted parts of speech; punctuation counts." if how else ""
    rows = [f"| {name} | {dev.values[name]:.3f} | **{value:.3f}** |" for name, value in test.values.items()]
    return "\n".join(
        [
            "## Scores",
            "",
            f"| | dev ({dev.num_rows} rows) | held out ({test.num_rows} rows) |",
            "| --- | --- | --- |",
            *rows,
            "",
            f"For comparison, on the held-out rows {test.baseline}. One seed. {how}".rstrip(),
        ]
    )


def _table_row(task: Task, folder: Path) -> str:
    labels = json.loads((folder / "config.json").read_text()).get("num_labels", "–")
    card = (folder / "README.md").read_text(encoding="utf-8").split("## Scores", 1)[1]
    scores = [line.split(" | ") for line in card.splitlines() if "| **" in line]
    held_out = ", ".join(f"{cells[0].strip('| ')} {cells[2].strip('* |')}" for cells in scores)
    source = task.source.name.split(" (")[0].split(",")[0]
    cells = [
        f"[{task.name}]({task.name}/)",
        RPC[task.kind],
        str(labels),
        task.settings.method.title,
        f"{source}, {task.source.licence}",
        held_out,
    ]
    return f"| {' | '.join(cells)} |"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
