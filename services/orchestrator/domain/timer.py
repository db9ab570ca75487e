"""A timer: the instant at which something has to be looked at again."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Timer:
    """Fires at `due_at`; without effect when the action's `gen` is another one by then."""

    due_at: datetime
    kind: str
    profile_id: str
    ref: UUID
    gen: int
