"""What people are shown of runs: where one stands and why, what was counted, what is not meant."""

from dataclasses import replace
from typing import Any

import pytest

from services.orchestrator.domain.journey_set import ENTER_EVENT, JourneySet
from services.orchestrator.domain.journeys.lint import segments_of_journey, warnings_of_journey
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.journeys.standing import where_it_stands
from services.orchestrator.domain.journeys.stats import stats_of
from services.orchestrator.domain.update import Cause
from shared.conditions.facts import Facts
from tests.unit.orchestrator.journeys.build import NOON, Play, end, journey, mail, wait


def said(play: Play, **how: Any) -> str:
    version = play.live.versions[play.run.version].journey
    return where_it_stands(play.run, version, **how)


@pytest.mark.parametrize(
    ("node", "says"),
    [
        (wait("a", duration="P1D"), "and waits until 2026-11-24T12:00:00.000Z."),
        (wait("a", until={"event": "Bought"}, timeout="P1D"),
         ", at most until 2026-11-24T12:00:00.000Z."),
        (mail("a", outcomes={"clicked": "end"}, timeout="P1D"),
         "and waits for what becomes of its message on email, at most until "
         "2026-11-24T12:00:00.000Z."),
    ],
)  # fmt: skip
def test_what_is_waited_for_is_said(node: dict[str, Any], says: str) -> None:
    sentence = said(Play.of(node, end()).enter())
    assert sentence.startswith("It stands on a since 2026-11-23T12:00:00.000Z ")
    assert sentence.endswith(says)


def test_why_it_does_not_go_on_is_said() -> None:
    play = Play.of(wait("a", duration="P1D"), end()).enter()
    assert "the journey is paused" in said(play, journey_paused=True)
    assert "it should have gone on at 2026-11-24T12" in said(play, stuck=True)
    play.run = replace(play.run, paused=True)
    assert "it is held" in said(play)


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("completed", "It ended on a at 2026-11-23T12:00:00.000Z: it came to the end."),
        ("exit: Bought on pos", "what ends the journey came true (Bought on pos)."),
        ("mistake", ": mistake."),
    ],
)
def test_why_it_ended_is_said(reason: str, says: str) -> None:
    play = Play.of(wait("a", duration="P1D"), end()).enter()
    play.run = replace(play.run, status="exited", reason=reason, ended_at=NOON)
    assert said(play).endswith(says)


def test_counts_are_put_together_by_node() -> None:
    counts = {
        ("", "entered", ""): 9,
        ("", "ended", "goal"): 2,
        ("", "goal", ""): 2,
        ("hi", "arrived", ""): 9,
        ("hi", "answered", "sent"): 6,
        ("hi", "answered", "capped"): 2,
        ("hi", "answered", "no_consent"): 1,
        ("hi", "answered", "clicked"): 3,
        ("hi", "left", "next"): 8,
        ("hi", "goal", ""): 2,
        ("gone", "arrived", ""): 1,
        ("gone", "moved", ""): 1,
    }
    stats = stats_of(counts, {(1, "gone"): 1, (2, "gone"): 2, (2, None): 1}, ["hi", "end"])
    assert (stats.entered, stats.under_way, stats.converted) == (9, 4, 2)
    assert stats.ended == {"goal": 2}
    assert [one.node for one in stats.nodes] == ["hi", "end", "gone"]
    first, _, last = stats.nodes
    assert (first.entered, first.sent, first.converted) == (9, 6, 2)
    assert first.suppressed == {"capped": 2, "no_consent": 1}
    assert first.responded == {"clicked": 3}
    assert (last.entered, last.waiting) == (1, 3)


def test_what_is_sent_is_counted_where_an_answer_is_waited_for_too() -> None:
    play = Play.of(mail("a", outcomes={"clicked": "end"}), end()).enter()
    play.answered("a", "sent")
    notes = [note for done in play.made for note in done.notes]
    assert [note.word for note in notes if note.kind == "answered"] == ["sent"]


def test_what_is_probably_not_meant() -> None:
    two = {"all": [{"attr": "profile.n", "op": "lt", "value": 1},
                   {"attr": "profile.n", "op": "gt", "value": 2}]}  # fmt: skip
    one = journey(
        {"id": "b", "type": "branch", "cases": [{"when": two, "next": "end"}], "else": "end"},
        end(),
        exit_criteria=[{"event": "Cart Updated"}, {"segment": "gone"}],
        valid={"to": "2026-01-01T00:00:00Z"},
    )
    assert {found.path: found.rule for found in warnings_of_journey(one, NOON)} == {
        "nodes[0].cases[0].when": "never_holds",
        "valid.to": "over",
        "exit_criteria[0]": "own_trigger",
    }
    assert segments_of_journey(one) == {"gone": "exit_criteria[1]"}
    keyed = journey(
        end(),
        re_entry={"key": "event.order"},
        exit_criteria=[{"event": "Cart Updated", "key": "event.order"}],
    )
    assert warnings_of_journey(keyed, NOON) == []
    over = journey(end(), entry={"type": "schedule", "rrule": "FREQ=DAILY;UNTIL=20200101",
                                 "audience": {"segment": "vip"}})  # fmt: skip
    assert [found.path for found in warnings_of_journey(over, NOON)] == ["entry.rrule"]
    assert segments_of_journey(over) == {"vip": "entry.audience"}


def test_only_concert_itself_lets_people_in_by_asking() -> None:
    entry = {"type": "api", "where": {"attr": "event.plan", "op": "eq", "value": "gold"}}
    mine = LiveJourney([journey(end(), entry=entry)], live=1)
    known = JourneySet([mine])

    def entering(source: str, **properties: str) -> list[LiveJourney]:
        facts = Facts(event=properties, event_type=ENTER_EVENT, event_source=source)
        return known.entering(facts, Cause(type=ENTER_EVENT))

    assert entering("concert", journey="j", plan="gold") == [mine]
    assert entering("concert", journey="j") == []
    assert entering("concert", journey="other", plan="gold") == []
    assert entering("shop", journey="j", plan="gold") == []
