"""The messages on `profile.updates`: a cause and the profile directly after it, as JSON bytes.

Keys are sorted and parts that did not change are spliced in as they are. The bytes are a function
of the profile and the cause alone: whatever the batch was, the same history gives the same bytes.
"""

import msgspec

from services.profile.domain.consent import consent_list
from services.profile.domain.identity import IdentityRules
from services.profile.domain.profile import (
    identifier_of,
    shown_traits,
    strongest_first,
    timezone_of,
)
from services.profile.domain.sums import Sums, amount_text
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.profile_update import MAX_SNAPSHOT_IDENTIFIERS

MAX_UPDATE_BYTES = 700_000
"""Above this the cause gives up its properties, then more; the topic takes a mebibyte."""

_CUT_IN_ORDER = ("properties", "context", "traits", "identifiers")
_EMPTY: dict[str, bytes] = {
    "properties": b"{}",
    "context": b"{}",
    "traits": b"{}",
    "identifiers": b"[]",
}
_encode = msgspec.json.Encoder(order="deterministic").encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def snapshot(profile: WorkingProfile, rules: IdentityRules) -> bytes:
    """The profile as it stands now (shared.contracts.profile_update.ProfileSnapshot)."""
    parts = profile.parts
    identifiers = parts.get("identifiers")
    if identifiers is None:
        identifiers = parts["identifiers"] = _identifiers(profile, rules)
    traits = parts.get("traits")
    if traits is None:
        traits = parts["traits"] = _traits(profile)
        parts["timezone"] = _encode(timezone_of(profile.best))
    consents = parts.get("consents")
    if consents is None:
        consents = parts["consents"] = _encode(consent_list(profile.state.consents))
    state = profile.state
    return (
        b'{"computed":%b,"consents":%b,"created_at":"%b","household":null,"id":"%b",'
        b'"identifiers":%b,"identifiers_total":%d,"last_seen_at":"%b","leaves":{},"persona":null,'
        b'"segments":[],"status":"%b","timezone":%b,"traits":%b}'
        % (
            computed(profile.total),
            consents,
            state.created_at.encode(),
            profile.id.encode(),
            identifiers,
            len(state.held),
            state.last_seen_at.encode(),
            profile.status.encode(),
            parts["timezone"],
            traits,
        )
    )


def update(
    profile: WorkingProfile,
    cause: bytes,
    rules: IdentityRules,
    *,
    merged_from: str | None = None,
    merged_into: str | None = None,
    limit: int = MAX_UPDATE_BYTES,
) -> bytes:
    """The message for a change that was just made to `profile`, whose `seq` is already taken."""
    link = b""
    if merged_from is not None:
        link = b'"merged_from":"%b",' % merged_from.encode()
    elif merged_into is not None:
        link = b'"merged_into":"%b",' % merged_into.encode()
    after = snapshot(profile, rules)
    if len(cause) + len(after) > limit:
        cause = cut(cause, max(limit - len(after), 0))
    return b'{"cause":%b,%b"profile":%b,"profile_id":"%b","seq":%d}' % (
        cause,
        link,
        after,
        profile.id.encode(),
        profile.seq,
    )


def cut(cause: bytes, limit: int) -> bytes:
    """A touchpoint without its properties, and without more where that is not enough."""
    fields = _fields.decode(cause)
    for name in _CUT_IN_ORDER:
        if name in fields:
            fields[name] = msgspec.Raw(_EMPTY[name])
        fields[f"{name}_truncated"] = msgspec.Raw(b"true")
        cause = _encode(fields)
        if len(cause) <= limit:
            break
    return cause


def computed(total: Sums | None) -> bytes:
    """The built-in computed traits."""
    if total is None:
        return b'{"first_seen_at":null,"last_seen_at":null,"orders":0,"revenue":{},"touchpoints":0}'
    revenue = ",".join(
        f'"{currency}":"{amount_text(currency, total.revenue[currency])}"'
        for currency in sorted(total.revenue)
    )
    return (
        f'{{"first_seen_at":"{total.first_seen_at}","last_seen_at":"{total.last_seen_at}",'
        f'"orders":{total.orders},"revenue":{{{revenue}}},"touchpoints":{total.touchpoints}}}'
    ).encode()


def _identifiers(profile: WorkingProfile, rules: IdentityRules) -> bytes:
    listed = strongest_first(profile.state, rules)[:MAX_SNAPSHOT_IDENTIFIERS]
    return _encode([identifier_of(key) for key, _ in listed])


def _traits(profile: WorkingProfile) -> bytes:
    best = profile.best
    return b"{%b}" % b",".join(
        b"%b:%b" % (_encode(name), best[name].value) for name in shown_traits(best)
    )
