"""What a deployment says about consents: its purposes, and what customers say to opt out.

A purpose that is not declared is taken as it comes. Of a declared one a grant needs a legal basis
that is allowed and a channel it is for; a denial never fails on its form.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import msgspec

from services.profile.domain.consent_change import ConsentChange
from services.profile.domain.period import Period
from shared.contracts.consents import EVERY

CHANGED = "Consent Changed"
SEGMENT_CHANGED = "Segment Consent Preference Updated"
FORMS = frozenset({CHANGED, SEGMENT_CHANGED})
"""Types of event that list consents."""

CONSENT = "consent"
"""The legal basis of a yes; the only one that a double opt-in is about."""
BASES = (
    *(CONSENT, "contract", "legal_obligation", "vital_interests", "public_task"),
    "legitimate_interest",
)
MAX_MESSAGE = 100
"""A longer message is no word."""

STOP_WORDS: Mapping[str, tuple[str, ...]] = {
    "en": (
        *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"),
        *("OPTOUT", "OPT OUT", "REVOKE"),
    ),
    "fr": ("STOP", "ARRET", "ARRETER", "DESABONNER", "DESINSCRIRE", "DESINSCRIPTION"),
    "de": ("STOPP", "ABMELDEN", "ABBESTELLEN"),
    "es": ("BAJA", "ALTO", "PARAR", "CANCELAR"),
    "it": ("BASTA", "ANNULLA", "CANCELLA", "CANCELLAMI"),
    "nl": ("STOP", "AFMELDEN", "UITSCHRIJVEN"),
    "pt": ("PARAR", "SAIR", "REMOVER"),
    "sv": ("STOPP", "AVSLUTA", "AVREGISTRERA"),
    "pl": ("STOP", "WYPISZ", "REZYGNUJE"),
}
START_WORDS: Mapping[str, tuple[str, ...]] = {
    "en": ("START", "UNSTOP", "RESUME"),
    "fr": ("REPRENDRE", "REPRISE"),
    "de": ("WEITER", "FORTSETZEN"),
    "es": ("ALTA", "REANUDAR"),
    "it": ("RIPRENDI",),
    "nl": ("HERVATTEN",),
    "pt": ("RETOMAR",),
    "sv": ("STARTA",),
    "pl": ("WZNOW",),
}


@dataclass(frozen=True, slots=True)
class Purpose:
    """A declared purpose. `channels` None: any; `expires_after` None: a grant holds for ever."""

    key: str
    name: str
    bases: tuple[str, ...]
    double_opt_in: bool = False
    expires_after: Period | None = None
    channels: tuple[str, ...] | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class OptOuts:
    """How customers say no outside of forms: words in messages, and events of channel systems.

    `stop` and `start` are folded (`folded`). `messages` are event types whose property `body` is
    what the customer wrote, on one of `channels`; `unsubscribed` and `complained` are event types.
    """

    stop: frozenset[str]
    start: frozenset[str]
    messages: frozenset[str] = frozenset({"Message Received"})
    body: str = "body"
    channels: frozenset[str] = frozenset({"sms"})
    unsubscribed: frozenset[str] = frozenset({"Unsubscribed", "unsubscribed"})
    complained: frozenset[str] = frozenset({"Email Marked as Spam", "complained"})


class Refused(NamedTuple):
    """Why a grant cannot be recorded: the field, the rule and a sentence."""

    path: str
    rule: str
    message: str


def folded(text: str) -> str:
    """A message as words are compared: no case, accents, punctuation or doubled spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    letters = (
        letter if letter.isalnum() else " " for letter in plain if not unicodedata.combining(letter)
    )
    return " ".join("".join(letters).split())


def words(lists: Mapping[str, Iterable[str]]) -> frozenset[str]:
    """The words of all languages, folded."""
    return frozenset(folded(word) for listed in lists.values() for word in listed)


DEFAULT_OPT_OUTS = OptOuts(words(STOP_WORDS), words(START_WORDS))


@dataclass(frozen=True)
class ConsentRules:
    """The rules in force."""

    purposes: Mapping[str, Purpose] = field(default_factory=dict)
    opt_outs: OptOuts = DEFAULT_OPT_OUTS

    @cached_property
    def events(self) -> frozenset[str]:
        """The types of event that can say anything about consents."""
        said = self.opt_outs
        return FORMS | said.messages | said.unsubscribed | said.complained

    def admit(self, change: ConsentChange, at: str) -> ConsentChange | Refused:
        """The change as it is to be recorded, with what its purpose adds; or why not.

        `at` (RFC 3339 UTC) is when it was said, unless the change says.
        """
        purpose = self.purposes.get(change.purpose)
        if purpose is None or change.status == "denied":
            return change
        basis = change.basis or _only(purpose.bases)
        if basis not in purpose.bases:
            listed = ", ".join(purpose.bases)
            return Refused("basis", "basis_not_allowed", f"{change.purpose} needs one of {listed}")
        if purpose.channels is not None and change.channel not in (EVERY, *purpose.channels):
            listed = ", ".join(purpose.channels)
            return Refused("channel", "channel_not_declared", f"{change.purpose} is for {listed}")
        expires = change.expires_at
        if expires is None and purpose.expires_after is not None:
            expires = purpose.expires_after.after(change.at or at)
        return msgspec.structs.replace(
            change,
            basis=basis,
            expires_at=expires,
            double_opt_in=purpose.double_opt_in and basis == CONSENT,
        )


def _only(bases: tuple[str, ...]) -> str | None:
    if CONSENT in bases:
        return CONSENT
    return bases[0] if len(bases) == 1 else None
