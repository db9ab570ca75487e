"""Conversions: which of them count for an entry or an exposure, and which touch gets the credit.

"After" goes by the number of the profile's update, which no clock can turn around; how long after,
by the instants of the touchpoints themselves. Credit is not cause: what an action brought is said
by its experiment or by the holdout alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from shared.conditions.document import Fields
from shared.conditions.tree import Condition

Model = Literal["last_touch", "first_touch"]
MODELS: tuple[Model, ...] = ("last_touch", "first_touch")
WITHIN = timedelta(days=30)
MAX_WITHIN = timedelta(days=90)
GOAL_FIELDS = ("event", "where", "within", "attribution")


@dataclass(frozen=True, slots=True)
class Goal:
    """What a journey is for: a touchpoint of a type, within so long after the entry."""

    event: str
    where: Condition | None
    within: timedelta
    attribution: Model


@dataclass(frozen=True, slots=True)
class Touch:
    """Something that reached the customer: an action with its `key`, by which credit is summed (a
    rule, a node, a channel), the number of the update after which it went out, and when."""

    action_id: str
    key: str
    seq: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Conversion:
    """A touchpoint that is the goal, the number of its update, and what it is worth."""

    touchpoint_id: str
    seq: int
    at: datetime
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Credit:
    """How many conversions, and their value together."""

    conversions: int = 0
    value: float = 0.0


def read_goal(fields: Fields) -> Goal:
    """The goal of a journey's document; mistakes are noted."""
    fields.required("event")
    model = fields.choice("attribution", MODELS, "last_touch")
    return Goal(
        event=fields.text("event") or "",
        where=fields.condition("where"),
        within=fields.duration("within", WITHIN, MAX_WITHIN),
        attribution=next(one for one in MODELS if one == model),
    )


def counts(conversion: Conversion, *, seq: int, at: datetime, within: timedelta) -> bool:
    """Whether a conversion came after something that happened with the update `seq` at `at`, and
    less than `within` after it. What arrives late and happened before does not count."""
    return conversion.seq > seq and at <= conversion.at < at + within


def credited(
    conversion: Conversion, touches: Iterable[Touch], *, within: timedelta, model: Model
) -> Touch | None:
    """The last, or the first, touch for which the conversion counts; None when there is none.

    The order is that of their updates; of several of one update the greater action id is the last.
    """
    found = [
        touch for touch in touches if counts(conversion, seq=touch.seq, at=touch.at, within=within)
    ]
    if not found:
        return None
    pick = max if model == "last_touch" else min
    return pick(found, key=lambda touch: (touch.seq, touch.at, touch.action_id))


def credits_by_key(
    conversions: Sequence[Conversion],
    touches: Sequence[Touch],
    *,
    within: timedelta,
    model: Model,
) -> dict[str | None, Credit]:
    """How the conversions of one profile fall on its touches, by their keys; those that no touch
    came before have the key None. The sums are exactly those of the conversions."""
    found: dict[str | None, Credit] = {}
    for conversion in {one.touchpoint_id: one for one in conversions}.values():
        touch = credited(conversion, touches, within=within, model=model)
        key = None if touch is None else touch.key
        had = found.get(key, Credit())
        found[key] = Credit(had.conversions + 1, had.value + conversion.value)
    return found
