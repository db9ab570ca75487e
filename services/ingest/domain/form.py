"""Form-encoded bodies of webhooks: an object of texts, a repeated name is a list of them.

Clients state a form's content type for JSON too (curl does unless told otherwise), so the body has
a say: names of a form never begin with a bracket, which has to be percent-encoded there.
"""

import re
from collections.abc import Mapping
from urllib.parse import parse_qs

from services.ingest.domain.decode import MALFORMED, holds_nul, media_type, sized
from services.ingest.domain.fields import Object
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 1000
"""Most fields in one body."""

_CONTENT_TYPE = "content-type"
_JSON_BEGINS = re.compile(rb"\s*[{\[]")


def form_headers(content_type: str) -> Headers:
    """The header of a record whose body is stated to be a form; none for any other."""
    return ((_CONTENT_TYPE, FORM.encode()),) if media_type(content_type) == FORM else ()


def is_form(body: bytes | None, headers: Mapping[str, bytes]) -> bool:
    """Whether the body of a webhook is a form; `headers` are the record's."""
    return headers.get(_CONTENT_TYPE) == FORM.encode() and not _JSON_BEGINS.match(body or b"")


def read_form(body: bytes) -> Object:
    """The fields of a form. Raises InvalidData `malformed_payload` for what is none, as for more
    than MAX_FIELDS fields, a field without `=` and bytes that are no UTF-8.
    """
    if not body:
        raise InvalidData(MALFORMED, "no form: the body is empty")
    count = body.count(b"&") + 1
    if count > MAX_FIELDS:
        raise InvalidData(MALFORMED, f"{count} fields in the form; at most {MAX_FIELDS}")
    try:
        fields = parse_qs(
            body.decode(), keep_blank_values=True, strict_parsing=True, errors="strict"
        )
    except ValueError as error:
        raise InvalidData(MALFORMED, f"no form: {error}") from None
    return {name: found[0] if len(found) == 1 else found for name, found in fields.items()}


def decode_form(body: bytes | None) -> Object:
    """As `read_form`, as strictly as JSON is read.

    Raises InvalidData `empty`, `too_large` or `malformed_payload`.
    """
    fields = read_form(sized(body))
    if holds_nul(fields):
        raise InvalidData(MALFORMED, "the character U+0000 cannot be stored")
    return fields
