"""Asks the collector which source the file is of: by its rules the rows are judged."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from services.ingest.domain.source import Source
from shared.conditions.duration import parse_duration
from shared.errors import Misconfigured
from shared.settings import read_secret_file

TIMEOUT_SECONDS = 10.0
NO_RULES = frozenset(("version", "created_at", "created_by", "keys", "counters"))
"""Fields of the answer that say nothing about how events of the source are read."""


class _Shown(Source, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source as the API shows it."""

    max_age: str | None = None


def registered_source(url: str, token_file: Path, source_id: str) -> Source:
    """The source as it is registered.

    Raises Misconfigured when it is not, or when the collector does not say.
    """
    headers = {"Authorization": f"Bearer {read_secret_file(token_file)}"}
    address = f"{url.rstrip('/')}/v1/sources/{quote(source_id, safe='')}"
    try:
        answer = httpx.get(address, headers=headers, timeout=TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        told = f"{url} does not answer ({error}): is Concert running? --url names its collector"
        raise Misconfigured([told]) from None
    if answer.status_code == httpx.codes.NOT_FOUND:
        told = f"source {source_id!r} is not registered: POST {url}/v1/sources, see the README"
        raise Misconfigured([told])
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Misconfigured([f"{url} does not accept the token in {token_file}"])
    try:
        return source_shown(answer.raise_for_status().content)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Misconfigured([f"{address}: {error}"]) from None


def source_shown(answer: bytes) -> Source:
    """The source of an answer of `GET /v1/sources/{id}`.

    Raises msgspec.MsgspecError for what is none, also for a field that this program does not know:
    it could be a rule by which the worker judges.
    """
    document = msgspec.json.decode(answer, type=dict[str, Any])
    shown = msgspec.convert({n: v for n, v in document.items() if n not in NO_RULES}, _Shown)
    fields = msgspec.structs.asdict(shown)
    stated = fields.pop("max_age")
    age = None if stated is None else parse_duration(stated)
    if stated is not None and age is None:
        raise msgspec.ValidationError(f"max_age: {stated!r} is no duration")
    fields["max_age_seconds"] = None if age is None else int(age.total_seconds())
    return Source(**fields)
