"""What other products publish about identity, as tests: each names the page it is from.

Where Concert decides otherwise on purpose, the test says so.
"""

from datetime import timedelta

import pytest

from services.profile.domain.absorb import Rules
from services.profile.domain.identity import IdentifierType, IdentityRules, is_blocked
from tests.unit.profile.world import World, touchpoint

ALICE, BOB, CAROL = ("user_id", "alice"), ("user_id", "bob"), ("user_id", "carol")
PHONE = ("device_id", "idfv-1")


# --- Segment: segment.com/docs/unify/identity-resolution -------------------------------------


def test_segment_merge_protection() -> None:
    """Page "Identity resolution settings", merge protection: the e-mail is demoted, for it is the
    lowest of the event in priority, and abc456 becomes a profile of its own."""
    world = World()
    mail = ("email", "jane@example1.com")
    world.take(touchpoint(1, ("user_id", "abc123"), mail))
    result = world.take(touchpoint(2, ("user_id", "abc456"), mail))
    first, second, of_mail = world.owners_of(("user_id", "abc123"), ("user_id", "abc456"), mail)
    assert first != second
    assert of_mail == first
    assert result.outcomes["demoted"] == 1
    assert not result.merges


def test_segment_demotes_what_is_lowest_in_priority_until_nothing_is_exceeded() -> None:
    """Page "Identity resolution settings", priorities: one identifier after the other, from the
    lowest, and those that are left still count."""
    types = {
        "user_id": IdentifierType("user_id", 1, 1, veto=True),
        "email": IdentifierType("email", 2, 1),
        "android_id": IdentifierType("android_id", 3),
    }
    world = World(Rules(identity=IdentityRules(types=types)))
    mail, own, device = ("email", "a@x.y"), ("email", "b@x.y"), ("android_id", "d")
    world.take(touchpoint(1, ("user_id", "u1"), mail, device))
    first = world.take(touchpoint(2, ("user_id", "u2"), own, device))
    assert [one.place for one in first.notes[0].demoted] == [2]
    assert world.owner(*own) == world.owner("user_id", "u2")
    second = world.take(touchpoint(3, ("user_id", "u2"), mail, device))
    assert [one.place for one in second.notes[0].demoted] == [2, 1]
    assert len(set(world.owners_of(("user_id", "u1"), mail, device))) == 1
    assert world.touchpoints_of("user_id", "u2") == 2


def test_segment_an_anonymous_id_that_was_not_reset_does_not_merge_two_users() -> None:
    """Page "Identity resolution settings", non-reset anonymousId: u1 and u2 stay two, the browser
    stays with the first."""
    world = World()
    browser = ("anonymous_id", "not-reset")
    world.take(
        touchpoint(1, browser),
        touchpoint(2, ("user_id", "u1"), browser),
        touchpoint(3, ("user_id", "u2"), browser),
    )
    assert len(set(world.owners_of(("user_id", "u1"), ("user_id", "u2")))) == 2
    assert world.owner(*browser) == world.owner("user_id", "u1")


def test_segment_reset_starts_a_new_anonymous_profile() -> None:
    """Pages "Identify" and mParticle's "IDSync": `reset()` at logout makes a new anonymousId. What
    comes with it is nobody's until somebody logs in, and then it is theirs."""
    world = World()
    before, after = ("anonymous_id", "before"), ("anonymous_id", "after")
    world.take(touchpoint(1, before), touchpoint(2, ("user_id", "u1"), before))
    world.take(touchpoint(3, after), touchpoint(4, after))
    assert world.owner(*after) != world.owner("user_id", "u1")
    assert world.touchpoints_of("user_id", "u1") == 2
    world.take(touchpoint(5, ("user_id", "u2"), after))
    assert world.owner(*after) == world.owner("user_id", "u2")
    assert world.touchpoints_of("user_id", "u2") == 3


@pytest.mark.parametrize(
    "value",
    [*("", "0", "-", "000", "0-0", "0000-0000", "-1"), *("null", "anonymous"), *("void", "abc123")],
)
def test_segment_blocked_values_stay_in_the_payload_and_are_not_promoted(value: str) -> None:
    """Page "Identity resolution settings", blocked values: `^[0-]*$`, `-1`, `null`, `anonymous`,
    and the advice to add `void` and `abc123`. The last one is a user in Segment's own example, so
    it is blocked only where a deployment says so."""
    rules = IdentityRules(blocked={"user_id": lambda written: written == "abc123"})
    world = World(Rules(identity=rules))
    mail = ("email", "jane@example1.com")
    result = world.take(touchpoint(1, ("user_id", value), mail))
    assert list(world.owners) == ["email\0jane@example1.com"]
    assert result.outcomes["blocked"] == 1
    assert {"type": "user_id", "value": value} in world.updates()[-1]["cause"]["identifiers"]


@pytest.mark.parametrize(("days", "name"), [(7, "weekly"), (30, "monthly"), (365, "annually")])
def test_segment_limits_for_ever_and_in_a_window(days: int, name: str) -> None:
    """Page "Identity resolution settings", limits: 1 user_id and 5 of every other type for ever,
    or so many weekly, monthly, annually."""
    in_window = IdentifierType(name, limit=5, within=timedelta(days=days))
    rules = IdentityRules(types={**IdentityRules().types, name: in_window})
    world = World(Rules(identity=rules))
    near, far = "2026-06-01T10:00:00.000Z", "2024-06-01T10:00:00.000Z"
    for type_, at, allowed in ((name, near, 5), (name, far, 5), ("email", near, 5)):
        for number in range(7):
            mine = (type_, f"{number}{at[:4]}@x.y")
            body = touchpoint(
                len(world.seen), ("user_id", "u"), mine, occurred_at=at, received_at=near
            )
            world.take(body)
        held = world.profile(world.owner("user_id", "u")).state.held
        kept = [key for key in held if key.startswith(type_) and key.endswith(f"{at[:4]}@x.y")]
        assert len(kept) == allowed, (type_, at)
    world.take(touchpoint(len(world.seen), ("user_id", "u"), ("user_id", "u2")))
    assert "user_id\0u2" not in world.owners


@pytest.mark.parametrize("merges", [100, 3])
def test_segment_events_still_resolve_at_the_caps(merges: int) -> None:
    """Page "Product limits": 100 merges and 1,000 mappings a profile; then no more are added, while
    events still resolve."""
    user, visitors = ("user_id", "u"), [("tab", f"t{n}") for n in range(merges + 5)]
    types = {**IdentityRules().types, "tab": IdentifierType("tab", limit=1000)}
    world = World(Rules(identity=IdentityRules(types=types, max_merges=merges)))
    world.take(*(touchpoint(n, one) for n, one in enumerate(visitors)))
    world.take(*(touchpoint(1000 + n, user, one) for n, one in enumerate(visitors)))
    person = world.profile(world.owner(*user))
    assert person.n_merges == merges
    assert len(world.active()) == 1 + 4
    assert world.touchpoints_of(*user) == (merges + 1) + (merges + 5)


# --- Snowplow: docs.snowplow.io/docs/identities/concepts -------------------------------------


def test_snowplow_bob_logs_in_on_alices_phone() -> None:
    """Page "Unique identifiers and merge conflicts": Alice on the web and on her phone is one. Bob
    logs in on her phone: a new id for Bob. A third, anonymous user of that phone: a new anonymous
    id, neither Alice's nor Bob's. (With Snowplow the phone is on both ids; here an identifier
    belongs to one profile: it stays on Alice's, marked as shared, and unites nobody.)"""
    world = World()
    cookie = ("anonymous_id", "4b0dfa")
    world.take(touchpoint(1, cookie), touchpoint(2, ALICE, cookie))
    world.take(touchpoint(3, PHONE), touchpoint(4, ALICE, PHONE))
    assert len(set(world.owners_of(cookie, ALICE, PHONE))) == 1
    world.take(touchpoint(5, BOB, PHONE))
    world.take(touchpoint(6, PHONE), touchpoint(7, PHONE))
    stands_in = ("shared:device_id", PHONE[1])
    alice, bob, stranger = world.owners_of(ALICE, BOB, stands_in)
    assert len({alice, bob, stranger}) == 3
    counted = [world.touchpoints_of(*one) for one in (ALICE, BOB, stands_in)]
    assert counted == [4, 1, 2]
    # And whoever logs in next does not inherit what strangers did.
    world.take(touchpoint(8, CAROL, PHONE), touchpoint(9, ALICE, PHONE))
    assert len(set(world.owners_of(ALICE, BOB, CAROL))) == 3
    assert world.touchpoints_of(*ALICE) == 5
    assert world.touchpoints_of(*stands_in) == 2


def test_snowplow_the_older_id_wins_and_the_stream_is_told() -> None:
    """Page "Merges": the older Snowplow ID becomes the id of both, and a merge event is emitted."""
    world = World()
    device = ("device_id", "6d920c")
    world.take(touchpoint(1, ("anonymous_id", "4b0dfa"), ALICE), touchpoint(2, device))
    older, younger = world.owners_of(ALICE, device)
    world.take(touchpoint(3, ALICE, device))
    assert world.owner(*device) == older
    told = [one for one in world.updates() if one["cause"].get("kind") == "merged"]
    assert [(one.get("merged_from"), one.get("merged_into")) for one in told] == [
        (younger, None),
        (None, older),
    ]


# --- PostHog: nodejs/src/worker/ingestion/persons/person-merge-service.ts --------------------

ANY_CASE = ("anonymous", "guest", "distinctid", "distinct_id", "id", "not_authenticated", "email")
ALSO_ANY_CASE = ("undefined", "true", "false")
EXACT = ("[object Object]", "NaN", "None", "none", "null", "0")
LEGAL = ("anonymous-1", "guest17", "idea", "emailed", "nullable", "00x", "truely", "nonesuch")


@pytest.mark.parametrize("value", [*ANY_CASE, *ALSO_ANY_CASE, *EXACT, "", " ", "\t"])
def test_posthog_illegal_ids(value: str) -> None:
    """`isDistinctIdIllegal`: so in any case, blanks, and in single or double quotes."""
    cases = (value, value.upper(), value.title()) if value not in EXACT else (value,)
    for written in cases:
        for quoted in (written, f"'{written}'", f'"{written}"', f" {written} "):
            assert is_blocked(quoted), quoted


@pytest.mark.parametrize("value", LEGAL)
def test_posthog_what_only_begins_like_an_illegal_id_is_legal(value: str) -> None:
    """The list is of whole values."""
    assert not is_blocked(value)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("known_first", ["user", "visitor"])
def test_posthog_alias_in_both_directions(turned: bool, known_first: str) -> None:
    """`$create_alias` and `$identify`: whichever of the two ids is the alias, and whichever was
    known first, they are one person with everything that both did."""
    user, visitor = ("user_id", "u"), ("anonymous_id", "v")
    known = [user, visitor] if known_first == "user" else [visitor, user]
    alias = [visitor, user] if turned else [user, visitor]
    world = World()
    world.take(*(touchpoint(n, one) for n, one in enumerate(known)), touchpoint(7, *alias))
    assert world.owner(*user) == world.owner(*visitor)
    assert world.touchpoints_of(*user) == 3


def test_posthog_two_identified_people_are_never_aliased() -> None:
    """`cannot_merge_already_identified`, in both directions; and there is no dangerous merge."""
    world = World()
    world.take(touchpoint(1, ALICE), touchpoint(2, BOB))
    for number, pair in enumerate(((ALICE, BOB), (BOB, ALICE)), 3):
        world.take(touchpoint(number, *pair))
    assert len(set(world.owners_of(ALICE, BOB))) == 2
    assert not world.merges
