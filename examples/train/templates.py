"""Write sentences out of intent templates.

The notation: `[a]` optional, `(a|b)` one of several, `(a;b)` in any order, `<rule>` another template, `{list}` or
`{list:slot}` a value.
"""

import random
import re
from collections.abc import Iterator, Mapping
from typing import Any

SENTENCES_PER_TEMPLATE = 6
# Values for the lists that the catalogue leaves to each home.
VALUES = {
    "area": ("kitchen", "bedroom", "garage", "living room", "bathroom", "office", "hallway", "garden"),
    "floor": ("ground floor", "first floor", "basement", "attic"),
    "name": ("lamp", "front door", "heater", "ceiling fan", "radio", "desk light", "gate", "robot", "shopping"),
}
WILDCARDS = ("milk and eggs", "dinner is ready", "jazz", "call mum", "the news", "pizza", "laundry", "Bach")
_TOKEN = re.compile(r"[\[\]()|;]|<[^>]+>|\{[^}]+\}|[^\[\]()|;<{]+")


def expand_intents(catalogue: Mapping[str, Any], rng: random.Random) -> Iterator[tuple[str, str, str]]:
    """Yield (intent, template, sentence): some sentences from each template, without repeats."""
    for intent, entry in sorted(catalogue["intents"].items()):
        for template in sorted({sentence for block in entry["data"] for sentence in block["sentences"]}):
            writer = _Writer(catalogue, rng)
            texts = {writer.write(template) for _ in range(SENTENCES_PER_TEMPLATE)}
            yield from ((intent, template, text) for text in sorted(texts) if text)


class _Writer:
    """Writes one random sentence from a template by recursive descent."""

    def __init__(self, catalogue: Mapping[str, Any], rng: random.Random) -> None:
        self._rules = catalogue["expansion_rules"]
        self._lists = catalogue["lists"]
        self._rng = rng

    def write(self, template: str) -> str:
        tokens = _TOKEN.findall(template)
        return " ".join(self._alternatives(tokens, closer="").split())

    def _alternatives(self, tokens: list[str], closer: str) -> str:
        """Read up to `closer` and choose: one branch between bars, all in any order between semicolons."""
        branches, separator = [""], "|"
        while tokens:
            token = tokens.pop(0)
            if token == closer:
                break
            if token in "|;":
                separator = token
                branches.append("")
            else:
                branches[-1] += self._item(token, tokens)
        if separator == ";":
            self._rng.shuffle(branches)
            return " ".join(branches)
        return self._rng.choice(branches)

    def _item(self, token: str, tokens: list[str]) -> str:
        if token == "(":
            return self._alternatives(tokens, closer=")")
        if token == "[":
            text = self._alternatives(tokens, closer="]")
            return text if self._rng.random() < 0.5 else ""
        if token.startswith("<"):
            return self.write(self._rules[token[1:-1]]) if token[1:-1] in self._rules else ""
        return self._value(token[1:-1].split(":", maxsplit=1)[0]) if token.startswith("{") else token

    def _value(self, name: str) -> str:
        if name in VALUES:
            return self._rng.choice(VALUES[name])
        entry = self._lists.get(name, {})
        if "range" in entry:
            return str(self._rng.randint(max(1, entry["range"]["from"]), entry["range"]["to"]))
        if "values" in entry:
            value = self._rng.choice(entry["values"])
            return self.write(value["in"] if isinstance(value, dict) else value)
        return self._rng.choice(WILDCARDS)
