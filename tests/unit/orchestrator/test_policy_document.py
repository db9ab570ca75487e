"""Contact policies as JSON: what is read, and what is refused with its path."""

from datetime import time, timedelta
from typing import Any

from services.orchestrator.domain.cap import Cap
from services.orchestrator.domain.contact_policy import Arbitration
from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.quiet_hours import QuietHours
from services.orchestrator.domain.rule import Holdout
from services.orchestrator.domain.suppression import Suppression
from services.orchestrator.domain.zone import TimeZone
from tests.unit.orchestrator.test_rule_document import problems

WEEK, FORTNIGHT = timedelta(days=7), timedelta(days=14)
FULL: dict[str, Any] = {
    "key": "default",
    "time_zone": {"source": ["profile", "country", "default"], "default": "Europe/Paris"},
    "caps": [
        {"scope": {"channel": "email", "category": "marketing"}, "limit": 2, "window": "P7D",
         "kind": "rolling"},
        {"scope": {"category": "marketing"}, "limit": 1, "window": "P1D", "kind": "calendar"},
        {"limit": 9, "window": "P1M", "kind": "calendar", "per": "household"},
    ],
    "quiet_hours": [
        {"channels": ["sms", "push", "call_centre"], "from": "21:00", "to": "08:00",
         "days": [1, 2, 3, 4, 5, 6, 7], "action": "defer", "max_defer": "P2D"},
        {"categories": ["marketing"], "from": "00:00", "to": "00:00", "days": [7],
         "action": "discard"},
    ],
    "suppressions": [
        {"on": {"outcome": "ignored", "channel": "push", "count": 3, "within": "P14D",
                "per": "group"}, "for": "P14D"},
        {"on": {"outcome": "complained"}, "for": "P30D", "categories": ["marketing"]},
    ],
    "consent": {"require": {"marketing": "opt_in", "service": "none", "legal": "not_opted_out"}},
    "channel_preference": {"order": ["profile.preferred_channel", "last_engaged"]},
    "arbitration": {"window": "PT5S", "max_actions": 3, "formula": ["propensity", "value"],
                    "tie": ["value", "priority", "key"]},
    "bypass": {"categories": ["legal"], "counts_toward_caps": True},
    "holdout": {"percent": 2.5, "salt": "2026h2"},
}  # fmt: skip


def test_reads_every_field() -> None:
    policy = parse_policy(FULL, key="default", version=4)
    assert policy.caps == (
        Cap(2, WEEK, channel="email", category="marketing"),
        Cap(1, timedelta(hours=27), category="marketing", period="day"),
        Cap(9, timedelta(days=31, hours=3), household=True, period="month"),
    )
    assert policy.time_zone == TimeZone(("profile", "country", "default"), "Europe/Paris")
    assert policy.quiet_hours == (
        QuietHours(time(21), time(8), ("sms", "push", "call_centre"), max_defer=timedelta(days=2)),
        QuietHours(time(), time(), None, frozenset({"marketing"}), frozenset({7}), discards=True),
    )
    assert policy.suppressions == (
        Suppression("ignored", 3, FORTNIGHT, FORTNIGHT, "group", "push"),
        Suppression(
            "complained", 1, timedelta(days=1), timedelta(days=30),
            categories=frozenset({"marketing"}),
        ),
    )  # fmt: skip
    assert policy.consent == {
        "marketing": "opt_in", "service": "none", "legal": "not_opted_out",
    }  # fmt: skip
    assert policy.channel_preference == ("profile.preferred_channel", "last_engaged")
    assert policy.arbitration == Arbitration(
        timedelta(seconds=5), 3, ("propensity", "value"), ("value", "priority", "key")
    )
    assert (policy.bypass, policy.bypass_counts) == (frozenset({"legal"}), True)
    assert policy.holdout == Holdout(2.5, "2026h2")
    assert list(policy.channels_named())[:2] == [
        ("caps[0].scope.channel", "email"),
        ("quiet_hours[0].channels[0]", "sms"),
    ]


def test_an_empty_policy_says_nothing() -> None:
    policy = parse_policy({}, key="default", version=1)
    assert (policy.caps, policy.quiet_hours, policy.suppressions) == ((), (), ())
    assert policy.arbitration == Arbitration()
    assert (policy.time_zone, policy.channel_preference, policy.holdout) == (None, None, None)
    assert policy.bypass == {"transactional", "legal"}


def test_refuses_with_the_path_of_each_mistake() -> None:
    document = {
        "quiethours": [],
        "time_zone": {"source": ["profil", "country", "country"], "default": "Europe/Pariss"},
        "caps": [
            {"scope": {"chanel": "email"}, "limit": -1, "window": "P7D"},
            {"limit": 1, "window": "P2D", "kind": "calendar"},
            {"limit": 1, "window": "P1M"},
            {"scope": {"category": "promo"}, "limit": 1, "window": "P1D", "per": "street"},
        ],
        "quiet_hours": [
            {"from": "24:00", "channels": [], "days": [0, "1"], "action": "hold"},
            {"from": "21:00", "to": "8:00", "max_defer": "P2D", "action": "discard"},
            {"from": "21:00", "to": "08:00", "max_defer": "P60D", "categories": []},
        ],
        "suppressions": [
            {"for": "P1D"},
            {"on": {"outcome": "ignord", "count": 2, "per": "person"}, "for": "soon"},
        ],
        "consent": {"require": {"marketing": "none", "service": "maybe", "promo": "none"}},
        "channel_preference": {"order": ["preferred_channel", "last_engaged", "last_engaged"]},
        "arbitration": {"window": "P2D", "max_actions": 0, "formula": ["luck"], "tie": ["key"]},
        "bypass": {"categories": ["marketing"]},
        "holdout": {"percent": 0.001},
    }
    assert problems(parse_policy, document, "default") == {
        "quiethours": "unknown_field",
        "time_zone.source[0]": "choice",
        "time_zone.source[2]": "unique",
        "time_zone.default": "zone",
        "caps[0].scope.chanel": "unknown_field",
        "caps[0].limit": "number_range",
        "caps[1].window": "choice",
        "caps[2].window": "duration",
        "caps[3].scope.category": "choice",
        "caps[3].per": "choice",
        "quiet_hours[0].from": "clock",
        "quiet_hours[0].to": "required",
        "quiet_hours[0].channels": "min_items",
        "quiet_hours[0].days[0]": "number_range",
        "quiet_hours[0].days[1]": "number_range",
        "quiet_hours[0].action": "choice",
        "quiet_hours[1].to": "clock",
        "quiet_hours[1].max_defer": "meaningless",
        "quiet_hours[2].max_defer": "duration",
        "quiet_hours[2].categories": "min_items",
        "suppressions[0].on": "required",
        "suppressions[0].on.outcome": "required",
        "suppressions[1].on.outcome": "choice",
        "suppressions[1].on.within": "required",
        "suppressions[1].on.per": "choice",
        "suppressions[1].for": "duration",
        "consent.require.marketing": "choice",
        "consent.require.service": "choice",
        "consent.require.promo": "unknown_field",
        "channel_preference.order[0]": "choice",
        "channel_preference.order[2]": "unique",
        "arbitration.window": "duration",
        "arbitration.max_actions": "number_range",
        "arbitration.formula[0]": "choice",
        "arbitration.tie": "choice",
        "bypass.categories[0]": "choice",
        "holdout.percent": "precision",
        "holdout.salt": "required",
    }
