"""What became of an event: put together from what each part of Concert knows of it."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

Status = Literal["accepted", "duplicate", "failed", "applied"]


class Applied(NamedTuple):
    """The profile service has it. `profile_id` is None with a `reason` when it names nobody."""

    source: str
    profile_id: str | None
    reason: str | None
    duplicates: int
    audience: "Progress | None" = None


class Progress(msgspec.Struct, frozen=True):
    """How far an event has come on its way to its audience, as the profile service says it."""

    status: str
    examined: int
    of: int | None
    matched: int
    left_out: int


class Failed(NamedTuple):
    """It lies among the failed events: a reason of the closed set, and the sentence with it."""

    source: str
    reason: str
    message: str


class Decided(NamedTuple):
    """A decision that it led to."""

    id: str
    at: str
    outcome: str
    action_ids: list[str]


@dataclass(frozen=True, slots=True)
class Known:
    """What was found out. `missing`: for each part that did not answer, a sentence.

    `taken_by` is the source for which this process put the event into Kafka a short time ago.
    """

    applied: Applied | None
    failed: Failed | None
    decided: list[Decided] | None
    taken_by: str | None
    missing: tuple[str, ...] = ()


def receipt(
    event_id: str, source: str, known: Known, *, owner: str | None
) -> dict[str, Any] | None:
    """The answer; None when nobody knows the event.

    `owner` is the source that asks, if a source does: what is another's it does not see. The first
    copy that could be applied speaks for the event, whatever became of others.
    """

    def visible(publisher: str) -> bool:
        return owner is None or publisher == owner

    found: dict[str, Any] = {"id": event_id, "source": source}
    applied, failed = known.applied, known.failed
    if applied is not None and visible(applied.source):
        found |= {"status": "applied", "reason": applied.reason, "profile_id": applied.profile_id}
        found["duplicates"] = applied.duplicates or None
        if applied.audience is not None:
            found["audience"] = msgspec.structs.asdict(applied.audience)
        if known.decided is not None:
            found["decisions"] = [one._asdict() for one in known.decided]
    elif failed is not None and visible(failed.source):
        found |= {"status": "failed", "reason": failed.reason, "message": failed.message}
        found["decisions"] = []
    elif known.taken_by is not None and visible(known.taken_by):
        found |= {"status": "accepted", "decisions": []}
    else:
        return None
    if known.missing:
        found["missing"] = list(known.missing)
    return {name: value for name, value in found.items() if value is not None}
