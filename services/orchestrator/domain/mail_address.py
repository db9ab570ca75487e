"""E-mail addresses, as strict as a header and an SMTP command need them to be."""

import re

MAX_ADDRESS = 254
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_NAMED = re.compile(r"(?P<name>[^<>\"@,;:\\]{0,100}?) ?<(?P<address>[^<>\s]+)>")


def ascii_address(text: str) -> str | None:
    """The address with its domain in ASCII; None when it is none that can be mailed to.

    Quoted local parts and address literals are refused, as is a local part beyond ASCII: few
    servers take it.
    """
    local, at, domain = text.rpartition("@")
    if not at or _CONTROL.search(text) or len(local) > 64 or _LOCAL.fullmatch(local) is None:
        return None
    try:
        domain = domain.encode("idna").decode("ascii")
    except UnicodeError:
        return None
    labels = domain.split(".")
    if len(labels) < 2 or any(_LABEL.fullmatch(label) is None for label in labels):
        return None
    address = f"{local}@{domain}"
    return address if len(address) <= MAX_ADDRESS else None


def split_mailbox(text: str) -> tuple[str, str] | None:
    """(name, address) of `Name <address>`, or of an address alone; None when it is neither."""
    if _CONTROL.search(text):
        return None
    found = _NAMED.fullmatch(text)
    name, address = (found["name"], found["address"]) if found else ("", text)
    ascii_form = ascii_address(address)
    return None if ascii_form is None else (name.strip(), ascii_form)


def is_mailbox(text: str) -> bool:
    """Whether mail can come from it."""
    return split_mailbox(text) is not None
