"""Recorded updates for tests of rehearsals, and what a rehearsal of them says."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.rehearsal.rehearsal import Rehearsal
from shared.kafka.records import Record
from tests.unit.orchestrator.build import NOON, profile_json, touchpoint_json, uid, update_json

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROOM = 100_000


@dataclass
class Recording:
    """Updates as they are on the topic; each is stamped with the instant at which it happened."""

    records: list[Record] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)

    def happens(
        self,
        at: datetime,
        event: str = "Cart Updated",
        *,
        who: str = "ada",
        name: str | None = None,
        profile: dict[str, Any] | None = None,
        **cause: Any,
    ) -> Record:
        """Somebody does something."""
        name = name or f"{who}-{len(self.records)}"
        touchpoint = touchpoint_json(name, event, at=at, received=at, **cause)
        return self.update(at, who, touchpoint, profile=profile)

    def update(
        self, at: datetime, who: str, cause: dict[str, Any], profile: Any = None, **fields: Any
    ) -> Record:
        """The next update of a profile."""
        seq = self.seqs[who] = self.seqs.get(who, 0) + 1
        snapshot = profile or profile_json(uid(who))
        value = update_json(uid(who), seq, cause, profile=snapshot, **fields)
        stamp = round(at.timestamp() * 1000)
        place = len(self.records)
        made = Record("profile.updates", 0, place, stamp, uid(who).encode(), value, ())
        self.records.append(made)
        return made


def rehearsed(
    recording: Recording | Iterable[Record],
    live: RuleSet,
    draft: RuleSet,
    *,
    begins: datetime = NOON - 365 * DAY,
    ends: datetime = NOON + 365 * DAY,
    erased: Collection[str] = (),
    room: int = ROOM,
) -> Rehearsal:
    """A rehearsal of all these updates, at its end."""
    records = recording.records if isinstance(recording, Recording) else recording
    made = Rehearsal(live, draft, begins=begins, erased=erased, room=room)
    for record in records:
        made.take(record, datetime.fromtimestamp(record.timestamp / 1000, NOON.tzinfo))
    made.end(ends)
    return made
