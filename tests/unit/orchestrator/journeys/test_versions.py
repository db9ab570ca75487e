"""Publishing while people are under way: who stays, who follows, and what was said beforehand."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.facts import Edited, Moved, Paused, Resumed, Skipped
from services.orchestrator.domain.journeys.journey import Journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.journeys.versions import preview, totals
from services.orchestrator.domain.run import Held
from tests.unit.orchestrator.journeys.build import Play, end, journey, mail, wait

BEFORE = (mail("a", "w"), wait("w", "b", duration="P3D"), mail("b"), end())


def edited(policy: str, *nodes: dict[str, Any], **fields: Any) -> Journey:
    return journey(*nodes, version=2, version_policy=policy, **fields)


def published(play: Play, after: Journey) -> Play:
    play.live = LiveJourney([journey(*BEFORE), after], live=2)
    return play


def test_pin_finishes_the_version_in_which_it_began() -> None:
    after = edited("pin", mail("a", "w"), wait("w", "c", duration="P3D"), mail("c"), end())
    play = published(Play.of(*BEFORE).enter(), after).later(days=3)
    assert (play.asked, play.run.version, play.standing) == (["a", "b"], 1, "(completed)")
    assert Play(play.live).enter().run.version == 2  # who enters now


def test_follow_live_takes_the_next_step_from_the_new_version_and_repeats_none() -> None:
    after = edited(
        "follow_live", mail("a", "w"), wait("w", "c", duration="P9D"), mail("c", "b"), mail("b"),
        end(),
    )  # fmt: skip
    play = published(Play.of(*BEFORE).enter(), after).later(days=3)
    assert (play.asked, play.run.version) == (["a", "c", "b"], 2)


def test_a_step_that_is_gone_is_replaced_or_ends_the_run() -> None:
    gone = edited("follow_live", mail("a", "w"), wait("w", duration="P3D"), end())
    play = published(Play.of(*BEFORE).enter(), gone).later(days=3)
    assert (play.asked, play.standing) == (["a"], "(completed)")
    no_wait = edited("follow_live", mail("a"), end())
    play = published(Play.of(*BEFORE).enter(), no_wait).later(days=3)
    assert (play.asked, play.standing) == (["a"], "(node_removed)")
    assert play.run.version == 2  # the step that it did not find was one of this version
    replaced = edited("follow_live", mail("a", "b2"), mail("b2", replaces=["b"]), end())
    play = published(Play.of(*BEFORE).enter(), replaced).later(days=2)
    assert play.standing == "w"  # what it waits for ends as it was
    play.later(days=1)
    assert (play.asked, play.run.version) == (["a", "b2"], 2)


def test_who_stands_on_a_removed_node_leaves_where_the_version_says_so() -> None:
    after = edited("follow_live", mail("a"), end(), removed_nodes="exit")
    play = published(Play.of(*BEFORE).enter(), after)
    play.tell(Edited(play.person()))
    assert (play.standing, play.taken_back()) == ("(node_removed)", [])
    late = published(Play.of(*BEFORE).enter(), after).later(days=3)
    assert (late.standing, late.asked) == ("(node_removed)", ["a"])


def test_rolling_back_is_one_more_publication() -> None:
    play = Play.of(*BEFORE).enter()
    bad = edited("follow_live", mail("a", "w"), wait("w", "x", duration="P3D"), mail("x"), end())
    again = journey(*BEFORE, version=3, version_policy="follow_live")
    play.live = LiveJourney([journey(*BEFORE), bad, again], live=3)
    play.later(days=3)
    assert (play.asked, play.run.version) == (["a", "b"], 3)


def test_a_pinned_publication_between_two_that_are_followed_is_passed_over() -> None:
    play = Play.of(*BEFORE).enter()
    pinned = edited("pin", mail("a", "w"), wait("w", "x", duration="P3D"), mail("x"), end())
    third = journey(
        mail("a", "w"), wait("w", "y", duration="P3D"), mail("y"), end(),
        version=3, version_policy="follow_live",
    )  # fmt: skip
    play.live = LiveJourney([journey(*BEFORE), pinned], live=2)
    play.tell(Edited(play.person()))
    assert play.run.version == 1
    play.live = LiveJourney([journey(*BEFORE), pinned, third], live=3)
    assert play.later(days=3).asked == ["a", "y"]


def test_new_exit_criteria_hold_for_those_who_follow() -> None:
    after = edited("follow_live", *BEFORE, exit_criteria=[{"event": "Order Completed"}])
    play = published(Play.of(*BEFORE).enter(), after)
    play.happens("Order Completed")
    assert play.standing == "(exit: Order Completed)"


@pytest.mark.parametrize("policy", ["pin", "follow_live"])
@pytest.mark.parametrize("removed", ["finish", "exit"])
def test_the_preview_says_what_becomes_of_every_run(policy: str, removed: str) -> None:
    before = journey(
        wait("w", "x", until={"event": "go"}, timeout="P9D"), wait("x", "y", duration="P9D"),
        wait("y", "z", duration="P9D"), mail("z"), end(),
    )  # fmt: skip
    after = edited(
        policy, wait("w", "y", until={"event": "go"}, timeout="P9D"), wait("y", duration="P9D"),
        end(), removed_nodes=removed,
    )  # fmt: skip
    plays = []
    for number in range(12):
        play = Play(LiveJourney([before], live=1)).enter(f"t{number}")
        if number % 3:
            play.happens("go")
        if number % 3 == 2:
            play.tell(Skipped(play.run.occurrence, play.person()))
        plays.append(play)
    places = Counter((play.run.version, play.run.node) for play in plays)
    assert places == {(1, "w"): 4, (1, "x"): 4, (1, "y"): 4}
    affected = {one.node: one for one in preview({1: before}, after, places)}
    live = LiveJourney([before, after], live=2)
    for play in plays:
        said = affected[play.run.node]
        done = advance(live, play.run, Edited(play.person()), play.now).run
        seen = "exits" if done.is_over else "goes_on" if done.version == 2 else "finishes"
        assert said.fate == ("stays" if policy == "pin" else seen)
    fates = totals(affected.values())
    assert sum(fates.values()) == 12
    if policy == "follow_live":
        assert (affected["x"].fate, affected["x"].next, affected["x"].lost) == (
            ("exits", (), ()) if removed == "exit" else ("finishes", ("y",), ())
        )


def test_a_pause_holds_what_would_happen_and_loses_nothing() -> None:
    """Dittofeed looks at the status when it sends: a pause loses rather than holds messages."""
    play = Play.of(
        wait("w", "clicked", until={"event": "email.clicked"}, timeout="P3D", timeout_next="late"),
        mail("clicked"), mail("late"), end(),
    ).enter()  # fmt: skip
    running = play.live
    play.live = LiveJourney([journey(*_nodes(play))], live=1, paused=True)
    play.happens("email.clicked")
    assert (play.asked, play.standing) == ([], "w")
    play.later(days=9)
    play.live = running
    play.tell(Resumed(play.person()))
    assert play.asked == ["clicked"]  # it came before the time was over
    play.tell(Resumed(play.person()))
    assert play.asked == ["clicked"]


def test_who_enters_during_a_pause_waits_and_is_not_written_to_weeks_later() -> None:
    for days, expected in ((0, ["a"]), (2, [])):
        play = Play(LiveJourney([journey(*BEFORE)], live=1, paused=True)).enter()
        assert play.asked == []
        play.later(days=days)
        play.live = LiveJourney([journey(*BEFORE)], live=1)
        play.tell(Resumed(play.person()))
        assert play.asked == expected
    assert play.standing == "(stale)"


def test_of_a_crowd_that_is_let_in_at_a_rate_nobody_is_too_late() -> None:
    """A million people at a hundred a minute take a week."""
    entry = {"type": "api", "rate": {"limit": 100, "per": "PT1M"}}
    play = Play.of(*BEFORE, entry=entry)
    play.run = Play.of(*BEFORE, entry=entry, answers={"a": None}).enter().run
    play.run = replace(play.run, node=None, occurrence=0, paused=True, held=Held("start"))
    play.later(days=7)
    play.tell(Resumed(play.person()))
    assert play.asked == ["a"]


def test_reasons_to_leave_act_during_a_pause() -> None:
    play = Play.of(*BEFORE, exit_criteria=[{"event": "Order Completed"}]).enter()
    play.tell(Paused())
    play.happens("Order Completed")
    assert play.standing == "(exit: Order Completed)"


def test_operators_move_and_skip_from_the_step_they_saw_and_only_once() -> None:
    play = Play.of(
        mail("a", "w", outcomes={"clicked": "b"}), wait("w", "b", duration="P3D"), mail("b", "v"),
        wait("v", duration="P1D"), end(),
    ).enter()  # fmt: skip
    seen = play.run.occurrence
    play.tell(Skipped(seen, play.person()))
    assert (play.standing, play.taken_back()) == ("w", ["skipped"])
    play.tell(Skipped(seen, play.person()))
    play.tell(Moved(seen, "b", play.person()))
    assert play.standing == "w"  # a second click changes nothing
    play.tell(Moved(play.run.occurrence, "b", play.person()))
    assert play.standing == "v"
    play.tell(Moved(play.run.occurrence, "b", play.person()))
    assert play.asked == ["a", "b", "b"]
    assert len(set(play.ids)) == 3


def test_a_move_during_a_pause_is_held_too() -> None:
    play = Play.of(*BEFORE).enter()
    play.tell(Paused())
    play.tell(Moved(play.run.occurrence, "b", play.person()))
    assert play.asked == ["a"]
    play.tell(Resumed(play.person()))
    assert (play.asked, play.standing) == (["a", "b"], "(completed)")


def test_a_run_keeps_its_one_timer_through_everything() -> None:
    play = Play.of(*BEFORE).enter()
    play.tell(Paused())
    play.later(days=3)
    assert play.run.wakes_at == play.run.ends_at
    assert [one.gen for one in play.timers if one.gen == play.run.gen] == [play.run.gen]
    play.later(days=100)
    assert play.standing == "(max_duration)"
    assert replace(play.run, gen=0).wakes_at is None


def _nodes(play: Play) -> list[dict[str, Any]]:
    return [
        wait("w", "clicked", until={"event": "email.clicked"}, timeout="P3D", timeout_next="late"),
        mail("clicked"), mail("late"), end(),
    ]  # fmt: skip


def test_who_was_moved_during_a_pause_goes_there_whatever_became_of_the_node_before() -> None:
    nodes = (mail("a", "w"), wait("w", duration="P3D"), end())
    play = Play.of(*nodes).enter()
    before = play.live.versions[1].journey
    gone = journey(mail("a"), end(), version=2, version_policy="follow_live", removed_nodes="exit")
    paused = LiveJourney([before], live=1, paused=True)
    run = advance(paused, play.run, Paused(), play.now).run
    run = advance(paused, run, Moved(run.occurrence, "a", play.person()), play.now).run
    assert run.held == Held("node", "a")
    both = LiveJourney([before, gone], live=2)
    run = advance(both, run, Edited(play.person()), play.now).run
    assert (run.version, run.is_over) == (2, False)
    done = advance(both, run, Resumed(play.person()), play.now)
    assert [one.node for one in done.wanted] == ["a"]
