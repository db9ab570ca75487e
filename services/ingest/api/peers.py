"""Asks the profile service and the orchestrator over HTTP what they know: never their tables.

An answer is waited for two seconds in all, however slowly it comes.
"""

import asyncio
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from services.ingest.domain.receipt import Applied, Decided
from shared.errors import Infrastructure

PROFILE = "profile"
ORCHESTRATOR = "orchestrator"
DEADLINE_SECONDS = 2.0
MOST_DECISIONS = 50


class Counted(NamedTuple):
    """Of one source: touchpoints that were applied, and further copies of them that it sent."""

    accepted: int
    duplicate: int


class Peers:
    """One for each process; `close` it at the end."""

    def __init__(self, profile: httpx.AsyncClient, orchestrator: httpx.AsyncClient) -> None:
        self._profile = profile
        self._orchestrator = orchestrator

    async def applied(self, touchpoint_id: str) -> Applied | None:
        """What became of a touchpoint; None while it is not applied.

        Raises Infrastructure when the profile service does not answer in time.
        """
        found = await _get(self._profile, PROFILE, f"/v1/touchpoints/{touchpoint_id}")
        if found is None:
            return None
        return Applied(found["source"], found["profile_id"], found["reason"], found["duplicates"])

    async def counted(self, source: str) -> Counted:
        """The exact counters of a source.

        Raises Infrastructure when the profile service does not answer in time.
        """
        path = f"/v1/touchpoint-counters/{quote(source, safe='')}"
        found = await _get(self._profile, PROFILE, path)
        if found is None:
            raise Infrastructure(PROFILE, f"has no {path}")
        return Counted(found["accepted"], found["duplicate"])

    async def decided(self, touchpoint_id: str) -> list[Decided]:
        """The latest decisions that a touchpoint led to, newest first, 50 at most.

        Raises Infrastructure when the orchestrator does not answer in time.
        """
        query = {"touchpoint_id": touchpoint_id, "limit": str(MOST_DECISIONS)}
        found = await _get(self._orchestrator, ORCHESTRATOR, "/v1/decisions", query)
        items = [] if found is None else found["items"]
        return [Decided(one["id"], one["at"], one["outcome"], one["action_ids"]) for one in items]

    async def close(self) -> None:
        """Close the connections."""
        await self._profile.aclose()
        await self._orchestrator.aclose()


def peers_at(*, profile_url: str, orchestrator_url: str, service_token: str) -> Peers:
    """Clients of both services that show `service_token`."""

    def client(url: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {service_token}"}
        return httpx.AsyncClient(
            base_url=url, headers=headers, timeout=DEADLINE_SECONDS, trust_env=False
        )

    return Peers(client(profile_url), client(orchestrator_url))


async def _get(
    http: httpx.AsyncClient, peer: str, path: str, query: dict[str, str] | None = None
) -> dict[str, Any] | None:
    """The JSON object at `path`; None for 404. Raises Infrastructure."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await http.get(path, params=query)
    except (httpx.HTTPError, TimeoutError) as error:
        raise Infrastructure(peer, f"{type(error).__name__}: {error}") from error
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    if answer.status_code != httpx.codes.OK:
        raise Infrastructure(peer, f"answered {answer.status_code}")
    found: dict[str, Any] = answer.json()
    return found
