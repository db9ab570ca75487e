"""Whether a delivery that comes round again may be tried now."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.orchestrator.domain.delivering import Settled
from services.orchestrator.domain.joint_policy import JointPolicy
from services.orchestrator.domain.try_gates import Addressed, held_back
from shared.contracts.profile_update import snapshot_decoder
from tests.unit.orchestrator.build import policy, profile_json

NIGHT = {"from": "21:00", "to": "08:00", "channels": ["push"]}
EVENING = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)
"""Half past nine in Paris, half past eight in UTC."""


def addressed(zone: str = "Europe/Paris", *, consent: str = "granted", **fields: Any) -> Addressed:
    consents = [{"purpose": "service", "channel": "push", "status": consent}]
    person = profile_json("p", timezone=zone, consents=consents)
    profile = snapshot_decoder.decode(json.dumps(person))
    usual = {"channel": "push", "category": "service", "topic": None, "profile": profile}
    return Addressed(**{**usual, **fields})


def quiet(**fields: Any) -> JointPolicy:
    return JointPolicy([policy(quiet_hours=[{**NIGHT, **fields}])])


def test_waits_for_the_end_of_the_night_where_the_person_lives() -> None:
    ends = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
    assert held_back(addressed(), quiet(), EVENING) == Settled(
        "waiting", "quiet_hours", ends, counts=False
    )
    assert held_back(addressed("UTC"), quiet(), EVENING) is None
    assert held_back(addressed(profile=None), quiet(), EVENING) is None


def test_of_whom_nothing_is_known_the_default_zone_counts() -> None:
    late = EVENING + timedelta(hours=1)
    end = held_back(addressed(profile=None), quiet(), late)
    assert end is not None
    assert end.due_at == datetime(2026, 11, 22, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"action": "discard"}, "quiet_hours"), ({"max_defer": "PT1H"}, "deferred_too_long")],
)
def test_ends_where_the_policy_discards(fields: dict[str, Any], reason: str) -> None:
    end = held_back(addressed(), quiet(**fields), EVENING)
    assert end == Settled("failed", reason, counts=False)


def test_what_bypasses_or_is_on_another_channel_goes_on() -> None:
    assert held_back(addressed(category="legal"), quiet(), EVENING) is None
    assert held_back(addressed(channel="email"), quiet(), EVENING) is None
    assert held_back(addressed(), JointPolicy([]), EVENING) is None


def test_asks_consent_again() -> None:
    end = held_back(addressed(consent="denied"), quiet(), EVENING)
    assert end == Settled("failed", "consent_denied", counts=False)
