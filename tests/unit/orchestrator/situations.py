"""Situations of one person for tests of decisions, and rules with what documents cannot say yet."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.orchestrator.domain.decide import Considered, decide
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Contact, History
from services.orchestrator.domain.rule import Fallback, Rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import read_moment, routed_decoder
from services.orchestrator.use_cases.naming import action_ids
from tests.unit.orchestrator.build import (
    NOON,
    email,
    profile_json,
    rule,
    touchpoint_json,
    uid,
    update_json,
)

ADA = uid("ada")


def situation(
    history: History | None = None,
    *,
    name: str = "cart",
    profile: dict[str, Any] | None = None,
    at: datetime = NOON,
    **cause: Any,
) -> Situation:
    """Ada does something, at noon."""
    value = update_json(
        ADA, 1, touchpoint_json(name, **cause), profile=profile or profile_json(ADA)
    )
    moment = read_moment(value, routed_decoder.decode(value), ADA, at)
    return Situation(moment, history or History(), at, action_ids(moment.cause.id or ""))


def decided(rules: RuleSet, history: History | None = None, **more: Any) -> list[Considered]:
    """What all rules that Ada's touchpoint triggers come to."""
    seen = situation(history, **more)
    return decide(rules.candidates(seen.moment.facts), seen, rules)


def with_fallbacks(key: str = "r", *fallbacks: tuple[str, tuple[str, ...]], **fields: Any) -> Rule:
    """A rule whose action is a push, with other channels and for what they stand in."""
    actions = [email(channel="push"), *(email(channel=channel) for channel, _ in fallbacks)]
    made = rule(key, **fields, actions=actions)
    others = [
        Fallback(frozenset(on), spec)
        for (_, on), spec in zip(fallbacks, made.actions[1:], strict=True)
    ]
    return replace(made, actions=(replace(made.actions[0], fallback=tuple(others)),))


def contact(name: str, channel: str, at: datetime = NOON) -> Contact:
    """A contact that was made."""

    return Contact(UUID(uid(name)), at, channel, "marketing", None, None, "other")


def fates(one: Considered) -> dict[int, str]:
    """By option: the reason why it was passed over, or `chosen`."""
    (choice,) = one.choices
    found = {option: drop.reason for option, drop in choice.passed_over().items()}
    return found | {action.option: "chosen" for action in one.planned}
