"""Two profiles turn out to be one person, each in the same journey; and are two again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.journeys.facts import Happened
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.journeys.merge import Told, divide, unite
from services.orchestrator.domain.run import Run, effect_id
from shared.conditions.facts import Facts
from tests.unit.orchestrator.journeys.build import Play, end, journey, mail, wait

NODES = (
    mail("welcome", "w"), wait("w", "tips", duration="P3D"), mail("tips", "v"),
    wait("v", "ask", duration="P3D"), mail("ask"), end(),
)  # fmt: skip


def plays(*days: int, **fields: Any) -> list[Play]:
    """One run of each profile, which came in so many days ago."""
    fields = {"re_entry": {"mode": "after_exit"}, **fields}
    found = []
    for number, ago in enumerate(days):
        play = Play.of(*NODES, profile=f"p{number}", **fields)
        play.now = play.now.replace(day=play.now.day - ago)
        found.append(play.enter(f"t{number}").later(days=ago))
    return found


def told(them: Sequence[Play], found: Told) -> None:
    for run, facts in found:
        play = next(one for one in them if one.run.id == run.id)
        for fact in facts:
            play.tell(fact)
        play.profile = play.run.profile_id


def runs(them: Sequence[Play]) -> list[Run]:
    return [one.run for one in them]


def merged(them: Sequence[Play], winner: str) -> None:
    told(them, unite(them[0].live.versions[1].journey, runs(them), winner, 10))


def parted(them: Sequence[Play], back: set[str], profile_id: str) -> None:
    everybody = runs(them)
    owner = them[0]
    own = owner.live.versions[1].journey
    told(them, divide(own, everybody, back, profile_id, owner.person()))


@pytest.mark.parametrize("winner", ["p0", "p1"])
def test_the_run_that_came_further_goes_on_and_nobody_is_welcomed_twice(winner: str) -> None:
    """Scenario: two profiles merge while each is in the same journey."""
    further, fresh = them = plays(4, 0)
    merged(them, winner)
    assert [one.run.profile_id for one in them] == [winner, winner]
    assert fresh.standing == "(merged)"
    assert fresh.taken_back() == ["merged"]
    further.later(days=9)
    fresh.later(days=9)
    assert further.asked == ["welcome", "tips", "ask"]
    assert fresh.asked == ["welcome"]  # which was sent before they were known to be one


def test_what_the_other_run_did_is_passed_over_once() -> None:
    """Both went other ways: the one that goes on does not repeat what the other one did."""
    nodes = (
        wait("w", "b", until={"event": "go"}, timeout="P9D", timeout_next="a"),
        mail("a", "b"), mail("b", "end"), end(),
    )  # fmt: skip
    one = Play.of(mail("first", "w"), *nodes, profile="p0", re_entry={"mode": "never"}).enter("1")
    other = Play.of(
        mail("first", "w"), *nodes, profile="p1", re_entry={"mode": "never"},
        answers={"first": "no_consent"},
    ).enter("2")  # fmt: skip
    merged([one, other], "p1")
    assert (one.standing, other.standing) == ("w", "(merged)")
    further = Play.of(*nodes, profile="p0", re_entry={"mode": "never"}).enter("3")
    done = Play.of(*nodes, profile="p1", re_entry={"mode": "never"}).enter("4")
    done.later(days=9)
    assert done.asked == ["a", "b"]
    merged([further, done], "p0")
    assert further.standing == "(merged)"  # `never`: the person has been through it


def test_undoing_a_merge_gives_every_run_back_where_it_stood() -> None:
    further, fresh = them = plays(4, 0)
    before = [(one.run.node, one.run.due, one.run.profile_id) for one in them]
    merged(them, "p0")
    for play in them:
        play.later(days=1)
    parted(them, {"p1"}, "p1")
    parted(them, {"p0"}, "p0")
    assert [(one.run.node, one.run.due, one.run.profile_id) for one in them] == before
    assert further.run.absorbed == ()
    for play in them:
        play.later(days=9)
    assert (further.asked, fresh.asked) == (["welcome", "tips", "ask"],) * 2


def test_what_was_waited_for_meanwhile_is_over_at_once() -> None:
    _, fresh = them = plays(4, 0)
    merged(them, "p0")
    fresh.later(days=5)
    assert fresh.asked == ["welcome"]
    parted(them, {"p1"}, "p1")
    fresh.later(seconds=1)
    assert fresh.asked == ["welcome", "tips"]


def test_a_task_that_was_taken_back_with_its_run_is_asked_for_once_more() -> None:
    call = mail("call", "thanks", type="task", channel="call_centre", outcomes={"accepted": "end"})
    first, second = them = [
        Play.of(call, mail("thanks"), end(), profile=f"p{number}", re_entry={"mode": "never"})
        .enter(f"t{number}")
        for number in range(2)
    ]  # fmt: skip
    open_task = effect_id(second.run.id, "call", 1)
    told(them, unite(first.live.versions[1].journey, runs(them), "p0", 10, {open_task}))
    assert second.standing == "(merged)"
    second.later(days=30)  # the task would have timed out
    parted(them, {"p1"}, "p1")
    assert (first.asked, second.asked) == (["call"], ["call", "call"])
    assert (second.run.node, second.run.occurrence) == ("call", 2)
    assert second.run.due == second.now + timedelta(days=7)


def test_an_exit_ends_the_run_that_stands_aside_too() -> None:
    further, fresh = them = plays(4, 0, exit_criteria=[{"event": "Order Completed"}])
    merged(them, "p0")
    for play in them:
        play.tell(Happened("p0", 11, Facts(event_type="Order Completed"), play.person()))
    parted(them, {"p1"}, "p1")
    assert (further.standing, fresh.standing) == ("(exit: Order Completed)",) * 2


def test_runs_with_other_keys_and_of_journeys_that_let_in_always_are_all_kept() -> None:
    them = plays(4, 0, re_entry={"mode": "always"})
    merged(them, "p0")
    assert [one.run.is_over for one in them] == [False, False]
    keyed = []
    for number in range(2):
        play = Play.of(
            *NODES, profile=f"p{number}", re_entry={"mode": "after_exit", "key": "event.order"}
        )
        play.entry = {"order": f"o{number}"}
        keyed.append(play.enter(f"t{number}"))
    merged(keyed, "p0")
    assert [one.run.is_over for one in keyed] == [False, False]


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_three_become_one_in_any_order(order: tuple[int, int, int]) -> None:
    them = plays(4, 0, 2)
    first, second, third = (them[number] for number in order)
    merged([first, second], first.run.profile_id)
    merged([first, second, third], third.run.profile_id)
    assert [one.run.is_over for one in them] == [False, True, True]
    assert {one.run for one in them[0].run.absorbed} == {them[1].run.id, them[2].run.id}
    # The last one is parted again: the two others stay one person.
    gone = third.run.home
    parted(them, {gone}, gone)
    parted(them, {first.run.home, second.run.home}, first.run.home)
    standing = [one for one in them if not one.run.is_over]
    assert len(standing) == 2
    assert third in standing


def test_the_same_merge_twice_changes_nothing() -> None:
    them = plays(4, 0)
    merged(them, "p0")
    before = runs(them)
    merged(them, "p0")
    assert runs(them) == before


def test_of_those_who_come_back_together_only_the_one_that_goes_on_takes_its_step() -> None:
    """Its step was held by a pause that is over: who steps aside at once must not take it."""
    stays, first, second = them = plays(5, 2, 2)
    for one in them:
        one.live = LiveJourney(
            [journey(*NODES, re_entry={"mode": "after_exit"})], live=1, paused=True
        )
    for one in (first, second):
        one.later(days=1)
        assert one.run.held is not None
    merged(them, "p0")
    for one in them:
        one.live = LiveJourney([journey(*NODES, re_entry={"mode": "after_exit"})], live=1)
    parted(them, {"p1", "p2"}, "p1")
    going, aside = sorted((first, second), key=lambda one: str(one.run.id))
    assert going.asked == ["welcome", "tips"]
    assert (aside.asked, aside.standing) == (["welcome"], "(merged)")
    assert stays.standing == "v"
