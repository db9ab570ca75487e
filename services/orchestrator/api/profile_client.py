"""Reads a profile over HTTP from the profile service: never its tables, never on the stream."""

import asyncio
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

from services.orchestrator.domain.ask import Person
from shared.contracts.profile_update import snapshot_decoder, update_decoder
from shared.errors import Infrastructure, NotFound

PROFILE = "profile"
TIMEOUT_SECONDS = 2.0
DEADLINE_SECONDS = 0.03
"""For who stands at the till: an answer without the profile is better than one that comes late."""
CONNECTIONS = 32
IDLE_SECONDS = 25.0
"""Less than the server keeps a connection that nobody uses."""


class ProfileClient:
    """One for each process; `close` it at the end. `deadline` in seconds is for `person`."""

    def __init__(self, http: httpx.AsyncClient, deadline: float = DEADLINE_SECONDS) -> None:
        self._http = http
        self._deadline = deadline

    async def read(self, profile_id: UUID, *, masked: bool) -> dict[str, Any]:
        """The profile as the profile API shows it; `masked` hides personal data.

        Raises NotFound, and Infrastructure when the profile service does not answer in time.
        """
        query = {"masked": "true"} if masked else {}
        try:
            answer = await self._http.get(f"/v1/profiles/{profile_id}", params=query)
        except httpx.HTTPError as error:
            raise Infrastructure(PROFILE, f"{type(error).__name__}: {error}") from error
        if answer.status_code in (404, 410):
            raise NotFound(f"There is no profile {profile_id}.")
        if answer.status_code != 200:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        found: dict[str, Any] = answer.json()
        return found

    async def person(self, type_: str, value: str) -> Person | None:
        """Whom an identifier points at, as a decision on the stream would see them; None: nobody,
        or many people at once.

        Raises Infrastructure when the profile service has not said so by the deadline.
        """
        path = f"/v1/snapshots/{quote(type_, safe='')}/{quote(value, safe='')}"
        try:
            async with asyncio.timeout(self._deadline):
                answer = await self._http.get(path)
        except (httpx.HTTPError, TimeoutError) as error:
            raise Infrastructure(PROFILE, f"{type(error).__name__}: {error}") from error
        if answer.status_code in (404, 410):
            return None
        if answer.status_code != 200:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        try:
            told = update_decoder.decode(answer.content)
            profile = snapshot_decoder.decode(told.profile)
        except msgspec.DecodeError as error:
            raise Infrastructure(PROFILE, f"answered what is no profile: {error}") from error
        return Person(told.profile_id, told.seq, profile, bytes(told.profile))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def profile_client(
    url: str, service_token: str, *, deadline: float = DEADLINE_SECONDS
) -> ProfileClient:
    """A client of the profile API at `url` that shows `service_token`."""
    headers = {"Authorization": f"Bearer {service_token}"}
    limits = httpx.Limits(
        max_connections=CONNECTIONS,
        max_keepalive_connections=CONNECTIONS,
        keepalive_expiry=IDLE_SECONDS,
    )
    return ProfileClient(
        httpx.AsyncClient(
            base_url=url,
            headers=headers,
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            limits=limits,
        ),
        deadline,
    )
