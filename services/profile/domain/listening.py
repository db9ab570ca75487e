"""What a fold does about consents: hears what touchpoints say, and tells what that changed."""

from services.profile.domain.absorbed import Absorbed, Naming, Said
from services.profile.domain.consent_change import Entry, cause_of
from services.profile.domain.consent_events import hear
from services.profile.domain.consent_rules import ConsentRules
from services.profile.domain.definitions import Look
from services.profile.domain.identity import IdentityRules
from services.profile.domain.telling import tell
from services.profile.domain.working_profile import WorkingProfile
from shared.contracts.touchpoint import TouchpointEnvelope


class Listener:
    """The consents of one fold's profiles; what it finds out goes to the fold's result."""

    def __init__(
        self,
        consents: ConsentRules,
        look: Look,
        rules: IdentityRules,
        naming: Naming,
        result: Absorbed,
    ) -> None:
        self._consents = consents
        self._look = look
        self._rules = rules
        self._naming = naming
        self._result = result

    def hear(
        self, profile: WorkingProfile, anchor: str, touchpoint: TouchpointEnvelope
    ) -> list[Entry]:
        """Record what a touchpoint says about consents; what that did."""
        heard = hear(profile.state.consents, touchpoint, self._consents)
        self._result.outcomes["consent_dropped"] += heard.dropped
        for entry in heard.entries:
            said = Said(entry, profile.id, anchor, touchpoint.source, touchpoint.id)
            self._result.said.append(said)
        if heard.entries:
            profile.forget_consents()
        return heard.entries

    def tell(
        self, profile: WorkingProfile, entries: list[Entry], touchpoint: TouchpointEnvelope
    ) -> None:
        """Say which consents hold otherwise, as an update that follows the touchpoint's own."""
        if not any(entry.is_news for entry in entries):
            return
        cause = cause_of(
            entries,
            id_=self._naming.change(profile.id, profile.seq + 1),
            occurred_at=touchpoint.occurred_at,
            received_at=touchpoint.received_at,
            actor=touchpoint.source,
            reason="event",
            touchpoint_id=touchpoint.id,
            historical=touchpoint.historical,
        )
        self._result.messages.append(tell(profile, cause, self._rules, look=self._look))
