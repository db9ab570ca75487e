"""Quiet hours: when a channel is silent for a person.

They begin on days of the person's own week and may run over midnight. They last from the first
instant at which the clock shows their beginning to the last one at which it shows their end, so
that a clock put forward or back neither shortens the silence nor lets it come twice.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from services.orchestrator.domain.wall_clock import first_instant, last_instant
from services.orchestrator.domain.zone import Zone

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
EVERY_DAY = frozenset(range(1, 8))
DEFAULT_DEFER = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Silence on `channels` for `categories` (None: all of them) from `start` to `end` on the
    person's clock, beginning on `days` (1 is Monday). An end that is not after the start is on the
    next day. What falls into it waits, at most `max_defer` in all, or is dropped."""

    start: time
    end: time
    channels: tuple[str, ...] | None = None
    categories: frozenset[str] | None = None
    days: frozenset[int] = EVERY_DAY
    discards: bool = False
    max_defer: timedelta = DEFAULT_DEFER

    def covers(self, channel: str, category: str) -> bool:
        """Whether an action on the channel of the category has to keep quiet."""
        return (self.channels is None or channel in self.channels) and (
            self.categories is None or category in self.categories
        )

    def over(self, at: datetime, zone: Zone) -> datetime | None:
        """The end of the silence that contains an instant; None when it is in none."""
        today = at.astimezone(zone.info).date()
        for day in (today - timedelta(days=1), today):
            if day.isoweekday() in self.days:
                begins, ends = self._on(day, zone)
                if begins <= at < ends:
                    return ends
        return None

    def _on(self, day: date, zone: Zone) -> tuple[datetime, datetime]:
        last = day if self.start < self.end else day + timedelta(days=1)
        return (
            first_instant(datetime.combine(day, self.start), zone.info),
            last_instant(datetime.combine(last, self.end), zone.info),
        )

    def words(self, zone: Zone) -> str:
        """The silence as a person would say it."""
        hours = f"{self.start:%H:%M} to {self.end:%H:%M}"
        if self.days != EVERY_DAY:
            hours += " from " + ", ".join(DAYS[day - 1] for day in sorted(self.days))
        return f"quiet hours {hours}, {zone.name}"
