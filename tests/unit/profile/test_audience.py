"""Who is meant by an event with an audience: what conditions know of a profile."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.audience import facts_of, membership
from services.profile.domain.profile import golden
from services.profile.domain.working_profile import WorkingProfile
from shared.errors import Unprocessable
from tests.unit.profile.world import World, arrival, order, touchpoint

ADA, BO = ("email", "ada@example.com"), ("email", "bo@example.com")
RULES = Rules()
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def meant(world: World, condition: dict[str, Any]) -> set[str]:
    """The e-mail addresses of those for whom the condition holds."""
    holds = membership(condition).holds
    found = set()
    for stored in world.active():
        if holds(facts_of(WorkingProfile(stored, RULES.traits), RULES.identity, NOW)):
            found |= {golden(stored, RULES.identity, RULES.traits).identifiers[0].value}
    return found


def world() -> World:
    made = World()
    made.take(
        touchpoint(1, ADA, traits={"city": "Lyon", "score": 7}),
        order(2, ADA, total="20.00", currency="EUR"),
        touchpoint(3, BO, traits={"city": "Nice"}),
    )
    return made


def test_traits_and_computed_traits_are_those_of_the_snapshot() -> None:
    made = world()
    snapshots = {one["profile_id"]: one["profile"] for one in made.updates()}
    for stored in made.active():
        facts = facts_of(WorkingProfile(stored, RULES.traits), RULES.identity, NOW)
        assert facts.profile == snapshots[stored.id]["traits"]
        assert facts.computed == snapshots[stored.id]["computed"]


def test_who_is_meant() -> None:
    made = world()
    in_lyon = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
    assert meant(made, in_lyon) == {ADA[1]}
    assert meant(made, {"not": in_lyon}) == {BO[1]}
    bought = {"attr": "profile.computed.orders", "op": "gte", "value": 1}
    assert meant(made, {"all": [in_lyon, bought]}) == {ADA[1]}
    assert meant(made, {"attr": "profile.score", "op": "lt", "value": 5}) == set()
    assert meant(made, {"not": {"consent": {"purpose": "ads", "channel": "sms"}}}) == {
        ADA[1],
        BO[1],
    }


def test_a_touchpoint_has_an_audience_or_none() -> None:
    assert arrival(touchpoint(1, audience={"consent": {}}), RULES).touchpoint.has_audience
    for body in (touchpoint(1), touchpoint(1, audience=None)):
        assert not arrival(body, RULES).touchpoint.has_audience


def test_a_condition_about_events_is_nobody_s_audience() -> None:
    with pytest.raises(Unprocessable):
        membership({"attr": "event.total", "op": "gt", "value": 1})
