"""Search people: by the beginning of an identifier or of their name, or by a whole identifier."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.profile import StoredProfile, golden, identifier_of
from services.profile.domain.search import Match, Names, Query, matches
from services.profile.storage import search
from services.profile.storage.search import Found
from services.profile.use_cases.read_profile import expire_consents

ROUNDS = 10
"""So often more entries are read to fill a page."""


@dataclass(frozen=True, slots=True)
class Result:
    """A profile that was found, where it stands, and every reason."""

    profile: StoredProfile
    found: Found
    matches: list[Match]


@dataclass(frozen=True, slots=True)
class Results:
    """A page; `last` is the entry to go on after, None when there is no more."""

    items: list[Result]
    last: Found | None


async def search_profiles(
    tx: AsyncConnection, query: Query, rules: Rules, *, after: Found | None, limit: int
) -> Results:
    """At most `limit` active profiles, each once, at its best place.

    A page can hold fewer although there are more: `last` says.
    """
    items: list[Result] = []
    for _ in range(ROUNDS):
        wanted = limit - len(items)
        entries = await search.find(tx, query, after=after, limit=wanted + 1)
        more, entries = len(entries) > wanted, list(dict.fromkeys(entries[:wanted]))
        people = await search.read(tx, sorted({one.profile_id for one in entries}))
        await expire_consents(tx, [stored for stored, _ in people.values()])
        for one in entries:
            if one.profile_id in people:
                stored, names = people[one.profile_id]
                reasons = _reasons(stored, names, query, rules)
                if not reasons or reasons[0].place >= one.place:
                    unkept = [Match(one.place, None, one.place.text)]
                    items.append(Result(stored, one, reasons or unkept))
        after = entries[-1] if more else None
        if after is None or len(items) >= limit:
            break
    return Results(items, after)


def _reasons(stored: StoredProfile, names: Names, query: Query, rules: Rules) -> list[Match]:
    """Identifiers that many people use are no reason: they were not looked at."""
    held = [
        identifier_of(key)
        for key, one in stored.state.held.items()
        if one.marks is None or not one.marks.shared
    ]
    traits = golden(stored, rules.identity, rules.traits).traits
    shown = " ".join(str(traits[name]) for name in ("first_name", "last_name") if name in traits)
    return matches([(one.type, one.value) for one in held], names, shown, query)
