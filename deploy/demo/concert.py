"""Where the running Concert is, and calls of its APIs as an administrator.

Everything comes from the environment that `make demo` sets; by default that of `make run`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.demo.errors import DemoError
from shared.contracts.topics import Topics

Json = dict[str, Any]
TIMEOUT_SECONDS = 30.0


class Access(BaseSettings):
    """Addresses, and the home with the tokens. Each is the variable `CONCERT_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="CONCERT_", frozen=True, extra="ignore")

    home: Path = Field(Path(".concert"), description="Folder with the token files.")
    kafka: str = Field("127.0.0.1:8092", description="Bootstrap servers, host:port, by comma.")
    topic_prefix: str = Field("", description="Put before every topic name.")
    collector_url: str = Field("http://127.0.0.1:8001", description="Where events go over HTTP.")
    profile_url: str = Field("http://127.0.0.1:8002", description="Where the profile API is.")
    orchestrator_url: str = Field("http://127.0.0.1:8003", description="Where rules are kept.")

    @property
    def topics(self) -> Topics:
        """The topics under the prefix."""
        return Topics(self.topic_prefix)

    @property
    def admin_token_file(self) -> Path:
        """The administrator's token."""
        return self.home / "admin-token"

    @property
    def source_key_file(self) -> Path:
        """The web shop's key for the collector."""
        return self.home / "source-key"


class Api:
    """One service's HTTP API. Raises DemoError for what is neither expected nor a success."""

    def __init__(self, name: str, url: str, headers: Mapping[str, str] | None = None) -> None:
        self._name = name
        self._url = url
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS)

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def get(self, path: str, **query: str | int) -> Json:
        """The answer's body."""
        return self._checked(await self._call("GET", path, params=query))

    async def find(self, path: str, **query: str | int) -> Json | None:
        """The answer's body; None for 404."""
        answer = await self._call("GET", path, params=query)
        return None if answer.status_code == httpx.codes.NOT_FOUND else self._checked(answer)

    async def everything(self, path: str, **query: str | int) -> list[Json]:
        """The items of all pages of a list."""
        found: list[Json] = []
        cursor: str | None = None
        while True:
            page = await self.get(path, **query, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found

    async def put(self, path: str, body: Json) -> Json:
        """Save."""
        return self._checked(await self._call("PUT", path, json=body))

    async def post(self, path: str, body: Json, auth: tuple[str, str] | None = None) -> Json:
        """Send; `auth` are the user name and password of HTTP Basic."""
        return self._checked(await self._call("POST", path, json=body, auth=auth))

    async def status_of_post(self, path: str, body: Json, auth: tuple[str, str]) -> int:
        """Only how the service answers."""
        return (await self._call("POST", path, json=body, auth=auth)).status_code

    async def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        if more.get("auth") is None:
            more.pop("auth", None)
        try:
            return await self._client.request(method, path, **more)
        except httpx.TransportError as error:
            reason = f"{type(error).__name__}: {error}".rstrip(": ")
            raise DemoError(
                f"{self._name} at {self._url} does not answer ({reason}): is Concert running? "
                "Start it with `make run` or `make up`"
            ) from error

    def _checked(self, answer: httpx.Response) -> Json:
        if answer.is_success:
            body: Json = answer.json()
            return body
        request = f"{answer.request.method} {answer.request.url.path}"
        raise DemoError(
            f"{self._name} answers {answer.status_code} to {request}: {answer.text[:500]}"
        )


class Concert:
    """The three APIs of a running Concert, with the administrator's token."""

    def __init__(self, access: Access) -> None:
        try:
            token = access.admin_token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise DemoError(
                f"cannot read the admin token in {access.admin_token_file} ({error.strerror}): "
                "is Concert running on this CONCERT_HOME?"
            ) from error
        bearer = {"Authorization": f"Bearer {token}"}
        self.access = access
        self.sources = Api("the collector", access.collector_url, bearer)
        self.collector = Api("the collector", access.collector_url)
        self.profiles = Api("the profile API", access.profile_url, bearer)
        self.orchestrator = Api("the orchestrator API", access.orchestrator_url, bearer)

    async def close(self) -> None:
        """Close all connections."""
        for api in (self.sources, self.collector, self.profiles, self.orchestrator):
            await api.close()
