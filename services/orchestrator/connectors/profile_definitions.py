"""What rules refer to in the profile service: event leaves are registered there, segments and
traits asked."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from shared.conditions.trait_types import TraitType
from shared.errors import Infrastructure, Problem, Unprocessable

PROFILE = "profile"
TIMEOUT_SECONDS = 2.0


class ProfileDefinitions:
    """One for each process; `close` it at the end."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def register_leaves(self, leaves: Sequence[Mapping[str, Any]]) -> dict[str, bool]:
        """Have event leaves (JSON) counted in every snapshot: by hash, whether the history of
        everybody is in. Doing it again is free.

        Raises Unprocessable when one cannot be counted, and Infrastructure when the profile
        service does not answer in time.
        """
        answer = await self._ask("POST", "/v1/leaves", json={"leaves": list(leaves)})
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise Unprocessable("the event leaves cannot be counted", _problems(answer))
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        return {one["hash"]: one["state"] == "ready" for one in answer.json()}

    async def has_segment(self, key: str) -> bool:
        """Whether there is a segment in force under the key. Raises Infrastructure when the profile
        service does not answer in time."""
        answer = await self._ask("GET", f"/v1/segments/{key}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        return str(answer.json()["status"]) == "live"

    async def trait_types(self) -> dict[str, TraitType | None]:
        """The traits that conditions may ask for without a guess, by attribute, with their types;
        None where a value may be anything. Raises Infrastructure when the profile service does not
        answer in time."""
        return {one["attr"]: one["type"] for one in await self._catalogue()}

    async def trait_classes(self) -> dict[str, str | None]:
        """The same traits with the classes of personal data that were declared for them; None where
        nobody said. Raises Infrastructure when the profile service does not answer in time."""
        return {one["attr"]: one["pii"] for one in await self._catalogue()}

    async def _catalogue(self) -> list[dict[str, Any]]:
        answer = await self._ask("GET", "/v1/traits:catalogue")
        if answer.status_code != httpx.codes.OK:
            raise Infrastructure(PROFILE, f"answered {answer.status_code}")
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **how)
        except httpx.HTTPError as error:
            raise Infrastructure(PROFILE, type(error).__name__) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()


def _problems(answer: httpx.Response) -> list[Problem]:
    return [
        Problem(str(one.get("path")), str(one.get("rule")), str(one.get("message")))
        for one in answer.json().get("errors", ())
    ]


def profile_definitions(url: str, service_token: str) -> ProfileDefinitions:
    """A client of the profile API at `url` that shows `service_token`."""
    headers = {"Authorization": f"Bearer {service_token}"}
    return ProfileDefinitions(
        httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False)
    )
