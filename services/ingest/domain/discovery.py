"""Which event types and properties a process has seen, and what of that is not written yet.

Known things cost a few look-ups for each event; only what is new is kept for writing. Everything is
bounded, whatever comes: names beyond the limits are not listed, and their events go on.
"""

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from shared.contracts.touchpoint import Touchpoint

MAX_TYPES_PER_SOURCE = 1_000
MAX_PROPERTIES_PER_TYPE = 300
MAX_TYPES = 10_000
"""Of all sources, in one process."""
MAX_PROPERTIES = 100_000
"""Of all types, in one process."""
MAX_PATH_BYTES = 400
MAX_ITEMS = 20
"""Items of a list that are looked at."""

JSON_TYPES: Mapping[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}
_PLAIN = frozenset(JSON_TYPES) - {dict, list}


class SeenType(NamedTuple):
    """Events of a type since the last writing; times are RFC 3339."""

    source: str
    type: str
    first_seen: str
    last_seen: str
    events: int


class SeenProperty(NamedTuple):
    """A property with a JSON type that is new: `products[].price`, `number`."""

    source: str
    type: str
    path: str
    json_type: str
    first_seen: str


class Seen(NamedTuple):
    """What is to be written."""

    types: list[SeenType]
    properties: list[SeenProperty]


class _Property:
    """A place in the events of a type, and what is below it; the root is `properties` itself."""

    __slots__ = ("below", "item", "kinds", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.kinds: set[type] = set()
        self.below: dict[str, _Property] = {}
        self.item: _Property | None = None


class _Type:
    """What is known of a type of a source."""

    __slots__ = ("at", "events", "first_seen", "last_seen", "places", "root", "source", "type")

    def __init__(self, source: str, type_: str) -> None:
        self.source = source
        self.type = type_
        self.root = _Property("")
        self.root.kinds.add(dict)
        self.places = 0
        self.at = ""
        self.events = 0
        self.first_seen = ""
        self.last_seen = ""

    def count(self, first_seen: str, last_seen: str, events: int) -> None:
        """Add events to those that are not written yet."""
        if not self.events or first_seen < self.first_seen:
            self.first_seen = first_seen
        if not self.events or last_seen > self.last_seen:
            self.last_seen = last_seen
        self.events += events


class Discovery:
    """What this process has seen; it remembers, and does no more."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, str], _Type] = {}
        self._of_source: dict[str, int] = {}
        self._places = 0
        self._counted: dict[tuple[str, str], _Type] = {}
        self._new: list[SeenProperty] = []

    def note(self, touchpoint: Touchpoint) -> None:
        """See one event."""
        key = (touchpoint.source, touchpoint.type)
        known = self._types.get(key)
        if known is None:
            known = self._open(key)
            if known is None:
                return
        at = known.at = touchpoint.received_at
        known.count(at, at, 1)
        self._counted[key] = known
        if touchpoint.properties:
            self._look(known, known.root, touchpoint.properties)

    def note_all(self, touchpoints: Iterable[Touchpoint]) -> None:
        """See the events of a batch."""
        for touchpoint in touchpoints:
            self.note(touchpoint)

    def take(self, most: int) -> Seen:
        """Hand out at most so many types and properties for writing."""
        keys = list(islice(self._counted, most))
        counted = [self._counted.pop(key) for key in keys]
        types = [
            SeenType(one.source, one.type, one.first_seen, one.last_seen, one.events)
            for one in counted
        ]
        for one in counted:
            one.events = 0
        properties, self._new = self._new[:most], self._new[most:]
        return Seen(types, properties)

    def put_back(self, seen: Seen) -> None:
        """What was taken could not be written; it is handed out again."""
        for each in seen.types:
            key = (each.source, each.type)
            known = self._counted[key] = self._types[key]
            known.count(each.first_seen, each.last_seen, each.events)
        self._new = seen.properties + self._new

    def _open(self, key: tuple[str, str]) -> _Type | None:
        source, _ = key
        of_source = self._of_source.get(source, 0)
        if of_source >= MAX_TYPES_PER_SOURCE or len(self._types) >= MAX_TYPES:
            return None
        self._of_source[source] = of_source + 1
        known = self._types[key] = _Type(*key)
        return known

    def _look(self, known: _Type, place: _Property, value: Any) -> None:
        """See a value at a place. Events are at most 32 levels deep, and so is this."""
        kind = type(value)
        if kind not in place.kinds:
            place.kinds.add(kind)
            self._new.append(
                SeenProperty(known.source, known.type, place.path, JSON_TYPES[kind], known.at)
            )
        if kind is dict:
            below = place.below
            for name, child in value.items():
                at = below.get(name)
                if at is None:
                    path = f"{place.path}.{name}" if place.path else name
                    at = self._place(known, path)
                    if at is None:
                        continue
                    below[name] = at
                child_kind = type(child)
                if child_kind not in at.kinds or child_kind not in _PLAIN:
                    self._look(known, at, child)
        elif kind is list and value:
            if place.item is None:
                place.item = self._place(known, f"{place.path}[]")
            if place.item is not None:
                for child in value[:MAX_ITEMS]:
                    self._look(known, place.item, child)

    def _place(self, known: _Type, path: str) -> _Property | None:
        if known.places >= MAX_PROPERTIES_PER_TYPE or self._places >= MAX_PROPERTIES:
            return None
        if len(path) > MAX_PATH_BYTES or len(path.encode()) > MAX_PATH_BYTES:
            return None
        known.places += 1
        self._places += 1
        return _Property(path)
