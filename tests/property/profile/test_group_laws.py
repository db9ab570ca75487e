"""Laws of groups: any order, doubles and batches link the same; identity knows nothing of them."""

from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.domain.profile import encode_state
from tests.unit.profile.world import World, touchpoint

PERSONS = st.sampled_from(
    [
        *(("email", "a"), ("email", "b"), ("user_id", "u"), ("user_id", "v")),
        *(("device_id", "d"), ("anonymous_id", "x")),
    ]
)
GROUPS = st.sampled_from(
    [("household_id", "H1"), ("household_id", "H2"), ("group_id", "A"), ("group_id", "B")]
)


@st.composite
def bodies(draw: st.DrawFn, persons: Any = PERSONS) -> list[dict[str, Any]]:
    made = []
    for number in range(draw(st.integers(1, 12))):
        call = draw(st.booleans())
        extra: dict[str, Any] = {}
        if call:
            traits = draw(st.dictionaries(st.sampled_from("pq"), st.integers(0, 2), max_size=2))
            properties = {"group_id": draw(st.sampled_from("AB")), "group_traits": traits}
            extra = {"type": "group", "kind": "group", "properties": properties}
        made.append(
            touchpoint(
                number,
                *draw(st.lists(persons, min_size=1, max_size=2)),
                *draw(st.lists(GROUPS, max_size=2)),
                occurred_at=f"2026-11-21T10:00:0{draw(st.integers(0, 5))}.000Z",
                **extra,
            )
        )
    return made


def linked(world: World) -> set[Any]:
    """Who belongs to what, without ids of profiles."""
    found = set()
    for person in world.active():
        standing = person.state.standing
        assert standing is not None
        found.add((frozenset(person.state.held), standing.household, tuple(standing.accounts)))
    return found


@settings(max_examples=80, deadline=None)
@given(
    bodies(st.sampled_from([("email", "a"), ("email", "b"), ("phone", "p")])),
    st.randoms(use_true_random=False),
    st.integers(1, 5),
)
def test_any_order_with_doubles_in_any_batches_links_the_same(
    said: list[dict[str, Any]], random: Any, size: int
) -> None:
    straight, mixed = World(), World()
    straight.take(*said)
    shuffled = [*said, *random.sample(said, k=len(said) // 2)]
    random.shuffle(shuffled)
    mixed.take_in_batches(shuffled, size)
    assert linked(mixed) == linked(straight)


@settings(max_examples=60, deadline=None)
@given(bodies(), st.integers(1, 5))
def test_batches_of_any_size_give_the_same_bytes(said: list[dict[str, Any]], size: int) -> None:
    whole, parts = World(), World()
    whole.take(*said)
    parts.take_in_batches(said, size)
    assert parts.messages == whole.messages
    assert parts.rows == whole.rows


def bare(world: World) -> dict[str, Any]:
    """Everything that identity decided, without what hangs on it of groups."""
    found = {}
    for person_id, row in world.rows.items():
        state = world.profile(person_id).state
        for held in state.held.values():
            held.links = None
        state.standing = None
        found[person_id] = (row.status, row.merged_into, row.n_merges, encode_state(state))
    return found


@settings(max_examples=100, deadline=None)
@given(bodies(), st.integers(1, 5))
def test_identity_is_as_if_there_were_no_groups(said: list[dict[str, Any]], size: int) -> None:
    """Merges, demotions, vetoes and what is shared, with limits and vetoes that fire."""
    person_types = ("email", "user_id", "device_id", "anonymous_id")
    without = [
        {**one, "identifiers": [i for i in one["identifiers"] if i["type"] in person_types]}
        for one in said
    ]
    with_groups, plain = World(), World()
    with_groups.take_in_batches(said, size)
    plain.take_in_batches(without, size)
    assert with_groups.owners == plain.owners
    assert with_groups.live.shared == plain.live.shared
    assert bare(with_groups) == bare(plain)
    assert [one.moved for one in with_groups.merges] == [one.moved for one in plain.merges]


@settings(max_examples=60, deadline=None)
@given(bodies())
def test_merge_then_undo_gives_both_sides_their_groups_back(
    said: list[dict[str, Any]],
) -> None:
    world = World()
    world.take(*said)
    people = sorted(world.active(), key=lambda person: person.id)
    for one, other in pairwise(people):
        _undone(world, one.id, other.id)


def _undone(world: World, one: str, other: str) -> None:
    keys = []
    for person_id in (one, other):
        if world.rows[person_id].status != "active":
            return
        free = [k for k in world.profile(person_id).state.held if not k.startswith("user_id")]
        if not free:
            return
        type_, _, value = free[0].partition("\0")
        keys.append((type_, value))
    before = linked(world)
    merges = len(world.merges)
    world.take(touchpoint(3_000 + merges, *keys))
    if len(world.merges) == merges:
        return
    world.undo(world.merges[-1])
    assert linked(world) == before
