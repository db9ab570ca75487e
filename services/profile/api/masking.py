"""Hides who a person is from those who may not see it: profiles and merges.

Applied to decoded JSON on its way out.
"""

from typing import Any

from shared.http.masking import mask_identifiers, mask_trait


def mask_profile(profile: dict[str, Any]) -> dict[str, Any]:
    """A profile of the API without personal data."""
    masked = profile | {
        "identifiers": mask_identifiers(profile["identifiers"]),
        "traits": {name: mask_trait(name, value) for name, value in profile["traits"].items()},
    }
    if profile.get("provenance") is not None:
        masked["provenance"] = {
            name: _mask_provenance(name, one) for name, one in profile["provenance"].items()
        }
    return masked


def personal_fields(profile: dict[str, Any]) -> list[str]:
    """What of an unmasked profile is personal, as `identifiers.email` and `traits.first_name`: what
    masking would hide."""
    traits = profile.get("traits", {}) | {
        name: one["value"] for name, one in (profile.get("provenance") or {}).items()
    }
    return sorted(
        {f"identifiers.{one['type']}" for one in profile.get("identifiers", [])}
        | {f"traits.{name}" for name, value in traits.items() if mask_trait(name, value) != value}
    )


def mask_merge(merge: dict[str, Any]) -> dict[str, Any]:
    """A merge without the values of the identifiers that caused it or moved."""
    cause = merge["cause"]
    if "joined_on" in cause:
        cause = cause | {"joined_on": mask_identifiers(cause["joined_on"])}
    return merge | {"cause": cause, "moved": mask_identifiers(merge["moved"])}


def _mask_provenance(name: str, provenance: dict[str, Any]) -> dict[str, Any]:
    return provenance | {
        "value": mask_trait(name, provenance["value"]),
        "runners_up": [
            one | {"value": mask_trait(name, one["value"])} for one in provenance["runners_up"]
        ],
    }
