"""Turns profiles, merges and touchpoints into the JSON of the contract, masked where needed.

Plain dicts and one encoder instead of models: a profile is read far more often than anything else
here. The shapes are those of `schemas`.
"""

from typing import Any

import msgspec

from services.profile.api.masking import mask_merge, mask_profile, mask_said
from services.profile.domain.absorb import Rules
from services.profile.domain.consent import consent_list
from services.profile.domain.erased import without_keys
from services.profile.domain.profile import GoldenProfile, StoredProfile, golden
from services.profile.domain.provenance import explained_traits
from services.profile.domain.standing import Standing
from services.profile.domain.survivorship import RunnerUp
from services.profile.domain.trait import TraitsInForce
from services.profile.storage.consent_history import Line
from services.profile.storage.merges import LoggedMerge
from services.profile.storage.touchpoints import StoredTouchpoint
from shared.contracts.profile_update import Consent
from shared.contracts.times import rfc3339
from shared.observability.masking import MASK

Json = dict[str, Any]
_PERSONAL = ("ip", "user_agent")
_PROOF = ("source", "touchpoint_id", "actor", *_PERSONAL, "note")


def profile_json(stored: StoredProfile, rules: Rules, *, provenance: bool, masked: bool) -> Json:
    """A profile as the contract has it."""
    view = _golden_json(golden(stored, rules.identity, rules.traits))
    if provenance:
        explained = explained_traits(stored.state, rules.traits, rules.registry)
        view["provenance"] = {
            name: one._asdict()
            | {"runners_up": [_runner_up_json(other) for other in one.runners_up]}
            for name, one in explained.items()
        }
    return mask_profile(view, rules.registry) if masked else view


def _runner_up_json(one: RunnerUp) -> Json:
    shown = one._asdict()
    if one.refused is None:
        del shown["refused"]
    return shown


def consents_json(stored: StoredProfile) -> list[Json]:
    """The consents of a profile, by purpose and channel."""
    return [consent_json(one) for one in consent_list(stored.state.consents)]


def consent_json(consent: Consent) -> Json:
    """One consent."""
    return msgspec.structs.asdict(consent)


def consent_line_json(line: Line, *, masked: bool) -> Json:
    """One line of the history of consents."""
    proof = dict.fromkeys(_PROOF) | line.proof
    if masked:
        proof |= {name: MASK for name in _PERSONAL if proof[name] is not None}
    return {
        "id": line.id,
        "profile_id": line.profile_id,
        "purpose": line.purpose,
        "channel": line.channel,
        "what": line.what,
        "status": line.status,
        "at": rfc3339(line.at),
        "basis": line.basis,
        "text_version": line.text_version,
        "expires_at": None if line.expires_at is None else rfc3339(line.expires_at),
        "proof": proof,
        "recorded_at": rfc3339(line.recorded_at),
    }


def personal_in_line(line: Json) -> list[str]:
    """What of a line of the history of consents is personal."""
    return [f"consents.{name}" for name in _PERSONAL if line["proof"][name] is not None]


def merge_json(merge: LoggedMerge, *, masked: bool) -> Json:
    """A merge as the contract has it."""
    view = {
        "id": merge.id,
        "winner": merge.winner,
        "loser": merge.loser,
        "at": rfc3339(merge.at),
        "cause": merge.cause,
        "moved": [{"type": one.type, "value": one.value} for one in merge.moved],
        "undone_at": None if merge.undone_at is None else rfc3339(merge.undone_at),
    }
    return mask_merge(view) if masked else view


def touchpoint_json(touchpoint: StoredTouchpoint, registry: TraitsInForce, *, masked: bool) -> Json:
    """A touchpoint as it came in; unknown fields are kept. `registry` says what traits are."""
    view: Json = msgspec.json.decode(without_keys(touchpoint.body))
    return mask_said(view, registry) if masked else view


def _persona_json(standing: Standing) -> Json | None:
    if standing.persona is None:
        return None
    return {"key": standing.persona, "reason": standing.reason}


def _defined(standing: Standing) -> Json:
    return {name: msgspec.json.decode(value) for name, value in standing.computed.items()}


def _golden_json(person: GoldenProfile) -> Json:
    return {
        "id": person.id,
        "status": person.status,
        "identifiers": [one._asdict() for one in person.identifiers],
        "traits": person.traits,
        "computed": person.computed._asdict() | _defined(person.standing),
        "segments": list(person.standing.segments),
        "persona": _persona_json(person.standing),
        "consents": [consent_json(one) for one in person.consents],
        "household": person.standing.household,
        "accounts": person.standing.accounts,
        "timezone": person.timezone,
        "created_at": person.created_at,
        "last_seen_at": person.last_seen_at,
        "version": person.version,
    }
