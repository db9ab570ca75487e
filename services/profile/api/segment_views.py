"""Profiles, identifiers and touchpoints as the JSON of Segment's Profile API."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from services.profile.domain.profile import StoredProfile
from services.profile.domain.standing import Standing
from shared.errors import Malformed

Json = dict[str, Any]

COMPUTED, AUDIENCE = "computed_trait", "audience"


def listed(names: str) -> list[str]:
    """Names with commas between."""
    return [name for name in (one.strip() for one in names.split(",")) if name]


def page_of(names: Sequence[str], start: str | None, limit: int) -> tuple[list[str], str | None]:
    """`limit` of the sorted names from `start` on, and the name that the next page starts with."""
    rest = [name for name in names if start is None or name >= start]
    return rest[:limit], rest[limit] if len(rest) > limit else None


def cursor(url: str, limit: int, following: str | None) -> Json:
    """Where the list goes on. `url` is its path."""
    path = quote(url, safe="/:@")
    address = path if following is None else f"{path}?limit={limit}&next={quote(following)}"
    has_more = following is not None
    return {"url": address, "has_more": has_more, "next": following or "", "limit": limit}


def traits(view: Json, stored: StoredProfile, class_: str | None) -> dict[str, Json]:
    """Every trait of a profile of the contract with its provenance, by name; of one class.

    What a publisher calls a trait goes before what is computed, that before a segment. Raises
    Malformed.
    """
    if class_ not in (None, AUDIENCE, COMPUTED):
        raise Malformed("`class` is `audience` or `computed_trait`.")
    found: dict[str, Json] = {}
    if class_ != COMPUTED:
        standing = stored.state.standing or Standing()
        found |= {key: _trait(True, AUDIENCE, at) for key, at in standing.segments.items()}
    if class_ != AUDIENCE:
        at = view["last_seen_at"]
        found |= {name: _trait(one, COMPUTED, at) for name, one in view["computed"].items()}
    if class_ is None:
        found |= {
            name: _trait(view["traits"][name], one["source"], one["observed_at"])
            for name, one in view["provenance"].items()
            if name in view["traits"]
        }
    return found


def external_id(identifier: Json) -> Json:
    """An identifier. Who published it first is not kept, so it has no source."""
    return {
        "source_id": None,
        "collection": "users",
        "id": identifier["value"],
        "type": identifier["type"],
        "created_at": identifier["first_seen"],
        "encoding": "none",
    }


def event(touchpoint: Json, profile_id: str) -> Json:
    """A touchpoint. The traits of an `identify` stand where Segment's messages have them."""
    shown = {
        "external_ids": [
            {
                "collection": "users",
                "type": one["type"],
                "id": one["value"],
                "encoding": "none",
            }
            for one in touchpoint.get("identifiers", [])
        ],
        "context": touchpoint.get("context", {}),
        "type": touchpoint.get("kind", "track"),
        "message_id": touchpoint["message_id"],
        "source_id": touchpoint["source"],
        "timestamp": touchpoint["occurred_at"],
        "properties": touchpoint.get("properties", {}),
        "event": touchpoint["type"],
        "related": {"users": profile_id},
    }
    if touchpoint.get("traits"):
        shown["traits"] = touchpoint["traits"]
    return shown


def metadata(stored: StoredProfile, ends: Sequence[Json]) -> Json:
    """What is known of the profile itself; `ends` are its first and last touchpoint, or none."""
    first, last = (ends[0], ends[-1]) if ends else ({}, {})
    return {
        "created_at": stored.state.created_at,
        "updated_at": stored.state.last_seen_at,
        "expires_at": None,
        "first_message_id": first.get("message_id"),
        "first_source_id": first.get("source"),
        "last_message_id": last.get("message_id"),
        "last_source_id": last.get("source"),
    }


def _trait(value: Any, source: str, at: str) -> Json:
    return {"value": value, "source_id": source, "updated_at": at}
