"""What sources said of a declared trait, as its policy needs it; and which value survives.

For every policy but `most_frequent` each source has one word: the one that the policy prefers.
The survivor is the greatest by the policy's order over all of them, so it is a join as well. A
value that is not of the declared type is never among these, whoever said it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec

from services.profile.domain.fitting import order_of
from services.profile.domain.survivorship import (
    MAX_RUNNERS_UP,
    REMOVED,
    Provenance,
    RunnerUp,
)
from services.profile.domain.trait import DeclaredTrait, Policy

EARLIEST_FIRST = str.maketrans("0123456789", "9876543210")
"""Makes RFC 3339 times in UTC with milliseconds compare the other way round."""

_DECODE = msgspec.json.Decoder().decode


class Told(NamedTuple):
    """A value of a declared trait (canonical JSON) as one touchpoint said it."""

    source: str
    occurred_at: str
    touchpoint_id: str
    verified: bool
    value: str


class Heard(msgspec.Struct, array_like=True, gc=False, tag="heard"):
    """The word that the policy prefers, of each source."""

    told: list[Told]


class Often(msgspec.Struct, array_like=True, gc=False):
    """How often a value was said, and by whom last."""

    count: int
    last: Told


class Spread(msgspec.Struct, array_like=True, gc=False, tag="spread"):
    """How often each value was said; see `kept.Values` for what is beyond the limit."""

    often: dict[str, Often]


def hear(heard: Heard, trait: DeclaredTrait, told: Told) -> None:
    """Take what was said into account, in place. A removal counts only where the last word does."""
    if told.value == "null" and trait.policy not in ("latest", "source_priority"):
        return
    mine = _preference(trait, told)
    for place, old in enumerate(heard.told):
        if old.source == told.source:
            if mine > _preference(trait, old):
                heard.told[place] = told
            return
    heard.told.append(told)
    heard.told.sort()


def add_told(spread: Spread, told: Told, limit: int) -> None:
    """Count what was said, in place."""
    if told.value == "null":
        return
    often = spread.often.get(told.value)
    if often is None:
        spread.often[told.value] = Often(1, told)
        _keep_the_smallest(spread.often, limit)
    else:
        often.count += 1
        often.last = max(often.last, told, key=_latest)


def join_spreads(all_spread: Iterable[Spread], limit: int) -> Spread:
    """All counts together, as a new value."""
    joined: dict[str, Often] = {}
    for spread in all_spread:
        for value, often in spread.often.items():
            there = joined.get(value)
            if there is None:
                joined[value] = Often(often.count, often.last)
            else:
                there.count += often.count
                there.last = max(there.last, often.last, key=_latest)
    _keep_the_smallest(joined, limit)
    return Spread(joined)


class Ranked(NamedTuple):
    """What was said of a trait, the survivor first, and the rule by which it won. `beyond`: there
    are more different values than are told apart, so none survives."""

    told: list[Told]
    rule: str
    beyond: bool = False


def rank(kept: Heard | Spread, trait: DeclaredTrait, limit: int) -> Ranked:
    """The order in which the policy prefers what was said."""
    if isinstance(kept, Spread):
        listed = sorted(
            kept.often.values(), key=lambda one: (one.count, *_latest(one.last)), reverse=True
        )
        told = [one.last for one in listed]
        tie = len(listed) > 1 and listed[0].count == listed[1].count
        rule = "most_recent" if tie else "most_frequent"
        return Ranked(told, _only(told, rule), len(listed) > limit)
    told = sorted(kept.told, key=lambda one: _preference(trait, one), reverse=True)
    return Ranked(told, _only(told, _rule(trait, told)))


def surviving(kept: Heard | Spread, trait: DeclaredTrait, limit: int) -> bytes:
    """The value that survives; `null` when there is none, or it was removed."""
    if isinstance(kept, Heard) and kept.told:
        return max(kept.told, key=lambda one: _preference(trait, one)).value.encode()
    ranked = rank(kept, trait, limit)
    return REMOVED if ranked.beyond or not ranked.told else ranked.told[0].value.encode()


def explain(
    kept: Heard | Spread,
    trait: DeclaredTrait,
    refused: Sequence[tuple[Told, str]],
    limit: int,
) -> Provenance | None:
    """Where the value comes from, what it won over, and what could not survive with the reason;
    None when there is nothing to tell."""
    ranked = rank(kept, trait, limit)
    misfits = [
        RunnerUp(_DECODE(told.value), told.source, told.occurred_at, why) for told, why in refused
    ]
    survives = bool(ranked.told) and not ranked.beyond and ranked.told[0].value != "null"
    if not survives and not misfits and not ranked.beyond:
        return None
    best = ranked.told[0] if survives else None
    others = [one for one in ranked.told if best is None or one.value != best.value]
    runners_up = [RunnerUp(_DECODE(one.value), one.source, one.occurred_at) for one in others]
    return Provenance(
        None if best is None else _DECODE(best.value),
        None if best is None else best.source,
        None if best is None else best.occurred_at,
        ranked.rule if best is not None else "too_many_values" if ranked.beyond else "none_fits",
        tuple([*runners_up[: MAX_RUNNERS_UP - min(len(misfits), 5)], *misfits][:MAX_RUNNERS_UP]),
    )


def _latest(told: Told) -> tuple[object, ...]:
    return (told.occurred_at, told.source, told.touchpoint_id, told.value)


def _preference(trait: DeclaredTrait, told: Told) -> tuple[object, ...]:
    """What the policy compares; the greatest is preferred."""
    match trait.policy:
        case "latest" | "most_frequent":
            return (told.verified, *_latest(told))
        case "source_priority":
            return (told.verified, _trust(trait, told.source), *_latest(told))
        case _:
            return _by_order(trait, told)


def _by_order(trait: DeclaredTrait, told: Told) -> tuple[object, ...]:
    first = told.occurred_at.translate(EARLIEST_FIRST)
    rest = (first, told.source, told.touchpoint_id, told.value)
    if trait.policy == "first":
        return rest
    order = order_of(told.value.encode(), trait.type)
    return (order if trait.policy == "highest" else -order, *rest)


def _trust(trait: DeclaredTrait, source: str) -> int:
    return -trait.sources.index(source) if source in trait.sources else -len(trait.sources)


_RULES: Mapping[Policy, str] = {"first": "first", "highest": "highest", "lowest": "lowest"}


def _rule(trait: DeclaredTrait, told: Sequence[Told]) -> str:
    if len(told) < 2:
        return "only_value"
    best = told[0]
    rest = next((one for one in told[1:] if one.value != best.value), None)
    if rest is None:
        return "only_value"
    if trait.policy in _RULES:
        return _RULES[trait.policy]
    if best.verified != rest.verified:
        return "verified"
    if trait.policy == "source_priority" and _trust(trait, best.source) != _trust(
        trait, rest.source
    ):
        return "source_priority"
    return "most_recent" if best.occurred_at != rest.occurred_at else "tie_break"


def _only(told: Sequence[Told], rule: str) -> str:
    return rule if len({one.value for one in told}) > 1 else "only_value"


def _keep_the_smallest(often: dict[str, Often], limit: int) -> None:
    excess = len(often) - limit - 1
    if excess > 0:
        for value in sorted(often)[-excess:]:
            del often[value]
