"""The profile update on `profile.updates`: a cause and the profile as it stood directly after it.

`seq` is contiguous per profile id for ever. A merge adds one update to the winner (`merged_from`)
and one last update to the loser (`merged_into`). A split, or the undoing of a merge, adds one to
the profile that gives (`split_into`) and one to the profile that is new or comes back, which goes
on from its own number (`split_from`). `link_seq` is on both messages the number that the loser, or
the profile that comes back, has there: whoever reads them in any order goes by the greatest.
"""

from typing import Any

import msgspec

from shared.contracts.touchpoint import Identifier

MAX_SNAPSHOT_IDENTIFIERS = 100


class Consent(msgspec.Struct, omit_defaults=True, gc=False):
    """What a profile allowed or refused: `status` is `granted`, `denied`, `pending` (asked for and
    not confirmed yet) or `expired`. A grant holds before `expires_at` and not at it, whether or
    not an update said so by then. `proof` names the entry in the history that it stands on,
    `confirmed_at` is when it was confirmed."""

    purpose: str
    channel: str
    status: str
    basis: str | None = None
    at: str | None = None
    text_version: str | None = None
    expires_at: str | None = None
    confirmed_at: str | None = None
    proof: str | None = None


class ProfileSnapshot(msgspec.Struct, gc=False, kw_only=True):
    """The profile directly after its cause. `identifiers` holds at most 100 of `..._total`.

    `household` and `accounts` are ids of groups, of accounts the one linked last first; `groups`
    is what was last heard of the household and of the first account, by `household` and `account`.
    """

    id: str
    status: str
    identifiers: list[Identifier]
    identifiers_total: int
    traits: dict[str, Any]
    computed: dict[str, Any]
    consents: list[Consent] = []
    segments: list[str] = []
    persona: dict[str, Any] | None = None
    household: str | None = None
    created_at: str
    last_seen_at: str
    timezone: str | None = None
    leaves: dict[str, Any] = {}
    accounts: list[str] = []
    groups: dict[str, dict[str, Any]] = {}


def group_facts(profile: ProfileSnapshot, kind: str) -> dict[str, Any]:
    """What conditions may read of the household, or of the account linked last: at least its id."""
    id_ = profile.household
    if kind == "account":
        id_ = profile.accounts[0] if profile.accounts else None
    return {} if id_ is None else {**profile.groups.get(kind, {}), "id": id_}


class ProfileUpdate(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """`cause` is a touchpoint, or `{kind: merged|consent_changed|…, …}`; readers decode on need.
    `changed` has the traits that a touchpoint changed with their values before, null for none;
    computed ones are `computed.<name>`. The first touchpoint of a profile changes nothing."""

    profile_id: str
    seq: int
    cause: msgspec.Raw
    profile: msgspec.Raw
    changed: dict[str, msgspec.Raw] = {}
    merged_from: str | None = None
    merged_into: str | None = None
    split_from: str | None = None
    split_into: str | None = None
    link_seq: int | None = None


update_decoder = msgspec.json.Decoder(ProfileUpdate)
snapshot_decoder = msgspec.json.Decoder(ProfileSnapshot)
