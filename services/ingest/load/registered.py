"""Asks the collector which source the file is of: its channel, its region, its time zone."""

from pathlib import Path
from urllib.parse import quote

import httpx
import msgspec

from services.ingest.domain.source import Source
from shared.errors import Misconfigured
from shared.settings import read_secret_file

TIMEOUT_SECONDS = 10.0


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
        return msgspec.json.decode(answer.raise_for_status().content, type=Source)
    except (httpx.HTTPError, msgspec.MsgspecError) as error:
        raise Misconfigured([f"{address}: {error}"]) from None
