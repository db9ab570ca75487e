"""Which clause of a condition failed first, and the value it saw: the "why not" of a decision.

It gives the verdict of the closure, never another one, and what it returns is small: long values
and lists are cut, so that a decision record stays bounded.
"""

import msgspec

from shared.conditions.closure import Holds, compile_normal
from shared.conditions.facts import Facts, consent_in, reader
from shared.conditions.leaves import leaf_hash
from shared.conditions.normal import normal_form
from shared.conditions.sentence import sentence
from shared.conditions.tree import (
    All,
    Any,
    Compare,
    Condition,
    EventCount,
    HasConsent,
    InSegment,
    IsPersona,
    Leaf,
    Not,
)

MAX_SENTENCE = 500
MAX_VALUE = 200
MAX_ELEMENTS = 10


class Failure(msgspec.Struct, frozen=True):
    """A clause that does not hold: the clause in words, what it asks for, what it saw.

    `actual` is None for a missing value, and the list of what each alternative saw when none of
    several held.
    """

    condition: str
    expected: object
    actual: object


class Explained:
    """A condition with the functions of its clauses, ready to be asked many times."""

    def __init__(self, condition: Condition) -> None:
        """`condition` as it was parsed."""
        self._condition = normal_form(condition)
        self._holds: dict[int, Holds] = {}
        self._compile(self._condition)

    def failure(self, facts: Facts) -> Failure | None:
        """The first clause, from left to right, that does not hold; None when all does."""
        return self._first_failure(self._condition, facts)

    def _compile(self, condition: Condition) -> None:
        # By identity: equal nodes may differ in type (1 and True), and the tree keeps them alive.
        if isinstance(condition, All | Any):
            for part in condition.parts:
                self._compile(part)
        else:
            self._holds[id(condition)] = compile_normal(condition)

    def _first_failure(self, condition: Condition, facts: Facts) -> Failure | None:
        match condition:
            case All(parts):
                failures = (self._first_failure(part, facts) for part in parts)
                return next((failure for failure in failures if failure is not None), None)
            case Any(parts):
                return self._no_alternative(condition, parts, facts)
            case _:
                if self._holds[id(condition)](facts):
                    return None
                return _clause_failure(condition, facts)

    def _no_alternative(
        self, condition: Any, parts: tuple[Condition, ...], facts: Facts
    ) -> Failure | None:
        failures: list[Failure] = []
        for part in parts:
            failure = self._first_failure(part, facts)
            if failure is None:
                return None
            failures.append(failure)
        if len(failures) == 1:
            return failures[0]
        seen = [_small(failure.actual) for failure in failures[:MAX_ELEMENTS]]
        return Failure(_cut(sentence(condition), MAX_SENTENCE), f"one of {len(parts)}", seen)


def explain(condition: Condition, facts: Facts) -> Failure | None:
    """Which clause of the condition fails first for the facts; None when the condition holds.

    Compiles the condition each time: keep an `Explained` for one that is asked often.
    """
    return Explained(condition).failure(facts)


def _clause_failure(condition: Condition, facts: Facts) -> Failure:
    negated = isinstance(condition, Not)
    leaf = condition.part if isinstance(condition, Not) else condition
    assert not isinstance(leaf, All | Any | Not)  # noqa: S101 - a normal form, made here
    words = _cut(sentence(condition), MAX_SENTENCE)
    return Failure(words, _expected(leaf, negated=negated), _bounded(_seen(leaf, facts)))


def _expected(leaf: Leaf, *, negated: bool) -> object:
    match leaf:
        case Compare(_, _, value):
            operand = _bounded(list(value) if isinstance(value, tuple) else value)
            return {"not": operand} if negated else operand
        case EventCount(count_op=count_op, count=count):
            return {count_op: count}
        case IsPersona(persona):
            return {"not": persona} if negated else persona
        case HasConsent():
            return {"not": "granted"} if negated else "granted"
        case InSegment():
            return not negated


def _seen(leaf: Leaf, facts: Facts) -> object:
    match leaf:
        case Compare(attr):
            return reader(attr)(facts)
        case EventCount():
            return facts.leaves.get(leaf_hash(leaf), {}).get("count")
        case InSegment(segment):
            return segment in facts.segments
        case IsPersona():
            return facts.persona
        case HasConsent(purpose, channel):
            return consent_in(facts, purpose, channel)


def _bounded(value: object) -> object:
    """The value, or its beginning when it is long; objects and nested lists become their JSON."""
    if isinstance(value, str):
        return _cut(value, MAX_VALUE)
    if isinstance(value, list) and len(value) > MAX_ELEMENTS:
        more = f"… {len(value) - MAX_ELEMENTS} more"
        return [_small(element) for element in value[:MAX_ELEMENTS]] + [more]
    if isinstance(value, list):
        return [_small(element) for element in value]
    return _small(value)


def _small(value: object) -> object:
    if isinstance(value, dict | list):
        return _cut(msgspec.json.encode(value).decode(), MAX_VALUE)
    return _cut(value, MAX_VALUE) if isinstance(value, str) else value


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
