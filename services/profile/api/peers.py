"""Asks ingest and the orchestrator over HTTP, with the service token: never their tables.

Identifiers travel in bodies, never in a URL, which servers and proxies would log.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from services.profile.use_cases.peers import Page
from shared.contracts.touchpoint import Identifier
from shared.errors import Infrastructure

INGEST, ORCHESTRATOR = "ingest", "orchestrator"
TIMEOUT_SECONDS = 30.0
PAGE = 100
MOST_NAMED = 5000
"""Identifiers in one question; ingest takes no more than 10,000."""


class HttpPeers:
    """One for each process; `close` it at the end."""

    def __init__(self, ingest: httpx.AsyncClient, orchestrator: httpx.AsyncClient) -> None:
        self._ingest = ingest
        self._orchestrator = orchestrator

    async def forgotten(self, profile_id: str) -> Mapping[str, int] | None:
        """What the orchestrator erased of a profile, by store; None while it has not."""
        found = await _ask(
            self._orchestrator, ORCHESTRATOR, "GET", f"/v1/people/{quote(profile_id)}/erasure"
        )
        return None if found is None else _counts(ORCHESTRATOR, found)

    async def forget_failed(self, identifiers: Sequence[Identifier]) -> Mapping[str, int]:
        """Let ingest erase what names the identifiers; how many rows, by store."""
        erased: Counter[str] = Counter()
        for some in _parts(identifiers):
            found = await _ask(self._ingest, INGEST, "POST", "/v1/people:erase", _named(some))
            if found is None:
                raise Infrastructure(INGEST, "answered 404")
            erased.update(_counts(INGEST, found))
        return erased

    async def failed_events(self, identifiers: Sequence[Identifier]) -> Sequence[Any]:
        """The events that ingest could not read and that name one of the identifiers."""
        events: dict[bytes, Any] = {}
        for some in _parts(identifiers):
            found = await _ask(self._ingest, INGEST, "POST", "/v1/people:find", _named(some))
            events |= {msgspec.json.encode(one): one for one in _page(INGEST, found).items}
        return list(events.values())

    async def decisions(self, profile_id: str, cursor: str | None) -> Page:
        """A page of what the orchestrator decided about a profile."""
        return await self._of_profile("/v1/decisions", profile_id, cursor)

    async def actions(self, profile_id: str, cursor: str | None) -> Page:
        """A page of what the orchestrator did for a profile."""
        return await self._of_profile("/v1/actions", profile_id, cursor)

    async def close(self) -> None:
        """Close the connections."""
        await self._ingest.aclose()
        await self._orchestrator.aclose()

    async def _of_profile(self, path: str, profile_id: str, cursor: str | None) -> Page:
        query = {"profile_id": profile_id, "limit": str(PAGE)}
        if cursor is not None:
            query["cursor"] = cursor
        found = await _ask(self._orchestrator, ORCHESTRATOR, "GET", path, query=query)
        return _page(ORCHESTRATOR, found)


def peers_at(*, ingest_url: str, orchestrator_url: str, service_token: str) -> HttpPeers:
    """Clients of both services that show `service_token`."""

    def client(url: str) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {service_token}"}
        return httpx.AsyncClient(
            base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    return HttpPeers(client(ingest_url), client(orchestrator_url))


def _parts(identifiers: Sequence[Identifier]) -> Iterator[Sequence[Identifier]]:
    for start in range(0, len(identifiers), MOST_NAMED):
        yield identifiers[start : start + MOST_NAMED]


def _named(identifiers: Sequence[Identifier]) -> dict[str, Any]:
    return {"identifiers": [{"type": one.type, "value": one.value} for one in identifiers]}


async def _ask(
    http: httpx.AsyncClient,
    peer: str,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    query: dict[str, str] | None = None,
) -> Any:
    """The answer; None for 404."""
    try:
        answer = await http.request(method, path, json=body, params=query)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(peer, f"answered {answer.status_code}")
        return msgspec.json.decode(answer.content)
    except (httpx.HTTPError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Infrastructure(peer, type(error).__name__) from error


def _counts(peer: str, found: Any) -> dict[str, int]:
    try:
        return msgspec.convert(found["erased"], dict[str, int])
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise Infrastructure(peer, "answered in another form") from error


def _page(peer: str, found: Any) -> Page:
    if found is None:
        return Page([], None)
    try:
        return Page(list(found["items"]), found["next_cursor"])
    except (KeyError, TypeError) as error:
        raise Infrastructure(peer, "answered in another form") from error
