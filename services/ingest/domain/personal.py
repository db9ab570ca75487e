"""Where the personal data of a source stands: as it declares, and as its mapping reads it.

A path such as `traits.email` is about the touchpoint; a list on the way stands for each of its
items, with or without `[]` behind its name. In what a publisher sent the same may stand elsewhere,
so there the last name counts wherever it is, which hides too much rather than too little.
"""

import re

from services.ingest.domain.mapping import Mapping, Value
from services.ingest.domain.source import Source
from services.ingest.domain.webhook import parsed_mapping

Place = tuple[str, ...]
"""Names of fields from the outside in."""

_ITEMS = re.compile(r"\[\*?\]$")


def personal_places(source: Source) -> set[Place]:
    """Places in the source's touchpoints."""
    return {_place(path) for path in source.pii}


def personal_places_sent(source: Source) -> set[Place]:
    """Places in what the source sends; each begins at any object of it."""
    declared = personal_places(source)
    places = {place[-1:] for place in declared}
    if source.mapping is not None:
        mapping = parsed_mapping(source.mapping)
        places |= {_names(value) for _, value in mapping.identifiers if value.path is not None}
        for place in declared:
            places |= _mapped(place, mapping)
    return places


def _place(path: str) -> Place:
    return tuple(_ITEMS.sub("", name) for name in path.split("."))


def _mapped(place: Place, mapping: Mapping) -> set[Place]:
    """The place that the mapping reads it from, when it names one for it."""
    part, name, *rest = place
    members = {"properties": mapping.properties, "traits": mapping.traits}.get(part)
    value = members.get(name) if isinstance(members, dict) else None
    if value is None or value.path is None:
        return set()
    return {(*_names(value), *rest)}


def _names(value: Value) -> Place:
    steps = () if value.path is None else value.path.steps
    return tuple(step for step in steps if isinstance(step, str))
