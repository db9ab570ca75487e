"""What a handler gets and what it says about it: records in, `Handled` out."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from shared.contracts.dead_letter import Failure
from shared.kafka.messages import OutboxBuffer
from shared.kafka.records import Place
from shared.kafka.records import Record as Record


@dataclass(slots=True)
class Handled:
    """What a handler says about a batch; a record in neither list was applied.

    `origins` counts what was applied by where it lay and who published it, for a service that keeps
    such counts; `also_failed` likewise what failed in rejected records beside the one event that
    each of them counts as.
    """

    messages: OutboxBuffer
    dead: list[tuple[Record, Failure]] = field(default_factory=list)
    deduped: Counter[Place] = field(default_factory=Counter)
    origins: Counter[tuple[Place, str]] = field(default_factory=Counter)
    also_failed: Counter[tuple[Place, str]] = field(default_factory=Counter)
    after_commit: list[Callable[[], None]] = field(default_factory=list)

    def dedup(self, record: Record) -> None:
        """This record was seen before and had no effect."""
        self.deduped[Place(record.topic, record.partition)] += 1

    def reject(self, record: Record, failure: Failure) -> None:
        """This record can never be applied."""
        self.dead.append((record, failure))
