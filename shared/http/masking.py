"""Hides who a person is from those who may not see it, and leaves what the person is like.

Applied to decoded JSON on its way out. Identifiers and texts of traits keep their first letter;
what is no name of anybody (country, language, most numbers) stays.
"""

from collections.abc import Collection
from typing import Any

from shared.access import Permission, is_allowed
from shared.http.auth import Principal
from shared.observability.masking import MASK, PERSONAL_KEYS, mask

OPEN_TRAITS = frozenset({"country", "state", "locale", "timezone"})


def may_see(principal: Principal, *, asked_masked: bool = False) -> bool:
    """Whether the answer shows personal data: the role allows it and the caller wants it."""
    return not asked_masked and is_allowed(principal.roles, Permission.READ_PERSONAL)


def mask_text(text: str) -> str:
    """`ada@example.com` as `a***`; what is masked already stays."""
    return text if text == MASK else text[:1] + MASK


def mask_identifiers(identifiers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Identifiers with their values masked."""
    return [one | {"value": mask_text(str(one["value"]))} for one in identifiers]


def mask_trait(name: str, value: Any) -> Any:
    """The value of a trait: texts masked unless they name nobody; numbers kept, but for those of
    traits such as `phone`."""
    if name in OPEN_TRAITS or value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return MASK if name in PERSONAL_KEYS else value
    return mask_text(value) if isinstance(value, str) else MASK


def mask_places(
    value: Any, places: Collection[tuple[str, ...]], *, anywhere: Collection[tuple[str, ...]] = ()
) -> Any:
    """A copy of JSON with whatever stands at one of the places masked, as a whole.

    A place is names of fields from the outside in, in upper or lower case; a list on the way stands
    for each of its items. The places `anywhere` begin at any object, not only at the outermost.
    """
    here = {*places, *anywhere}
    if () in here:
        return MASK
    if isinstance(value, list):
        return [mask_places(item, places, anywhere=anywhere) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: mask_places(
            child,
            {place[1:] for place in here if place[0].casefold() == name.casefold()},
            anywhere=anywhere,
        )
        for name, child in value.items()
    }


def mask_touchpoint(
    touchpoint: dict[str, Any], personal: Collection[tuple[str, ...]] = ()
) -> dict[str, Any]:
    """A touchpoint without personal data: what stands at the places that its source calls
    `personal`, and of `properties` and `context` what looks like it."""
    touchpoint = mask_places(touchpoint, personal) if personal else touchpoint
    masked = touchpoint | {
        "identifiers": mask_identifiers(touchpoint.get("identifiers", [])),
        "traits": {n: mask_trait(n, value) for n, value in touchpoint.get("traits", {}).items()},
        "properties": mask(touchpoint.get("properties", {})),
        "context": mask(touchpoint.get("context", {})),
    }
    return masked | {"audience": MASK} if "audience" in touchpoint else masked
