"""Takes personal data and secrets out of what is written to the log, and control characters too.

Masking is by key (a field called `email` is never written) and by shape (what looks like an e-mail
address, a telephone number or a token inside any text). It would rather hide too much.
"""

import re
from collections.abc import Mapping

MASK = "***"
MAX_TEXT = 2000
MAX_ITEMS = 50
MAX_DEPTH = 6

SECRET_KEYS = frozenset(
    (
        *("authorization", "cookie", "password", "secret", "secret_sha256", "token", "api_key"),
        *("source_key", "write_key", "writekey", "database_url", "dsn"),
    )
)
PERSONAL_KEYS = frozenset(
    (
        *("user_id", "email", "phone", "loyalty_id", "anonymous_id", "device_id", "national_id"),
        *("identifier", "identifiers", "value", "to", "ip", "traits", "properties", "context"),
        *("first_name", "last_name", "birthday", "street", "street_number", "address"),
        *("address_2", "city", "postal_code"),
    )
)
HIDDEN_KEYS = SECRET_KEYS | PERSONAL_KEYS

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
EMAIL = re.compile(r"[^\s@<>\"'(),;:=\[\]{}]{1,64}@[\w.-]{1,253}\w", re.UNICODE)
TOKEN = re.compile(r"\bcst_[0-9a-f]+_[\w-]+|(?i:\bbearer\s+\S+)")
URL_PASSWORD = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*(?=@)")
PHONE = re.compile(r"(?<![\w.:-])\+?\(?\d[\d ()./-]{6,22}\d(?![\w:-])")
PHONE_DIGITS = range(9, 16)


def clean(text: str) -> str:
    """One line without control characters, at most MAX_TEXT long, with nothing personal in it."""
    line = CONTROL.sub(" ", TERMINAL.sub("", text[: 2 * MAX_TEXT]))
    line = URL_PASSWORD.sub(MASK, line)
    line = TOKEN.sub(MASK, line)
    line = EMAIL.sub(MASK, line)
    line = PHONE.sub(_mask_phone, line)
    return line if len(line) <= MAX_TEXT else line[:MAX_TEXT] + "…"


def mask(value: object, depth: int = 0) -> object:
    """A copy that may be written: hidden keys masked, texts cleaned, sizes limited.

    Numbers stay as they are (an offset is no telephone number); objects become their text.
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth >= MAX_DEPTH:
        return MASK
    if isinstance(value, Mapping):
        return {
            clean(str(key)): MASK if str(key).lower() in HIDDEN_KEYS else mask(item, depth + 1)
            for key, item in list(value.items())[:MAX_ITEMS]
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item, depth + 1) for item in list(value)[:MAX_ITEMS]]
    return clean(str(value))


def _mask_phone(found: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in found[0])
    return MASK if digits in PHONE_DIGITS else found[0]
