"""What becomes of a delivery after a try, how fast a channel may be, and when its circuit opens."""

import base64
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from services.orchestrator.domain.channel import Channel, parse_channel
from services.orchestrator.domain.connector import Rate
from services.orchestrator.domain.delivering import (
    DELIVERED,
    LATER,
    Claimed,
    Settled,
    Verdict,
    message_of,
    settle,
)
from services.orchestrator.domain.throttle import (
    CLOSED,
    FAILURES,
    HALF_OPEN,
    OPEN,
    Throttle,
    begun,
    failed,
    room,
)
from services.orchestrator.domain.webhook_signature import signed_headers
from shared.contracts.action import Action, action_decoder, action_encoder
from shared.contracts.touchpoint import Identifier

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AGAIN = Verdict("again", "http_503", reached=True, healthy=False)
KEY = base64.b64encode(b"k" * 32).decode()


def channel(**document: Any) -> Channel:
    webhook = {"url": "https://hooks.example.com/", "secret_ref": "hook"}
    return parse_channel(
        {"connector": "webhook", "webhook": webhook, **document}, key="push", version=1
    )


def claimed(**fields: Any) -> Claimed:
    action = Action(
        action_id=str(UUID(int=1)), idempotency_key=str(UUID(int=1)), kind="send",
        profile_id="p", channel="push", category="service", decision_id="d",
        to=Identifier("email", "a@b.c"), content={"title": "x"}, expires_at="2026-12-01T00:00:00Z",
    )  # fmt: skip
    usual = Claimed(
        action_id=UUID(int=1), kind="send", channel="push", profile_id="p", test=False,
        queued_at=NOON, expires_at=None, tries=1, epoch=1, body=action_encoder.encode(action),
    )  # fmt: skip
    return dataclasses.replace(usual, **fields)


def test_what_is_final_is_final() -> None:
    for verdict in (DELIVERED, Verdict("bounced", "smtp_550"), Verdict("failed", "http_400")):
        result = settle(claimed(), verdict, channel(), NOON)
        assert result == Settled(verdict.result, verdict.reason)


def test_pauses_double_up_to_the_longest_with_chance_in_them() -> None:
    where = channel(retry={"first": "PT10S", "longest": "PT1M", "tries": 50})
    for tries in range(1, 9):
        whole = min(10 * 2 ** (tries - 1), 60)
        result = settle(claimed(tries=tries), AGAIN, where, NOON)
        assert result.due_at is not None
        assert whole / 2 <= (result.due_at - NOON).total_seconds() <= whole
        assert result == settle(claimed(tries=tries), AGAIN, where, NOON)
    others = {settle(claimed(action_id=UUID(int=n)), AGAIN, where, NOON).due_at for n in range(20)}
    assert len(others) == 20


def test_the_channel_may_ask_for_a_longer_pause() -> None:
    asked = dataclasses.replace(AGAIN, retry_after=timedelta(hours=2))
    assert settle(claimed(), asked, channel(), NOON).due_at == NOON + timedelta(hours=2)
    short = dataclasses.replace(AGAIN, retry_after=SECOND)
    due = settle(claimed(), short, channel(), NOON).due_at
    assert due is not None
    assert due >= NOON + 2.5 * SECOND


def test_gives_up_after_tries_or_time() -> None:
    where = channel(retry={"tries": 3, "give_up_after": "PT1H"})
    assert settle(claimed(tries=2), AGAIN, where, NOON).state == "waiting"
    assert settle(claimed(tries=3), AGAIN, where, NOON) == Settled("failed", "http_503")
    late = NOON + timedelta(minutes=59, seconds=59)
    assert settle(claimed(), AGAIN, where, late).state == "failed"


def test_at_most_once_is_tried_again_only_if_nothing_was_sent() -> None:
    where = channel(delivery="at_most_once")
    assert settle(claimed(), AGAIN, where, NOON) == Settled("failed", "http_503")
    refused = Verdict("again", "no_connection", healthy=False)
    assert settle(claimed(), refused, where, NOON).state == "waiting"


def test_what_concert_could_not_try_is_no_try() -> None:
    later = Verdict("later", "secret_missing", healthy=False)
    result = settle(claimed(tries=99), later, channel(), NOON)
    assert result == Settled("waiting", "secret_missing", NOON + LATER, counts=False)


def test_a_retraction_is_made_of_what_was_sent() -> None:
    retract = claimed(kind="retract")
    told = action_decoder.decode(message_of(retract))
    assert (told.kind, told.idempotency_key) == ("retract", f"{UUID(int=1)}:retract")
    assert (told.content, told.to, told.expires_at) == ({}, None, None)
    assert retract.key == told.idempotency_key
    given_ = action_encoder.encode(told)
    assert message_of(claimed(kind="retract", body=given_)) == given_
    assert message_of(claimed()) == claimed().body


def test_every_key_signs() -> None:
    secrets = [f"whsec_{KEY}", f"whsec_{base64.b64encode(b'o' * 24).decode()}"]
    keys = [base64.b64decode(secret.removeprefix("whsec_")) for secret in secrets]
    body = '{"text":"é"}'.encode()
    now = int(datetime.now(UTC).timestamp())  # noqa: TID251 - the library asks the clock
    headers = signed_headers("msg_1", now, body, keys)
    for secret in secrets:
        assert Webhook(secret).verify(body, headers) == {"text": "é"}


@given(
    limit=st.integers(1, 50),
    period=st.integers(1, 100),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 20)), max_size=60),
)
def test_the_rate_holds_in_every_period(
    limit: int, period: int, steps: list[tuple[float, int]]
) -> None:
    rate, throttle, at = Rate(limit, timedelta(seconds=period)), Throttle({}), NOON
    done: list[datetime] = []
    for pause, wanted in steps:
        at += timedelta(seconds=pause)
        left = room(throttle, rate, at)
        assert left is not None
        count = min(wanted, left)
        throttle = begun(throttle, rate, at, count=count, lease=SECOND)
        done += [at] * count
        assert sum(one > at - rate.per for one in done) <= limit
    later = at + rate.per * 1.06
    assert room(throttle, rate, later) == limit


def test_without_a_rate_there_is_no_limit_and_no_state() -> None:
    assert room(Throttle({}), None, NOON) is None
    assert begun(Throttle({}), None, NOON, count=9, lease=SECOND) == Throttle({})


def test_the_circuit_opens_then_lets_one_try() -> None:
    throttle = Throttle({})
    for _ in range(FAILURES):
        assert throttle.circuit(NOON) == CLOSED
        throttle = failed(throttle, NOON, retry_after=None)
    assert (throttle.circuit(NOON), room(throttle, None, NOON)) == (OPEN, 0)
    later = NOON + 10 * SECOND
    assert (throttle.circuit(later), room(throttle, None, later)) == (HALF_OPEN, 1)
    trying = begun(throttle, None, later, count=1, lease=25 * SECOND)
    assert room(trying, None, later + SECOND) == 0
    again = failed(trying, later, retry_after=None)
    assert again.blocked_until == later + 20 * SECOND
    for _ in range(20):
        later = again.blocked_until or later
        trying = begun(again, None, later, count=1, lease=25 * SECOND)
        again = failed(trying, later, retry_after=None)
    assert again.blocked_until == later + timedelta(minutes=5)


def test_what_fails_with_others_at_once_opens_the_circuit_once() -> None:
    throttle = Throttle({})
    for _ in range(3 * FAILURES):
        throttle = failed(throttle, NOON, retry_after=None)
    assert throttle.blocked_until == NOON + 10 * SECOND
    assert throttle.circuit(NOON + 10 * SECOND) == HALF_OPEN


@pytest.mark.parametrize(("hours", "until"), [(0.5, 0.5), (48, 1)])
def test_a_channel_may_ask_for_a_pause(hours: float, until: float) -> None:
    asked = failed(Throttle({}), NOON, retry_after=timedelta(hours=hours))
    assert asked.blocked_until == NOON + timedelta(hours=until)
    assert asked.circuit(NOON) == OPEN
    assert asked.circuit(NOON + timedelta(hours=until)) == CLOSED
