"""Record what a customer allows or refuses, and tell everybody in the same transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.absorb import Rules
from services.profile.domain.assess import assess, catch_up, note_due
from services.profile.domain.consent import MAX_CONSENTS
from services.profile.domain.consent_change import (
    ConsentChange,
    Entry,
    apply_changes,
    cause_of,
    confirm,
    may_be_said,
)
from services.profile.domain.consent_rules import Refused
from services.profile.domain.definitions import NO_LOOK, Look
from services.profile.domain.profile import StoredProfile
from services.profile.domain.telling import tell, tell_memberships
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage import consent_history
from services.profile.storage.consent_history import NewLine, Proof
from services.profile.use_cases import look_again
from services.profile.use_cases.carry_out import lock_active
from services.profile.use_cases.naming import change_id, consent_entry_id
from shared.contracts.consents import EVERY, GENERAL
from shared.contracts.times import rfc3339
from shared.contracts.topics import Topics
from shared.errors import (
    Conflict,
    PreconditionFailed,
    Problem,
    Unprocessable,
)
from shared.kafka.messages import OutboxBuffer


class Confirm(NamedTuple):
    """The second yes of a double opt-in: to the record of this key, if it stands on this entry."""

    key: str
    asked: str | None


async def change_consents(
    tx: AsyncConnection,
    profile_id: str,
    changes: Sequence[ConsentChange] | Confirm,
    *,
    at: datetime,
    actor: str,
    topics: Topics,
    messages: OutboxBuffer,
    rules: Rules,
    look: Look = NO_LOOK,
    expected_version: int | None = None,
    proof: Proof | None = None,
    reason: str = "api",
) -> StoredProfile:
    """Record consents on the active profile that the id stands for, and return it.

    `proof` says who said so and where; without one it is the actor at the API. The update message
    is added to `messages`; the caller appends them to the outbox in the same transaction. A grant
    that stands already is no change: no message, the same version.
    Raises NotFound, PreconditionFailed when `expected_version` is not the present one, Conflict
    when there is nothing to confirm, and Unprocessable when a purpose refuses a grant or the
    profile would hold too many consents.
    """
    profile = WorkingProfile((await lock_active(tx, [profile_id]))[profile_id], rules.traits)
    if expected_version is not None and expected_version != profile.seq:
        raise PreconditionFailed(f"the profile is at version {profile.seq} by now")
    stamp = rfc3339(at)
    entries = _apply(profile, changes, stamp, rules)
    if not entries:
        return profile.stored()
    profile.forget_consents()
    memberships = catch_up(profile, look, at=stamp)
    memberships += assess(profile, look, look.definitions.by_consent, at=stamp)
    cause = cause_of(
        entries,
        id_=change_id(profile.id, profile.seq + 1),
        occurred_at=stamp,
        received_at=stamp,
        actor=actor,
        reason=reason,
    )
    told = [tell(profile, cause, rules.identity, look=look)]
    told += tell_memberships(
        profile, memberships, at=stamp, look=look, rules=rules.identity, name=change_id
    )
    note_due(profile, look)
    for id_, message in told:
        messages.add(topics.profile_updates, id_.encode(), message)
    await look_again.write(tx, [profile])
    kept = proof or Proof("api", actor=actor)
    await consent_history.append(tx, [NewLine(one, profile.id, None, kept) for one in entries])
    return profile.stored()


def _apply(
    profile: WorkingProfile, changes: Sequence[ConsentChange] | Confirm, at: str, rules: Rules
) -> list[Entry]:
    held, seq = profile.state.consents, profile.seq + 1
    if isinstance(changes, Confirm):
        try:
            name = consent_entry_id(profile.id, seq, 0)
            return [confirm(held, changes.key, at, name, asked=changes.asked)]
        except ValueError as error:
            raise Conflict(f"{error}.".capitalize()) from None
    admitted = []
    problems = []
    for place, change in enumerate(changes):
        if change.at is not None and change.at > at:
            problems.append(Problem(f"consents[{place}].at", "future", "nobody said that yet"))
        if not may_be_said(change.purpose, change.channel):
            message = f"names with * are reserved: {', '.join(GENERAL)}, and {EVERY} as a channel"
            problems.append(Problem(f"consents[{place}].purpose", "reserved", message))
        found = rules.consents.admit(change, at)
        if isinstance(found, Refused):
            path = f"consents[{place}].{found.path}"
            problems.append(Problem(path, found.rule, found.message))
        else:
            admitted.append(found)
    if problems:
        raise Unprocessable("a purpose does not allow this", problems)
    try:
        return apply_changes(
            held, admitted, at, lambda place: consent_entry_id(profile.id, seq, place)
        )
    except ValueError as error:
        rule = Problem("consents", "too_many", str(error))
        raise Unprocessable(f"at most {MAX_CONSENTS} consents", [rule]) from None
