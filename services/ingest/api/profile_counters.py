"""Asks the profile service over HTTP what became of a source's touchpoints; never its tables."""

from typing import NamedTuple
from urllib.parse import quote

import httpx
import msgspec

from shared.errors import Infrastructure

PROFILE = "profile"
TIMEOUT_SECONDS = 2.0


class Applied(NamedTuple):
    """Touchpoints of a source that the profile service has read: the first of an id, and others."""

    accepted: int
    duplicate: int


class _Answer(msgspec.Struct):
    accepted: int
    duplicate: int


class ProfileCounters:
    """One for each process; `close` it at the end."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def of(self, source_id: str) -> Applied:
        """Both counts. Raises Infrastructure when the profile service does not say them in time."""
        try:
            answer = await self._http.get(f"/v1/touchpoint-counters/{quote(source_id, safe='')}")
            if answer.status_code != httpx.codes.OK:
                raise Infrastructure(PROFILE, f"answered {answer.status_code}")
            found = msgspec.json.decode(answer.content, type=_Answer)
        except (httpx.HTTPError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise Infrastructure(PROFILE, f"{type(error).__name__}: {error}") from error
        return Applied(found.accepted, found.duplicate)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def profile_counters(url: str, service_token: str) -> ProfileCounters:
    """A client of the profile API at `url` that shows `service_token`."""
    headers = {"Authorization": f"Bearer {service_token}"}
    return ProfileCounters(
        httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
    )
