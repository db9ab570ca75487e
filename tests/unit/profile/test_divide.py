"""Undoing a merge and splitting a profile: each side has exactly its own again, for good."""

import msgspec
import pytest

from services.profile.domain.consent import ConsentRecord, Consents, most_restrictive
from services.profile.domain.divide import (
    Division,
    added_since,
    divide_consents,
    go_along,
    sides_of_split,
    split_consents,
)
from services.profile.domain.identity import IdentityRules
from services.profile.domain.profile import ProfileState, encode_state
from services.profile.domain.replay import (
    Apart,
    decode_decision,
    differences,
    encode_decision,
)
from services.profile.domain.unite import HandMerge, unite
from services.profile.domain.working_profile import WorkingProfile
from tests.unit.profile.world import World, order, touchpoint

BROWSER, MAIL, CARD = ("anonymous_id", "a"), ("email", "e@x.y"), ("loyalty_id", "L1")


def merged() -> World:
    """A browser with an order and a mailbox with an order that became one person."""
    world = World()
    world.take(order(1, BROWSER, total="10.50", currency="EUR"), touchpoint(2, BROWSER))
    world.take(order(3, MAIL, total="4", currency="EUR", contact="e@x.y"))
    world.take(touchpoint(4, MAIL, traits={"first_name": "Ada"}))
    world.take(touchpoint(5, MAIL, BROWSER, traits={"city": "Paris"}))
    return world


def facts_of(world: World, profile_id: str) -> bytes:
    """A profile without its marks, which say that it was divided."""
    state = world.profile(profile_id).state
    for held in state.held.values():
        held.marks = None
    return encode_state(ProfileState(state.created_at, state.last_seen_at, state.held, {}))


def test_undo_gives_both_sides_back_what_they_had_sums_included() -> None:
    world = World()
    world.take(order(1, BROWSER, total="10.50", currency="EUR"), touchpoint(2, BROWSER))
    world.take(order(3, MAIL, total="4", currency="EUR"), touchpoint(4, MAIL, traits={"n": 1}))
    winner, loser = world.owner(*BROWSER), world.owner(*MAIL)
    before = facts_of(world, winner), facts_of(world, loser)
    merge_by_profile_id(world, winner, loser)
    assert world.owner(*MAIL) == winner
    world.undo(world.merges[0])
    assert (facts_of(world, winner), facts_of(world, loser)) == before
    assert world.owner(*MAIL) == loser
    assert (world.profile(winner).n_merges, world.profile(loser).n_merges) == (0, 0)


def merge_by_profile_id(world: World, winner: str, loser: str) -> None:
    """Merge by hand, so that no touchpoint changes the sums."""
    both = [WorkingProfile(world.profile(one), world.rules.traits) for one in (winner, loser)]
    cause = msgspec.json.encode({"kind": "merged", "joined_on": []})
    decision = HandMerge(
        id="m", winner=winner, loser=loser, cause=cause, at="2026-11-22T00:00:00.000Z"
    )
    united = unite(*both, merge_id="m", cause=cause, at=decision.at, rules=world.rules.identity)
    world.merges.append(united.merge)
    world.decide(decision)


def test_what_was_done_since_the_merge_goes_with_its_anchor() -> None:
    world = merged()
    world.take(order(6, MAIL, total="1", currency="EUR"), touchpoint(7, BROWSER))
    merge = world.merges[0]
    world.undo(merge)
    winner, loser = world.profile(merge.winner), world.profile(merge.loser)
    sums = {key: held.sums for p in (winner, loser) for key, held in p.state.held.items()}
    assert {key: one and one.touchpoints for key, one in sums.items()} == {
        "anonymous_id\0a": 3,
        "email\0e@x.y": 4,
    }


def test_the_loser_goes_on_from_its_own_number_and_both_are_told() -> None:
    world = merged()
    merge = world.merges[0]
    before = world.profile(merge.loser).seq
    world.undo(merge)
    to_winner, to_loser = world.updates()[-2:]
    assert (to_winner["split_into"], to_loser["split_from"]) == (merge.loser, merge.winner)
    assert to_loser["seq"] == to_loser["link_seq"] == to_winner["link_seq"] == before + 1
    assert (to_winner["profile"]["status"], to_loser["profile"]["status"]) == ("active", "active")
    assert [one["type"] for one in to_loser["profile"]["identifiers"]] == ["email"]
    assert to_loser["profile"]["traits"] == {"city": "Paris", "first_name": "Ada"}


def test_a_merge_that_was_undone_is_not_made_again_by_any_touchpoint() -> None:
    world = merged()
    merge = world.merges[0]
    world.undo(merge)
    result = world.take(
        touchpoint(10, MAIL, BROWSER), touchpoint(11, BROWSER, MAIL, ("phone", "+33612345678"))
    )
    assert world.owner(*MAIL) == merge.loser
    assert world.owner(*BROWSER) == merge.winner
    assert result.outcomes["refused_cannot_link"] == 2
    assert not result.merges


def test_what_is_kept_apart_stays_so_through_later_merges_and_can_be_taken_back() -> None:
    world = merged()
    merge = world.merges[0]
    division = world.undo(merge)
    world.take(touchpoint(10, CARD), touchpoint(11, BROWSER, CARD))
    assert not world.take(touchpoint(12, CARD, MAIL)).merges
    for one, other in division.apart:
        world.decide(Apart(one=one, other=other, apart=False))
    assert world.take(touchpoint(13, CARD, MAIL)).merges
    assert len(world.active()) == 1


def test_an_identifier_that_came_later_goes_where_the_evidence_says() -> None:
    world = merged()
    with_mail, with_both = ("phone", "+33612345671"), ("phone", "+33612345672")
    with_browser = ("phone", "+33612345673")
    world.take(touchpoint(6, MAIL, with_mail), touchpoint(7, BROWSER, with_browser))
    world.take(touchpoint(8, with_both, MAIL), touchpoint(9, with_both, BROWSER))
    world.take(touchpoint(10, with_mail, CARD))
    merge = world.merges[0]
    world.undo(merge)
    assert world.owner(*with_mail) == world.owner(*CARD) == merge.loser
    assert world.owner(*with_browser) == merge.winner
    assert world.owner(*with_both) == merge.winner  # a tie stays


def test_what_a_later_merge_brought_does_not_go_with_an_earlier_one() -> None:
    world = merged()
    world.take(touchpoint(6, CARD), touchpoint(7, CARD, MAIL))
    assert len(world.merges) == 2
    world.undo(world.merges[0])
    assert world.owner(*CARD) == world.merges[0].winner
    assert world.owner(*MAIL) == world.merges[0].loser


def test_merges_are_undone_one_by_one_until_everybody_is_back() -> None:
    world = merged()
    world.take(touchpoint(6, CARD), touchpoint(7, CARD, MAIL))
    for merge in reversed(world.merges):
        world.undo(merge)
    assert len(world.active()) == 3
    assert {one.n_merges for one in world.active()} == {0}


def test_a_split_takes_exactly_what_was_named_and_neither_side_may_be_empty() -> None:
    rules = IdentityRules()
    held = ["anonymous_id\0a", "email\0e", "email\0f", "user_id\0u"]
    sides = sides_of_split(held, ["email\0f", "email\0e"], ["email\0e", "email\0f"], rules)
    assert sides.keys == ["email\0e", "email\0f"]
    assert sides.apart == [("email\0e", "user_id\0u"), ("email\0f", "user_id\0u")]
    for nobody in (held, [], ["phone\0p"]):
        with pytest.raises(ValueError, match="both sides"):
            sides_of_split(held, nobody, nobody, rules)


def test_only_what_came_after_a_merge_was_added_since() -> None:
    assert added_since(["a", "b", "c", "d", "e"], {"b", "c"}, {"e"}) == ["d"]
    assert added_since(["a", "b"], {"gone"}, set()) == []


def test_identifiers_follow_each_other_to_the_side_of_the_first() -> None:
    seen = [["d", "c"], ["c", "b"], ["a", "e"], ["f"]]
    assert go_along(["c", "d", "e", "f"], ["b"], ["a"], seen) == ["c", "d"]


def test_the_evidence_makes_the_same_again_after_an_undo_and_later_touchpoints() -> None:
    world = merged()
    world.undo(world.merges[0])
    world.take(touchpoint(10, MAIL, CARD), touchpoint(11, BROWSER, MAIL))
    again = world.replayed()
    assert again.rows == world.rows
    assert again.owners == world.owners
    assert differences(again.rows, world.rows) == []


def test_differences_bite() -> None:
    world, other = merged(), merged()
    other.take(touchpoint(9, MAIL))
    one_less = dict(list(world.rows.items())[1:])
    assert differences(world.rows, one_less)
    assert differences(one_less, world.rows)
    assert differences(world.rows, other.rows)
    other.undo(other.merges[0])
    assert len(differences(world.rows, other.rows)) > 2
    assert len(differences(world.rows, other.rows, limit=1)) == 1


GRANTED = ConsentRecord("granted", "2026-01-01T00:00:00.000Z", "consent")
DENIED = ConsentRecord("denied", "2026-01-02T00:00:00.000Z")
LATER = ConsentRecord("granted", "2026-01-03T00:00:00.000Z")
REFUSED = ConsentRecord("denied", "2026-01-04T00:00:00.000Z")


@pytest.mark.parametrize(
    ("winner", "loser", "change", "expected"),
    [
        ({"m": GRANTED}, {"m": DENIED}, {}, ({"m": GRANTED}, {"m": DENIED})),
        ({}, {"m": GRANTED}, {}, ({}, {"m": GRANTED})),
        ({"m": GRANTED}, {}, {"n": LATER}, ({"m": GRANTED, "n": LATER}, {})),
        ({"m": GRANTED}, {"m": GRANTED}, {"m": REFUSED}, ({"m": REFUSED}, {"m": REFUSED})),
        ({"m": DENIED}, {}, {"m": LATER}, ({"m": LATER}, {})),
    ],
)
def test_consents_are_as_before_but_for_what_was_said_since(
    winner: Consents, loser: Consents, change: Consents, expected: tuple[Consents, Consents]
) -> None:
    now = most_restrictive(winner, loser) | change
    assert divide_consents(now, winner, loser) == expected


def test_a_split_makes_no_consent_and_loses_no_denial() -> None:
    held = {"a": GRANTED, "b": DENIED, "c": LATER}
    assert split_consents(held) == (held, {"b": DENIED})


def test_what_an_identifier_said_goes_along_with_it() -> None:
    held = {"a": GRANTED, "b": DENIED, "c": LATER}
    assert split_consents(held, {"b", "c"}) == (
        {"a": GRANTED, "b": DENIED},
        {"b": DENIED, "c": LATER},
    )
    now = {"m": LATER, "n": LATER, "o": REFUSED}
    before: tuple[Consents, Consents] = {"m": DENIED}, {"o": GRANTED}
    assert divide_consents(now, *before, {"m", "n", "o"}) == (
        {"m": DENIED, "o": REFUSED},
        {"m": LATER, "n": LATER, "o": REFUSED},
    )


def test_a_division_is_kept_as_it_was_decided() -> None:
    division = Division(source="a", target="b", keys=["x"], apart=[("x", "y")], cause=b"{}", at="t")
    assert decode_decision(encode_decision(division)) == division
