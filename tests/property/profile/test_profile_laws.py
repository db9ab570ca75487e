"""Laws of profiles: order, doubles and batches change nothing, as long as no rule is hit."""

from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.domain.profile import GoldenProfile, computed, golden
from services.profile.domain.sums import join
from services.profile.domain.survivorship import (
    Observations,
    Saying,
    TraitPolicy,
    observe,
    survivors,
)
from tests.unit.profile.world import World, touchpoint

TYPES = ("email", "phone", "loyalty_id", "anonymous_id")
identifiers = st.tuples(st.sampled_from(TYPES), st.sampled_from(("a", "b", "c")))
traits = st.dictionaries(
    st.sampled_from(("first_name", "city", "tier")),
    st.one_of(st.none(), st.integers(0, 3), st.sampled_from(("", "x", "y"))),
    max_size=2,
)


@st.composite
def touchpoints(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Some touchpoints of a few people; three values a type, so that no limit is ever hit."""
    bodies = []
    for number in range(draw(st.integers(1, 12))):
        total = draw(st.none() | st.decimals(0, 100, places=2))
        bodies.append(
            touchpoint(
                number,
                *draw(st.lists(identifiers, min_size=1, max_size=3)),
                source=draw(st.sampled_from(("shop", "till"))),
                type="Product Viewed" if total is None else "Order Completed",
                properties={} if total is None else {"total": str(total), "currency": "EUR"},
                traits=draw(traits),
                occurred_at=f"2026-11-21T10:00:0{draw(st.integers(0, 5))}.000Z",
            )
        )
    return bodies


def facts(world: World) -> set[Any]:
    """Who there is and what is known of them, without their ids."""
    return {
        shown_facts(golden(person, world.rules.identity, world.rules.traits))
        for person in world.active()
    }


def shown_facts(person: GoldenProfile) -> Any:
    """What is known of one person, without their id."""
    sums = person.computed
    return (
        frozenset(one[:2] + one[3:] for one in person.identifiers),
        tuple((name, repr(value)) for name, value in person.traits.items()),
        (sums.touchpoints, sums.orders, sums.first_seen_at, sums.last_seen_at),
        tuple(sums.revenue.items()),
        person.last_seen_at,
    )


@settings(max_examples=80, deadline=None)
@given(touchpoints(), st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_with_doubles_in_any_batches_makes_the_same_people(
    bodies: list[dict[str, Any]], random: Any, size: int
) -> None:
    straight, mixed = World(), World()
    straight.take(*bodies)
    shuffled = [*bodies, *random.sample(bodies, k=len(bodies) // 2)]
    random.shuffle(shuffled)
    mixed.take_in_batches(shuffled, size)
    assert facts(mixed) == facts(straight)


@settings(max_examples=60, deadline=None)
@given(touchpoints(), st.integers(1, 5))
def test_the_same_order_in_any_batches_gives_the_same_bytes(
    bodies: list[dict[str, Any]], size: int
) -> None:
    whole, parts = World(), World()
    whole.take(*bodies)
    parts.take_in_batches(bodies, size)
    assert parts.messages == whole.messages
    assert parts.rows == whole.rows
    assert parts.owners == whole.owners


@settings(max_examples=60, deadline=None)
@given(touchpoints())
def test_nothing_is_lost_and_every_number_is_there(bodies: list[dict[str, Any]]) -> None:
    world = World()
    world.take(*bodies)
    people = world.active()
    shown = [computed(join(h.sums for h in p.state.held.values() if h.sums)) for p in people]
    assert sum(one.touchpoints for one in shown) == len(bodies)
    spent = sum((Decimal(b["properties"].get("total", 0)) for b in bodies), Decimal(0))
    assert sum((Decimal(one.revenue.get("EUR", 0)) for one in shown), Decimal(0)) == spent
    assert set(world.owners.values()) == {person.id for person in people}
    for person in people:
        for key in person.state.held:
            assert world.owners[key] == person.id
    numbers: dict[str, list[int]] = {}
    for update in world.updates():
        numbers.setdefault(update["profile_id"], []).append(update["seq"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


said = st.builds(
    Saying,
    st.sampled_from(("shop", "crm", "desk")),
    st.sampled_from(("2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z")),
    st.sampled_from(("t1", "t2")),
    st.booleans(),
    st.dictionaries(
        st.sampled_from(("a", "b", "c")), st.sampled_from((b"1", b"2", b"null")), min_size=1
    ),
)
POLICY = TraitPolicy(source_priority={"crm": 1})


@settings(max_examples=200, deadline=None)
@given(st.lists(said, max_size=12), st.randoms(use_true_random=False), st.integers(1, 3))
def test_survivorship_is_a_join(all_said: list[Saying], random: Any, anchors: int) -> None:
    def shown(order: list[Saying]) -> dict[str, bytes]:
        held: list[Observations] = [[] for _ in range(anchors)]
        for saying in order:
            observe(held[random.randrange(anchors)], saying)
        return dict(survivors(held, POLICY))

    shuffled = [*all_said, *all_said[: len(all_said) // 2]]
    random.shuffle(shuffled)
    assert shown(all_said) == shown(shuffled)
