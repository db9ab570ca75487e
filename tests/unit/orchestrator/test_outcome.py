"""Where an action stands, by what was said of it; and what completing a task means."""

from datetime import timedelta

import pytest

from services.orchestrator.domain.outcome import Standing, standing, status_of
from services.orchestrator.domain.task import Completion, complete
from tests.unit.orchestrator.build import NOON

CASES: list[tuple[list[str], str | None, str | None, bool]] = [
    ([], None, None, False),
    (["delivered"], "delivered", None, False),
    (["bounced"], "bounced", None, True),
    (["failed", "delivered"], "delivered", None, False),
    (["delivered", "failed"], "delivered", None, False),
    (["delivered", "expired"], "delivered", None, False),
    (["delivered", "bounced"], "bounced", None, True),
    (["bounced", "delivered"], "delivered", None, False),
    (["expired", "bounced"], "bounced", None, True),
    (["opened"], "delivered", "opened", False),
    (["opened", "bounced"], "delivered", "opened", False),
    (["clicked", "opened"], "delivered", "clicked", False),
    (["declined", "ignored"], "delivered", "declined", True),
    (["accepted", "declined"], "delivered", "declined", True),
    (["declined", "accepted", "opened"], "delivered", "accepted", True),
    (["complained"], "delivered", "complained", False),
    (["redeemed", "complained"], "delivered", "complained", True),
]


@pytest.mark.parametrize(("told", "delivery", "response", "over"), CASES)
def test_where_an_action_stands(
    told: list[str], delivery: str | None, response: str | None, over: bool
) -> None:
    said = {outcome: NOON + timedelta(minutes=place) for place, outcome in enumerate(told)}
    assert standing(said) == Standing(delivery, response, over)


@pytest.mark.parametrize(
    ("told", "status", "becomes"),
    [
        ("bounced", "published", "failed"),
        ("failed", "done", "failed"),
        ("expired", "published", "expired"),
        ("accepted", "published", "done"),
        ("delivered", "published", "published"),
        ("delivered", "failed", "published"),
        ("opened", "done", "done"),
        ("bounced", "retracted", "retracted"),
        ("accepted", "pending", "pending"),
    ],
)
def test_what_becomes_of_the_status(told: str, status: str, becomes: str) -> None:
    assert status_of(standing({told: NOON}), status, "send") == becomes


def test_a_task_is_done_when_the_customer_was_reached() -> None:
    assert status_of(standing({"opened": NOON}), "published", "task") == "done"
    assert status_of(standing({"expired": NOON}), "published", "task") == "expired"


@pytest.mark.parametrize(
    ("outcome", "reasons"),
    [
        ("bounced", {"undeliverable"}),
        ("failed", {"undeliverable"}),
        ("expired", {"expired"}),
        ("declined", {"declined"}),
        ("ignored", {"ignored"}),
        ("accepted", set()),
        ("delivered", set()),
    ],
)
def test_for_what_something_else_is_done(outcome: str, reasons: set[str]) -> None:
    assert standing({outcome: NOON}).reasons == reasons


@pytest.mark.parametrize(
    ("status", "holder", "said", "meaning"),
    [
        ("open", None, None, Completion.IN_TIME),
        ("open", "bo", None, Completion.IN_TIME),
        ("claimed", "ada", None, Completion.IN_TIME),
        ("claimed", "bo", None, Completion.REFUSED),
        ("withdrawn", "ada", None, Completion.TOO_LATE),
        ("withdrawn", "bo", None, Completion.REFUSED),
        ("withdrawn", None, None, Completion.REFUSED),
        ("withdrawn", "ada", "accepted", Completion.REFUSED),
        ("expired", "ada", None, Completion.TOO_LATE),
        ("completed", "ada", "accepted", Completion.AGAIN),
        ("completed", "ada", "declined", Completion.REFUSED),
        ("completed", "bo", "accepted", Completion.REFUSED),
    ],
)
def test_what_it_means_that_ada_says_a_task_was_accepted(
    status: str, holder: str | None, said: str | None, meaning: Completion
) -> None:
    assert complete(status, holder, said, by="ada", outcome="accepted") is meaning
