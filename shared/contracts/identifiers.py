"""What every service has to agree on about identifiers: limits, strength, and who is nobody.

Pure. The form of a value is in `identifier_form`.
"""

from collections.abc import Mapping

RESERVED_TYPE = "profile_id"
"""Points at a profile by its own id; channel systems echo it. Never creates, merges or moves."""

MAX_TYPE = 64
"""Longest name of a type, in characters."""
MAX_VALUE = 512
"""Longest value, in characters."""
MAX_PER_TOUCHPOINT = 100
"""Most identifiers of one touchpoint that are looked at."""

DEFAULT_PRIORITY = 5
PRIORITIES: Mapping[str, int] = {
    "user_id": 1,
    "anonymous_id": 100,
    "device_id": 100,
    "household_id": 200,
    "group_id": 200,
}
"""How strong a type is if nobody says otherwise: the smallest is the strongest; the others have
DEFAULT_PRIORITY."""

NOBODY = frozenset(
    (
        *("null", "undefined", "none", "nil", "nan", "void", "n/a", "na", "-1", "true", "false"),
        *("anonymous", "guest", "unknown", "not_authenticated", "[object object]"),
        *("id", "email", "distinct_id", "distinctid", "user_id", "userid"),
        *("test@test.com", "none@none.com", "n/a@n/a.com"),
    )
)
"""Values, in any case, that programs send when they know nobody (PostHog's and Segment's lists)."""


_NOBODYS_MAIL = ("noreply@", "no-reply@", "donotreply@", "do-not-reply@")
"""Mailboxes that nobody reads, at any domain."""


def names_nobody(value: str) -> bool:
    """Whether a value stands for "no value": blank, only zeros and signs, one of NOBODY, or a
    mailbox that nobody reads.

    Quotation marks around the value do not help it.
    """
    bare = value.strip(" \t\r\n'\"")
    if not bare.strip("0-+"):
        return True
    lowered = bare.lower()
    return lowered in NOBODY or lowered.startswith(_NOBODYS_MAIL)
