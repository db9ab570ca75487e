"""Who sees what of people, and the record of it.

A role that may read personal data sees it in clear, everybody else masked: whatever a condition saw
of a customer or an event is theirs, unless it is known to be Concert's own. What is shown in clear
to a person's or a system's token is an entry of the audit log: who, whose, and which fields.
Concert's own services are left out.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from shared.http.auth import Principal
from shared.http.masking import mask_text
from shared.http.reveals import note_reveals
from shared.observability.masking import MASK, mask

OURS = frozenset(
    (
        *("stale", "re_entry", "channel", "consent", "suppression", "holdout", "quiet_hours"),
        *("experiment", "cap", "capacity", "floor", "arbitration", "chosen"),
    )
)
"""Stages whose gates see what Concert keeps itself: contacts, statuses, instants, figures."""
THEIRS = frozenset({"content_failed"})
"""Reasons of these stages that quote what a customer wrote."""
COUNTS = frozenset({"eq", "ne", "gt", "gte", "lt", "lte"})
_DETAIL = re.compile(r"(^|\.)detail(\.|$)")
_CODE = re.compile(r"([a-z][a-z0-9_]{0,63})(: .*)?", re.DOTALL)


def mask_decision(body: dict[str, Any]) -> dict[str, Any]:
    """The record of a decision without what its conditions saw of the customer."""
    candidates = [_mask_candidate(one) for one in body["candidates"]]
    retracts = [one | {"reason": mask_reason(one["reason"])} for one in body["retracts"]]
    return body | {"candidates": candidates, "retracts": retracts}


def personal_in(body: dict[str, Any]) -> list[str]:
    """Which fields of the record of a decision masking would change."""
    return [name for name, masked in mask_decision(body).items() if masked != body[name]]


def mask_difference(path: str, value: Any) -> Any:
    """What a replayed decision says at a place of its record."""
    if isinstance(value, dict | list) or _DETAIL.search(path) is not None:
        return _mask_seen(value)
    return mask(value)


def mask_reason(reason: str | None) -> str | None:
    """The code of a reason, without what was said of it, which may be a channel's own words."""
    if reason is None:
        return None
    found = _CODE.fullmatch(reason)
    if found is None:
        return MASK
    return reason if found[2] is None else f"{found[1]}: {MASK}"


async def note_shown(
    tx: AsyncConnection, principal: Principal, shown: Iterable[tuple[object, Sequence[str]]]
) -> None:
    """Record what is shown in clear, in one statement: of each profile (its id), which fields."""
    found: dict[str, set[str]] = {}
    for profile_id, fields in shown:
        if fields:
            found.setdefault(str(profile_id), set()).update(fields)
    after = {profile_id: {"fields": sorted(fields)} for profile_id, fields in found.items()}
    await note_reveals(tx, principal, after)


async def note_list(
    tx: AsyncConnection,
    principal: Principal,
    key: str,
    *,
    fields: Sequence[str],
    profile_ids: Sequence[UUID],
) -> None:
    """Record one look at a list of many people, under the list's name: it is looked at often."""
    if profile_ids:
        whose = sorted({str(one) for one in profile_ids})
        await note_reveals(tx, principal, {key: {"fields": list(fields), "profiles": whose}})


def _mask_candidate(candidate: dict[str, Any]) -> dict[str, Any]:
    masked = _mask_verdict(candidate)
    if candidate.get("actions"):
        masked = masked | {"actions": [_mask_verdict(one) for one in candidate["actions"]]}
    return masked


def _mask_verdict(one: dict[str, Any]) -> dict[str, Any]:
    """A candidate, or one of its actions: where it stopped, and what was seen there."""
    detail = one.get("detail")
    if detail is None:
        return one
    if one["stage"] in OURS and one["reason"] not in THEIRS:
        seen = mask(detail.get("actual"))
    elif _is_count(detail.get("expected")):
        seen = detail.get("actual")
    else:
        seen = _mask_seen(detail.get("actual"))
    return one | {"detail": detail | {"actual": seen}}


def _is_count(expected: Any) -> bool:
    """Whether a clause asked how often something happened: what it saw is a count."""
    return isinstance(expected, dict) and len(expected) == 1 and expected.keys() <= COUNTS


def _mask_seen(value: Any) -> Any:
    """Of texts the first letter; which numbers say who somebody is, a record does not know."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [_mask_seen(item) for item in value]
    if isinstance(value, dict):
        return {key: _mask_seen(item) for key, item in value.items()}
    return MASK
