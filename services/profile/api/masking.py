"""Hides who a person is from those who may not see it: profiles and merges.

Applied to decoded JSON on its way out.
"""

from typing import Any

from services.profile.domain.trait import SENSITIVE, ComputedTrait, TraitsInForce
from shared.contracts.personal import NO_PII
from shared.http.masking import mask_identifiers, mask_text, mask_touchpoint, mask_trait
from shared.observability.masking import MASK, mask


def mask_profile(profile: dict[str, Any], registry: TraitsInForce) -> dict[str, Any]:
    """A profile of the API without personal data; `registry` says what traits are."""
    masked = profile | {
        "identifiers": mask_identifiers(profile["identifiers"]),
        "traits": {
            name: _mask_trait(name, value, registry.class_of(name))
            for name, value in profile["traits"].items()
        },
        "computed": profile["computed"]
        | {
            name: _mask_computed(profile["computed"][name], one)
            for name, one in registry.computed.items()
            if name in profile["computed"]
        },
    }
    if profile.get("provenance") is not None:
        masked["provenance"] = {
            name: _mask_provenance(name, one, registry.class_of(name))
            for name, one in profile["provenance"].items()
        }
    return masked


def personal_fields(profile: dict[str, Any], registry: TraitsInForce) -> list[str]:
    """What of an unmasked profile is personal, as `identifiers.email` and `traits.first_name`: what
    masking would hide."""
    traits = profile.get("traits", {}) | {
        name: one["value"] for name, one in (profile.get("provenance") or {}).items()
    }
    computed = profile.get("computed", {})
    return sorted(
        {f"identifiers.{one['type']}" for one in profile.get("identifiers", [])}
        | {
            f"traits.{name}"
            for name, value in traits.items()
            if _mask_trait(name, value, registry.class_of(name)) != value
        }
        | {
            f"computed.{name}"
            for name, one in registry.computed.items()
            if name in computed and _mask_computed(computed[name], one) != computed[name]
        }
    )


def mask_said(touchpoint: dict[str, Any], registry: TraitsInForce) -> dict[str, Any]:
    """A touchpoint without personal data; `registry` says what the traits in it are."""
    masked = mask_touchpoint(touchpoint)
    said = touchpoint.get("traits", {})
    classes = {name: one.pii for name, one in registry.declared.items() if name in said}
    traits = {name: _mask_trait(name, said[name], pii) for name, pii in classes.items()}
    return masked | {"traits": masked["traits"] | traits} if traits else masked


def mask_merge(merge: dict[str, Any]) -> dict[str, Any]:
    """A merge without the values of the identifiers that caused it or moved."""
    cause = merge["cause"]
    if "joined_on" in cause:
        cause = cause | {"joined_on": mask_identifiers(cause["joined_on"])}
    return merge | {"cause": cause, "moved": mask_identifiers(merge["moved"])}


def _mask_provenance(name: str, provenance: dict[str, Any], pii: str | None) -> dict[str, Any]:
    return provenance | {
        "value": _mask_trait(name, provenance["value"], pii),
        "runners_up": [
            one | {"value": _mask_trait(name, one["value"], pii)}
            for one in provenance["runners_up"]
        ],
    }


def _mask_trait(name: str, value: Any, pii: str | None) -> Any:
    """`none` is shown, `sensitive` hidden as a whole; of any other class texts keep their first
    letter, and what is no text is hidden. Where nobody said, as for every service."""
    if value is None or pii == NO_PII:
        return value
    if pii is None:
        return mask_trait(name, value)
    return mask_text(value) if pii != SENSITIVE and isinstance(value, str) else MASK


def _mask_computed(value: Any, trait: ComputedTrait) -> Any:
    """What a customer once wrote may be personal; numbers that we made are not, unless said."""
    if trait.pii is not None or trait.aggregate not in ("first", "last", "most_frequent"):
        return value if trait.pii in (None, NO_PII) else _mask_trait(trait.name, value, trait.pii)
    if trait.of is None:
        return value
    masked: Any = mask({trait.of.rpartition(".")[2]: value})
    return masked[trait.of.rpartition(".")[2]]
