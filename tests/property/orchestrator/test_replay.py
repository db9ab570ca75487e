"""A decision depends on what it saw and on nothing else: not on the order of the candidates, and
made again from what was kept beside it, it is the same bit for bit."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.domain.answer import answer, answer_window
from services.orchestrator.domain.decide import Question
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.estimates import Estimates, totals_of
from services.orchestrator.domain.history import Contact, History, InFlight
from services.orchestrator.domain.replay import read, replay
from services.orchestrator.domain.resource import parse_resource
from services.orchestrator.domain.rule import Fallback, Rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.naming import action_ids
from shared.contracts.decision import decision_decoder, decision_encoder
from tests.unit.orchestrator.build import (
    NOON,
    action_id,
    email,
    policy,
    profile_json,
    rule,
    touchpoint_json,
    uid,
)
from tests.unit.orchestrator.build import ruleset as ruleset_of
from tests.unit.orchestrator.situations import ADA, situation

ID = UUID(int=1)
KEYS = [f"r{n}" for n in range(6)]
CHANNELS = st.sampled_from(["email", "push", "sms", "pos", "call_centre"])
MONEY = st.floats(-5, 50, allow_nan=False).map(lambda value: round(value, 2))
CATEGORIES = st.sampled_from(["marketing", "marketing", "service", "transactional"])
GOLD = {"attr": "profile.tier", "op": "eq", "value": "gold"}


@st.composite
def rules(draw: st.DrawFn) -> list[Rule]:
    return [draw(one_rule(key)) for key in draw(st.sets(st.sampled_from(KEYS), min_size=1))]


@st.composite
def one_rule(draw: st.DrawFn, key: str) -> Rule:
    channels = draw(st.lists(CHANNELS, min_size=1, max_size=3))
    actions = [email(channel=channel) for channel in channels]
    fields: dict[str, Any] = {
        "category": draw(CATEGORIES),
        "priority": draw(st.integers(0, 1)),
        "score": {"value": draw(MONEY), "propensity": draw(st.sampled_from([1.0, 0.5, 0.1]))},
        "actions": actions,
    }
    if draw(st.booleans()):
        fields["engagement_policy"] = {"eligibility": GOLD}
    if draw(st.booleans()):
        fields["re_entry"] = {"cooldown": "PT1H"}
    made = rule(key, **fields)
    if len(channels) > 1 and draw(st.booleans()):
        on = frozenset(draw(st.sets(st.sampled_from(["undeliverable", "no_consent", "capped"]))))
        others = tuple(Fallback(on, spec) for spec in made.actions[1:])
        made = replace(made, actions=(replace(made.actions[0], fallback=others),))
    return replace(
        made,
        costs=draw(st.sampled_from([{}, {}, {"calls": 1.0}, {"calls": 2.0, "money": 5.0}])),
        customer=draw(st.sampled_from([None, None, -1.0, 4.0])),
        window=draw(st.sampled_from([None, None, timedelta(seconds=5)])),
    )


@st.composite
def rulesets(draw: st.DrawFn) -> RuleSet:
    caps = [
        {"scope": {"channel": draw(CHANNELS)}, "limit": draw(st.integers(0, 2)), "window": "P1D"}
    ]
    wait = draw(st.sampled_from(["PT0S", "PT0S", "PT5S"]))
    arbitration = {"max_actions": draw(st.integers(1, 3)), "window": wait}
    resources = [
        parse_resource({"limit": limit, "per": "P1D"}, key=key, version=1)
        for key, limit in (("calls", 3), ("money", 7))
    ]
    counts = {
        key: {("email", ""): (100, draw(st.integers(0, 100))), ("push", "x"): (5, 1)}
        for key in draw(st.sets(st.sampled_from(KEYS)))
    }
    prices = {"calls": draw(st.floats(0, 20)), "money": 0.5}
    made = RuleSet(
        epoch=7,
        rules=draw(rules()),
        policies=[policy(*caps, arbitration=arbitration)],
        resources=resources,
    )
    return made.learned(Estimates(prices, counts, totals_of(counts)))


@st.composite
def histories(draw: st.DrawFn) -> History:
    day = timedelta(days=1)
    contacts = [
        Contact(UUID(uid(f"c{n}")), NOON - day * draw(st.floats(0, 2)), draw(CHANNELS),
                "marketing", None, None, draw(st.sampled_from(KEYS)))
        for n in range(draw(st.integers(0, 4)))
    ]  # fmt: skip
    entered = draw(st.sets(st.sampled_from(KEYS)))
    return History(
        contacts=contacts,
        entries={(key, ""): NOON - timedelta(minutes=draw(st.integers(0, 120))) for key in entered},
        used={("calls", NOON.replace(hour=0)): draw(st.integers(0, 3)) * 1.0},
    )


def people() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda tier, devices: profile_json(
            ADA,
            traits={"tier": tier, "first_name": "Ada"},
            identifiers=[
                {"type": "email", "value": "ada@b.c"},
                *({"type": "device_id", "value": f"d{n}"} for n in range(devices)),
            ],
        ),
        st.sampled_from(["gold", "tin"]),
        st.integers(0, 1),
    )


def replayed(effects: Effects, ruleset: RuleSet) -> None:
    (row,), (kept,) = effects.decisions, effects.inputs
    plain = ruleset.learned(Estimates())
    again = replay(read(kept.body), decision_decoder.decode(row.body), plain, action_ids)
    assert decision_encoder.encode(again) == row.body


@settings(max_examples=150, deadline=None)
@given(rulesets(), histories(), people(), st.randoms(use_true_random=False))
def test_a_decision_made_again_is_the_same_in_whatever_order_its_candidates_come(
    ruleset: RuleSet, history: History, person: dict[str, Any], chance: Any
) -> None:
    bodies = []
    for shuffled in (False, True):
        own = History(
            contacts=list(history.contacts),
            entries=dict(history.entries),
            used=dict(history.used),
        )
        seen, effects = situation(own, profile=person), Effects(scarce=True)
        candidates = list(ruleset.candidates(seen.moment.facts))
        if shuffled:
            chance.shuffle(candidates)
        answer(seen, candidates, ruleset=ruleset, decision_id=ID, effects=effects)
        replayed(effects, ruleset)
        bodies.append(effects.decisions[0].body)
        for one in effects.spent:
            assert own.used[(one.use.resource, one.use.window)] <= one.use.limit
    assert bodies[0] == bodies[1]


@settings(max_examples=60, deadline=None)
@given(rulesets(), histories(), people(), st.integers(1, 4))
def test_so_is_one_that_ends_a_window(
    ruleset: RuleSet, history: History, person: dict[str, Any], touchpoints: int
) -> None:
    effects = Effects(scarce=True)
    questions = []
    for n in range(touchpoints):
        seen = situation(history, name=f"t{n}", profile=person, at=NOON)
        questions.append(Question(ruleset.candidates(seen.moment.facts), seen))
    answer_window(questions, ruleset=ruleset, decision_id=ID, effects=effects)
    replayed(effects, ruleset)


def test_a_purchase_that_takes_back_and_thanks_is_replayed_too() -> None:
    """What was taken back stands on the record with its channel, and how far it had come."""
    rules = ruleset_of(
        rule("cart", "Cart Updated", exit_criteria=[{"event": "Order Completed"}]),
        rule("thanks", "Order Completed"),
    )
    order = situation(name="order", event="Order Completed", at=NOON + timedelta(minutes=1))
    cart = InFlight(
        action_id=action_id("cart", "cart"),
        rule="cart",
        entry_key="",
        channel="email",
        category="service",
        topic=None,
        sent_for=None,
        occurred_at=NOON - timedelta(minutes=1),
        cause=json.dumps(touchpoint_json("cart")).encode(),
        gen=0,
    )
    order.history.in_flight[cart.action_id] = cart
    effects = Effects()
    answered = answer(
        order,
        rules.candidates(order.moment.facts),
        ruleset=rules,
        decision_id=ID,
        effects=effects,
    )
    assert answered is not None
    decision, _ = answered
    assert [(one.channel, one.reached) for one in decision.retracts] == [("email", "pending")]
    assert decision.outcome == "sent"
    replayed(effects, rules)
