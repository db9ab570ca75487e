"""The one form of an identifier's value: what is stored, compared, and looked up.

Every value: Unicode NFKC, no white space around it. E-mail addresses also lower case (dots and
plus tags stay: they are different mailboxes at many providers), phones E.164, the reserved type a
UUID in lower case. Pure; bringing a value into its form again changes nothing.
"""

import re
import unicodedata
from functools import lru_cache
from uuid import UUID

import phonenumbers

from shared.contracts.identifiers import RESERVED_TYPE

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def plain(value: str) -> str:
    """The value as text: NFKC, without white space around it."""
    return (value if value.isascii() else unicodedata.normalize("NFKC", value)).strip()


def form_of(type_: str, value: str, region: str | None = None) -> str | None:
    """The form of a `plain` value; None when it cannot be what its type says.

    `region` (ISO 3166, two letters) is where a phone number without a country code belongs.
    """
    if type_ == "email":
        value = unicodedata.normalize("NFKC", value.lower())
        return value if _EMAIL.fullmatch(value) else None
    if type_ == "phone":
        return _e164(value, region)
    return _uuid(value) if type_ == RESERVED_TYPE else value


@lru_cache(maxsize=16_384)
def _e164(value: str, region: str | None) -> str | None:
    """E.164, or None. A number with an extension is None: many people share its trunk; and so is
    one that reads as another when it is written down (zeros that are dialled, one at a time)."""
    found = _written(value, region)
    return found if found is not None and _written(found, None) == found else None


def _written(value: str, region: str | None) -> str | None:
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _uuid(value: str) -> str | None:
    try:
        return str(UUID(value))
    except ValueError:
        return None
