"""Writes what Concert holds on a person into one JSON document, a part at a time.

Each step reads one page and gives the next piece of text; the pieces in their order are the
document. It is as of no single instant: what happens meanwhile may be in it or not.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.consent import consent_list
from services.profile.domain.erased import without_keys
from services.profile.domain.groups import shown_group_traits
from services.profile.domain.profile import (
    IdentifierKey,
    StoredProfile,
    golden,
    identifier_of,
)
from services.profile.domain.provenance import explained_traits
from services.profile.storage import consent_history, groups, identifiers, person_lists, touchpoints
from services.profile.storage.groups import StoredGroup
from services.profile.storage.privacy_requests import Request
from services.profile.use_cases.peers import Page, Peers
from services.profile.use_cases.read_profile import read_merges, read_profile
from shared.contracts.times import rfc3339

PAGE = 200
MAX_MERGES = 10_000
MAX_LINES = 10_000
_encode = msgspec.json.Encoder().encode


class Step(NamedTuple):
    """The next piece, what it holds, and what comes behind it; `phase` None: it is the last."""

    body: bytes
    counts: Mapping[str, int]
    phase: str | None
    position: str = ""


ASKING = frozenset({"decisions", "actions", "failed_events"})
"""Phases in which another service is asked."""


async def write_next(tx: AsyncConnection, request: Request, *, rules: Rules) -> Step:
    """The piece of our own at which the request stands. Raises NotFound or Gone when the person is
    not there any more."""
    stored = await read_profile(tx, request.profiles[0])
    match request.phase:
        case "begin":
            return await _profile(tx, stored, request, rules)
        case "timeline":
            return await _touchpoints(tx, stored, request.position)
        case phase:
            raise ValueError(f"request {request.id} is in no phase: {phase}")


async def ask_next(stored: StoredProfile, request: Request, peers: Peers) -> Step:
    """The piece of another service at which the request stands; holds nothing meanwhile. Raises
    Infrastructure when the service does not answer."""
    match request.phase:
        case "decisions":
            page = await peers.decisions(stored.id, request.position or None)
            return _section("decisions", page, request.position, then="actions")
        case "actions":
            page = await peers.actions(stored.id, request.position or None)
            return _section("actions", page, request.position, then="failed_events")
        case "failed_events":
            named = [identifier_of(key) for key in stored.state.held]
            found = await peers.failed_events(named)
            return _section("failed_events", Page(found, None), "", then=None)
        case phase:
            raise ValueError(f"request {request.id} is in no phase: {phase}")


async def _profile(
    tx: AsyncConnection, stored: StoredProfile, request: Request, rules: Rules
) -> Step:
    seen = golden(stored, rules.identity, rules.traits)
    merges = await read_merges(tx, stored.id, limit=MAX_MERGES)
    suggestions = await person_lists.suggestions(tx, stored.id)
    apart = await person_lists.kept_apart(tx, _ids(stored.state.held))
    fields = {
        "request": request.id,
        "written_at": rfc3339(request.started_at or request.requested_at),
        "profile": {
            "id": stored.id,
            "version": stored.seq,
            "created_at": seen.created_at,
            "last_seen_at": seen.last_seen_at,
            "timezone": seen.timezone,
            "computed": seen.computed._asdict()
            | {name: msgspec.Raw(value) for name, value in seen.standing.computed.items()},
            "segments": list(seen.standing.segments),
            "persona": seen.standing.persona,
        },
        "identifiers": [one._asdict() for one in seen.identifiers],
        "traits": {
            name: _provenance(one)
            for name, one in explained_traits(stored.state, rules.traits, rules.registry).items()
        },
        "consents": consent_list(stored.state.consents),
        "consent_history": [
            one._asdict()
            for one in await consent_history.of_profile(
                tx, stored.id, list(stored.state.held), limit=MAX_LINES
            )
        ],
        "groups": [_group(one) for one in await groups.of_profile(tx, stored.id)],
        "lists": sorted(
            {name for held in stored.state.held.values() if held.links for name in held.links.lists}
        ),
        "merges": [
            {
                "id": one.id,
                "winner": one.winner,
                "loser": one.loser,
                "at": rfc3339(one.at),
                "cause": one.cause,
                "moved": one.moved,
                "undone_at": None if one.undone_at is None else rfc3339(one.undone_at),
            }
            for one in merges
        ],
        "link_suggestions": suggestions,
        "kept_apart": apart,
    }
    body = _encode(fields)[:-1] + b',"touchpoints":['
    counts = {"identifiers": len(seen.identifiers), "merges": len(merges)}
    return Step(body, counts, "timeline")


def _group(one: StoredGroup) -> dict[str, Any]:
    named = {"id": one.id, "kind": one.kind, "type": one.type, "value": one.value}
    return named | {"traits": shown_group_traits(one.traits)}


def _provenance(one: Any) -> dict[str, Any]:
    fields: dict[str, Any] = one._asdict()
    return fields | {"runners_up": [other._asdict() for other in one.runners_up]}


def _ids(keys: Iterable[IdentifierKey]) -> list[str]:
    return [identifiers.identifier_id(key) for key in keys]


async def _touchpoints(tx: AsyncConnection, stored: StoredProfile, position: str) -> Step:
    before: tuple[datetime, str] | None = None
    if position:
        at, _, id_ = position.partition("|")
        before = (datetime.fromisoformat(at), id_)
    page = await touchpoints.timeline(tx, _ids(stored.state.held), limit=PAGE, before=before)
    body = _joined([msgspec.Raw(without_keys(one.body)) for one in page], first=not position)
    counts = {"touchpoints": len(page)}
    if len(page) < PAGE:
        return Step(body + b"]", counts, "decisions")
    last = page[-1]
    return Step(body, counts, "timeline", f"{last.occurred_at.isoformat()}|{last.id}")


def _section(name: str, page: Page, position: str, *, then: str | None) -> Step:
    """A page of what another service said, in a list of its own."""
    start = b"" if position else f',"{name}":['.encode()
    body = start + _joined(page.items, first=not position)
    counts = {name: len(page.items)}
    if page.next_cursor is not None:
        return Step(body, counts, name, page.next_cursor)
    return Step(body + (b"]}" if then is None else b"]"), counts, then)


def _joined(items: Sequence[Any], *, first: bool) -> bytes:
    joined = b",".join(map(_encode, items))
    return joined if first or not joined else b"," + joined
