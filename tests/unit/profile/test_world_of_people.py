"""Twenty thousand people on five channels, every failure mode among them: who is put together."""

from collections.abc import Iterator

import pytest

from tests.support.people import Happening, People, quality
from tests.unit.profile.world import World

BATCH = 500


def placed(world: World, happenings: list[Happening]) -> Iterator[tuple[int, str]]:
    """The real person and the present profile of each touchpoint of a known person."""
    for start in range(0, len(happenings), BATCH):
        part = happenings[start : start + BATCH]
        result = world.take(*(one.body for one in part))
        for one, profile_id in zip(part, result.placed, strict=True):
            if one.who is not None and profile_id is not None:
                yield one.who, profile_id


@pytest.mark.parametrize("seed", [20261122])
def test_hardly_anybody_is_taken_for_somebody_else(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    people = People(20_000, seed)
    world = World()
    then = list(placed(world, people.happenings()))
    found = quality((who, str(world.live.current(profile_id))) for who, profile_id in then)
    with capsys.disabled():
        print(f"\n{len(then)} touchpoints: {found}, {len(world.merges)} merges, "
              f"{len(world.live.shared)} shared identifiers")  # fmt: skip
    crossed = [
        person.id
        for person in world.active()
        if sum(key.startswith("user_id\0") for key in person.state.held) > 1
    ]
    assert not crossed
    assert found.precision >= 0.999
    assert world.live.shared
