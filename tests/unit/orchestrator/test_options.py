"""An action and its fallbacks: one choice, the first that may, and only for the reasons named."""

from typing import Any
from uuid import UUID

import pytest

from services.orchestrator.domain.action_ids import fallback_id
from services.orchestrator.domain.decide import Considered
from services.orchestrator.domain.fallback import consider_next, place_of
from services.orchestrator.domain.gates import Drop, Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.trigger_index import RuleSet
from tests.unit.orchestrator.build import GRANTED, action_id, policy, profile_json, ruleset
from tests.unit.orchestrator.situations import (
    ADA,
    contact,
    decided,
    fates,
    situation,
    with_fallbacks,
)

REACHABLE = [{"type": "device_id", "value": "d1"}, {"type": "email", "value": "ada@b.c"}]
BOTH = profile_json(ADA, identifiers=REACHABLE)
ONE_PUSH = policy({"scope": {"channel": "push"}, "limit": 1, "window": "P1D"})
ONE_EACH = policy(
    {"scope": {"channel": "push"}, "limit": 1, "window": "P1D"},
    {"scope": {"channel": "email"}, "limit": 1, "window": "P1D"},
)


def only(rules: RuleSet, history: History | None = None, **more: Any) -> Considered:
    (one,) = decided(rules, history, **more)
    return one


def test_the_action_itself_is_taken_when_it_may() -> None:
    rules = ruleset(with_fallbacks("r", ("email", ("undeliverable",))))
    one = only(rules, profile=BOTH)
    assert fates(one) == {0: "chosen", 1: "not_needed"}
    assert one.planned[0].action_id == action_id("r", "cart")
    assert one.planned[0].instead_of is None


def test_a_fallback_stands_in_under_an_id_of_its_own() -> None:
    rules = ruleset(with_fallbacks("r", ("email", ("undeliverable",))))
    one = only(rules)
    assert fates(one) == {0: "no_address", 1: "chosen"}
    first = action_id("r", "cart")
    assert one.planned[0].action_id == fallback_id(first, 0)
    assert one.planned[0].instead_of == first
    assert one.planned[0].contact.channel == "email"


@pytest.mark.parametrize(
    ("history", "consents", "reason"),
    [
        (History(), GRANTED, "undeliverable"),
        (History(contacts=[contact("x", "push")]), GRANTED, "capped"),
        (History(), [{**GRANTED[0], "channel": "email"}], "no_consent"),
    ],
)
def test_a_fallback_is_for_the_reasons_it_names(
    history: History, consents: list[dict[str, str]], reason: str
) -> None:
    identifiers = REACHABLE[1:] if reason == "undeliverable" else REACHABLE
    profile = profile_json(ADA, identifiers=identifiers, consents=consents)
    for on in ("undeliverable", "no_consent", "capped"):
        one = with_fallbacks("r", ("email", (on,)), category="marketing")
        (found,) = decided(ruleset(one, policies=[ONE_PUSH]), history, profile=profile)
        assert bool(found.planned) is (on == reason), on
        if on != reason:
            assert fates(found)[1] == "fallback_not_for_this"
            assert found.drop is not None
            assert found.drop.reason != "fallback_not_for_this"


def test_a_later_fallback_may_answer_an_earlier_stop() -> None:
    rules = ruleset(
        with_fallbacks(
            "r",
            ("sms", ("undeliverable",)),
            ("direct_mail", ("expired",)),
            ("email", ("undeliverable",)),
        )
    )
    assert fates(only(rules)) == {
        0: "no_address", 1: "no_address", 2: "fallback_not_for_this", 3: "chosen",
    }  # fmt: skip


def test_whatever_was_done_for_a_choice_the_rule_has_acted() -> None:
    rules = ruleset(with_fallbacks("r", ("email", ("undeliverable",))))
    second = fallback_id(action_id("r", "cart"), 0)
    one = only(rules, history=History(acted={second}), profile=BOTH)
    assert one.drop is not None
    assert one.drop.reason == "already_acted"


def test_what_the_winner_takes_sends_the_next_one_to_its_fallback() -> None:
    """Two may act; the second cannot have the one push any more, but it can have the e-mail."""
    fallback = ("email", ("capped",))
    two = [
        with_fallbacks(key, fallback, category="marketing", arbitration={"max_actions": 2})
        for key in ("a", "b")
    ]
    first, second = decided(ruleset(*two, policies=[ONE_PUSH]), profile=BOTH)
    assert fates(first) == {0: "chosen", 1: "not_needed"}
    assert fates(second) == {0: "cap", 1: "chosen"}


def test_the_record_shows_every_option_and_the_sentence_why_it_was_another() -> None:
    rules = ruleset(with_fallbacks("r", ("email", ("undeliverable",)), ("sms", ("expired",))))
    found = decided(rules)
    record = decision_record(
        decision_id=UUID(int=1), profile_id=ADA, profile_version=1, touchpoint_id=None,
        at=found[0].situation.at, considered=found, retracts=[], ruleset=rules,
    )  # fmt: skip
    (candidate,) = record.candidates
    assert [(one.option, one.channel, one.reason) for one in candidate.actions] == [
        (0, "push", "no_address"), (1, "email", "chosen"), (2, "sms", "not_needed"),
    ]  # fmt: skip
    assert "message on email now instead of push: the channel cannot be used" in record.sentence


def next_option(
    live: LiveRule, place: int, reason: str, seen: Situation, rules: RuleSet
) -> Planned | Drop:
    """What is done instead of an option of the first action."""
    return consider_next(live, 0, place, reason, seen, rules)[1]


def test_after_a_failed_delivery_the_next_option_is_asked_like_any_other() -> None:
    one = with_fallbacks("r", ("email", ("declined",)), ("direct_mail", ("undeliverable",)))
    rules = ruleset(one, policies=[ONE_EACH])
    live, seen = rules.rules["r"], situation(profile=BOTH)
    planned = next_option(live, 0, "undeliverable", seen, rules)
    assert isinstance(planned, Planned)
    assert (planned.option, planned.contact.channel) == (2, "direct_mail")
    declined = next_option(live, 0, "declined", seen, rules)
    assert isinstance(declined, Planned)
    assert declined.contact.channel == "email"
    assert place_of(live, declined.action_id, seen) == (0, 1)
    full = situation(History(contacts=[contact("x", "email")]), profile=BOTH)
    capped = next_option(live, 0, "declined", full, rules)
    assert isinstance(capped, Drop)
    assert capped.reason == "cap"
    before = {seen.action_id("r", 0, 0), declined.action_id}
    tried = situation(History(acted=before), profile=BOTH)
    last = next_option(live, 2, "undeliverable", tried, rules)
    assert isinstance(last, Drop)
    assert last.reason == "no_fallback"


def test_another_preference_meanwhile_neither_repeats_nor_loses_an_option() -> None:
    one = with_fallbacks("r", ("direct_mail", ("undeliverable", "declined")))
    rules = ruleset(one, policies=[policy(channel_preference={"order": ["profile.likes"]})])
    live = rules.rules["r"]
    first = live.rule.actions[0].channel
    for likes, failed, left in ((first, 1, 0), ("direct_mail", 0, 1)):
        profile = {**BOTH, "traits": {**BOTH["traits"], "likes": likes}}
        then = next_option(live, failed, "undeliverable", situation(profile=profile), rules)
        assert isinstance(then, Planned), likes
        assert then.option == left
        tried = {then.action_id}
        over = situation(History(acted=tried), profile=profile)
        assert isinstance(next_option(live, failed, "undeliverable", over, rules), Drop)
    liked = {**BOTH, "traits": {**BOTH["traits"], "likes": first}}
    refused = next_option(live, 1, "declined", situation(profile=liked), rules)
    assert isinstance(refused, Drop)


def test_no_fallback_for_what_lost_its_reason() -> None:
    never = {"attr": "profile.none", "op": "exists"}
    one = with_fallbacks(
        "r", ("email", ("undeliverable",)), engagement_policy={"applicability": never}
    )
    rules = ruleset(one)
    drop = next_option(rules.rules["r"], 0, "undeliverable", situation(), rules)
    assert isinstance(drop, Drop)
    assert drop.stage == "applicability"
