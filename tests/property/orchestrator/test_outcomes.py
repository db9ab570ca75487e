"""Whatever order delivery events come in, doubled or not, an action ends in the same state."""

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.history import Contact, History, InFlight
from services.orchestrator.domain.note_outcome import Heard, Told, note_outcome
from shared.contracts.delivery import OUTCOMES
from tests.unit.orchestrator.build import NOON, action_id, uid

ACTION = action_id("r", "cart")
EVENTS = st.lists(
    st.tuples(st.sampled_from(OUTCOMES), st.integers(0, 3)), min_size=1, max_size=6, unique=True
)
End = tuple[str | None, str | None, str, bool, bool]


def told(kind: str) -> Told:
    contact = Contact(ACTION, NOON, "email", "marketing", None, None, "r")
    return Told(uid("ada"), contact, kind, "published", NOON, released=False, said={}, known=set())


def history_of(one: Told) -> History:
    history = History()
    history.reserve(one.contact)
    history.in_flight[ACTION] = InFlight(
        ACTION, "r", "", "email", "marketing", None, uid("ada"), NOON, b"{}", 0, kind=one.kind
    )
    return history


def ends(events: list[tuple[str, int]], kind: str, *, kept: bool) -> End:
    """Delivery, response, status, whether the contact counts in the ledger and in the history."""
    one, effects = told(kind), Effects()
    history = history_of(one)
    for outcome, minute in events:
        touchpoint = uid(f"{outcome} {minute}")
        heard = Heard(touchpoint, ACTION, outcome, NOON + timedelta(minutes=minute), None)
        if heard.touchpoint_id not in one.known:
            note_outcome(effects, history, one, heard, kept=kept)
    delivery, response = effects.standings.get(ACTION, (None, None))
    counts = ACTION not in effects.released
    assert counts or ACTION not in effects.made
    assert counts == bool(history.contacts)
    noted = [row.touchpoint_id for row in effects.outcomes]
    assert len(noted) == len(set(noted)) == len(set(events))
    return delivery, response, one.status, counts, one.released


@given(EVENTS, st.randoms(use_true_random=False), st.sampled_from(["send", "task", "prompt"]))
def test_the_order_and_repetitions_change_nothing(
    events: list[tuple[str, int]], chance: random.Random, kind: str
) -> None:
    again = events + chance.choices(events, k=3)
    chance.shuffle(again)
    first, second = (ends(order, kind, kept=True) for order in (events, again))
    assert first == second


@given(EVENTS, st.booleans())
def test_who_was_reached_is_counted_and_nobody_else(
    events: list[tuple[str, int]], kept: bool
) -> None:
    delivery, response, status, counts, _ = ends(events, "send", kept=kept)
    assert counts == (delivery == "delivered")
    if response is not None:
        assert delivery == "delivered"
    assert (status in ("failed", "expired")) == (delivery != "delivered")


@given(EVENTS)
def test_what_is_over_is_in_flight_no_more(events: list[tuple[str, int]]) -> None:
    one, effects = told("prompt"), Effects()
    history = history_of(one)
    over = False
    for outcome, minute in events:
        heard = Heard(uid(f"{outcome} {minute}"), ACTION, outcome, NOON, None)
        note_outcome(effects, history, one, heard, kept=True)
        over = over or outcome in ("accepted", "declined", "redeemed")
        assert not (over and history.in_flight)
