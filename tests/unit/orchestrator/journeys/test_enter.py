"""Who may enter, when again, and that one cause begins one run."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from services.orchestrator.domain.drop import Drop
from services.orchestrator.domain.journeys.enter import MAX_RUNS, Entry, enter
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.run import Run
from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash
from shared.conditions.tree import EventCount
from tests.unit.orchestrator.journeys.build import NOON, end, journey, mail


def live(**fields: Any) -> LiveJourney:
    return LiveJourney([journey(mail("a"), end(), **fields)], live=1)


def entry(cause: str = "t1", at: datetime = NOON, **fields: Any) -> Entry:
    event = fields.pop("event", {})
    facts = Facts(event=event, event_type="Cart Updated")
    return Entry("p", "p", 1, cause, facts, at, **fields)


def begun(found: Run | Drop | None) -> Run:
    assert isinstance(found, Run)
    return found


def refused(found: Run | Drop | None) -> str:
    assert isinstance(found, Drop)
    return found.reason


def over(run: Run) -> Run:
    return replace(run, status="completed", reason="completed")


def test_the_same_cause_begins_one_run_and_a_key_one_each() -> None:
    keyed = live(re_entry={"mode": "after_exit", "key": "event.order_id"})
    first = begun(enter(keyed, entry(event={"order_id": "o1"}), (), NOON))
    assert first.key == "o1"
    assert enter(keyed, entry(event={"order_id": "o1"}), (first,), NOON) is None
    other = begun(enter(keyed, entry("t2", event={"order_id": "o2"}), (first,), NOON))
    assert other.id != first.id
    again = enter(keyed, entry("t3", event={"order_id": "o1"}), (first, other), NOON)
    assert refused(again) == "still_running"


def test_one_enters_again_as_the_journey_says() -> None:
    run = begun(enter(live(), entry(), (), NOON))
    soon = NOON + timedelta(days=1)

    def again(runs: tuple[Run, ...], **re_entry: Any) -> Run | Drop | None:
        return enter(live(re_entry=re_entry), entry("t2", soon), runs, soon)

    begun(again((run,), mode="always"))
    assert refused(again((run,), mode="after_exit")) == "still_running"
    begun(again((over(run),), mode="after_exit"))
    assert refused(again((over(run),), mode="never")) == "already_entered"
    assert refused(again((over(run),), mode="always", cooldown="P2D")) == "in_cooldown"
    begun(again((over(run),), mode="always", cooldown="P1D"))
    many = tuple(replace(run, key=str(number)) for number in range(MAX_RUNS))
    assert refused(again(many, mode="always")) == "too_many_runs"


@pytest.mark.parametrize(
    ("fields", "entry_fields", "reason"),
    [
        ({"valid": {"to": "2026-01-01T00:00:00Z"}}, {}, "not_valid"),
        ({}, {"historical": True}, "historical"),
        ({}, {"backfill": True}, "historical"),
        ({}, {"received_at": NOON + timedelta(hours=25)}, "too_old"),
        ({}, {"hops": 11}, "too_many_hops"),
        ({"exit_criteria": [{"event": "Order Completed"}]},
         {"later": {leaf_hash(EventCount("Order Completed")): NOON + timedelta(minutes=1)}},
         "exit_met"),
    ],
)  # fmt: skip
def test_the_gates_of_entry(
    fields: dict[str, Any], entry_fields: dict[str, Any], reason: str
) -> None:
    assert refused(enter(live(**fields), entry(**entry_fields), (), NOON)) == reason


def test_an_end_that_was_heard_of_first_counts_for_its_own_key_only() -> None:
    """The till told of the return of one order before it told of the orders."""
    keyed = live(
        re_entry={"mode": "always", "key": "event.order_id"},
        exit_criteria=[{"event": "Order Returned", "key": "event.order_id"}],
    )
    mark = f"{leaf_hash(EventCount('Order Returned'))}/o1"
    later = {mark: NOON + timedelta(minutes=1)}
    first = entry(event={"order_id": "o1"}, later=later)
    assert refused(enter(keyed, first, (), NOON)) == "exit_met"
    begun(enter(keyed, entry(event={"order_id": "o2"}, later=later), (), NOON))


def test_nobody_enters_a_journey_that_is_not_live() -> None:
    gone = LiveJourney([journey(mail("a"), end())], live=None)
    assert refused(enter(gone, entry(), (), NOON)) == "not_live"
