"""The messages on `profile.updates`: a cause and the profile directly after it, as JSON bytes.

Keys are sorted and parts that did not change are spliced in as they are. The bytes are a function
of the profile and the cause alone: whatever the batch was, the same history gives the same bytes.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal, NamedTuple

import msgspec

from services.profile.domain.consent import consent_list
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.identity import IdentityRules
from services.profile.domain.leaf_counts import leaf_members
from services.profile.domain.profile import (
    IdentifierKey,
    identifier_of,
    shown_traits,
    timezone_of,
)
from services.profile.domain.sums import Sums, amount_text
from services.profile.domain.working_profile import WorkingProfile

MAX_UPDATE_BYTES = 700_000
"""Above this the cause gives up its properties, then more; the topic takes a mebibyte."""

CONSENT_BYTES, IDENTIFIER_BYTES, TRAIT_BYTES = 100_000, 150_000, 250_000
"""What each list of a snapshot may take, as encoded; what is beyond is left out and said."""
MAX_CURRENCIES = 100

_CUT_IN_ORDER = ("properties", "context", "traits", "changed", "joined_on", "moved", "identifiers")
_EMPTY: dict[str, bytes] = {
    "properties": b"{}",
    "context": b"{}",
    "traits": b"{}",
    "changed": b"{}",
    "joined_on": b"[]",
    "moved": b"[]",
    "identifiers": b"[]",
}
_encode = msgspec.json.Encoder(order="deterministic").encode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


LinkName = Literal["merged_from", "merged_into", "split_from", "split_into"]


class Link(NamedTuple):
    """The other profile of a merge or a split. `seq` is the number with which the profile that
    gives way, or comes back, was told of it: of two links the one with the greater number holds.
    """

    name: LinkName
    partner: str
    seq: int

    def parts(self) -> tuple[bytes, bytes]:
        """What stands before and behind the profile in a message, whose keys are sorted."""
        before, link = f'"link_seq":{self.seq},', f'"{self.name}":"{self.partner}"'
        if self.name.startswith("merged"):
            return f"{before}{link},".encode(), b""
        return before.encode(), f",{link}".encode()


@lru_cache(maxsize=10_000)
def encoded_name(name: str) -> bytes:
    """A trait's name as it stands before its value; everybody has the same few."""
    return _encode(name) + b":"


@lru_cache(maxsize=1_000)
def _before_values(names: tuple[str, ...]) -> list[bytes]:
    """What stands before each trait's value; many people have traits of the same names."""
    return [b"%b%b:" % (b"," if place else b"", _encode(name)) for place, name in enumerate(names)]


def members_of(best: Mapping[str, bytes], names: Sequence[str]) -> bytes:
    """Traits as the members of a JSON object, in that order."""
    parts = [b""] * (2 * len(names))
    parts[::2] = _before_values(tuple(names))
    parts[1::2] = [best[name] for name in names]
    return b"".join(parts)


@lru_cache(maxsize=10_000)
def _identifier(key: IdentifierKey) -> bytes:
    """An identifier as it is listed; the list of a large profile is told again and again."""
    return _encode(identifier_of(key))


def update(
    profile: WorkingProfile,
    cause: bytes,
    rules: IdentityRules,
    *,
    link: Link | None = None,
    look: Look = NO_LOOK,
    changed: bytes = b"",
    limit: int = MAX_UPDATE_BYTES,
) -> bytes:
    """The message for a change that was just made to `profile`, whose `seq` is already taken.

    Its parts are a cause, the traits that it `changed` (`changed_traits.py`), a link to the other
    profile of a merge or a split, and the profile as it stands now
    (shared.contracts.profile_update.ProfileSnapshot).
    """
    before, behind = (b"", b"") if link is None else link.parts()
    rest = b"%b,%b%b" % (changed, before, rest_of_update(profile, rules, look))
    return joined(cause, rest, profile.seq, behind=behind, limit=limit)


def joined(
    cause: bytes, rest: bytes, seq: int, *, behind: bytes = b"", limit: int = MAX_UPDATE_BYTES
) -> bytes:
    """A message of its parts; the cause gives up what does not fit."""
    if len(cause) + len(rest) > limit:
        cause = cut(cause, max(limit - len(rest), 0))
    return b'{"cause":%b%b%d%b}' % (cause, rest, seq, behind)


def rest_of_update(profile: WorkingProfile, rules: IdentityRules, look: Look) -> bytes:
    """What stands between the cause, with its links, and the number: the same for all that one
    touchpoint brings about."""
    head = profile.head
    if head is None:
        head = profile.head = _head(profile, rules)
    live = profile.live
    if live is None:
        live = profile.live = _live(profile, look)
    tail = profile.tail
    if tail is None:
        tail = profile.tail = _tail(profile)
    return b'"profile":{%b"computed":%b%b%b%b%b' % (
        _accounts(profile),
        computed(profile),
        head,
        profile.state.last_seen_at.encode(),
        live,
        tail,
    )


def cut(cause: bytes, limit: int) -> bytes:
    """A cause without its properties, and without more where that is not enough."""
    fields = _fields.decode(cause)
    for name in _CUT_IN_ORDER:
        if name in fields:
            fields[name] = msgspec.Raw(_EMPTY[name])
            fields[f"{name}_truncated"] = msgspec.Raw(b"true")
        cause = _encode(fields)
        if len(cause) <= limit:
            break
    return cause


def computed(profile: WorkingProfile) -> bytes:
    """The computed traits: those that are built in, among those that people defined."""
    known = profile.computed
    if known is None:
        known = profile.computed = _computed(profile)
    return known


def _computed(profile: WorkingProfile) -> bytes:
    total, standing = profile.total, profile.state.standing
    if standing is not None and standing.computed:
        return _among_defined(profile, standing.computed)
    if total is None:
        return b'{"first_seen_at":null,"last_seen_at":null,"orders":0,"revenue":{},"touchpoints":0}'
    return (
        f'{{"first_seen_at":"{total.first_seen_at}","last_seen_at":"{total.last_seen_at}",'
        f'"orders":{total.orders},"revenue":{{{_revenue(total)}}},'
        f'"touchpoints":{total.touchpoints}}}'
    ).encode()


def _among_defined(profile: WorkingProfile, values: Mapping[str, bytes]) -> bytes:
    defined = profile.defined
    if defined is None:
        defined = {name: b'"%b":%b' % (name.encode(), value) for name, value in values.items()}
        profile.defined = defined
    total = profile.total
    first, last, counts = b"null", b"null", (0, 0)
    if total is not None:
        first, last = b'"%b"' % total.first_seen_at.encode(), b'"%b"' % total.last_seen_at.encode()
        counts = (total.orders, total.touchpoints)
    revenue = b"" if total is None else _revenue(total).encode()
    parts = defined | {
        "first_seen_at": b'"first_seen_at":' + first,
        "last_seen_at": b'"last_seen_at":' + last,
        "orders": b'"orders":%d' % counts[0],
        "revenue": b'"revenue":{%b}' % revenue,
        "touchpoints": b'"touchpoints":%d' % counts[1],
    }
    return b"{%b}" % b",".join([parts[name] for name in sorted(parts)])


def _revenue(total: Sums) -> str:
    if not total.revenue:
        return ""
    return ",".join(
        f'"{currency}":"{amount_text(currency, total.revenue[currency])}"'
        for currency in sorted(total.revenue)[:MAX_CURRENCIES]
    )


def _head(profile: WorkingProfile, rules: IdentityRules) -> bytes:
    """From the consents to the beginning of `last_seen_at`: who it is."""
    state = profile.state
    listed = profile.shown_keys(rules)
    household = None if state.standing is None else state.standing.household
    identifiers, _ = within([_identifier(key) for key in listed], IDENTIFIER_BYTES)
    return (
        b',"consents":%b,"created_at":"%b"%b,"household":%b,"id":"%b","identifiers":[%b],'
        b'"identifiers_total":%d,"last_seen_at":"'
        % (
            _consents(profile),
            state.created_at.encode(),
            _group_facts(profile),
            b"null" if household is None else b'"%b"' % household.encode(),
            profile.id.encode(),
            identifiers,
            len(state.held),
        )
    )


def _accounts(profile: WorkingProfile) -> bytes:
    """The accounts it is linked to, the last one first; nothing where there are none."""
    standing = profile.state.standing
    if standing is None or not standing.accounts:
        return b""
    listed = ",".join(f'"{id_}"' for id_ in standing.accounts)
    return f'"accounts":[{listed}],'.encode()


def _group_facts(profile: WorkingProfile) -> bytes:
    """What was last heard of its groups; nothing where that is nothing."""
    standing = profile.state.standing
    if standing is None or not standing.group_facts:
        return b""
    parts = (b'"%b":%b' % (kind.encode(), facts) for kind, facts in standing.group_facts.items())
    return b',"groups":{%b}' % b",".join(parts)


def _consents(profile: WorkingProfile) -> bytes:
    """What is denied comes first: what is left out counts as not granted, not as not denied."""
    if not profile.state.consents:
        return b"[]"
    consents = consent_list(profile.state.consents)
    encoded, left_out = within([_encode(consent) for consent in consents], CONSENT_BYTES)
    if left_out:
        consents.sort(key=lambda consent: consent.status != "denied")
        encoded, _ = within([_encode(consent) for consent in consents], CONSENT_BYTES)
    return b"[%b]" % encoded


def within(parts: Sequence[bytes], limit: int) -> tuple[bytes, bool]:
    """As many of the parts as fit into `limit` bytes, joined by commas; whether some did not."""
    whole = b",".join(parts)
    if not parts or len(whole) < limit:
        return whole, False
    sizes = accumulate(len(part) + 1 for part in parts)
    kept = sum(size <= limit for size in sizes)
    return b",".join(parts[:kept]), True


def _live(profile: WorkingProfile, look: Look) -> bytes:
    """From the end of `last_seen_at` to the status: what they count as, and how often they did."""
    standing = profile.state.standing
    if standing is None:
        return b'","leaves":{},"persona":null,"segments":[],"status":"'
    persona: dict[str, str | None] | None = None
    if standing.persona is not None:
        persona = {"key": standing.persona, "reason": standing.reason}
    return b'","leaves":{%b},"persona":%b,"segments":%b,"status":"' % (
        leaf_members(profile, look),
        _encode(persona),
        _encode(list(standing.segments)),
    )


def _tail(profile: WorkingProfile) -> bytes:
    """From the status to the number: what is known of them."""
    best = profile.survivors()
    zone, traits, left_out = b"null", b"", False
    if best:
        zone = _encode(timezone_of(best))
        names = shown_traits(best)
        traits = members_of(best, names)
        if len(traits) >= TRAIT_BYTES:
            traits, left_out = within([members_of(best, [name]) for name in names], TRAIT_BYTES)
    return b'%b","timezone":%b,"traits":{%b}%b},"profile_id":"%b","seq":' % (
        profile.status.encode(),
        zone,
        traits,
        b',"traits_truncated":true' if left_out else b"",
        profile.id.encode(),
    )
