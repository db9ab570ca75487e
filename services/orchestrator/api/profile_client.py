"""Reads a profile over HTTP from the profile service: never its tables, never on the stream."""

from typing import Any
from uuid import UUID

import httpx

from shared.errors import Infrastructure, NotFound

PROFILE = "profile"
TIMEOUT_SECONDS = 2.0


class ProfileClient:
    """One for each process; `close` it at the end."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

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

    async def audience_progress(self, touchpoint_id: UUID) -> dict[str, Any] | None:
        """How far the event of a touchpoint came on its way to its audience; None while that has
        not been applied.

        Raises Infrastructure when the profile service does not answer in time.
        """
        try:
            answer = await self._http.get(f"/v1/audience-events/{touchpoint_id}")
        except httpx.HTTPError as error:
            raise Infrastructure(PROFILE, f"{type(error).__name__}: {error}") from error
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        found: dict[str, Any] = answer.json()
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def profile_client(url: str, service_token: str) -> ProfileClient:
    """A client of the profile API at `url` that shows `service_token`."""
    headers = {"Authorization": f"Bearer {service_token}"}
    return ProfileClient(
        httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
    )
