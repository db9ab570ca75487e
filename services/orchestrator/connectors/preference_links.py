"""Asks the profile service for the link by which a person leaves a kind of mail with one click."""

from collections.abc import Mapping

import httpx

from shared.contracts.action import Action
from shared.errors import Infrastructure

PROFILE = "profile"
TIMEOUT_SECONDS = 2.0
ASKED_FOR = frozenset({"marketing", "service"})
"""Categories that a person may leave; the others need no consent."""
NO_LINKS = frozenset({404, 409, 410})
"""No such person any more, or the deployment has no keys for links."""


class PreferenceLinks:
    """One for each process; `close` it at the end."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def unsubscribe(self, action: Action) -> str | None:
        """The link for the action's category on its channel; None where there is none.

        Raises Infrastructure when the profile service does not answer in time.
        """
        if action.category not in ASKED_FOR:
            return None
        body: Mapping[str, str] = {"purpose": action.category, "channel": action.channel}
        path = f"/v1/profiles/{action.profile_id}/preference-link"
        try:
            answer = await self._http.post(path, json=body)
        except httpx.HTTPError as error:
            raise Infrastructure(PROFILE, type(error).__name__) from error
        if answer.status_code in NO_LINKS:
            return None
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        return str(answer.json()["url"])

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def preference_links(url: str, service_token: str) -> PreferenceLinks:
    """A client of the profile API at `url` that shows `service_token`."""
    headers = {"Authorization": f"Bearer {service_token}"}
    return PreferenceLinks(
        httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
    )
