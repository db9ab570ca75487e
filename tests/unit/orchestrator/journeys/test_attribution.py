"""Credit for a goal: what is summed, and when the goal's event happened."""

from datetime import timedelta

from services.orchestrator.domain.journeys.advance import advance
from services.orchestrator.domain.journeys.attribution import (
    Attribution,
    Credit,
    Touch,
    attribution_of,
    touch_of,
)
from services.orchestrator.domain.journeys.facts import Edited, Happened
from services.orchestrator.domain.journeys.live import LiveJourney
from shared.conditions.facts import Facts
from tests.unit.orchestrator.journeys.build import NOON, Play, end, journey, mail, wait

HOUR = timedelta(hours=1)
HI = Touch(None, "welcome", "hi", "email", "send")
NEWS = Touch("news", None, None, "sms", "send")


def test_the_touch_of_a_node_names_its_journey_and_that_of_a_rule_the_rule() -> None:
    assert touch_of("welcome/hi", "email", "send") == HI
    assert touch_of("news", "sms", "send") == NEWS


def test_credit_and_the_untouched_are_all_conversions() -> None:
    found = attribution_of([(NEWS, 2), (None, 4), (HI, 3)])
    assert found == Attribution(9, 4, (Credit(HI, 3), Credit(NEWS, 2)))
    assert attribution_of([]) == Attribution(0, 0, ())


def test_of_equal_credit_the_order_is_that_of_the_names() -> None:
    one = attribution_of([(NEWS, 1), (HI, 1)])
    assert one == attribution_of([(HI, 1), (NEWS, 1)])
    assert [credit.touch for credit in one.credits] == [HI, NEWS]


def test_a_run_remembers_when_the_event_of_its_goal_happened() -> None:
    def reached(ago: timedelta | None) -> Play:
        play = Play.of(
            mail("a", "w"), wait("w", duration="P9D"), end(), goal={"event": "Bought"}
        ).enter()
        happened = None if ago is None else play.now - ago
        bought = Facts(event_type="Bought")
        play.tell(Happened("p", 9, bought, play.person(), occurred_at=happened))
        return play

    assert reached(3 * HOUR).run.goal_happened_at == NOON - 3 * HOUR
    assert reached(None).run.goal_happened_at == NOON
    assert reached(-HOUR).run.goal_happened_at == NOON, "a clock that is wrong is not believed"
    assert reached(3 * HOUR).run.goal_at == NOON


def test_the_window_of_a_goal_that_was_reached_stays_what_it_was() -> None:
    nodes = (mail("a", "w"), wait("w", duration="P9D"), end())
    goal = {"event": "Bought", "within": "P10D", "exits": False}
    before = journey(*nodes, goal=goal)
    after = journey(*nodes, version=2, version_policy="follow_live")
    for reached, until in ((True, NOON + timedelta(days=10)), (False, None)):
        play = Play(LiveJourney([before], live=1)).enter()
        if reached:
            play.happens("Bought")
        both = LiveJourney([before, after], live=2)
        run = advance(both, play.run, Edited(play.person()), NOON).run
        assert (run.version, run.goal_until) == (2, until)
