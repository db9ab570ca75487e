"""Laws of identity where rules do fire: vetoes hold, replays agree, an undo restores both sides."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.domain.divide import Division, sides_of_split
from services.profile.domain.profile import StoredProfile, computed
from services.profile.domain.replay import Apart
from services.profile.domain.sums import join
from tests.unit.profile.test_divide import facts_of, merge_by_profile_id
from tests.unit.profile.world import World, order, touchpoint

LAST_ID = "ffffffff-ffff-7fff-8fff-ffffffffffff"
"""Of a profile that is younger than all others."""

ids = st.one_of(
    st.tuples(st.just("user_id"), st.sampled_from(("u1", "u2", "u3"))),
    st.tuples(
        st.sampled_from(("email", "phone", "device_id", "anonymous_id")),
        st.sampled_from(("a", "b", "c", "d", "e", "f", "g")),
    ),
)


@st.composite
def histories(draw: st.DrawFn, most: int = 25) -> list[dict[str, Any]]:
    """Touchpoints of people who share devices and mailboxes, so that every rule fires."""
    bodies = []
    for number in range(draw(st.integers(2, most))):
        named = draw(st.lists(ids, min_size=1, max_size=3))
        if draw(st.booleans()):
            bodies.append(order(number, *named, total="1.25", currency="EUR"))
        else:
            bodies.append(touchpoint(number, *named, traits={"n": number % 4}))
    return bodies


def agree(world: World) -> None:
    """What always holds: the tables agree, no veto is crossed, no fact is lost."""
    people = world.active()
    for person in people:
        users = [key for key in person.state.held if key.startswith("user_id")]
        assert len(users) <= 1
        assert all(world.owners[key] == person.id for key in person.state.held)
        held = person.state.held
        for key, one in held.items():
            assert one.marks is None or held.keys().isdisjoint(one.marks.apart), key
    assert set(world.owners.values()) == {person.id for person in people}
    counted = [computed(join(h.sums for h in p.state.held.values() if h.sums)) for p in people]
    assert sum(one.touchpoints for one in counted) == len(world.seen)


def without_marks(world: World, profile_id: str) -> dict[str, Any]:
    return facts(world.profile(profile_id))


def facts(profile: StoredProfile) -> dict[str, Any]:
    """What hangs on each identifier, but for the marks that say it was divided."""
    return {key: (held.sums, held.traits) for key, held in profile.state.held.items()}


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(1, 6))
def test_rules_hold_and_a_replay_in_decision_order_gives_the_same_bytes(
    bodies: list[dict[str, Any]], size: int
) -> None:
    world = World()
    world.take_in_batches(bodies, size)
    agree(world)
    again = world.replayed()
    assert (again.rows, again.owners, again.shared) == (
        world.rows,
        world.owners,
        world.live.shared,
    )
    whole = World()
    whole.take(*bodies)
    assert whole.messages == world.messages


@settings(max_examples=80, deadline=None)
@given(histories(), st.data())
def test_undone_merges_among_touchpoints_keep_every_law_and_replay(
    bodies: list[dict[str, Any]], data: st.DataObject
) -> None:
    world = World()
    undone: set[str] = set()
    for body in bodies:
        world.take(body)
        open_ = [
            one
            for one in world.merges
            if one.id not in undone
            and world.rows[one.winner].status == "active"
            and world.rows[one.loser].merged_into == one.winner
        ]
        wanted = data.draw(st.booleans())
        if open_ and wanted:
            merge = open_[data.draw(st.integers(0, len(open_) - 1))]
            world.undo(merge)
            undone.add(merge.id)
            assert world.profile(merge.loser).status == "active"
        agree(world)
    again = world.replayed()
    assert again.rows == world.rows
    assert again.owners == world.owners
    numbers: dict[str, list[int]] = {}
    for update in world.updates():
        numbers.setdefault(update["profile_id"], []).append(update["seq"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


@settings(max_examples=80, deadline=None)
@given(histories(), st.data())
def test_merge_then_undo_restores_both_sides_sums_included(
    bodies: list[dict[str, Any]], data: st.DataObject
) -> None:
    world = World()
    world.take(*bodies)
    people = sorted(one.id for one in world.active())
    if len(people) < 2:
        return
    winner, loser = sorted(data.draw(st.lists(st.sampled_from(people), min_size=2, max_size=2,
                                              unique=True)))  # fmt: skip
    before = [facts_of(world, one) for one in (winner, loser)]
    merges = [world.profile(one).n_merges for one in (winner, loser)]
    merge_by_profile_id(world, winner, loser)
    world.undo(world.merges[-1])
    assert [facts_of(world, one) for one in (winner, loser)] == before
    assert [world.profile(one).n_merges for one in (winner, loser)] == merges


@settings(max_examples=80, deadline=None)
@given(histories(), st.data())
def test_split_then_merge_restores_the_profile_sums_included(
    bodies: list[dict[str, Any]], data: st.DataObject
) -> None:
    world = World()
    world.take(*bodies)
    people = [one for one in world.active() if len(one.state.held) > 1]
    if not people:
        return
    source = data.draw(st.sampled_from(people))
    held = list(source.state.held)
    keys = data.draw(
        st.lists(st.sampled_from(held), min_size=1, max_size=len(held) - 1, unique=True)
    )
    sides = sides_of_split(held, keys, keys, world.rules.identity)
    world.decide(
        Division(source=source.id, target=LAST_ID, keys=sides.keys, apart=sides.apart,
                 cause=b"{}", at="2026-11-22T00:00:00.000Z")
    )  # fmt: skip
    agree(world)
    for one, mine in ((source.id, set(held) - set(keys)), (LAST_ID, set(keys))):
        now = without_marks(world, one)
        assert now == {key: fact for key, fact in facts(source).items() if key in mine}
    joint = touchpoint(99, *((key.split("\0")[0], key.split("\0")[1]) for key in held))
    assert not world.take(joint).merges
    for pair in sides.apart:
        world.decide(Apart(one=pair[0], other=pair[1], apart=False))
    before = without_marks(world, source.id) | without_marks(world, LAST_ID)
    merge_by_profile_id(world, source.id, LAST_ID)
    assert without_marks(world, source.id) == before
    assert world.replayed().rows == world.rows
