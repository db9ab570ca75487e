"""Credit for the goal of a journey: which touches came last, or first, before people reached it.

Credit is not cause: what an action brought is said by its experiment or by the holdout alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Model = Literal["last", "first"]
"""Whether the last or the first touch before a conversion has the credit for it."""


@dataclass(frozen=True, slots=True)
class Touch:
    """What reached people, by which credit is summed: a rule, or a node of a journey; on which
    channel, and what kind of action it was."""

    rule: str | None
    journey: str | None
    node: str | None
    channel: str
    kind: str


@dataclass(frozen=True, slots=True)
class Credit:
    """So many conversions have a touch to thank."""

    touch: Touch
    conversions: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """How the conversions of a journey's goal fall on touches, most first; `untouched` are those
    that no touch came before. All together they are `conversions`."""

    conversions: int
    untouched: int
    credits: tuple[Credit, ...]


def touch_of(rule: str, channel: str, kind: str) -> Touch:
    """The touch of an action; a node's `rule` is `journey/node`, as its candidates name it."""
    journey, _, node = rule.partition("/")
    if not node:
        return Touch(rule, None, None, channel, kind)
    return Touch(None, journey, node, channel, kind)


def attribution_of(counted: Iterable[tuple[Touch | None, int]]) -> Attribution:
    """The attribution of conversions that were counted by touch; None: no touch came before."""
    untouched, credits_ = 0, []
    for touch, n in counted:
        if touch is None:
            untouched += n
        else:
            credits_.append(Credit(touch, n))
    credits_.sort(key=lambda one: (-one.conversions, _name(one.touch)))
    return Attribution(
        untouched + sum(one.conversions for one in credits_), untouched, tuple(credits_)
    )


def _name(touch: Touch) -> tuple[str, ...]:
    return (
        touch.rule or "", touch.journey or "", touch.node or "", touch.channel, touch.kind
    )  # fmt: skip
