"""A scarce resource: so much of it in each calendar window (call minutes an hour, discount a day).

Windows are those of the resource's zone: parts of a local day, or whole local days, of which seven
start on Mondays. How the limit is meant to be spent over a window is its curve.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.conditions.document import KEY, Fields
from shared.conditions.mistakes import Mistakes, shown
from shared.contracts.zones import is_zone
from shared.errors import Unprocessable

DAY = timedelta(days=1)
MAX_PER = timedelta(days=366)
MIN_PER = timedelta(minutes=1)
MAX_CURVE = 96
_FIELDS = ("key", "version", "name", "description", "limit", "per", "zone", "curve", "unit")


@dataclass(frozen=True, slots=True)
class Resource:
    """At most `limit` in every window of length `per`; `curve` weighs equal parts of a window.

    `unit` is what one of it is called in sentences.
    """

    key: str
    version: int
    limit: float
    per: timedelta
    zone: str
    curve: tuple[float, ...]
    unit: str

    def window(self, at: datetime) -> tuple[datetime, datetime]:
        """Start and end of the window that holds an instant, in UTC."""
        zone = ZoneInfo(self.zone)
        today = at.astimezone(zone).date()
        if self.per >= DAY:
            days = self.per // DAY
            first = (today.toordinal() - 1) // days * days + 1
            return _midnight(first, zone), _midnight(first + days, zone)
        midnight, tomorrow = (_midnight(today.toordinal() + n, zone) for n in (0, 1))
        start = midnight + (at - midnight) // self.per * self.per
        return start, min(start + self.per, tomorrow)

    def planned(self, at: datetime) -> float:
        """How much the curve wants to be used from the start of the window to an instant."""
        start, end = self.window(at)
        part = (at - start) / (end - start) * len(self.curve)
        whole = min(int(part), len(self.curve))
        done = sum(self.curve[:whole])
        if whole < len(self.curve):
            done += self.curve[whole] * (part - whole)
        return self.limit * done / sum(self.curve)


def parse_resource(document: object, *, key: str, version: int) -> Resource:
    """The resource of a decoded JSON document. Raises Unprocessable, one problem per mistake."""
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS)
    if KEY.fullmatch(key) is None:
        fields.wrong("key", "key", "is lower-case letters, digits, '_', '-' and '.', at most 100")
    fields.same_key(key)
    for name in ("name", "description"):
        fields.text(name, limit=2_000)
    fields.required("limit")
    fields.required("per")
    resource = Resource(
        key=key,
        version=version,
        limit=fields.number("limit", 0.0, 0.0, 1e12),
        per=_per(fields),
        zone=_zone(fields),
        curve=_curve(fields),
        unit=fields.text("unit", limit=100) or key,
    )
    if mistakes.problems:
        raise Unprocessable("the resource breaks rules", mistakes.problems)
    return resource


def _per(fields: Fields) -> timedelta:
    per = fields.duration("per", DAY, MAX_PER)
    if per < MIN_PER or (per < DAY and DAY % per) or (per > DAY and per % DAY):
        fields.wrong("per", "window", "must divide a day, or be whole days: PT15M, PT1H, P1D, P7D")
        return DAY
    return per


def _zone(fields: Fields) -> str:
    name = fields.text("zone")
    if name is None:
        return "UTC"
    if not is_zone(name):
        fields.wrong("zone", "zone", f"{shown(name)} is no zone such as Europe/Paris")
        return "UTC"
    return name


def _curve(fields: Fields) -> tuple[float, ...]:
    weights = []
    for path, value in fields.items("curve", MAX_CURVE):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1e9:
            fields.mistakes.add(path, "number_range", "must be a number from 0 to 1000000000")
        else:
            weights.append(float(value))
    if weights and not sum(weights):
        fields.wrong("curve", "curve", "needs a weight above zero")
    return tuple(weights) if sum(weights) else (1.0,)


def _midnight(ordinal: int, zone: ZoneInfo) -> datetime:
    return datetime.combine(date.fromordinal(ordinal), time(), zone).astimezone(UTC)
