"""Rules that a change of a profile triggers: which ones, what they see, what was before."""

from typing import Any

import pytest

from services.orchestrator.domain.decide import decide
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.update import Moment, read_moment, routed_decoder
from services.orchestrator.use_cases.naming import action_ids
from tests.unit.orchestrator.build import (
    NOON,
    profile_json,
    rule,
    ruleset,
    touchpoint_json,
    uid,
    update_json,
)

ADA = uid("ada")


def on(key: str, kind: str, **fields: Any) -> Rule:
    return rule(key, trigger={"type": kind, **fields})


def told(kind: str, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "id": uid("told"), "at": "2026-11-21T12:00:00.000Z", **fields}


def seen(cause: dict[str, Any], **fields: Any) -> tuple[Any, Moment]:
    value = update_json(ADA, 1, cause, **fields)
    routed = routed_decoder.decode(value)
    return routed, read_moment(value, routed, ADA, NOON)


def triggered(cause: dict[str, Any], *rules: Rule, **fields: Any) -> list[str]:
    """The keys of the rules; what routing lets pass has to be all of them."""
    live = ruleset(*rules)
    routed, moment = seen(cause, **fields)
    found = [one.key for one in live.candidates(moment.facts, moment.cause)]
    assert live.concerns(routed) or not found
    return found


VIP, LEFT = told("segment_entered", segment="vip"), told("segment_left", segment="vip")


def test_a_segment_entered_or_left_triggers_the_rules_that_name_it() -> None:
    rules = (
        on("in", "segment_entered", segment="vip"),
        on("out", "segment_left", segment="vip"),
        on("other", "segment_entered", segment="new"),
        rule("event", "segment_entered"),
    )
    assert triggered(VIP, *rules) == ["in"]
    assert triggered(LEFT, *rules) == ["out"]
    assert triggered(touchpoint_json("x", "segment_entered"), *rules) == ["event"]


def test_the_condition_of_the_trigger_sees_what_changed() -> None:
    which = {"attr": "event.segment", "op": "eq", "value": "vip"}
    rules = (
        on("here", "segment_entered", segment="vip", where=which),
        on("not", "segment_entered", segment="vip", where={"not": which}),
    )
    assert triggered(VIP, *rules) == ["here"]


def test_the_persona_is_any_or_one_and_says_what_it_was() -> None:
    was = {"attr": "event.from", "op": "eq", "value": "window-shopper"}
    rules = (
        on("any", "persona_changed"),
        on("hunter", "persona_changed", persona="hunter", where=was),
        on("loyal", "persona_changed", persona="loyal"),
    )
    change = told("persona_changed", persona="hunter", before="window-shopper")
    assert triggered(change, *rules) == ["any", "hunter"]
    assert triggered(told("persona_changed", before="hunter"), *rules) == ["any"]


GOLD = {"attr": "profile.tier", "op": "changed_to", "value": "gold"}


@pytest.mark.parametrize(
    ("before", "now", "found"),
    [
        ("silver", "gold", ["tier", "gold"]),
        (None, "gold", ["tier", "gold"]),
        ("gold", "silver", ["tier"]),
        ("silver", None, ["tier"]),
    ],
)
def test_a_trait_that_a_touchpoint_or_time_changed_triggers(
    before: str | None, now: str | None, found: list[str]
) -> None:
    rules = (
        on("tier", "trait_changed", trait="tier"),
        on("gold", "trait_changed", trait="tier", where=GOLD),
        on("spent", "trait_changed", trait="computed.spent"),
    )
    profile = profile_json(ADA, traits={"tier": now})
    changed = {"tier": before, "city": None}
    by_time = told("trait_changed", traits=["city", "tier"], changed=changed)
    assert triggered(by_time, *rules, profile=profile) == found
    by_touchpoint = touchpoint_json("call", "Tier Set")
    assert triggered(by_touchpoint, *rules, profile=profile, changed=changed) == found
    assert triggered(by_touchpoint, *rules, profile=profile) == []


def test_a_touchpoint_that_triggers_by_event_and_by_change_is_considered_once_for_each() -> None:
    rules = (on("tier", "trait_changed", trait="tier"), rule("event", "Tier Set"))
    cause = touchpoint_json("call", "Tier Set")
    assert triggered(cause, *rules, changed={"tier": 1}) == ["event", "tier"]


@pytest.mark.parametrize("existing", [False, True])
def test_members_that_a_definition_found_trigger_only_with_include_existing(
    existing: bool,
) -> None:
    one = on("r", "segment_entered", segment="vip", include_existing=existing)
    _, moment = seen({**VIP, "backfill": True})
    live = ruleset(one)
    situation = Situation(moment, History(), NOON, action_ids(moment.cause.id or ""))
    (considered,) = decide(live.candidates(moment.facts, moment.cause), situation, live)
    stage = "chosen" if considered.drop is None else considered.drop.reason
    assert stage == ("chosen" if existing else "historical")


def test_what_is_kept_with_an_action_knows_what_changed() -> None:
    cause = touchpoint_json("call", "Tier Set", traits={"tier": "gold"})
    _, moment = seen(cause, changed={"tier": "silver"})
    value = update_json(ADA, 2, {}, profile=profile_json(ADA))
    again = value.replace(b'"cause": {}', b'"cause": ' + moment.kept_cause)
    kept = read_moment(again, routed_decoder.decode(again), ADA, NOON)
    assert kept.facts.changed == {"tier": "silver"}
    assert b"gold" not in moment.kept_cause


def test_the_touchpoint_that_brought_a_change_about_stands_on_the_record() -> None:
    _, moment = seen({**VIP, "touchpoint_id": uid("call")})
    assert moment.cause.touchpoint == uid("call")
    assert moment.occurred is not None
    assert seen(told("merged", touchpoint_id=uid("call")))[1].cause.touchpoint is None


def test_questions_are_no_candidates_of_events() -> None:
    live = ruleset(on("ask", "api"), rule("r"), on("seg", "segment_entered", segment="vip"))
    assert [one.key for one in live.asked] == ["ask"]
    assert "" not in live.listens
    assert triggered(touchpoint_json("x", ""), on("ask", "api")) == []
