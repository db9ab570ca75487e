"""Memberships in the fold: who enters and leaves, when, and how it is told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from services.profile.domain.assess import epoch_of, look_at_all
from services.profile.domain.compile_definitions import CircleError, compile_definitions
from services.profile.domain.definitions import InForce, Look
from services.profile.domain.history import forget, lacking
from services.profile.domain.identity import IdentityRules
from services.profile.domain.instants import instant_in
from services.profile.domain.replay import differences
from services.profile.domain.segment import Persona, Segment, parse_persona, parse_segment
from services.profile.domain.standing import AT_ONCE
from services.profile.domain.survivorship import TraitPolicy
from services.profile.domain.unite import unite
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.parse import parse_condition
from shared.errors import Unprocessable
from tests.unit.profile.world import World, order, touchpoint

USER, MAIL = ("user_id", "u"), ("email", "a@b.example")
NOW = instant_in("2026-11-21T12:00:00.000Z")
TWICE = {"event": "Order Completed", "count": {"gte": 2}}
BIG = {"event": "Order Completed", "where": {"attr": "event.total", "op": "gte", "value": 100}}


def segment(key: str, condition: dict[str, Any]) -> Segment:
    return Segment(key, key, parse_condition(condition, allow_event_leaves=True))


def persona(key: str, order_: int, condition: dict[str, Any]) -> Persona:
    return Persona(key, key, order_, parse_condition(condition, allow_event_leaves=True))


def look(
    *definitions: Segment | Persona,
    epoch: int = 1,
    now: int = NOW,
    since: int = 1,
    streams_since: Mapping[str, int] | None = None,
) -> Look:
    compiled = compile_definitions(
        epoch=epoch,
        floor=0,
        in_force=[InForce(one, since) for one in definitions],
        personas_since=since,
        streams_since=streams_since or {},
    )
    return Look(compiled, now)


def told(world: World) -> list[tuple[str, Any]]:
    """Kind and subject of every update that is not a touchpoint's."""
    causes = [one["cause"] for one in world.updates()]
    return [
        (one["kind"], one.get("segment") or one.get("persona"))
        for one in causes
        if "type" not in one
    ]


def test_a_touchpoint_that_fulfils_a_condition_enters_and_the_snapshot_says_so() -> None:
    gold = {"attr": "profile.tier", "op": "eq", "value": "gold"}
    world = World(look=look(segment("gold", gold), segment("twice", TWICE)))
    world.take(touchpoint(1, USER, traits={"tier": "gold"}), order(2, USER), order(3, USER))

    updates = world.updates()
    assert told(world) == [("segment_entered", "gold"), ("segment_entered", "twice")]
    assert [one["seq"] for one in updates] == [1, 2, 3, 4, 5]
    assert [one["profile"]["segments"] for one in updates] == [
        ["gold"], ["gold"], ["gold"], ["gold", "twice"], ["gold", "twice"],
    ]  # fmt: skip
    assert updates[1]["cause"]["touchpoint_id"] == touchpoint(1)["id"]
    assert "backfill" not in updates[1]["cause"]


def test_whoever_stops_fulfilling_a_condition_leaves_it() -> None:
    world = World(look=look(segment("gold", {"attr": "profile.tier", "op": "eq", "value": "gold"})))
    world.take(touchpoint(1, USER, traits={"tier": "gold"}))
    world.take(touchpoint(2, USER, traits={"tier": "tin"}))
    assert told(world) == [("segment_entered", "gold"), ("segment_left", "gold")]
    assert world.updates()[-1]["profile"]["segments"] == []


def test_segments_of_segments_follow_in_the_same_touchpoint() -> None:
    world = World(
        look=look(
            segment("a-both", {"all": [{"segment": "twice"}, {"not": {"segment": "big"}}]}),
            segment("twice", TWICE),
            segment("big", BIG),
        )
    )
    world.take(order(1, USER, total=5), order(2, USER, total=5))
    assert told(world) == [("segment_entered", "a-both"), ("segment_entered", "twice")]
    world.take(order(3, USER, total=500))
    assert told(world)[2:] == [("segment_left", "a-both"), ("segment_entered", "big")]


def test_a_circle_is_refused_with_its_path() -> None:
    with pytest.raises(CircleError) as refused:
        look(
            segment("a", {"segment": "b"}),
            segment("b", {"not": {"segment": "c"}}),
            segment("c", {"segment": "a"}),
        )
    assert len(refused.value.path) == 4
    assert set(refused.value.path) == {"a", "b", "c"}


def test_the_first_persona_that_fits_is_the_one_and_its_reason_is_kept() -> None:
    rest = {"attr": "profile.x", "op": "exists", "value": False}
    world = World(look=look(persona("rest", 9, rest), persona("hunter", 1, TWICE)))
    world.take(order(1, USER))
    assert told(world) == [("persona_changed", "rest")]
    world.take(order(2, USER))
    last = world.updates()[-1]
    assert (last["cause"]["before"], last["cause"]["persona"]) == ("rest", "hunter")
    assert last["profile"]["persona"] == {"key": "hunter", "reason": last["cause"]["reason"]}
    assert "Order Completed" in last["cause"]["reason"]


def test_a_merge_unites_what_both_did_and_nobody_enters_twice() -> None:
    world = World(look=look(segment("twice", TWICE), segment("once", {"event": "Order Completed"})))
    world.take(order(1, USER), order(2, MAIL))
    assert told(world) == [("segment_entered", "once")] * 2
    world.take(touchpoint(3, USER, MAIL))
    assert told(world)[2:] == [("merged", None), ("merged", None), ("segment_entered", "twice")]
    merged = next(one for one in world.updates() if "merged_from" in one)
    assert merged["profile"]["segments"] == ["once", "twice"]
    gone = next(one for one in world.updates() if "merged_into" in one)
    assert gone["profile"]["segments"] == []


def test_a_merge_unites_what_both_did_within_one_batch_too() -> None:
    world = World(look=look(segment("twice", TWICE), segment("once", {"event": "Order Completed"})))
    world.take(order(1, USER), order(2, MAIL), touchpoint(3, USER, MAIL), order(4, MAIL))
    assert told(world)[4:] == [("segment_entered", "twice")]
    assert world.updates()[-1]["profile"]["segments"] == ["once", "twice"]


def test_both_sides_of_an_undone_merge_are_looked_at_again_with_what_each_did() -> None:
    world = World(look=look(segment("twice", TWICE)))
    world.take(order(1, USER), order(2, MAIL), touchpoint(3, USER, MAIL))
    division = world.undo(world.merges[0])
    for profile_id, key in ((division.source, USER), (division.target, MAIL)):
        state = world.profile(profile_id).state
        assert state.standing is not None
        assert (state.standing.epoch, state.standing.due) == (1, AT_ONCE)
        (events,) = [held.events for held in state.held.values() if held.events]
        assert [tally.count for tally in events.values()] == [1]
        assert world.owner(*key) == profile_id


def test_what_was_counted_is_divided_even_where_the_history_is_gone() -> None:
    world = World(look=look(segment("twice", TWICE)))
    world.take(order(1, USER), order(2, USER), order(3, MAIL), touchpoint(4, USER, MAIL))
    division = world.undo(world.merges[0])
    definitions = world.look.definitions
    for profile_id, is_member in ((division.source, True), (division.target, False)):
        side = WorkingProfile(world.profile(profile_id), TraitPolicy())
        lacks = lacking(definitions, epoch_of(side, definitions))
        assert not any(lacks)
        forget(side, lacks, definitions)
        look_at_all(side, world.look, at="2026-11-22T10:00:00.000Z")
        assert ("twice" in side.standing.segments) is is_member


def test_those_of_different_definitions_lack_only_what_is_newer_than_both() -> None:
    old = segment("once", {"event": "Order Completed"})
    world = World(look=look(old))
    world.take(order(1, USER), order(2, MAIL))
    known = dict.fromkeys(world.look.definitions.streams, 1)
    newer = segment("visited", {"event": "Page Viewed"})
    world.look = look(old, newer, epoch=3, streams_since=known)
    definitions = world.look.definitions
    one, other = (WorkingProfile(stored, TraitPolicy()) for stored in world.active())
    one.standing.epoch, other.standing.epoch = 3, 1
    unite(one, other, merge_id="m", cause=b"{}", at="x", rules=IdentityRules(), look=world.look)
    raised = replace(definitions, floor=3)
    for now in (definitions, raised):  # the job that raised the floor may have passed it by
        lacks = lacking(now, epoch_of(one, now))
        assert [stream.leaf.event for stream in lacks.streams] == ["Page Viewed"]


def test_what_segments_count_is_no_matter_of_identity() -> None:
    world = World(look=look(segment("twice", TWICE)))
    world.take(order(1, USER), order(2, MAIL), touchpoint(3, USER, MAIL))
    assert differences(world.replayed().rows, world.rows) == []


def test_a_definition_that_is_new_is_told_as_backfill_before_the_touchpoint() -> None:
    world = World(look=look())
    world.take(touchpoint(1, USER, traits={"tier": "gold"}))
    gold = segment("gold", {"attr": "profile.tier", "op": "eq", "value": "gold"})
    world.look = look(gold, epoch=2, since=2)
    world.take(touchpoint(2, USER))
    assert [one["cause"].get("backfill", False) for one in world.updates()] == [False, True, False]
    assert world.updates()[1]["cause"]["kind"] == "segment_entered"
    world.look = look(epoch=3)
    world.take(touchpoint(3, USER))
    assert told(world)[-1] == ("segment_left", "gold")


def test_a_profile_that_lacks_the_history_is_left_to_who_reads_it() -> None:
    world = World(look=look())
    world.take(order(1, USER))
    world.look = look(segment("twice", TWICE), epoch=2, since=2)
    world.take(order(2, USER))
    assert told(world) == []
    (profile,) = world.active()
    assert profile.state.standing is not None
    assert profile.state.standing.epoch == 1


def test_the_past_enters_as_backfill() -> None:
    world = World(look=look(segment("twice", TWICE)))
    world.take(order(1, USER), {**order(2, USER), "historical": True})
    assert world.updates()[-1]["cause"]["backfill"] is True


def test_a_window_is_left_at_the_exact_instant() -> None:
    recent = {**TWICE, "within": "P1D"}
    world = World(look=look(segment("recent", recent)))
    world.take(order(1, USER), order(2, USER))
    (profile,) = world.active()
    assert profile.state.standing is not None
    assert profile.state.standing.due == instant_in("2026-11-22T10:00:01.000Z")


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"condition": {"attr": "event.total", "op": "eq", "value": 1}}, "condition"),
        ({"condition": {"attr": "profile.x", "op": "changed_to", "value": 1}}, "condition"),
        ({"condition": {"segment": "x"}, "colour": "red"}, "colour"),
        ({"condition": {"segment": "x"}, "key": "other"}, "key"),
        ({"condition": {"segment": "x"}, "name": 5}, "name"),
        ({}, "condition"),
        (
            {"condition": {"event": "A", "count": {"gte": 5000}, "within": "P1D"}},
            "condition",
        ),
    ],
)
def test_a_mistake_is_named(document: dict[str, Any], path: str) -> None:
    with pytest.raises(Unprocessable) as refused:
        parse_segment(document, key="k")
    assert [problem.path for problem in refused.value.problems] == [path]
    with pytest.raises(Unprocessable):
        parse_persona({**document, "order": -1}, key="k")


@pytest.mark.parametrize("size", [1, 7])
def test_batches_of_any_size_give_the_same_bytes(size: int) -> None:
    definitions = look(
        segment("twice", {**TWICE, "within": "P1D"}),
        segment("gold", {"attr": "profile.tier", "op": "eq", "value": "gold"}),
        segment("both", {"all": [{"segment": "twice"}, {"segment": "gold"}]}),
        segment("busy", {"attr": "profile.computed.touchpoints", "op": "gte", "value": 5}),
        persona("loyal", 1, {"segment": "both"}),
    )
    bodies = [
        *(order(n, USER if n % 2 else MAIL, total=n) for n in range(1, 9)),
        *(touchpoint(n, USER, traits={"tier": "gold" if n % 2 else "tin"}) for n in range(9, 14)),
        touchpoint(14, USER, MAIL),
        *(order(n, MAIL) for n in range(15, 22)),
    ]
    whole, parts = World(look=definitions), World(look=definitions)
    whole.take(*bodies)
    parts.take_in_batches(bodies, size)

    def by_profile(world: World) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for id_, message in world.messages:
            found.setdefault(id_, []).append(message)
        return found

    assert by_profile(parts) == by_profile(whole)
    assert len(told(whole)) > 6
