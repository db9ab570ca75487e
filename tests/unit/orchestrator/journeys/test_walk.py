"""How a run walks: from node to node, to its end, out of every kind of node."""

from datetime import timedelta
from typing import Any

import pytest

from services.orchestrator.domain.journeys.facts import Happened, Stopped
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.run import effect_id
from shared.conditions.facts import Facts
from tests.unit.orchestrator.journeys.build import NOON, Play, end, journey, mail, wait


def test_messages_and_waits_follow_each_other_to_the_end() -> None:
    play = Play.of(mail("hello", "w"), wait("w", "again", duration="P2D"), mail("again"), end())
    play.enter()
    assert (play.asked, play.standing, play.run.wakes_at) == (
        ["hello"], "w", NOON + timedelta(days=2),
    )  # fmt: skip
    play.later(days=2)
    assert (play.asked, play.standing) == (["hello", "again"], "(completed)")
    assert play.run.status == "completed"
    assert play.taken_back() == []  # what was just sent shall arrive


def test_ids_come_from_run_node_and_occurrence() -> None:
    play = Play.of(mail("a", "w"), wait("w", "a", duration="PT1H"), max_duration="PT150M").enter()
    play.later(days=1)
    assert play.ids == [effect_id(play.run.id, "a", number) for number in (1, 3, 5)]
    assert play.standing == "(max_duration)"


@pytest.mark.parametrize(
    ("answer", "outcomes", "stops", "expected"),
    [
        ("sent", {}, False, "next"),
        ("capped", {}, False, "next"),
        ("capped", {}, True, "(capped)"),
        ("no_consent", {"no_consent": "other"}, False, "other"),
        ("no_consent", {"no_consent": "other"}, True, "other"),
        ("sent", {"no_consent": "other"}, False, "next"),
        ("sent", {"clicked": "other"}, False, "ask"),
        ("refused", {"clicked": "other"}, False, "next"),
    ],
)
def test_the_arbiter_answers(
    answer: str, outcomes: dict[str, str], stops: bool, expected: str
) -> None:
    fields: dict[str, Any] = {"outcomes": outcomes} if outcomes else {}
    nodes = [
        mail("ask", "next", on_failure="exit" if stops else "continue", **fields),
        wait("next", duration="P1D"), end(),
    ]  # fmt: skip
    if outcomes:
        nodes.insert(2, wait("other", duration="P1D"))
    play = Play.of(*nodes, answers={"ask": answer}).enter()
    assert play.standing == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("clicked", "other"), ("bounced", "next"), ("delivered", "ask"), ("opened", "ask")],
)
def test_an_outcome_leads_on(said: str, expected: str) -> None:
    play = Play.of(
        mail("ask", "next", outcomes={"clicked": "other"}),
        wait("next", duration="P1D"), wait("other", duration="P1D"), end(),
    ).enter()  # fmt: skip
    play.answered("ask", said)
    assert play.standing == expected
    play.answered("ask", said)
    assert play.standing == expected


def test_an_outcome_that_never_comes_is_waited_for_so_long_and_no_longer() -> None:
    task = mail("call", type="task", channel="call_centre", outcomes={"accepted": "end"})
    del task["next"]
    play = Play.of(task, end()).enter()
    play.later(days=6)
    assert play.standing == "call"
    play.later(days=1)
    assert play.standing == "(unanswered)"
    later = Play.of(
        {**task, "timeout": "PT2H", "timeout_next": "late"}, end(), mail("late")
    ).enter()
    assert later.later(hours=2).asked == ["call", "late"]


def test_branches_take_the_first_case_that_holds() -> None:
    case = {"when": {"attr": "profile.tier", "op": "eq", "value": "gold"}, "next": "gold"}
    by_event = {"when": {"attr": "event.total", "op": "gt", "value": 50}, "next": "rich"}
    nodes = (
        {"id": "b", "type": "branch", "cases": [case, by_event], "else": "end"},
        mail("gold"), mail("rich"), end(),
    )  # fmt: skip
    assert Play.of(*nodes, traits={"tier": "gold"}).enter().asked == ["gold"]
    rich = Play(LiveJourney([journey(*nodes)], live=1), entry={"total": 60}).enter()
    assert rich.asked == ["rich"]
    assert Play.of(*nodes).enter().asked == []


def test_what_a_node_says_about_the_person_has_ids_of_its_own() -> None:
    play = Play.of(
        {"id": "set", "type": "update_profile", "set": {"onboarded": True}, "next": "emit"},
        {"id": "emit", "type": "emit_event", "event": "Welcomed", "properties": {"a": 1},
         "next": "jump"},
        {"id": "jump", "type": "enter_journey", "journey": "next-one", "next": "end"},
        end(),
    ).enter()  # fmt: skip
    (done,) = play.made
    assert done.traits[0].traits == {"onboarded": True}
    assert (done.emitted[0].event, done.emitted[0].hops) == ("Welcomed", 1)
    assert done.jumped[0].journey == "next-one"
    ids = [done.traits[0].id, done.emitted[0].id, done.jumped[0].id]
    run, names = play.run.id, ("set", "emit", "jump")
    assert ids == [effect_id(run, name, place) for place, name in enumerate(names, 1)]


def test_the_reason_ends_before_anything_else_is_done() -> None:
    """The event that ends the run is also the one it waits for: nothing is sent."""
    play = Play.of(
        wait("w", "ask", until={"event": "Order Completed"}, timeout="P3D"), mail("ask"), end(),
        exit_criteria=[{"event": "Order Completed"}],
    ).enter()  # fmt: skip
    play.happens("Order Completed")
    assert (play.asked, play.run.status) == ([], "exited")
    assert play.run.reason == "exit: Order Completed"
    assert len(play.taken_back()) == 1
    assert play.run.wakes_at is None


def test_the_goal_is_counted_before_the_exit_and_ends_the_run() -> None:
    play = Play.of(
        mail("a", "w"), wait("w", duration="P9D"), end(),
        goal={"event": "Order Completed", "where": {"attr": "event.total", "op": "gt", "value": 5},
              "within": "P3D"},
        exit_criteria=[{"event": "Order Completed"}],
    ).enter()  # fmt: skip
    done = play.happens("Order Completed", total=9)
    assert (play.run.reason, play.run.status) == ("goal", "completed")
    assert [one.node for one in done.reached] == ["a"]
    assert play.happens("Order Completed", total=9).reached == ()


def test_the_goal_counts_in_its_time_also_when_the_run_is_over() -> None:
    nodes = mail("a"), end()
    goal = {"event": "Order Completed", "within": "P3D"}
    play = Play.of(*nodes, goal=goal).enter()
    assert play.standing == "(completed)"
    assert play.run.watches(play.now)
    assert len(play.later(days=2).happens("Order Completed").reached) == 1
    late = Play.of(*nodes, goal=goal).enter().later(days=3)
    assert late.happens("Order Completed").reached == ()
    assert not late.run.watches(late.now)


def test_first_and_last_touch_get_the_credit() -> None:
    def credit(attribution: str) -> list[str | None]:
        play = Play.of(
            mail("a", "b"), mail("b", "c"), mail("c", "w"), wait("w", duration="P1D"), end(),
            goal={"event": "Order Completed", "attribution": attribution, "exits": False},
            answers={"c": "capped"},
        ).enter()  # fmt: skip
        done = play.happens("Order Completed")
        assert play.standing == "w"
        return [one.node for one in done.reached]

    assert (credit("first_touch"), credit("last_touch")) == (["a"], ["b"])


def test_a_condition_about_the_person_ends_the_run_whatever_happened() -> None:
    play = Play.of(
        wait("w", duration="P9D"), end(), exit_criteria=[{"segment": "do-not-contact"}]
    ).enter()
    play.happens("Page Viewed")
    assert play.standing == "w"
    play.segments.add("do-not-contact")
    play.happens("Profile Updated")
    assert play.run.status == "exited"


def test_old_records_are_not_what_anybody_waits_for() -> None:
    play = Play.of(
        wait("w", duration="P9D"), end(), exit_criteria=[{"event": "Order Completed"}],
        goal={"event": "Order Completed"},
    ).enter()  # fmt: skip
    event = Facts(event_type="Order Completed")
    play.tell(Happened("p", 9, event, play.person(), historical=True))
    assert play.standing == "w"


def test_who_is_held_out_takes_no_step_and_is_watched_for_the_goal() -> None:
    play = Play.of(
        mail("a"), end(), holdout={"percent": 100, "salt": "s"}, goal={"event": "Order Completed"}
    ).enter()
    assert (play.asked, play.standing) == ([], "(held_out)")
    assert [one.arm for one in play.made[0].exposed] == ["held_out"]
    assert len(play.happens("Order Completed").reached) == 1
    treated = Play.of(mail("a"), end(), holdout={"percent": 0, "salt": "s"}).enter()
    assert [one.arm for one in treated.made[0].exposed] == ["treated"]


def test_an_experiment_is_logged_for_every_arm_and_goes_to_its_winner() -> None:
    nodes = (
        {"id": "x", "type": "experiment", "salt": "s",
         "arms": [{"key": "a", "percent": 50, "next": "a"}, {"key": "b", "percent": 50,
                                                            "next": "b"}]},
        mail("a"), mail("b"), end(),
    )  # fmt: skip
    live = LiveJourney([journey(*nodes)], live=1)
    seen: dict[str, int] = {"a": 0, "b": 0}
    for number in range(400):
        play = Play(live, profile=f"p{number}").enter()
        (exposed,) = play.made[0].exposed
        assert play.asked == [exposed.arm]
        seen[exposed.arm] += 1
        assert Play(live, profile=f"p{number}").enter("t2").asked == [exposed.arm]  # sticky
    assert 160 < seen["a"] < 240
    won = LiveJourney([journey(*nodes)], live=1, winners={"x": "b"})
    for number in range(20):
        play = Play(won, profile=f"p{number}").enter()
        assert (play.asked, play.made[0].exposed) == (["b"], ())


def test_a_throttle_spaces_the_runs_evenly() -> None:
    nodes = ({"id": "t", "type": "throttle", "limit": 2, "per": "PT1M", "max_wait": "PT1M",
              "late_next": "late", "next": "a"}, mail("a"), mail("late"), end())  # fmt: skip
    line: dict[str, Any] = {}
    plays = [Play.of(*nodes, free_at=line).enter(f"t{number}") for number in range(4)]
    at = [NOON + timedelta(seconds=30 * number) for number in range(3)]
    assert [play.run.wakes_at for play in plays[1:3]] == at[1:]
    assert (plays[0].asked, plays[3].asked) == (["a"], ["late"])
    assert plays[2].later(minutes=1).asked == ["a"]


def test_stopping_takes_back_what_is_in_flight() -> None:
    play = Play.of(mail("a", "w"), wait("w", duration="P9D"), end()).enter()
    play.tell(Stopped("erased"))
    assert (play.standing, play.taken_back()) == ("(erased)", ["erased"])
    assert play.tell(Stopped("again")).notes == ()
