"""Tell which grants of a locked profile have expired, each at its instant."""

from itertools import groupby

from services.profile.domain.absorb import Rules
from services.profile.domain.consent_change import cause_of, lapse
from services.profile.domain.definitions import Look
from services.profile.domain.instants import instant_text
from services.profile.domain.telling import tell
from services.profile.domain.working_profile import WorkingProfile
from services.profile.storage.consent_history import NewLine, Proof
from services.profile.use_cases.naming import change_id, consent_entry_id
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer

ACTOR = "concert"
EXPIRED = "expired"


def lapse_consents(
    profile: WorkingProfile, look: Look, *, rules: Rules, topics: Topics, messages: OutboxBuffer
) -> list[NewLine]:
    """The lines for the history; one update for each instant is added to `messages`. What the
    profile is a member of is left to the caller, and nothing is written yet."""
    seq = profile.seq + 1
    entries = lapse(
        profile.state.consents,
        instant_text(look.now),
        lambda key: consent_entry_id(profile.id, seq, key),
    )
    if not entries:
        return []
    profile.forget_consents()
    for at, ended in groupby(sorted(entries, key=lambda one: one.at), key=lambda one: one.at):
        cause = cause_of(
            ended,
            id_=change_id(profile.id, profile.seq + 1),
            occurred_at=at,
            received_at=at,
            actor=ACTOR,
            reason=EXPIRED,
        )
        id_, message = tell(profile, cause, rules.identity, look=look)
        messages.add(topics.profile_updates, id_.encode(), message)
    return [NewLine(one, profile.id, None, Proof(ACTOR)) for one in entries]
