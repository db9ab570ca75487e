"""Twenty thousand people on five channels, every failure mode among them: who is put together."""

from dataclasses import replace

import pytest

from services.profile.domain.absorb import Rules
from tests.support.people import People, Placed, Quality, Rates, islands, quality
from tests.unit.profile.world import World

BATCH = 500
SEED = 20261122


def made_of(people: People, rules: Rules) -> tuple[World, Quality]:
    """The world that identity makes of everything that happened, and how good it is."""
    world, happenings = World(rules), people.happenings()
    then: list[str | None] = []
    for start in range(0, len(happenings), BATCH):
        then += world.take(*(one.body for one in happenings[start : start + BATCH])).placed
    return world, quality(
        Placed(one.who, island, str(world.live.current(profile_id)))
        for one, island, profile_id in zip(happenings, islands(happenings), then, strict=True)
        if one.who is not None and profile_id is not None
    )


def across_a_veto(world: World) -> list[str]:
    """Profiles that hold two values of a type of which nobody has two."""
    return [
        person.id
        for person in world.active()
        if sum(key.startswith("user_id\0") for key in person.state.held) > 1
    ]


def test_hardly_anybody_is_taken_for_somebody_else(capsys: pytest.CaptureFixture[str]) -> None:
    world, found = made_of(People(20_000, SEED), Rules())
    with capsys.disabled():
        print(f"\n{len(world.seen)} touchpoints: {found}, {len(world.merges)} merges, "
              f"{len(world.live.shared)} shared identifiers")  # fmt: skip
    assert not across_a_veto(world)
    assert found.precision >= 0.999
    assert found.recall >= 0.7
    assert found.of_connected >= 0.99
    assert world.live.shared


def test_where_every_hundredth_mailbox_telephone_and_browser_is_shared_vetoes_still_hold() -> None:
    """No account tells many of these people apart; docs/identity.md says what that costs."""
    rates = replace(Rates(), shared_mailbox=0.01, recycled_phone=0.01, foreign_browser=0.01)
    world, found = made_of(People(3_000, SEED, rates), Rules())
    assert not across_a_veto(world)
    assert found.precision >= 0.93
    assert found.of_connected >= 0.95
