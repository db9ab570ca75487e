"""A profile update as the orchestrator reads it: just enough to route it, then all of it on need.

Most updates concern no rule, so the snapshot and the properties stay undecoded bytes until one
does. This module must never judge what it reads.
"""

from datetime import datetime
from typing import Any

import msgspec

from services.orchestrator.domain.leaves_at import leaves_at
from shared.conditions.facts import Facts
from shared.contracts.consents import consents_at
from shared.contracts.profile_update import ProfileSnapshot, group_facts, snapshot_decoder
from shared.contracts.times import parse_rfc3339, rfc3339
from shared.contracts.topics import OWN_SOURCE

CHANGED = "consent_changed"
"""The kind, and the type, of the one cause that is no touchpoint and triggers rules as an event."""

TOLD = frozenset({"segment_entered", "segment_left", "trait_changed", "persona_changed"})
"""Kinds of causes without a type that rules may have as their trigger."""

PERSONA = "persona_changed"

ERASED = "erased"
"""The kind of the last cause of a profile."""

ASKED = "ask"
"""The kind of the cause of a decision that a channel asked for."""


class RoutedCause(msgspec.Struct, gc=False):
    """What kind of cause it is; only a touchpoint, or a change of consents, has a type."""

    type: str | None = None
    kind: str | None = None
    segment: str | None = None


class Routed(msgspec.Struct, gc=False):
    """An update as far as routing needs it; `changed` has the traits that a touchpoint changed,
    with their values before."""

    profile_id: str
    seq: int
    cause: RoutedCause
    changed: dict[str, msgspec.Raw] = {}
    merged_from: str | None = None
    merged_into: str | None = None
    split_from: str | None = None
    split_into: str | None = None
    link_seq: int | None = None

    @property
    def erases(self) -> bool:
        """Whether it says that its profile was erased."""
        return self.cause.kind == ERASED and self.cause.type is None

    @property
    def links(self) -> bool:
        """Whether it speaks of another profile: of a merge or of a split."""
        return (
            self.merged_from is not None
            or self.merged_into is not None
            or self.split_from is not None
            or self.split_into is not None
        )


class Parts(msgspec.Struct, gc=False):
    """The bytes of cause and snapshot inside an update."""

    cause: msgspec.Raw
    profile: msgspec.Raw


class Cause(msgspec.Struct, gc=False, kw_only=True):
    """What happened: a touchpoint, or `{kind: merged|consent_changed|…}` without a type.

    `segment`, `persona` (with the one `before`) and `changed` (traits with their values before)
    are what became another; `at` is when, of what is no touchpoint.
    """

    kind: str = "track"
    id: str | None = None
    type: str | None = None
    source: str | None = None
    channel: str | None = None
    occurred_at: str | None = None
    received_at: str | None = None
    properties: dict[str, Any] = {}
    context: dict[str, Any] = {}
    historical: bool = False
    backfill: bool = False
    trace: str | None = None
    touchpoint_id: str | None = None
    at: str | None = None
    segment: str | None = None
    persona: str | None = None
    before: str | None = None
    changed: dict[str, Any] = {}

    @property
    def touchpoint(self) -> str | None:
        """The touchpoint that it is, or that brought it about; None: there is none."""
        if self.kind == CHANGED or self.is_told:
            return self.touchpoint_id
        return None if self.type is None or self.kind == ASKED else self.id

    @property
    def is_told(self) -> bool:
        """Whether it says that a segment, the persona or a trait became another."""
        return self.type is None and self.kind in TOLD

    @property
    def event(self) -> dict[str, Any]:
        """What conditions and content see as the event."""
        if not self.is_told:
            return self.properties
        if self.segment is not None:
            return {"segment": self.segment}
        return {"persona": self.persona, "from": self.before} if self.kind == PERSONA else {}

    @property
    def hops(self) -> int:
        """How many journeys led to an event that one of them published."""
        hops = self.context.get("hops") if self.source == OWN_SOURCE else None
        return hops if isinstance(hops, int) else 0

    @property
    def occurred(self) -> datetime | None:
        """When the touchpoint happened, or the change that it tells."""
        at = self.at if self.occurred_at is None and self.is_told else self.occurred_at
        return None if at is None else parse_rfc3339(at)

    @property
    def received(self) -> datetime | None:
        """When Concert received the touchpoint."""
        return None if self.received_at is None else parse_rfc3339(self.received_at)


routed_decoder = msgspec.json.Decoder(Routed)
parts_decoder = msgspec.json.Decoder(Parts)
cause_decoder = msgspec.json.Decoder(Cause)


_decode = msgspec.json.Decoder().decode
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NOT_KEPT = ("identifiers", "traits", "keys")


class Moment(msgspec.Struct, frozen=True, gc=False):
    """An update taken apart: the profile directly after its cause, and the cause.

    `profile_id` is the profile that now stands for the person, `of` the one the update is about:
    they differ for updates of a profile that was merged away.
    """

    profile_id: str
    of: str
    seq: int
    cause: Cause
    cause_json: bytes
    profile: ProfileSnapshot
    profile_json: bytes
    facts: Facts
    occurred: datetime | None

    @property
    def kept_cause(self) -> bytes:
        """The cause as it is kept with an action: without identifiers and traits, which later
        checks take from the person as last seen, and which may be somebody else's."""
        fields: dict[str, object] = {
            name: value
            for name, value in _fields.decode(self.cause_json).items()
            if name not in _NOT_KEPT
        }
        if self.cause.changed:
            fields["changed"] = self.cause.changed
        return msgspec.json.encode(fields)

    @property
    def is_of_winner(self) -> bool:
        """Whether the snapshot is that of the person as known now."""
        return self.profile_id == self.of


def read_moment(value: bytes, routed: Routed, profile_id: str, at: datetime) -> Moment:
    """Decode all of an update, for a decision at an instant. Raises msgspec.DecodeError, or
    ValueError for a time that is none, when it breaks the contract."""
    parts = parts_decoder.decode(value)
    cause = cause_decoder.decode(parts.cause)
    if routed.changed:
        cause.changed = {name: _decode(before) for name, before in routed.changed.items()}
    profile = snapshot_decoder.decode(parts.profile)
    return Moment(
        profile_id=profile_id,
        of=routed.profile_id,
        seq=routed.seq,
        cause=cause,
        cause_json=bytes(parts.cause),
        profile=profile,
        profile_json=bytes(parts.profile),
        facts=facts_of(profile, cause, at),
        occurred=cause.occurred,
    )


def moment_with(
    cause_json: bytes,
    *,
    profile_id: str,
    of: str,
    seq: int,
    profile: ProfileSnapshot,
    profile_json: bytes,
    at: datetime,
    occurred: datetime | None = None,
) -> Moment:
    """A person as they stand, with a cause that was kept; `occurred` is the cause's own unless it
    is given."""
    cause = cause_decoder.decode(cause_json)
    return Moment(
        profile_id=profile_id,
        of=of,
        seq=seq,
        cause=cause,
        cause_json=cause_json,
        profile=profile,
        profile_json=profile_json,
        facts=facts_of(profile, cause, at),
        occurred=occurred or cause.occurred,
    )


def facts_of(profile: ProfileSnapshot, cause: Cause, at: datetime) -> Facts:
    """What conditions may read: the profile as of the snapshot, its consents as they hold at an
    instant, the event of the cause."""
    persona = profile.persona
    return Facts(
        profile=profile.traits,
        computed=profile.computed,
        event=cause.event,
        event_type=cause.type,
        event_channel=cause.channel,
        event_source=cause.source,
        context=cause.context,
        segments=frozenset(profile.segments),
        persona=None if persona is None else persona.get("key"),
        consents=consents_at(profile.consents, rfc3339(at)) if profile.consents else {},
        leaves=leaves_at(profile.leaves, at),
        changed=cause.changed,
        household=group_facts(profile, "household"),
        account=group_facts(profile, "account"),
        links={"accounts": profile.accounts or None},
    )
