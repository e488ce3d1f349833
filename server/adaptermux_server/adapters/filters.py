r"""The filters of ListAdapters: a subset of https://google.aip.dev/160.

    filter      = [ conjunction ]
    conjunction = disjunction { "AND" disjunction }
    disjunction = term { "OR" term }
    term        = [ "NOT" ] ( "(" conjunction ")" | field comparator value )
    value       = a bare word, or a "string" with the escapes \" \\ \*

OR binds tighter than AND, as in that standard. All words are case-sensitive. `:` asks whether a list holds the value,
and is `=` for all else. A text that ends with * stands for all that begin so. What isn't set equals nothing: it fails
every comparison but !=, which is always the opposite of =.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn, TypeVar

from adaptermux_server.adapters.record import AdapterRecord
from adaptermux_server.errors import InvalidRequestError
from adaptermux_server.types import AdapterSpec, AdapterState, ExecutorKind, ProblemType, Task, Tier

MAX_FILTER_CHARACTERS = 1024
MAX_DEPTH = 16

Predicate = Callable[[AdapterRecord], bool]
_Fact = TypeVar("_Fact")

# Something always matches, so nothing is ever tried twice.
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[<>!]=|[=<>:()])|(?P<word>[\w.*/@+-]+)|"(?P<string>(?:[^"\\]|\\.)*)"|(?P<end>\Z)|(?P<other>.))""",
    re.DOTALL,
)
_CHARACTER = re.compile(r"\\?.", re.DOTALL)
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_KEYWORDS = ("AND", "OR", "NOT")
_EQUALITY = ("=", "!=", ":")
_ORDER = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_SHOWN_CHARACTERS = 32


def parse(text: str) -> Predicate:
    """Compile a filter; the empty one lets everything pass. Takes time linear in its length.

    Raises InvalidRequestError for `filter`, which says at which character (from 1) what was expected.
    """
    if len(text) > MAX_FILTER_CHARACTERS:
        raise InvalidRequestError(("filter", f"has {len(text)} characters, allowed are {MAX_FILTER_CHARACTERS}"))
    return _Parser(_tokens(text)).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    """A group of _TOKEN."""
    text: str
    """As written, less the quotes."""
    position: int
    """Of its first character, from 1."""

    def is_mark(self, text: str) -> bool:
        return self.kind == "mark" and self.text == text

    def is_keyword(self, text: str) -> bool:
        return self.kind == "word" and self.text == text


@dataclass(frozen=True, slots=True)
class _Value:
    token: _Token
    text: str
    is_prefix: bool

    def matches(self, fact: str | None) -> bool:
        if fact is None:
            return False
        return fact.startswith(self.text) if self.is_prefix else fact == self.text


@dataclass(frozen=True, slots=True)
class _Field:
    comparators: tuple[str, ...]
    test: Callable[[str, _Value], Predicate]
    """Makes a comparison of one of these comparators and a value."""


def _text(read: Callable[[AdapterRecord], str | None], allowed: Iterable[str] = ()) -> _Field:
    """`allowed`: all that it may be; empty: anything."""

    def test(comparator: str, value: _Value) -> Predicate:
        if allowed and not any(map(value.matches, allowed)):
            _fail(value.token, f"one of {', '.join(allowed)}")
        if comparator == "!=":
            return lambda record: not value.matches(read(record))
        return lambda record: value.matches(read(record))

    return _Field(_EQUALITY, test)


def _enum(kind: type[Enum], read: Callable[[AdapterRecord], Enum | None]) -> _Field:
    return _text(lambda record: member.name if (member := read(record)) else None, kind.__members__)


def _flag(read: Callable[[AdapterRecord], bool]) -> _Field:
    return _text(lambda record: "true" if read(record) else "false", ("true", "false"))


def _list(read: Callable[[AdapterRecord], Iterable[str]]) -> _Field:
    return _Field((":",), lambda _, value: lambda record: any(map(value.matches, read(record))))


def _number(read: Callable[[AdapterRecord], float | None]) -> _Field:
    def test(comparator: str, value: _Value) -> Predicate:
        if value.is_prefix or not _NUMBER.fullmatch(value.text):
            _fail(value.token, "a number such as 8 or 0.5")
        bound = float(value.text)
        if comparator in _ORDER:
            return lambda record: (fact := read(record)) is not None and bool(_ORDER[comparator](fact, bound))
        if comparator == "!=":
            return lambda record: read(record) != bound
        return lambda record: read(record) == bound

    return _Field((*_EQUALITY, *_ORDER), test)


def _of_spec(read: Callable[[AdapterSpec], _Fact]) -> Callable[[AdapterRecord], _Fact | None]:
    return lambda record: None if record.spec is None else read(record.spec)


_FIELDS: Mapping[str, _Field] = {
    "id": _text(lambda record: record.id),
    "state": _enum(AdapterState, lambda record: record.state),
    "task": _enum(Task, _of_spec(lambda spec: spec.task)),
    "problem_type": _enum(ProblemType, _of_spec(lambda spec: spec.problem_type)),
    "peft_type": _text(_of_spec(lambda spec: spec.peft_type)),
    "executor": _enum(ExecutorKind, _of_spec(lambda spec: spec.executor)),
    "rank": _number(_of_spec(lambda spec: spec.rank)),
    "size_bytes": _number(_of_spec(lambda spec: spec.size_bytes)),
    "labels": _list(lambda record: record.spec.labels if record.spec else ()),
    "target_modules": _list(lambda record: record.spec.target_modules if record.spec else ()),
    "revision": _text(lambda record: record.revision or None),
    "uri": _text(lambda record: record.uri or None),
    "tier": _enum(Tier, lambda record: record.tier),
    "earlier_revisions": _list(lambda record: record.earlier_revisions),
    "weight": _number(lambda record: record.weight),
    "pinned": _flag(lambda record: record.pinned),
    "metadata": _list(lambda record: record.metadata),
}
"""By their names in the message `Adapter`; beside them, `metadata.KEY` is the text under that key."""


class _Parser:
    """Recursive descent; only parentheses nest."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0

    def parse(self) -> Predicate:
        if self._peek().kind == "end":
            return lambda record: True
        predicate = self._conjunction()
        if self._peek().kind != "end":
            _fail(self._peek(), "AND, OR or the end")
        return predicate

    def _conjunction(self) -> Predicate:
        return self._joined("AND", all, self._disjunction)

    def _disjunction(self) -> Predicate:
        return self._joined("OR", any, self._term)

    def _joined(self, keyword: str, join: Callable[[Iterable[bool]], bool], part: Callable[[], Predicate]) -> Predicate:
        parts = [part()]
        while self._peek().is_keyword(keyword):
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else lambda record: join(part(record) for part in parts)

    def _term(self) -> Predicate:
        if not self._peek().is_keyword("NOT"):
            return self._simple()
        self._take()
        negated = self._simple()
        return lambda record: not negated(record)

    def _simple(self) -> Predicate:
        return self._nested() if self._peek().is_mark("(") else self._comparison()

    def _nested(self) -> Predicate:
        opening = self._take()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _fail(opening, f"at most {MAX_DEPTH} parentheses within each other")
        predicate = self._conjunction()
        closing = self._take()
        if not closing.is_mark(")"):
            _fail(closing, "AND, OR or )")
        self._depth -= 1
        return predicate

    def _comparison(self) -> Predicate:
        field = _field(self._take())
        comparator = self._take()
        if comparator.kind != "mark" or comparator.text not in field.comparators:
            _fail(comparator, f"one of {' '.join(field.comparators)}")
        return field.test(comparator.text, _value(self._take()))

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        # The last token stays, so that whoever expects more meets it.
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token


def _tokens(text: str) -> list[_Token]:
    """The tokens up to the end, or up to the first character that can't be part of a filter."""
    tokens: list[_Token] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or "end"
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        if kind in ("end", "other"):
            break
    return tokens


def _field(name: _Token) -> _Field:
    if name.kind != "word" or name.text in _KEYWORDS:
        _fail(name, "a field, NOT or (")
    head, _, key = name.text.partition(".")
    if head == "metadata" and key:
        return _text(lambda record: record.metadata.get(key))
    if name.text not in _FIELDS:
        _fail(name, f"one of the fields {', '.join(_FIELDS)} or metadata.KEY")
    return _FIELDS[name.text]


def _value(token: _Token) -> _Value:
    if token.kind not in ("word", "string") or (token.kind == "word" and token.text in _KEYWORDS):
        _fail(token, 'a word or a "string"')
    # Outside of strings there are no backslashes.
    characters: list[str] = _CHARACTER.findall(token.text)
    is_prefix = characters[-1:] == ["*"]
    literal = characters[:-1] if is_prefix else characters
    if "*" in literal:
        _fail(token, r'no * but at its end ("\*" is the character itself)')
    return _Value(token, "".join(character[-1] for character in literal), is_prefix)


def _fail(token: _Token, expected: str) -> NoReturn:
    found = token.text if len(token.text) <= _SHOWN_CHARACTERS else f"{token.text[:_SHOWN_CHARACTERS]}…"
    shown = "the end" if token.kind == "end" else repr(found)
    raise InvalidRequestError(("filter", f"at character {token.position}: expected {expected}, not {shown}"))
