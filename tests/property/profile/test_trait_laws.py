"""Laws of traits: whatever happened in whatever order, values are what a recount of all says."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.profile.domain.assess import look_at_all, note_due
from services.profile.domain.compile_definitions import compile_definitions
from services.profile.domain.definitions import InForce, Look
from services.profile.domain.divide import Division, divide
from services.profile.domain.instants import instant_in, instant_text
from services.profile.domain.trait import AGGREGATES, POLICIES, ComputedTrait, Trait, parse_trait
from services.profile.domain.working_profile import WorkingProfile
from tests.unit.profile.world import World, touchpoint

NOW = instant_in("2026-11-21T12:00:00.000Z")
DAY = timedelta(days=1) // timedelta(milliseconds=1)
HOUR = DAY // 24
NO_OF = ("count", "days_since")
MAY_LACK_OF = (*NO_OF, "first", "last")


@st.composite
def computed(draw: st.DrawFn, number: int) -> dict[str, Any]:
    aggregate = draw(st.sampled_from(AGGREGATES))
    document: dict[str, Any] = {"event": draw(st.sampled_from("AB")), "aggregate": aggregate}
    if aggregate not in NO_OF and (aggregate not in MAY_LACK_OF or draw(st.booleans())):
        document["of"] = draw(st.sampled_from(["event.n", "event.s", "event.channel"]))
    if aggregate != "days_since" and draw(st.booleans()):
        document["within"] = draw(st.sampled_from(["PT12H", "P1D", "P3D"]))
    if draw(st.integers(0, 3)) == 0:
        document["where"] = {"attr": "event.n", "op": "gte", "value": 1}
    return {"name": f"c{number}", "computed": document}


declared = st.one_of(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["integer", "decimal"]), "policy": st.sampled_from(
            [one for one in POLICIES if one != "source_priority"])},
    ),
    st.just({"type": "integer", "policy": "source_priority", "sources": ["till", "shop"]}),
    st.fixed_dictionaries({"type": st.just("string"), "policy": st.sampled_from(
        ["latest", "first", "most_frequent"])}),
)  # fmt: skip
happenings = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.integers(0, 96),
        st.sampled_from([None, 0, 1, 2, 0.1, "2.50", "x", True]),
        st.sampled_from(["shop", "till", "app"]),
        st.sampled_from([("email",), ("phone",), ("email", "phone")]),
    ),
    min_size=1,
    max_size=14,
)


def body(number: int, happening: tuple[Any, ...]) -> dict[str, Any]:
    kind, hours, value, source, types = happening
    said = {} if value is None else {"t": value}
    return {
        **touchpoint(
            number, *((type_, "x") for type_ in types), type=kind, source=source, traits=said
        ),
        "occurred_at": instant_text(NOW - hours * HOUR),
        "properties": {} if value is None else {"n": value, "s": str(value)},
    }


def look(traits: Sequence[Trait], now: int = NOW) -> Look:
    definitions = compile_definitions(
        epoch=1, floor=0, in_force=[InForce(one, 1) for one in traits], streams_since={}
    )
    return Look(definitions, now)


def number_of(value: Any) -> Decimal | None:
    if isinstance(value, bool) or value is None:
        return None
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return None


def plain(number: Decimal) -> str:
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def naive(document: dict[str, Any], past: list[dict[str, Any]], now: int) -> Any:
    """A computed trait by looking at every touchpoint."""
    asked = document["computed"]
    aggregate, of = asked["aggregate"], asked.get("of")
    window = {"PT12H": 12 * HOUR, "P1D": DAY, "P3D": 3 * DAY, None: 10**15}[asked.get("within")]
    mine = []
    for one in past:
        at = instant_in(one["occurred_at"])
        stated = number_of(one["properties"].get("n"))
        holds = "where" not in asked or (stated is not None and stated >= 1)
        if one["type"] == asked["event"] and at + window > now and holds:
            value = (
                one["channel"] if of == "event.channel" else one["properties"].get((of or "")[6:])
            )
            mine.append((at, value))
    if aggregate == "count":
        return len(mine)
    if aggregate == "days_since":
        return max(now - max(at for at, _ in mine), 0) // DAY if mine else None
    if of is None:
        ends = [at for at, _ in mine]
        return instant_text((min if aggregate == "first" else max)(ends)) if ends else None
    if aggregate in ("sum", "min", "max", "average"):
        return _naive_number(aggregate, [number_of(value) for _, value in mine])
    texts = [(at, _text(value)) for at, value in mine if value is not None]
    if aggregate == "distinct_count":
        return len({text for _, text in texts})
    if not texts:
        return None
    if aggregate == "most_frequent":
        counts = Counter(text for _, text in texts)
        return msgspec.json.decode(min(counts, key=lambda text: (-counts[text], text)))
    return msgspec.json.decode((min if aggregate == "first" else max)(texts)[1])


def _text(value: Any) -> str:
    number = None if isinstance(value, str) else number_of(value)
    return msgspec.json.encode(value).decode() if number is None else plain(number)


def _naive_number(aggregate: str, found: list[Decimal | None]) -> str | None:
    numbers = [one for one in found if one is not None]
    if aggregate == "sum":
        return plain(sum(numbers, Decimal(0)))
    if not numbers:
        return None
    if aggregate == "average":
        mean = sum(numbers, Decimal(0)) / len(numbers)
        return plain(mean.quantize(Decimal("1E-8"), ROUND_HALF_EVEN))
    return plain((min if aggregate == "min" else max)(numbers))


def shown(profile: WorkingProfile) -> dict[str, Any]:
    values = profile.standing.computed
    return {name: msgspec.json.decode(value) for name, value in values.items()}


def expected(
    documents: list[dict[str, Any]], past: list[dict[str, Any]], now: int
) -> dict[str, Any]:
    found = {one["name"]: naive(one, past, now) for one in documents}
    return {name: value for name, value in found.items() if value is not None}


many_computed = st.integers(1, 5).flatmap(
    lambda count: st.tuples(*(computed(number) for number in range(count))).map(list)
)


@settings(max_examples=250, deadline=None)
@given(
    many_computed,
    happenings,
    st.sampled_from([1, 3, 100]),
    st.randoms(use_true_random=False),
    st.lists(st.integers(1, 100 * HOUR), max_size=3),
)
def test_computed_traits_are_what_counting_everything_again_says(
    documents: list[dict[str, Any]],
    past: list[tuple[Any, ...]],
    size: int,
    chance: Any,
    steps: list[int],
) -> None:
    traits = [parse_trait(one, key=one["name"]) for one in documents]
    assert all(isinstance(one, ComputedTrait) for one in traits)
    world = World(look=look(traits))
    bodies = [body(number, one) for number, one in enumerate(past)]
    mixed = [*bodies, *chance.sample(bodies, k=len(bodies) // 2)]
    chance.shuffle(mixed)
    world.take_in_batches(mixed, size)
    for stored in world.active():
        profile = WorkingProfile(stored, world.rules.traits)
        keys = profile.state.held.keys()
        mine = [
            one for one in bodies
            if any(f"{id_['type']}\0{id_['value']}" in keys for id_ in one["identifiers"])
        ]  # fmt: skip
        assert shown(profile) == expected(documents, mine, NOW)
        now = NOW
        for step in [*steps, 30 * DAY]:
            due, before = profile.standing.due, shown(profile)
            now += step
            if due is None or due > now:
                assert before == expected(documents, mine, now), "nothing was due"
            look_at_all(profile, look(traits, now), at="")
            assert shown(profile) == expected(documents, mine, now)
            note_due(profile, look(traits, now))


@settings(max_examples=100, deadline=None)
@given(many_computed, declared, happenings, st.randoms(use_true_random=False))
def test_merge_then_division_gives_both_sides_their_own_values_again(
    documents: list[dict[str, Any]],
    policy: dict[str, Any],
    past: list[tuple[Any, ...]],
    chance: Any,
) -> None:
    traits = [parse_trait(one, key=one["name"]) for one in documents]
    traits.append(parse_trait({"name": "t", **policy}, key="t"))
    bodies = [body(number, (*one[:4], chance.choice([("email",), ("phone",)])))
              for number, one in enumerate(past)]  # fmt: skip
    first = [body(100, ("C", 90, None, "shop", (one,))) for one in ("email", "phone")]
    first[1]["id"] = "00000000-0000-5000-8000-000000000001"
    world = World(look=look(traits))
    world.take(*first, *bodies)
    apart = {
        next(iter(one.state.held)): (one.state.standing.computed, one.state.standing.traits)
        for one in world.active()
        if one.state.standing is not None
    }
    world.take(body(200, ("C", 1, None, "shop", ("email", "phone"))))
    (merge,) = world.merges
    both = [world.profile(one) for one in (merge.winner, merge.loser)]
    winner, loser = (WorkingProfile(one, world.rules.traits) for one in both)
    division = Division(
        source=winner.id, target=loser.id, keys=list(merge.moved), apart=[], cause=b"{}",
        at="2026-11-22T00:00:00.000Z",
    )  # fmt: skip
    divide(winner, loser, division, world.rules.identity, world.look)
    again = {
        next(iter(one.state.held)): (one.standing.computed, one.standing.traits)
        for one in (winner, loser)
    }
    assert again == apart


@settings(max_examples=150, deadline=None)
@given(declared, happenings, st.sampled_from([1, 3, 100]), st.randoms(use_true_random=False))
def test_a_policy_is_a_join(
    policy: dict[str, Any], past: list[tuple[Any, ...]], size: int, chance: Any
) -> None:
    one = parse_trait({"name": "t", **policy}, key="t")
    bodies = [body(number, happening) for number, happening in enumerate(past)]
    straight, mixed = World(look=look([one])), World(look=look([one]))
    straight.take(*bodies)
    shuffled = [*bodies, *chance.sample(bodies, k=len(bodies) // 2)]
    chance.shuffle(shuffled)
    mixed.take_in_batches(shuffled, size)

    def values(world: World) -> list[Any]:
        people = (WorkingProfile(stored, world.rules.traits) for stored in world.active())
        return sorted((sorted(person.state.held), dict(person.survivors())) for person in people)

    assert [one[0] for one in values(straight)] == [one[0] for one in values(mixed)]
    assert [one[1].get("t") for one in values(straight)] == [
        one[1].get("t") for one in values(mixed)
    ]


@settings(max_examples=60, deadline=None)
@given(many_computed, declared, happenings, st.integers(1, 5))
def test_the_same_order_in_any_batches_gives_the_same_bytes(
    documents: list[dict[str, Any]],
    policy: dict[str, Any],
    past: list[tuple[Any, ...]],
    size: int,
) -> None:
    traits = [parse_trait(one, key=one["name"]) for one in documents]
    traits.append(parse_trait({"name": "t", **policy}, key="t"))
    whole, parts = World(look=look(traits)), World(look=look(traits))
    bodies = [body(number, one) for number, one in enumerate(past)]
    whole.take(*bodies)
    parts.take_in_batches(bodies, size)
    assert parts.messages == whole.messages
    assert parts.rows == whole.rows
