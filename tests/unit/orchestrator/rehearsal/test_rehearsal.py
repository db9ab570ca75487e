"""What a draft would have changed, over updates that are written down here."""

from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage.configuration import Stored
from services.orchestrator.storage.draft_kind import Kind
from services.orchestrator.storage.journey_versions import StoredJourney
from services.orchestrator.use_cases.rehearsal.inputs import inputs_of, rulesets
from services.orchestrator.use_cases.rehearsal.rehearsal import TooLarge, warm_up
from shared.postgres.drafts import Version
from tests.unit.orchestrator.build import NOON, email, policy, rule, ruleset, uid
from tests.unit.orchestrator.journeys.build import document, end, journey, mail, wait
from tests.unit.orchestrator.rehearsal.replayed import DAY, HOUR, Recording, rehearsed

CAP = {"scope": {"category": "service"}, "limit": 2, "window": "P7D"}


def three_carts() -> Recording:
    recording = Recording()
    for number in range(3):
        recording.happens(NOON + number * HOUR, name=f"cart-{number}")
    return recording


def test_the_same_configuration_changes_nothing() -> None:
    rules = ruleset(rule(), policies=[policy(CAP)])
    made = rehearsed(three_carts(), rules, rules)
    counts = made.counts()
    assert counts["updates"] == 3
    assert counts["actions"] == {"live": 2, "draft": 2}
    assert counts["by_rule"] == {"r": {"live": 2, "draft": 2}}
    assert counts["by_channel"] == {"email": {"live": 2, "draft": 2}}
    assert counts["by_reason"] == {"cap": {"live": 1, "draft": 1}}
    assert (made.changed_total, made.changed()) == (0, [])


def test_a_cap_that_is_halved_holds_back_the_second() -> None:
    live = ruleset(rule(), policies=[policy(CAP)])
    draft = ruleset(rule(), policies=[policy(CAP | {"limit": 1})])
    made = rehearsed(three_carts(), live, draft)
    counts = made.counts()
    assert counts["actions"] == {"live": 2, "draft": 1}
    assert counts["by_reason"] == {"cap": {"live": 1, "draft": 2}}
    assert counts["by_cap"] == {
        "at most 1 contact in any 7 days (category service)": {"live": 0, "draft": 2},
        "at most 2 contacts in any 7 days (category service)": {"live": 1, "draft": 0},
    }
    (changed,) = made.changed()
    assert changed["profile_id"] == uid("ada")
    assert changed["total"] == 1
    assert changed["why"] == (
        "was sent on email by r, now not: cap: at most 1 contact in any 7 days (category service)"
    )


def test_a_rule_that_is_new_acts_only_in_the_draft() -> None:
    live, draft = ruleset(), ruleset(rule("new"))
    made = rehearsed(three_carts(), live, draft)
    assert made.counts()["by_rule"] == {"new": {"live": 0, "draft": 3}}
    (changed,) = made.changed()
    assert changed["total"] == 3
    assert changed["why"] == "would be sent on email by new, was not: not considered"


def test_what_waits_is_released_at_its_instant_or_taken_back_before() -> None:
    recording = Recording()
    recording.happens(NOON, who="ada")
    recording.happens(NOON, who="bob")
    recording.happens(NOON + HOUR / 2, "Order Completed", who="bob")
    waits: dict[str, Any] = {
        "exit_criteria": [{"event": "Order Completed"}],
        "actions": [email(delay="PT1H")],
    }
    made = rehearsed(recording, ruleset(rule(**waits)), ruleset(rule()))
    counts = made.counts()
    assert counts["actions"] == {"live": 1, "draft": 2}
    assert counts["by_reason"] == {"taken back: exit": {"live": 1, "draft": 0}}
    (changed,) = made.changed()
    assert changed["profile_id"] == uid("bob")
    assert changed["differences"][0]["live"] == "exit: Order Completed on web"


def test_what_is_due_after_the_end_is_not_done_and_no_difference() -> None:
    recording = Recording()
    recording.happens(NOON)
    made = rehearsed(
        recording,
        ruleset(rule()),
        ruleset(rule(actions=[email(delay="PT1H")])),
        ends=NOON + HOUR / 2,
    )
    assert made.counts()["actions"] == {"live": 1, "draft": 0}
    assert made.changed_total == 0


def test_the_time_before_fills_the_ledger_and_is_not_counted() -> None:
    live = ruleset(rule(), policies=[policy(CAP)])
    draft = ruleset(rule(), policies=[policy(CAP | {"limit": 1})])
    made = rehearsed(three_carts(), live, draft, begins=NOON + HOUR / 2)
    counts = made.counts()
    assert counts["updates"] == 2
    assert counts["actions"] == {"live": 1, "draft": 0}
    assert warm_up(live, draft) == 7 * DAY


def test_a_task_that_nobody_does_is_followed_by_its_fallback() -> None:
    task = {
        "type": "task", "channel": "call_centre", "queue": "calls", "content": {"body": "Call"},
        "expires_in": "PT2H",
        "fallback": [{"on": ["expired"], "channel": "email", "content": {"body": "Hi"}}],
    }  # fmt: skip
    recording = Recording()
    recording.happens(NOON)
    made = rehearsed(recording, ruleset(rule(actions=[task])), ruleset(rule()))
    assert made.counts()["by_channel"] == {
        "call_centre": {"live": 1, "draft": 0},
        "email": {"live": 1, "draft": 1},
    }


def test_candidates_wait_for_each_other_in_a_window() -> None:
    recording = Recording()
    recording.happens(NOON)
    recording.happens(NOON + timedelta(seconds=1), "Page Viewed")
    rules = [rule("a", score={"value": 1}), rule("b", "Page Viewed", score={"value": 9})]
    together = policy(arbitration={"window": "PT5S"})
    made = rehearsed(recording, ruleset(*rules), ruleset(*rules, policies=[together]))
    counts = made.counts()
    assert counts["by_rule"] == {"a": {"live": 1, "draft": 0}, "b": {"live": 1, "draft": 1}}
    (changed,) = made.changed()
    assert "lower_priority" in changed["why"]


def test_more_people_than_there_is_room_for_are_said() -> None:
    """However little each of them does."""
    recording = Recording()
    for number in range(200):
        recording.happens(NOON, who=f"p{number}")
    rules = ruleset(rule())
    with pytest.raises(TooLarge, match="more than 100 people"):
        rehearsed(recording, rules, rules, room=100)


def test_an_update_that_comes_again_is_not_answered_again() -> None:
    recording = three_carts()
    again = [*recording.records, *recording.records[1:]]
    again = [*again[:3], *[one._replace(timestamp=again[2].timestamp) for one in again[3:]]]
    rules = ruleset(rule())
    assert rehearsed(again, rules, rules).counts()["actions"] == {"live": 3, "draft": 3}


def test_who_was_erased_is_left_out() -> None:
    recording = three_carts()
    recording.happens(NOON + 4 * HOUR, who="bob")
    rules = ruleset(rule())
    made = rehearsed(recording, rules, rules, erased={uid("ada")})
    assert made.counts()["actions"] == {"live": 1, "draft": 1}


def test_merged_profiles_share_a_cap_and_part_with_what_is_theirs() -> None:
    recording = Recording()
    recording.happens(NOON, who="ada")
    merged = {"merged_into": uid("bob"), "link_seq": 2}
    recording.update(NOON + HOUR, "ada", {"kind": "merged"}, **merged)
    recording.happens(NOON + 2 * HOUR, who="bob")
    capped = ruleset(rule(), policies=[policy(CAP | {"limit": 1})])
    assert rehearsed(recording, capped, capped).counts()["actions"]["live"] == 1
    parted = {"split_from": uid("bob"), "link_seq": 3}
    recording.update(NOON + 3 * HOUR, "ada", {"kind": "split"}, **parted)
    recording.happens(NOON + 4 * HOUR, who="bob")
    recording.happens(NOON + 5 * HOUR, who="ada")
    made = rehearsed(recording, capped, capped)
    assert made.counts()["actions"]["live"] == 2, "bob's own, once ada's contact went with her"


def test_a_journey_is_walked_in_virtual_time() -> None:
    nodes = [
        mail("hello", "w"),
        wait("w", "again", duration="P3D"),
        mail("again"),
        end(),
    ]  # fmt: skip
    own = journey(*nodes, exit_criteria=[{"event": "Order Completed"}])
    draft = RuleSet(epoch=1, journeys=[LiveJourney([own], live=1)])
    recording = Recording()
    recording.happens(NOON, who="ada")
    recording.happens(NOON, who="bob")
    recording.happens(NOON + DAY, "Order Completed", who="bob")
    made = rehearsed(recording, ruleset(), draft)
    counts = made.counts()
    assert counts["by_rule"] == {
        "j/hello": {"live": 0, "draft": 2},
        "j/again": {"live": 0, "draft": 1},
    }
    nodes_of = {name: both["draft"] for name, both in counts["by_node"].items()}
    assert nodes_of["j/w: arrived"] == 2
    assert nodes_of["j/w: left next"] == 1
    assert nodes_of["j: ended exit: Order Completed on web"] == 1
    assert made.changed_total == 2


def test_runs_that_began_before_the_period_go_on_under_a_draft() -> None:
    own = document(wait("w", "hello", duration="P1D"), mail("hello"), end())
    stored = StoredJourney("j", 1, False, {}, [Version("j", 1, own, NOON, "somebody")])
    live = Stored(1, [], [], [], [], [], [stored])
    drafted = {**own, "priority": 7}
    inputs = inputs_of(Kind.JOURNEY, "j", drafted, live, Estimates(), NOON)
    recording = Recording()
    recording.happens(NOON, who="ada")
    recording.happens(NOON + 2 * HOUR, who="bob")
    made = rehearsed(recording, *rulesets(inputs), begins=NOON + HOUR)
    assert made.counts()["by_rule"] == {"j/hello": {"live": 2, "draft": 2}}


def test_places_in_a_line_are_given_out_in_the_order_of_coming() -> None:
    own = journey(
        {"id": "door", "type": "throttle", "limit": 1, "per": "PT1H", "next": "hello"},
        mail("hello"),
        end(),
    )
    draft = RuleSet(epoch=1, journeys=[LiveJourney([own], live=1)])
    recording = Recording()
    for who in ("ada", "bob", "cleo"):
        recording.happens(NOON, who=who)
    made = rehearsed(recording, ruleset(), draft, ends=NOON + HOUR)
    assert made.counts()["actions"] == {"live": 0, "draft": 2}
    whole = rehearsed(recording, ruleset(), draft)
    assert whole.counts()["actions"] == {"live": 0, "draft": 3}
    assert whole.worlds[1].memory.lines[("j", "door")] == NOON + 3 * HOUR


def test_who_is_held_out_takes_no_place_at_the_entrance() -> None:
    own = journey(
        mail("hello"), end(), entry={"type": "api", "rate": {"limit": 1, "per": "PT1H"}},
        holdout={"percent": 50, "salt": "half"},
    )  # fmt: skip
    draft = RuleSet(epoch=1, journeys=[LiveJourney([own], live=1)])
    recording = Recording()
    for number in range(20):
        recording.happens(
            NOON, "concert.journey", who=f"p{number}", source="concert",
            properties={"journey": "j"},
        )  # fmt: skip
    made = rehearsed(recording, ruleset(), draft)
    reached = made.counts()["actions"]["draft"]
    assert 0 < reached < 20
    assert made.worlds[1].memory.lines[("j", "")] == NOON + reached * HOUR


def test_runs_of_merged_profiles_become_one() -> None:
    again = {"mode": "after_exit"}
    own = journey(wait("w", "hello", duration="P1D"), mail("hello"), end(), re_entry=again)
    draft = RuleSet(epoch=1, journeys=[LiveJourney([own], live=1)])
    recording = Recording()
    recording.happens(NOON, who="ada")
    recording.happens(NOON + HOUR, who="bob")
    merged = {"merged_into": uid("bob"), "link_seq": 2}
    recording.update(NOON + 2 * HOUR, "ada", {"kind": "merged"}, **merged)
    made = rehearsed(recording, ruleset(), draft)
    assert made.counts()["by_rule"] == {"j/hello": {"live": 0, "draft": 1}}
    assert made.counts()["by_node"]["j: aside"]["draft"] == 1


def test_who_does_not_wait_takes_no_place_in_the_line() -> None:
    door = {"id": "door", "type": "throttle", "limit": 1, "per": "PT1H", "max_wait": "PT2H"}
    own = journey({**door, "next": "hello"}, mail("hello"), end())
    draft = RuleSet(epoch=1, journeys=[LiveJourney([own], live=1)])
    recording = Recording()
    for hour in range(6):
        for number in range(4):
            recording.happens(NOON + hour * HOUR, who=f"p{hour}-{number}")
    made = rehearsed(recording, ruleset(), draft, ends=NOON + 5.5 * HOUR)
    assert made.counts()["actions"] == {"live": 0, "draft": 6}
