"""The base model alone, for `served`: forwards over ready batches, with no server around it and no adapter in it.

Run as `python -m benchmarks.bare_base BASE`. It reads lines of JSON, each `{"texts": […], "window_rows": n,
"batch_rows": m}`, and answers each with a line `{"seconds": …, "cpu_seconds": …}`: what the forwards took. Texts are
tokenised before, and sorted by length within windows of so many neighbours. With all of them in one window hardly
anything is padded, which no server can have that must answer in time.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging


class BareBase:
    """Forwards with one computing thread."""

    def __init__(self, base: Path) -> None:
        torch.set_num_threads(1)
        transformers_logging.disable_progress_bar()
        self._tokenizer = AutoTokenizer.from_pretrained(base)
        self.model = AutoModel.from_pretrained(base).eval()

    @torch.inference_mode()
    def run(self, texts: Sequence[str], window_rows: int, batch_rows: int) -> dict[str, float]:
        """Compute all texts; returns the seconds that the forwards took."""
        windows = _parts(texts, window_rows)
        batches = [batch for window in windows for batch in self._batches(window, batch_rows)]
        started, cpu_started = time.perf_counter(), time.process_time()
        for batch in batches:
            self.model(**batch)
        return {"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_started}

    def _batches(self, texts: Sequence[str], batch_rows: int) -> list[Any]:
        by_length = sorted(texts, key=lambda text: len(self._tokenizer(text)["input_ids"]))
        return [self._tokenizer(part, padding=True, return_tensors="pt") for part in _parts(by_length, batch_rows)]


def _parts(texts: Sequence[str], num_rows: int) -> list[list[str]]:
    return [[*texts[start : start + num_rows]] for start in range(0, len(texts), num_rows)]


def main(base: str) -> None:
    """Answer lines until there are no more."""
    bare = BareBase(Path(base))
    for line in sys.stdin:
        print(json.dumps(bare.run(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
