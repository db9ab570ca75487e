"""Asks the profile service and the orchestrator over HTTP what they know: never their tables.

An answer is waited for two seconds in all, however slowly it comes.
"""

import asyncio
from typing import NamedTuple, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from services.ingest.domain.receipt import Applied, Decided, Progress
from shared.errors import Infrastructure

PROFILE = "profile"
ORCHESTRATOR = "orchestrator"
DEADLINE_SECONDS = 2.0
MOST_DECISIONS = 50
Answer = TypeVar("Answer")


class Counted(NamedTuple):
    """Of one source: touchpoints that were applied, and further copies of them that it sent."""

    accepted: int
    duplicate: int


class _Counters(msgspec.Struct):
    accepted: int
    duplicate: int


class _Fate(msgspec.Struct):
    source: str
    profile_id: str | None
    reason: str | None
    duplicates: int
    audience: Progress | None = None


class _Decision(msgspec.Struct):
    id: str
    at: str
    outcome: str
    action_ids: list[str]


class _Decisions(msgspec.Struct):
    items: list[_Decision]


class Peers:
    """One for each process; `close` it at the end."""

    def __init__(self, profile: httpx.AsyncClient, orchestrator: httpx.AsyncClient) -> None:
        self._profile = profile
        self._orchestrator = orchestrator

    async def applied(self, touchpoint_id: str) -> Applied | None:
        """What became of a touchpoint; None while it is not applied.

        Raises Infrastructure when the profile service does not answer in time.
        """
        found = await _get(self._profile, PROFILE, f"/v1/touchpoints/{touchpoint_id}", _Fate)
        if found is None:
            return None
        return Applied(
            found.source, found.profile_id, found.reason, found.duplicates, found.audience
        )

    async def counted(self, source: str) -> Counted:
        """The exact counters of a source.

        Raises Infrastructure when the profile service does not answer in time.
        """
        path = f"/v1/touchpoint-counters/{quote(source, safe='')}"
        found = await _get(self._profile, PROFILE, path, _Counters)
        if found is None:
            raise Infrastructure(PROFILE, f"has no {path}")
        return Counted(found.accepted, found.duplicate)

    async def decided(self, touchpoint_id: str) -> list[Decided]:
        """The latest decisions that a touchpoint led to, newest first, 50 at most.

        Raises Infrastructure when the orchestrator does not answer in time.
        """
        query = {"touchpoint_id": touchpoint_id, "limit": str(MOST_DECISIONS)}
        found = await _get(self._orchestrator, ORCHESTRATOR, "/v1/decisions", _Decisions, query)
        items = [] if found is None else found.items
        return [Decided(one.id, one.at, one.outcome, one.action_ids) for one in items]

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
    http: httpx.AsyncClient,
    peer: str,
    path: str,
    shape: type[Answer],
    query: dict[str, str] | None = None,
) -> Answer | None:
    """What stands at `path`; None for 404. Raises Infrastructure, for another shape too."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            answer = await http.get(path, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(peer, f"answered {answer.status_code}")
        return msgspec.json.decode(answer.content, type=shape)
    except (httpx.HTTPError, TimeoutError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Infrastructure(peer, f"{type(error).__name__}: {error}") from error
