"""Hides who a person is from those who may not see it, and leaves what the person is like.

Applied to decoded JSON on its way out. Identifiers and texts of traits keep their first letter;
what is no name of anybody (country, language, numbers) stays.
"""

from typing import Any

from shared.access import Permission, is_allowed
from shared.http.auth import Principal
from shared.observability.masking import MASK, mask

OPEN_TRAITS = frozenset({"country", "state", "locale", "timezone"})


def may_see(principal: Principal, *, asked_masked: bool) -> bool:
    """Whether the answer shows personal data: the role allows it and the caller wants it."""
    return not asked_masked and is_allowed(principal.roles, Permission.READ_PERSONAL)


def mask_text(text: str) -> str:
    """`ada@example.com` as `a***`."""
    return text[:1] + MASK


def mask_identifiers(identifiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Identifiers with their values masked."""
    return [one | {"value": mask_text(str(one["value"]))} for one in identifiers]


def mask_trait(name: str, value: Any) -> Any:
    """The value of a trait: texts masked unless they name nobody, the rest of plain kinds kept."""
    if name in OPEN_TRAITS or value is None or isinstance(value, bool | int | float):
        return value
    return mask_text(value) if isinstance(value, str) else MASK


def mask_touchpoint(touchpoint: dict[str, Any]) -> dict[str, Any]:
    """A touchpoint without personal data; of `properties` and `context` what looks like none."""
    masked = touchpoint | {
        "identifiers": mask_identifiers(touchpoint.get("identifiers", [])),
        "traits": {n: mask_trait(n, value) for n, value in touchpoint.get("traits", {}).items()},
        "properties": mask(touchpoint.get("properties", {})),
        "context": mask(touchpoint.get("context", {})),
    }
    return masked | {"audience": MASK} if "audience" in touchpoint else masked
