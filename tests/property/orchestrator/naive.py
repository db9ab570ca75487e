"""The promises of contact policies, read off their JSON and checked the long way round.

Nothing here is shared with the code that keeps them.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from zoneinfo import ZoneInfo

from tests.property.orchestrator.world import Person, Published, World

LENGTHS = {
    "PT30M": timedelta(minutes=30), "PT6H": timedelta(hours=6), "P1D": timedelta(days=1),
    "P2D": timedelta(days=2), "P7D": timedelta(days=7),
}  # fmt: skip
USUAL = {
    "marketing": "opt_in", "service": "not_opted_out", "transactional": "none", "legal": "none",
}  # fmt: skip
STRICTNESS = ["none", "not_opted_out", "opt_in"]
COUNTRIES = {"JP": "Asia/Tokyo"}
FREE = ["transactional", "legal"]


def broken_promises(
    documents: Iterable[dict[str, Any]], world: World, one: Published, holdouts: dict[str, Any]
) -> list[str]:
    """What the contact that is made right now breaks; `holdouts` are those of rules by key."""
    said = list(documents)
    zone = zone_of(said, one.person)
    found = [f"consent {one.contact}"] if not _consented(said, one) else []
    if one.contact.rule in holdouts and _left_out(holdouts[one.contact.rule], "rule", one.person):
        found.append(f"holdout of {one.contact.rule}")
    for document in said:
        universal = document.get("holdout") if one.contact.category == "marketing" else None
        if universal is not None and _left_out(universal, "universal", one.person):
            found.append("universal holdout")
        if one.contact.category in document.get("bypass", {}).get("categories", FREE):
            continue
        found += [
            f"{cap} has {count}"
            for cap in document.get("caps", [])
            if (count := _most(cap, document, world, one, zone, said)) > cap["limit"]
        ]
        found += [
            f"{silence} at {one.at.astimezone(zone)}"
            for silence in document.get("quiet_hours", [])
            if _keeps_quiet(silence, one, zone)
        ]
        found += [
            f"{suppression}"
            for suppression in document.get("suppressions", [])
            if _silenced(suppression, world, one)
        ]
    return found


def zone_of(said: list[dict[str, Any]], person: Person) -> ZoneInfo:
    """Where the person lives."""
    if person.timezone is not None and person.timezone != "Mars/Olympus":
        return ZoneInfo(person.timezone)
    if person.country in COUNTRIES:
        return ZoneInfo(COUNTRIES[person.country])
    return ZoneInfo(default_zone(said))


def default_zone(said: list[dict[str, Any]]) -> str:
    """Where people live of whom nobody knows it."""
    named = [one["time_zone"]["default"] for one in said if "time_zone" in one]
    return named[0] if named else "UTC"


def _consented(said: list[dict[str, Any]], one: Published) -> bool:
    category = one.contact.category
    asked = [
        needs[category]
        for document in said
        if category in (needs := document.get("consent", {}).get("require", {}))
    ]
    need = max(asked or [USUAL[category]], key=STRICTNESS.index)
    status = one.person.consents.get((category, one.contact.channel))
    return need == "none" or status == "granted" or (need == "not_opted_out" and status != "denied")


def _left_out(holdout: dict[str, Any], layer: str, person: Person) -> bool:
    text = f"{holdout['salt']}:{layer}:{person.id}".encode()
    return int(sha256(text).hexdigest()[:16], 16) % 10_000 < float(holdout["percent"]) * 100


def _most(
    cap: dict[str, Any], document: dict[str, Any], world: World, one: Published, zone: ZoneInfo,
    said: list[dict[str, Any]],
) -> int:  # fmt: skip
    """How many contacts the fullest window of the cap holds that contains this one.

    What bypasses the policy may still come between a reservation and its instant, where it counts:
    then the contact is not made. So it counts against what is made, not against what is reserved.
    """
    if not _in_scope(cap, one):
        return 0
    free = document.get("bypass", {}).get("categories", FREE)
    counted = document.get("bypass", {}).get("counts_toward_caps", False) and one.at <= world.now
    times = [one.at]
    for other in _beside(one, world):
        shared = cap.get("per") == "household" and one.contact.household is not None
        same = other.person.root is one.person or (
            shared and other.contact.household == one.contact.household
        )
        withdrawn = world.rows[other.contact.action_id].status == "released"
        counts = counted or other.contact.category not in free
        if same and counts and not withdrawn and _in_scope(cap, other):
            times.append(other.at)
    if cap.get("kind") == "calendar":
        if cap.get("per") == "household":
            zone = ZoneInfo(default_zone(said))
        page = _page(cap["window"], one.at.astimezone(zone))
        return sum(_page(cap["window"], at.astimezone(zone)) == page for at in times)
    length = LENGTHS[cap["window"]]
    return max(
        sum(start <= at < start + length for at in times)
        for start in times
        if start <= one.at < start + length
    )


def _beside(one: Published, world: World) -> list[Published]:
    """Everything else that was made or is reserved for later."""
    ahead = [
        Published(row.contact, row.person, row.contact.at)
        for row in world.rows.values()
        if row.status == "reserved" and row.contact.action_id != one.contact.action_id
    ]
    return world.made + ahead


def _in_scope(cap: dict[str, Any], one: Published) -> bool:
    return all(getattr(one.contact, name) == value for name, value in cap.get("scope", {}).items())


def _page(window: str, local: datetime) -> tuple[int, ...]:
    """The page of the calendar."""
    if window == "P1D":
        return (local.year, local.month, local.day)
    if window == "P7D":
        return tuple(local.isocalendar())[:2]
    return (local.year, local.month)


def _keeps_quiet(silence: dict[str, Any], one: Published, zone: ZoneInfo) -> bool:
    """Whether the clock on the wall shows a time at which the channel is silent."""
    if one.contact.channel not in silence.get("channels", [one.contact.channel]):
        return False
    if one.contact.category not in silence.get("categories", [one.contact.category]):
        return False
    local = one.at.astimezone(zone)
    shown, days = local.strftime("%H:%M"), silence.get("days", [1, 2, 3, 4, 5, 6, 7])
    today, yesterday = local.isoweekday(), (local - timedelta(days=1)).isoweekday()
    if silence["from"] < silence["to"]:
        return today in days and silence["from"] <= shown < silence["to"]
    return (today in days and shown >= silence["from"]) or (
        yesterday in days and shown < silence["to"]
    )


def _silenced(suppression: dict[str, Any], world: World, one: Published) -> bool:
    on = suppression["on"]
    if one.contact.category not in suppression.get("categories", [one.contact.category]):
        return False
    told = [
        outcome
        for person, outcome in world.outcomes
        if person.root is one.person
        and outcome.outcome == on["outcome"]
        and outcome.channel == on.get("channel", outcome.channel)
        and ("per" not in on or _same(getattr(outcome, on["per"]), getattr(one.contact, on["per"])))
    ]
    return any(
        one.at < last.at + LENGTHS[suppression["for"]]
        and len(
            {
                other.action_id
                for other in told
                if last.at - LENGTHS[on["within"]] < other.at <= last.at
            }
        )
        >= on["count"]
        for last in told
    )


def _same(one: object, other: object) -> bool:
    return one is not None and one == other
