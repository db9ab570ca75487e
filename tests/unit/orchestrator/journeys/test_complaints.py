"""What users of other journey engines complain about, each shown not to happen here.

The names are those of public issue trackers (M: mautic, N: novu, P: parcelvoy, D: dittofeed,
L: laudspeaker, PH: PostHog, LG: lunogram); the last tests are from documents of vendors.
"""

from collections import Counter
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.enter import Entry, enter
from services.orchestrator.domain.journeys.facts import (
    Due,
    Edited,
    Happened,
    Moved,
    Paused,
    Resumed,
    Skipped,
)
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.journeys.versions import preview, totals
from services.orchestrator.domain.run import Run
from shared.conditions.facts import Facts
from tests.unit.orchestrator.journeys.build import NOON, Play, end, journey, mail, wait

TWO = (mail("a", "w"), wait("w", "b", duration="P3D"), mail("b"), end())
UNTIL_READ = (
    mail("say", "w"),
    wait("w", "end", until={"event": "app.opened"}, timeout="PT2H", timeout_next="call"),
    mail("call", type="task", channel="call_centre"),
    end(),
)


def test_m7226_m13070_m8802_m9880_nothing_is_sent_twice_however_often_it_is_told() -> None:
    play = Play.of(*TWO).enter()
    timers = list(play.timers)
    for _ in range(3):
        play.timers += timers
        play.later(days=3)
    assert play.asked == ["a", "b"]
    assert len(set(play.ids)) == 2


def test_m6505_a_due_timer_that_comes_every_minute_acts_once() -> None:
    play = Play.of(*TWO).enter()
    gen = play.run.gen
    play.now += timedelta(days=3)
    for _ in range(60):
        play.tell(Due(gen, play.person()))
    assert play.asked == ["a", "b"]


@pytest.mark.parametrize("mode", ["never", "after_exit"])
def test_m7881_whoever_may_not_enter_again_does_not(mode: str) -> None:
    live = LiveJourney([journey(*TWO, re_entry={"mode": mode})], live=1)
    play = Play(live).enter()
    entry = Entry("p", "p", 2, "t2", Facts(), NOON)
    assert isinstance(enter(live, entry, (play.run,), NOON), Drop)


def test_n1633_n2569_two_events_in_one_instant_begin_one_run() -> None:
    keyed = journey(*TWO, re_entry={"mode": "after_exit", "key": "event.cart_id"})
    live, runs = LiveJourney([keyed], live=1), list[Run]()
    for cause in ("t1", "t2"):
        facts = Facts(event={"cart_id": "c1"})
        found = enter(live, Entry("p", "p", 1, cause, facts, NOON), runs, NOON)
        runs += [found] if isinstance(found, Run) else []
    assert len(runs) == 1


def test_ph52776_ph55672_a_loop_acts_each_time_round_and_a_redelivery_never() -> None:
    """A key without the occurrence either doubles messages or throws away wanted ones."""
    play = Play.of(
        mail("ask", "w"),
        wait("w", "ask", until={"event": "Order Completed"}, timeout="P9D", timeout_next="end"),
        end(),
    ).enter()  # fmt: skip
    for number in range(1, 4):
        event = Happened("p", play.seq + 1, Facts(event_type="Order Completed"), play.person())
        play.seq += 1
        for _ in range(2):
            play.tell(event)
        assert play.asked == ["ask"] * (number + 1)
    assert len(set(play.ids)) == 4


@pytest.mark.parametrize("answer", ["no_consent", "capped", "undeliverable", "refused", "quiet"])
def test_p434_what_cannot_be_sent_does_not_stall_the_journey(answer: str) -> None:
    play = Play.of(*TWO, answers={"a": answer}).enter().later(days=3)
    assert play.asked == ["a", "b"]


def test_p432_the_last_step_is_sent() -> None:
    play = Play.of(*TWO).enter().later(days=3)
    assert (play.asked[-1], play.taken_back()) == ("b", [])


def test_p506_publishing_leaves_every_wait_as_it_is() -> None:
    play = Play.of(*TWO).enter()
    wakes_at = play.run.wakes_at
    changed = (mail("a", "w"), wait("w", "b", duration="P9D"), mail("b"), end())
    follows = journey(*changed, version=2, version_policy="follow_live")
    play.live = LiveJourney([journey(*TWO), follows], live=2)
    done = play.tell(Edited(play.person()))
    assert (play.run.wakes_at, play.run.version, done.timers) == (wakes_at, 2, ())
    assert play.later(days=3).asked == ["a", "b"]


def test_p627_p533_a_run_whose_answer_never_comes_goes_on() -> None:
    play = Play.of(*TWO, answers={"a": None}).enter()
    assert play.run.wakes_at == NOON + timedelta(days=7)
    assert play.later(days=10).asked == ["a", "b"]


def test_lg12_a_run_has_ended_only_when_it_has() -> None:
    play = Play.of(*TWO).enter()
    assert play.run.ended_at is None
    play.later(days=3)
    assert play.run.ended_at == NOON + timedelta(days=3)


def test_m9797_a_run_never_has_two_timers() -> None:
    play = Play.of(*TWO).enter()
    play.tell(Moved(play.run.occurrence, "a", play.person()))
    play.tell(Moved(play.run.occurrence, "a", play.person()))
    assert [one.gen == play.run.gen for one in play.timers].count(True) == 1
    assert play.later(days=9).asked == ["a", "a", "a", "b"]


def test_m7057_a_timer_that_comes_too_early_is_set_once_more_and_no_oftener() -> None:
    play = Play.of(*TWO).enter()
    early = Due(play.run.gen, play.person())
    made = [len(play.tell(early).timers) for _ in range(5)]
    assert made == [1, 0, 0, 0, 0]


def test_m150_a_segment_that_is_built_anew_drops_no_wait() -> None:
    entry = {"type": "segment_entered", "segment": "vip"}
    play = Play(LiveJourney([journey(*TWO, entry=entry)], live=1), segments={"vip"}).enter()
    play.segments.clear()
    play.happens("segment_left")
    play.segments.add("vip")
    play.happens("segment_entered")
    assert play.later(days=3).asked == ["a", "b"]


def test_m6405_who_left_is_not_written_to_any_more() -> None:
    play = Play.of(*TWO, exit_criteria=[{"segment": "out"}]).enter()
    play.segments.add("out")
    play.happens("segment_entered")
    assert (play.later(days=9).asked, len(play.taken_back())) == (["a"], 1)


def test_ph86537_an_operator_can_move_on_whatever_hangs() -> None:
    hangs = mail("a", "b", outcomes={"clicked": "b"}), mail("b"), end()
    for skips in (True, False):
        play = Play.of(*hangs, answers={"a": None}).enter()
        step, person = play.run.occurrence, play.person()
        play.tell(Skipped(step, person) if skips else Moved(step, "b", person))
        assert (play.asked, play.run.status) == (["a", "b"], "completed")


def test_m6054_m4243_deleting_a_step_lets_nobody_go_through_the_others_again() -> None:
    play = Play.of(*TWO).enter().later(days=1)
    less = (wait("w", "b", duration="P3D"), mail("b"), end())
    follows = journey(*less, version=2, version_policy="follow_live")
    play.live = LiveJourney([journey(*TWO), follows], live=2)
    assert play.later(days=9).asked == ["a", "b"]


def test_ph66380_scenario_22_a_thousand_wait_and_each_policy_does_what_the_preview_said() -> None:
    waiting = [Play.of(*TWO, profile=f"p{number}").enter() for number in range(3)]
    before = waiting[0].live.versions[1].journey
    changed = (mail("a", "w"), wait("w", "c", duration="P3D"), mail("c"), end())
    for policy, expected in (("pin", "b"), ("follow_live", "c")):
        after = journey(*changed, version=2, version_policy=policy)
        live = LiveJourney([before, after], live=2)
        asked: list[str] = []
        runs = [waiting[number % 3].run for number in range(1_000)]
        places = Counter((run.version, run.node) for run in runs)
        said = totals(preview({1: before}, after, places))
        assert said == {"stays" if policy == "pin" else "goes_on": 1_000}
        for run in runs:
            due = NOON + timedelta(days=3)
            done = advance(live, run, Due(run.gen, waiting[0].person()), due)
            asked += [one.node for one in done.wanted]
        assert asked == [expected] * 1_000


def test_d1463_a_cart_that_is_left_is_a_journey_with_a_key() -> None:
    abandoned = journey(
        wait("w", "end", until={"event": "Order Completed", "key": "event.cart_id"},
             timeout="PT1H", timeout_next="push"),
        mail("push", channel="push"), end(),
        re_entry={"mode": "after_exit", "key": "event.cart_id"},
    )  # fmt: skip
    carts = [
        Play(LiveJourney([abandoned], live=1), entry={"cart_id": cart}).enter(cart)
        for cart in ("c1", "c2")
    ]
    for cart in carts:
        cart.happens("Order Completed", cart_id="c1")
        cart.later(hours=1)
    assert [cart.asked for cart in carts] == [[], ["push"]]


def test_d958_runs_of_other_orders_do_not_meet() -> None:
    returned = journey(
        *TWO, exit_criteria=[{"event": "Order Returned", "key": "event.order_id"}],
        re_entry={"mode": "always", "key": "event.order_id"},
    )  # fmt: skip
    orders = [
        Play(LiveJourney([returned], live=1), entry={"order_id": order}).enter(order)
        for order in ("o1", "o2")
    ]
    for order in orders:
        order.happens("Order Returned", order_id="o1")
    assert [order.standing for order in orders] == ["(exit: Order Returned)", "w"]


def test_p607_the_next_journey_is_entered_at_once() -> None:
    jump = {"id": "jump", "type": "enter_journey", "journey": "next", "next": "end"}
    assert [one.journey for one in Play.of(jump, end()).enter().made[0].jumped] == ["next"]


def test_m5318_m6352_m7676_hours_and_weekdays_hold_after_a_branch_too() -> None:
    friday = NOON + timedelta(days=4)
    play = Play.of(
        {"id": "b", "type": "branch", "else": "w",
         "cases": [{"when": {"segment": "vip"}, "next": "end"}]},
        wait("w", "a", local_time="10:00", weekdays=[1, 2, 3, 4, 5]), mail("a"), end(),
        now=friday, zone=ZoneInfo("America/New_York"),
    ).enter()  # fmt: skip
    assert play.run.wakes_at is not None
    assert f"{play.run.wakes_at:%A %H:%M}" == "Friday 15:00"
    assert play.later(days=1).asked == ["a"]
    late = Play.of(
        wait("w", "a", local_time="10:00", weekdays=[1, 2, 3, 4, 5]), mail("a"), end(),
        now=friday + timedelta(hours=6), zone=ZoneInfo("America/New_York"),
    ).enter()  # fmt: skip
    assert late.run.wakes_at == friday + timedelta(days=3, hours=3)


def test_laudspeaker_a_person_who_moves_is_waited_for_on_their_new_clock() -> None:
    play = Play.of(wait("w", "a", local_time="10:00"), mail("a"), end(), now=NOON).enter()
    play.zone = ZoneInfo("America/New_York")
    play.happens("Page Viewed")
    assert play.run.wakes_at == NOON + timedelta(hours=3)
    assert len(play.timers) == 2
    assert play.later(days=2).asked == ["a"]


def test_a_date_that_is_put_off_is_waited_for_as_it_is_now() -> None:
    play = Play.of(
        wait("w", "a", date_attr="profile.due", local_time="09:00", offset="-P1D",
             past_next="past"),
        mail("a"), mail("past"), end(), traits={"due": "2026-12-10"},
    ).enter()  # fmt: skip
    play.changes(due="2026-12-20")
    assert play.later(days=20).asked == []
    play.changes(due="2026-11-01")
    assert play.asked == ["past"]
    nobody = Play.of(
        wait("w", "a", date_attr="profile.due", local_time="09:00"), mail("a"), end()
    ).enter()
    assert nobody.standing == "(no_date)"


def test_dittofeed_a_pause_holds_messages_and_braze_no_one_leaves_silently_at_its_end() -> None:
    play = Play.of(*TWO).enter()
    play.tell(Paused())
    assert play.later(days=30).asked == ["a"]
    play.tell(Resumed(play.person()))
    assert (play.asked, play.run.status) == (["a", "b"], "completed")


def test_parcelvoy_coming_to_a_step_again_does_not_end_the_run() -> None:
    play = Play.of(mail("a", "w"), wait("w", "a", duration="P1D"), max_duration="P5D").enter()
    assert len(play.later(days=9).asked) == 5


def test_novu_a_throttle_delays_and_does_not_stop() -> None:
    line: dict[str, Any] = {}
    throttle = {"id": "t", "type": "throttle", "limit": 1, "per": "PT1H", "next": "a"}
    plays = [
        Play.of(throttle, mail("a"), end(), free_at=line).enter(f"t{number}") for number in range(5)
    ]
    assert [len(play.later(hours=2).asked) for play in plays] == [1, 1, 1, 0, 0]
    assert [len(play.later(hours=2).asked) for play in plays] == [1] * 5


def test_braze_an_exit_on_the_first_day_of_a_long_wait_is_an_exit_on_that_day() -> None:
    play = Play.of(
        wait("w", "a", duration="P30D"), mail("a"), end(),
        exit_criteria=[{"event": "Order Completed"}],
    ).enter().later(days=1)  # fmt: skip
    play.happens("Order Completed")
    assert play.run.ended_at == NOON + timedelta(days=1)


def test_scenario_13_without_consent_the_run_goes_the_way_that_is_meant_for_it() -> None:
    sms = mail("sms", "end", channel="sms", outcomes={"no_consent": "email"})
    play = Play.of(sms, mail("email"), end(), answers={"sms": "no_consent"}).enter()
    assert play.asked == ["sms", "email"]


def test_scenario_18_read_in_time_cancels_the_call() -> None:
    read = Play.of(*UNTIL_READ).enter().later(hours=1)
    read.happens("app.opened")
    assert read.later(hours=9).asked == ["say"]
    assert Play.of(*UNTIL_READ).enter().later(hours=2).asked == ["say", "call"]


def test_an_event_that_came_first_wins_over_a_timer_that_is_due_and_late() -> None:
    """The race of every "until event or timeout": what counts is what was seen first."""
    play = Play.of(*UNTIL_READ).enter()
    gen = play.run.gen
    play.now += timedelta(hours=5)  # the timer is three hours late
    play.happens("app.opened")
    play.tell(Due(gen, play.person()))
    assert play.asked == ["say"]


def test_the_event_that_led_to_a_wait_does_not_end_it() -> None:
    play = Play.of(
        wait("w", "v", until={"event": "app.opened"}, timeout="P1D"),
        wait("v", "a", until={"event": "app.opened"}, timeout="P1D", timeout_next="end"),
        mail("a"), end(),
    ).enter()  # fmt: skip
    play.happens("app.opened")
    assert play.standing == "v"
    play.happens("app.opened")
    assert play.asked == ["a"]
