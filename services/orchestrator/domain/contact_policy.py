"""How often a profile may be contacted: rolling caps over the contact ledger.

A cap holds in every window that contains the planned instant of the new contact, backward and
forward, because a delayed action is reserved ahead of contacts that will be planned before it.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orchestrator.domain.history import Contact
from shared.conditions.document import Fields
from shared.conditions.duration import duration_in_words
from shared.conditions.mistakes import Mistakes, shown
from shared.errors import Unprocessable

CATEGORIES = ("marketing", "service", "transactional", "legal")
SCOPES = ("channel", "category", "topic", "group", "rule")
MAX_CAPS = 50
MAX_LIMIT = 10_000
MAX_WINDOW = timedelta(days=366)
NO_WINDOW = timedelta(0)
MAX_ARBITRATION = timedelta(days=1)
CUSTOMER_WEIGHT = 0.2

_FIELDS = ("key", "version", "name", "description", "caps", "arbitration", "bypass", "consent")
_LATER = {
    "quiet_hours": "Quiet hours are not available in this version: actions go out when due.",
    "suppressions": "Suppressions by outcome are not available in this version.",
    "channel_preference": "Channel preference is not available in this version.",
    "time_zone": "Only calendar caps and quiet hours need a zone, and both are not available yet.",
}
_CONSENT = {
    "marketing": "opt_in",
    "service": "not_opted_out",
    "transactional": "none",
    "legal": "none",
}


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` contacts of the scope in any `window`. A scope field that is None matches
    everything; a scope without fields is about all contacts together."""

    limit: int
    window: timedelta
    channel: str | None = None
    category: str | None = None
    topic: str | None = None
    group: str | None = None
    rule: str | None = None
    household: bool = False
    """Whether it is about everybody of the household together, not about each person."""

    def covers(self, contact: Contact) -> bool:
        """Whether the contact is one of those the cap is about."""
        return (
            (self.channel is None or self.channel == contact.channel)
            and (self.category is None or self.category == contact.category)
            and (self.topic is None or self.topic == contact.topic)
            and (self.group is None or self.group == contact.group)
            and (self.rule is None or self.rule == contact.rule)
        )

    def words(self) -> str:
        """The cap as a person would say it."""
        scope = [f"{name} {value}" for name in SCOPES if (value := getattr(self, name)) is not None]
        about = ", ".join(scope) or "all together"
        contacts = "contact" if self.limit == 1 else "contacts"
        whose = " with everybody of the household" if self.household else ""
        window = duration_in_words(self.window)
        return f"at most {self.limit} {contacts}{whose} in any {window} ({about})"


@dataclass(frozen=True, slots=True)
class ContactPolicy:
    """One published contact policy. Contacts of the bypassed categories are never capped, never
    lose an arbitration, and count towards caps only if `bypass_counts` says so."""

    key: str
    version: int
    caps: tuple[Cap, ...]
    max_actions: int
    bypass: frozenset[str]
    bypass_counts: bool
    window: timedelta = NO_WINDOW
    """For how long candidates wait for others to compete with."""
    customer_weight: float = CUSTOMER_WEIGHT
    """The customer's part in the score of a rule that says what the customer gains, 0 to 1."""

    def exceeded(
        self, contact: Contact, others: Iterable[Contact], kin: Sequence[Contact] = ()
    ) -> tuple[Cap, int] | None:
        """The first cap that the contact would break, and how many contacts its busiest window
        would hold; None when it may be made. `others` are the other contacts of the profile, `kin`
        those of the rest of its household."""
        if contact.category in self.bypass:
            return None
        own = others if isinstance(others, Sequence) else list(others)
        for cap in self.caps:
            if not cap.covers(contact):
                continue
            known = [*own, *kin] if cap.household else own
            instants = [
                other.at
                for other in known
                if cap.covers(other) and (self.bypass_counts or other.category not in self.bypass)
            ]
            count = busiest(instants, contact.at, cap.window)
            if count > cap.limit:
                return cap, count
        return None

    @property
    def longest_window(self) -> timedelta:
        """No contact further away than this from a planned one matters; zero without caps."""
        return max((cap.window for cap in self.caps), default=NO_WINDOW)

    @property
    def household_window(self) -> timedelta:
        """The same of what the rest of the household has to do with; zero where nothing."""
        return max((cap.window for cap in self.caps if cap.household), default=NO_WINDOW)


DEFAULT_POLICY = ContactPolicy(
    key="default",
    version=0,
    caps=(),
    max_actions=1,
    bypass=frozenset({"transactional", "legal"}),
    bypass_counts=False,
)
"""Holds until somebody publishes the policy `default`: no caps, one winner for each touchpoint."""


def busiest(instants: Iterable[datetime], at: datetime, window: timedelta) -> int:
    """The most contacts in any half-open window of this length that contains `at`, with `at`."""
    near = sorted(instant for instant in instants if at - window < instant < at + window)
    insort(near, at)
    place = bisect_left(near, at)
    return max(
        bisect_left(near, near[first] + window) - first
        for first in range(place + 1)
        if near[first] + window > at
    )


def parse_policy(document: object, *, key: str, version: int) -> ContactPolicy:
    """The contact policy of a decoded JSON document.

    Raises Unprocessable with one problem for each mistake.
    """
    mistakes = Mistakes()
    fields = Fields(mistakes, document, "", _FIELDS, _LATER)
    fields.same_key(key)
    caps = tuple(_cap(mistakes, value, path) for path, value in fields.items("caps", MAX_CAPS))
    max_actions, wait, customer_weight = fields.nested(
        "arbitration",
        _arbitration,
        ("window", "max_actions", "customer_weight", "formula", "tie"),
    )
    bypass, counts = fields.nested("bypass", _bypass, ("categories", "counts_toward_caps"))
    fields.nested("consent", _consent, ("require",))
    if mistakes.problems:
        raise Unprocessable("the contact policy breaks rules", mistakes.problems)
    return ContactPolicy(
        key,
        version,
        caps,
        max_actions,
        bypass,
        counts,
        window=wait,
        customer_weight=customer_weight,
    )


def _cap(mistakes: Mistakes, value: object, path: str) -> Cap:
    fields = Fields(mistakes, value, path, ("scope", "limit", "window", "kind", "per"))
    if fields.value("kind") == "calendar":
        fields.wrong("kind", "not_available", "Calendar caps are not available in this version: "
                     "a rolling cap of P1D is stricter.")  # fmt: skip
    else:
        fields.choice("kind", ("rolling",), "rolling")
    fields.required("limit")
    limit = fields.whole("limit", 0, 0, MAX_LIMIT)
    fields.required("window")
    window = fields.duration("window", timedelta(days=1), MAX_WINDOW)
    scope = fields.nested(
        "scope", lambda nested: {name: nested.text(name) for name in SCOPES}, SCOPES
    )
    category = scope["category"]
    if category is not None and category not in CATEGORIES:
        fields.wrong("scope.category", "choice", f"is none of {', '.join(CATEGORIES)}")
    per = fields.choice("per", ("profile", "household"), "profile")
    return Cap(limit, window, **scope, household=per == "household")


def _arbitration(fields: Fields) -> tuple[int, timedelta, float]:
    fixed = {
        "formula": ["propensity", "context", "value", "lever"],
        "tie": ["priority", "value", "key"],
    }
    for name, given in fixed.items():
        if fields.value(name) not in (None, given):
            fields.wrong(name, "not_available", f"Only {given} is available in this version.")
    return (
        fields.whole("max_actions", 1, 1, 100),
        fields.duration("window", NO_WINDOW, MAX_ARBITRATION, zero=True),
        fields.number("customer_weight", CUSTOMER_WEIGHT, 0.0, 1.0),
    )


def _bypass(fields: Fields) -> tuple[frozenset[str], bool]:
    categories = set()
    for path, value in fields.items("categories", len(CATEGORIES)):
        if value not in CATEGORIES:
            fields.mistakes.add(
                path, "choice", f"{shown(value)} is none of {', '.join(CATEGORIES)}"
            )
        elif value == "marketing":
            fields.mistakes.add(path, "choice", "marketing cannot bypass the contact policy")
        else:
            categories.add(str(value))
    chosen = frozenset(categories) if fields.has("categories") else DEFAULT_POLICY.bypass
    return chosen, fields.boolean("counts_toward_caps", default=False)


def _consent(fields: Fields) -> None:
    def read(required: Fields) -> None:
        for category, need in _CONSENT.items():
            if required.value(category) not in (None, need):
                required.wrong(
                    category, "not_available", f"Only {need} is available in this version."
                )

    fields.nested("require", read, tuple(_CONSENT))
