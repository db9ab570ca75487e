"""What becomes of a delivery after a try: done, over, or tried again and when.

A delivery of an `at_most_once` channel is never tried again once a try may have reached the
channel, whatever the channel said.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from services.orchestrator.domain.channel import Channel
from shared.contracts.action import action_decoder, action_encoder

LATER = timedelta(seconds=30)
"""When a delivery comes round again that Concert itself could not try."""
UNKNOWN = "unknown"
"""Nobody knows whether the channel has it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a try ended: `delivered`, `bounced`, `failed` for good, `again`, or `later` when it was
    none, because something of Concert's own was missing. `reason` is a short code, never a text of
    the channel. `healthy`: the channel itself works; `closes`: it asked for nothing more."""

    result: str
    reason: str | None = None
    reached: bool = False
    retry_after: timedelta | None = None
    healthy: bool = True
    closes: bool = False


DELIVERED = Verdict("delivered", reached=True)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process may try, once, until its lease ends. `body` is the action."""

    action_id: UUID
    kind: str
    channel: str
    profile_id: str
    test: bool
    queued_at: datetime
    expires_at: datetime | None
    tries: int
    epoch: int
    body: bytes

    @property
    def key(self) -> str:
        """The idempotency key: the same for every try."""
        return str(self.action_id) if self.kind == "send" else f"{self.action_id}:retract"


@dataclass(frozen=True, slots=True)
class Settled:
    """Where a delivery stands after a try. `counts`: the try was one."""

    state: str
    reason: str | None
    due_at: datetime | None = None
    counts: bool = True


def settle(claimed: Claimed, verdict: Verdict, channel: Channel, now: datetime) -> Settled:
    """What becomes of the delivery; `now` is the business clock's."""
    if verdict.result not in ("again", "later"):
        return Settled(verdict.result, verdict.reason)
    if verdict.reached and channel.delivery == "at_most_once":
        return Settled("failed", verdict.reason or UNKNOWN)
    retry, counts = channel.retry, verdict.result == "again"
    if counts and claimed.tries >= retry.tries:
        return Settled("failed", verdict.reason)
    pause = _pause(claimed, channel) if counts else LATER
    if verdict.retry_after is not None:
        pause = max(pause, verdict.retry_after)
    due = now + pause
    if due > claimed.queued_at + retry.give_up_after:
        return Settled("failed", verdict.reason, counts=counts)
    return Settled("waiting", verdict.reason, due, counts)


def _pause(claimed: Claimed, channel: Channel) -> timedelta:
    """Twice as long after each try, with half of it left to chance: the id's, so it is no other
    when it is computed again."""
    retry = channel.retry
    whole: timedelta = min(retry.longest, retry.first * 2 ** min(claimed.tries - 1, 30))
    digest = hashlib.sha256(f"{claimed.key}:{claimed.tries}".encode()).digest()
    pause: timedelta = whole * (0.5 + int.from_bytes(digest[:4], "big") / 2**33)
    return pause


def message_of(claimed: Claimed) -> bytes:
    """The action as it is sent: a retraction that nobody wrote is made of what was sent."""
    return claimed.body if claimed.kind == "send" else retraction_of(claimed.body)


def retraction_of(body: bytes, reason: str | None = None) -> bytes:
    """The message that takes an action back: it names the action, and nothing of the person but
    the profile's id. One that is a retraction stays as it is."""
    action = action_decoder.decode(body)
    if action.kind == "retract":
        return body
    action.kind, action.idempotency_key = "retract", f"{action.action_id}:retract"
    action.content, action.to, action.queue, action.expires_at = {}, None, None, None
    action.reason = reason or action.reason
    return action_encoder.encode(action)
