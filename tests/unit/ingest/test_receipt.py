"""Who speaks for an event when several know something of it, and who may hear it."""

from typing import Any

import pytest

from services.ingest.domain.receipt import Applied, Decided, Failed, Known, Progress, receipt

APPLIED = Applied("shop", "p1", None, 0)
FAILED = Failed("shop", "spec_violation", "type is required")
DECIDED = [Decided("d1", "2026-11-21T10:00:00.000Z", "sent", ["a1"])]


def known(**found: Any) -> Known:
    return Known(**{"applied": None, "failed": None, "decided": [], "taken_by": None} | found)


def made(facts: Known, owner: str | None = None) -> dict[str, Any] | None:
    return receipt("m1", "shop", facts, owner=owner)


def test_an_applied_event_names_its_profile_and_decisions() -> None:
    found = made(known(applied=APPLIED, failed=FAILED, decided=DECIDED, taken_by="shop"))
    assert found == {
        "id": "m1",
        "source": "shop",
        "status": "applied",
        "profile_id": "p1",
        "decisions": [DECIDED[0]._asdict()],
    }


def test_copies_are_counted_and_nobody_s_event_says_why() -> None:
    found = made(known(applied=Applied("shop", None, "no_identity", 2)))
    assert found is not None
    assert (found["reason"], found["duplicates"]) == ("no_identity", 2)
    assert "profile_id" not in found


def test_an_event_with_an_audience_says_how_far_it_is() -> None:
    progress = Progress("running", 10, 20, 3, 1)
    found = made(known(applied=Applied("shop", None, "audience", 0, progress)))
    assert found is not None
    assert (found["status"], found["reason"]) == ("applied", "audience")
    assert found["audience"] == {
        "status": "running",
        "examined": 10,
        "of": 20,
        "matched": 3,
        "left_out": 1,
    }


def test_what_failed_says_why_until_a_copy_is_applied() -> None:
    found = made(known(failed=FAILED, taken_by="shop"))
    assert found is not None
    assert (found["status"], found["reason"]) == ("failed", "spec_violation")


def test_what_was_taken_is_accepted_and_what_nobody_knows_is_nothing() -> None:
    found = made(known(taken_by="shop", missing=("No answer.",)))
    assert found is not None
    assert (found["status"], found["missing"]) == ("accepted", ["No answer."])
    assert made(known()) is None


def test_decisions_that_are_not_known_are_not_said_to_be_none() -> None:
    found = made(known(applied=APPLIED, decided=None, missing=("No answer.",)))
    assert found is not None
    assert "decisions" not in found
    assert found["missing"] == ["No answer."]


@pytest.mark.parametrize("facts", [{"applied": APPLIED}, {"failed": FAILED}, {"taken_by": "shop"}])
def test_a_source_sees_its_own_events_alone(facts: dict[str, Any]) -> None:
    assert made(known(**facts), owner="shop") is not None
    assert made(known(**facts), owner="tills") is None
