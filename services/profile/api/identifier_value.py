"""The value of an identifier in a URL, in the one form that profiles are found by.

The form is the one the ingest service gives every identifier; a contract test holds the two
together.
"""

import unicodedata

import phonenumbers

MAX_VALUE = 512


def normalised(type_: str, value: str) -> str:
    """The value as a profile holds it; as it is where it cannot be what its type says."""
    value = unicodedata.normalize("NFKC", value).strip()
    match type_:
        case "email":
            return unicodedata.normalize("NFKC", value.lower())
        case "phone":
            return _e164(value) or value
        case _:
            return value


def _e164(value: str) -> str | None:
    try:
        number = phonenumbers.parse(value, None)
    except phonenumbers.NumberParseException:
        return None
    if number.extension or not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
