"""An event that names no person goes to everybody its condition holds for: a copy for each of them.

A copy is a native event as the publisher could have written it, with the id
`<message id>:<profile id>` and the one identifier that never creates, merges or moves anything and
is followed through merges: the profile's own id. It carries no audience, so it ends there.
"""

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from services.profile.domain.identity import IdentityRules
from services.profile.domain.snapshot import update
from services.profile.domain.working_profile import WorkingProfile
from shared.conditions.audience import read_audience
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.facts import Facts
from shared.conditions.leaves import references
from shared.contracts.consents import consents_at
from shared.contracts.identifiers import RESERVED_TYPE
from shared.contracts.profile_update import group_facts, snapshot_decoder, update_decoder
from shared.contracts.times import rfc3339
from shared.contracts.touchpoint import Touchpoint
from shared.errors import Problem, Unprocessable

AUDIENCE = "audience"
"""Why a touchpoint was stored without a profile: a copy of it goes to each member."""

_OWN_CONTEXT, _FOREIGN = "concert", "context.concert"
"""Where ingest notes what it found, and where among it a publisher's own entry of that name is."""
_encode = msgspec.json.Encoder().encode
_NO_CAUSE = b"null"


class Membership(NamedTuple):
    """`holds` says whether somebody is meant, by the facts of `facts_of`. What it names has to be
    in force, and everybody decided by it."""

    holds: Holds
    segments: tuple[str, ...]
    personas: tuple[str, ...]


def membership(condition: object) -> Membership:
    """What an audience means. Raises Unprocessable."""
    problems: list[Problem] = []
    found = read_audience(condition, problems)
    if found is None:
        raise Unprocessable("the audience breaks rules", problems)
    named = references(found)
    return Membership(compile_condition(found), named.segments, named.personas)


def facts_of(profile: WorkingProfile, rules: IdentityRules, at: datetime) -> Facts:
    """What conditions know of a profile at an instant, read from the very snapshot that receivers
    get."""
    message = update_decoder.decode(update(profile, _NO_CAUSE, rules))
    snapshot = snapshot_decoder.decode(message.profile)
    return Facts(
        profile=snapshot.traits,
        computed=snapshot.computed,
        segments=frozenset(snapshot.segments),
        persona=None if snapshot.persona is None else snapshot.persona["key"],
        consents=consents_at(snapshot.consents, rfc3339(at)) if snapshot.consents else {},
        household=group_facts(snapshot, "household"),
        account=group_facts(snapshot, "account"),
        links={"accounts": snapshot.accounts or None, "lists": profile.standing.lists or None},
    )


class Copies:
    """The copies of one event; what they have in common is encoded once."""

    def __init__(self, touchpoint: Touchpoint) -> None:
        self.topic = touchpoint.raw.topic
        """The raw topic that the event came from, and its copies go to."""
        self._message_id = touchpoint.message_id
        self._rest = _encode(_native(touchpoint))[1:]

    @property
    def size(self) -> int:
        """About how many bytes each has."""
        return len(self._rest)

    def of(self, profile_id: str) -> bytes:
        """The copy for one profile."""
        own = {
            "id": f"{self._message_id}:{profile_id}",
            "identifiers": [{"type": RESERVED_TYPE, "value": profile_id}],
        }
        return b"%b,%b" % (_encode(own)[:-1], self._rest)


def _native(touchpoint: Touchpoint) -> dict[str, Any]:
    """The event without id and identifiers; what ingest noted about it is left to ingest again."""
    context = dict(touchpoint.context)
    extra = dict(context.pop(_OWN_CONTEXT, {}).get("extra", {}))
    if _FOREIGN in extra:
        context[_OWN_CONTEXT] = extra.pop(_FOREIGN)
    event = {
        "source": touchpoint.source,
        "type": touchpoint.type,
        "kind": touchpoint.kind,
        "channel": touchpoint.channel,
        "occurred_at": touchpoint.occurred_at,
        "traits": touchpoint.traits,
        "properties": touchpoint.properties,
        "context": context,
        "schema": touchpoint.schema,
        "trace": touchpoint.trace,
        "historical": touchpoint.historical,
    }
    return {**extra, **{name: value for name, value in event.items() if value not in (None, {})}}
