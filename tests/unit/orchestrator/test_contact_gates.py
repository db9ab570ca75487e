"""What contact policies hold back, and how a decision says so."""

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.domain.buckets import BUCKETS, bucket
from services.orchestrator.domain.decide import Considered, decide
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import Contact, History, Outcome
from services.orchestrator.domain.holdout import threshold
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.preference import ordered
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.rule import Holdout, Rule
from services.orchestrator.domain.zone import TimeZone
from services.orchestrator.use_cases.naming import action_ids
from shared.contracts.decision import Decision
from tests.unit.orchestrator.build import (
    NOON,
    email,
    policy,
    profile_json,
    rule,
    ruleset,
    uid,
)
from tests.unit.orchestrator.test_decide import ADA, moment

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TOKYO = ZoneInfo("Asia/Tokyo")


def outcome(what: str, ago: timedelta, name: str = "", **fields: Any) -> Outcome:
    usual: dict[str, Any] = {
        "channel": "push", "category": "marketing", "topic": None, "group": "cart", "rule": "other",
    }  # fmt: skip
    action = UUID(uid(name or f"{what}{ago}"))
    return Outcome(action, what, NOON - ago, **usual | fields)


def contact(ago: timedelta, **fields: Any) -> Contact:
    usual: dict[str, Any] = {
        "channel": "email", "category": "marketing", "topic": None, "group": None, "rule": "r",
    }  # fmt: skip
    return Contact(UUID(uid(str(ago))), NOON - ago, **usual | fields)


def asked(
    one: Rule, *, history: History | None = None, profile: dict[str, Any] | None = None, **said: Any
) -> tuple[Considered, Decision]:
    """The only candidate under one policy, and the record."""
    rules = ruleset(one, policies=[policy(**said)])
    seen = moment(profile)
    situation = Situation(seen, history or History(), NOON, action_ids(seen.cause.id or ""))
    considered = decide(rules.candidates(seen.facts), situation, rules)
    record = decision_record(
        decision_id=UUID(uid("decision")),
        profile_id=ADA,
        profile_version=1,
        touchpoint_id=uid("cart"),
        at=NOON,
        considered=considered,
        retracts=[],
        ruleset=rules,
        zone=rules.joint.zone_for_record(seen.profile),
    )
    return considered[0], record


def fate(one: Rule, **more: Any) -> tuple[str, str]:
    drop = asked(one, **more)[0].drop
    return ("chosen", "chosen") if drop is None else (drop.stage, drop.reason)


def marketing(**fields: Any) -> Rule:
    return rule(**{"category": "marketing", "group": "cart", **fields})


def with_holdout(one: Rule, percent: float) -> Rule:
    return replace(one, holdout=Holdout(percent, "s"))


IGNORED: dict[str, Any] = {
    "on": {"outcome": "ignored", "channel": "push", "count": 3, "within": "P14D", "per": "group"},
    "for": "P14D",
}


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([1, 2, 3], "suppression"),
        ([1, 2], "chosen"),
        ([1, 2, 14], "suppression"),
        ([1, 2, 15], "chosen"),  # not within 14 days of the newest
        ([14, 15, 16], "chosen"),  # its time is up
        ([13, 15, 16], "suppression"),
        ([1, 13, 14, 15], "suppression"),  # the newest three are too far apart, those before not
    ],
)
def test_three_ignored_silence_the_group(outcomes: list[int], expected: str) -> None:
    history = History(outcomes=[outcome("ignored", DAY * days) for days in outcomes])
    assert fate(marketing(), history=history, suppressions=[IGNORED])[0] == expected


def test_only_the_same_outcome_channel_and_scope_counts() -> None:
    """Three actions are three, however often one of them was reported."""
    twice = History(outcomes=[outcome("ignored", DAY * n, "same") for n in (1, 2, 3)])
    assert fate(marketing(), history=twice, suppressions=[IGNORED])[0] == "chosen"
    three = [outcome("ignored", DAY * n) for n in (1, 2, 3)]
    for change in ({"channel": "sms"}, {"group": "other"}, {"group": None}):
        mixed = [*three[:2], outcome("ignored", 3 * DAY, "third", **change)]
        history = History(outcomes=mixed)
        assert fate(marketing(), history=history, suppressions=[IGNORED])[0] == "chosen", change
    history = History(outcomes=[*three[:2], outcome("opened", 3 * DAY)])
    assert fate(marketing(), history=history, suppressions=[IGNORED])[0] == "chosen"
    history = History(outcomes=three)
    assert fate(marketing(group="else"), history=history, suppressions=[IGNORED])[0] == "chosen"
    assert fate(marketing(group=None), history=history, suppressions=[IGNORED])[0] == "chosen"


def test_a_suppression_silences_every_channel_but_not_every_category() -> None:
    history = History(outcomes=[outcome("declined", HOUR, rule="r", channel="clienteling")])
    declined = {"on": {"outcome": "declined", "per": "rule"}, "for": "P30D"}
    for channel in ("email", "web", "pos"):
        one = marketing(actions=[email(channel=channel)])
        assert fate(one, history=history, suppressions=[declined]) == ("suppression", "declined")
    assert fate(rule("r"), history=history, suppressions=[declined])[0] == "suppression"
    urgent = rule("r", category="transactional")
    assert fate(urgent, history=history, suppressions=[declined])[0] == "chosen"
    narrow = declined | {"categories": ["marketing"]}
    assert fate(rule("r"), history=history, suppressions=[narrow])[0] == "chosen"
    everything = {"on": {"outcome": "declined"}, "for": "PT1H"}
    assert fate(marketing(key="x"), history=history, suppressions=[everything])[0] == "chosen"
    longer = everything | {"for": "PT61M"}
    assert fate(rule("x"), history=history, suppressions=[longer])[0] == "suppression"


def test_a_suppression_says_since_when_and_until_when() -> None:
    history = History(outcomes=[outcome("ignored", DAY * n) for n in (1, 2, 3)])
    considered, record = asked(marketing(), history=history, suppressions=[IGNORED])
    assert record.outcome == "suppressed"
    assert considered.drop is not None
    assert considered.drop.condition == (
        "not 14 days after 3 actions of the same group on push were ignored within 14 days"
    )
    seen: Any = considered.drop.actual
    assert seen["until"] == "2026-12-04T12:00:00.000Z"
    assert [one["at"][:10] for one in seen["outcomes"]] == [
        "2026-11-18",
        "2026-11-19",
        "2026-11-20",
    ]


def buckets(salt: str, layer: str, percent: float, people: int = 4_000) -> float:
    held = threshold(Holdout(percent, salt))
    return sum(bucket(salt, layer, uid(f"p{n}")) < held for n in range(people)) / people


FROZEN = [
    5769, 9809, 4726, 2428, 9263, 958, 4248, 3252, 244, 8281,
    5433, 5725, 1514, 1192, 5728, 8623, 4794, 4920, 1370, 6573,
]  # fmt: skip


def test_frozen_buckets() -> None:
    """These must never change: whoever was held out yesterday is held out today."""
    namespace = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
    found = [
        bucket(f"salt-{n % 3}", ("rule", "universal")[n % 2], str(uuid5(namespace, f"person-{n}")))
        for n in range(20)
    ]
    assert found == FROZEN


def test_percent_are_percent_of_people() -> None:
    assert [threshold(Holdout(percent, "s")) for percent in (0, 0.01, 2.5, 100)] == [
        0, 1, 250, BUCKETS,
    ]  # fmt: skip
    assert 0.08 < buckets("a", "rule", 10) < 0.12
    assert buckets("a", "rule", 0) == 0
    assert buckets("a", "rule", 100) == 1


def test_more_percent_only_add_people_and_another_salt_is_another_draw() -> None:
    people = [uid(f"p{n}") for n in range(1_000)]
    ten, twenty, other = (
        {one for one in people if bucket(salt, "rule", one) < 100 * percent}
        for salt, percent in (("a", 10), ("a", 20), ("b", 10))
    )
    assert ten < twenty
    assert len(ten & other) < len(ten) / 2


def test_a_holdout_is_a_gate_with_both_arms_on_record() -> None:
    held, record = asked(with_holdout(marketing(), 100))
    assert (held.drop and held.drop.stage, record.outcome) == ("holdout", "held_out")
    (exposure,) = record.candidates[0].holdouts
    assert (exposure.layer, exposure.salt, exposure.held_out) == ("rule", "s", True)
    assert exposure.bucket == bucket("s", "rule", ADA)
    chosen, record = asked(with_holdout(marketing(), 0))
    assert (chosen.drop, record.outcome) == (None, "sent")
    assert [one.held_out for one in record.candidates[0].holdouts] == [False]


def test_the_universal_holdout_is_about_marketing_alone() -> None:
    universal = {"holdout": {"percent": 100, "salt": "s"}}
    assert fate(marketing(), **universal) == ("holdout", "held_out")
    for category in ("service", "transactional", "legal"):
        assert fate(rule(category=category), **universal) == ("chosen", "chosen")
    own = with_holdout(rule(category="service"), 100)
    assert fate(own) == ("holdout", "held_out"), "a rule's own is about the rule"


def test_what_falls_before_the_holdout_was_not_exposed() -> None:
    grown_up = {"attr": "profile.age", "op": "gte", "value": 18}
    one = marketing(engagement_policy={"eligibility": grown_up})
    considered, record = asked(with_holdout(one, 100))
    assert considered.drop is not None
    assert considered.drop.stage == "eligibility"
    assert record.candidates[0].holdouts == []


NIGHT = {"from": "21:00", "to": "08:00"}


def in_tokyo(**fields: Any) -> dict[str, Any]:
    return profile_json(ADA, timezone="Asia/Tokyo", **fields)


def test_quiet_hours_move_the_contact_and_say_so() -> None:
    """Noon in UTC is 21:00 in Tokyo."""
    considered, record = asked(marketing(), profile=in_tokyo(), quiet_hours=[NIGHT])
    (planned,) = considered.planned
    assert planned.due_at.astimezone(TOKYO).strftime("%d %H:%M") == "22 08:00"
    assert planned.contact.at == planned.due_at
    assert record.outcome == "deferred"
    assert record.candidates[0].actions[0].waits_for == "quiet hours 21:00 to 08:00, Asia/Tokyo"
    assert "after quiet hours 21:00 to 08:00, Asia/Tokyo" in record.sentence
    assert record.zone is not None
    assert (record.zone.name, record.zone.source) == ("Asia/Tokyo", "profile")
    assert "time zone is not known" not in record.sentence


def test_without_a_zone_the_default_is_used_and_the_decision_says_so() -> None:
    zone = {"default": "Asia/Tokyo"}
    _, record = asked(marketing(), quiet_hours=[NIGHT], time_zone=zone)
    assert record.zone is not None
    assert (record.zone.name, record.zone.source) == ("Asia/Tokyo", "default")
    assert record.outcome == "deferred"
    assert "The time zone is not known: Asia/Tokyo was assumed." in record.sentence
    assert asked(marketing())[1].zone is None, "nothing goes by it"


def test_the_cap_is_asked_about_the_instant_after_the_quiet_hours() -> None:
    tomorrow = contact(-11 * HOUR)  # 08:00 in Tokyo, the morning after
    cap = {"limit": 1, "window": "PT1H"}
    one = asked(
        marketing(), profile=in_tokyo(), history=History(contacts=[tomorrow]), quiet_hours=[NIGHT]
    )
    assert one[0].drop is None
    rules = ruleset(marketing(), policies=[policy(cap, quiet_hours=[NIGHT])])
    seen = moment(in_tokyo())
    history = History(contacts=[tomorrow])
    situation = Situation(seen, history, NOON, action_ids("x"))
    (considered,) = decide(rules.candidates(seen.facts), situation, rules)
    assert considered.drop is not None
    assert considered.drop.stage == "cap"


def test_quiet_hours_that_discard_drop_the_candidate() -> None:
    discard = NIGHT | {"action": "discard"}
    considered, record = asked(marketing(), profile=in_tokyo(), quiet_hours=[discard])
    assert considered.drop is not None
    assert considered.drop.stage == "quiet_hours"
    assert record.outcome == "suppressed"


@pytest.mark.parametrize(
    ("ago", "zone", "expected"),
    [
        (11 * HOUR, "UTC", "cap"),  # 01:00 the same day
        (13 * HOUR, "UTC", "chosen"),  # 23:00 the day before
        (13 * HOUR, "America/New_York", "chosen"),  # 18:00 the day before
        (6 * HOUR, "America/New_York", "cap"),
        (-11 * HOUR, "UTC", "cap"),  # reserved for later the same day
        (-13 * HOUR, "UTC", "chosen"),
        (2 * HOUR, "Asia/Tokyo", "cap"),
        (-4 * HOUR, "Asia/Tokyo", "chosen"),  # 01:00 the day after
    ],
)
def test_a_calendar_day_is_the_customers(ago: timedelta, zone: str, expected: str) -> None:
    rules = ruleset(
        marketing(), policies=[policy({"limit": 1, "window": "P1D", "kind": "calendar"})]
    )
    seen = moment(profile_json(ADA, timezone=zone))
    situation = Situation(seen, History(contacts=[contact(ago)]), NOON, action_ids("x"))
    (one,) = decide(rules.candidates(seen.facts), situation, rules)
    assert (one.drop.stage if one.drop else "chosen") == expected


def test_consent_is_what_the_policies_need() -> None:
    nobody = profile_json(ADA, consents=[])
    lax = {"consent": {"require": {"marketing": "not_opted_out", "service": "opt_in"}}}
    assert fate(marketing(), profile=nobody, **lax) == ("chosen", "chosen")
    assert fate(rule(), profile=nobody, **lax) == ("consent", "consent_missing")
    assert fate(rule(category="legal"), profile=nobody, **lax) == ("chosen", "chosen")
    denied = [{"purpose": "transactional", "channel": "*", "status": "denied"}]
    refused = profile_json(ADA, consents=denied)
    strict = {"consent": {"require": {"transactional": "not_opted_out"}}}
    assert fate(rule(category="transactional"), profile=refused, **strict)[0] == "consent"
    assert fate(rule(category="transactional"), profile=refused) == ("chosen", "chosen")


def test_several_policies_all_hold() -> None:
    def named(key: str, **said: Any) -> Any:
        return parse_policy(said, key=key, version=1)

    joint = JointPolicy(
        [
            named("b", consent={"require": {"service": "opt_in"}}, arbitration={"window": "PT5S"},
                  time_zone={"default": "Asia/Tokyo"}, bypass={"categories": ["legal"]}),
            named("a", consent={"require": {"service": "none"}},
                  arbitration={"max_actions": 3, "formula": ["value", "lever"], "window": "PT1S"}),
            named("c", arbitration={"max_actions": 2, "formula": ["value", "context"]},
                  time_zone={"default": "Asia/Seoul"}),
        ]
    )  # fmt: skip
    assert [one.key for one in joint.policies] == ["default", "a", "b", "c"]
    assert joint.consent["service"] == "opt_in"
    assert (joint.window, joint.max_actions) == (timedelta(seconds=5), 2)
    assert joint.formula == {"value"}
    assert joint.time_zone == TimeZone(default="Asia/Tokyo")
    assert joint.unarbitrated == {"legal"}
    assert JointPolicy([]).max_actions == 1


def test_the_channel_the_customer_likes_is_tried_first() -> None:
    channels = ["push", "email", "sms", "email"]
    specs = rule(actions=[email(channel=channel) for channel in channels]).actions
    said = policy(channel_preference={"order": ["profile.preferred_channel", "last_engaged"]})
    history = History(
        outcomes=[
            outcome("clicked", 2 * HOUR, channel="email"),
            outcome("opened", HOUR, channel="sms"),
            outcome("ignored", HOUR / 2, channel="push"),
        ]
    )

    def order(traits: dict[str, Any], past: History) -> list[int]:
        return ordered([said], specs, moment(profile_json(ADA, traits=traits)), past)

    assert order({}, History()) == [0, 1, 2, 3]
    assert order({}, history) == [2, 0, 1, 3]
    assert order({"preferred_channel": "email"}, history) == [1, 3, 2, 0]
    assert order({"preferred_channel": ["sms", "pigeon", "push"]}, history) == [2, 0, 1, 3]
    assert ordered([policy()], specs, moment(), history) == [0, 1, 2, 3]
