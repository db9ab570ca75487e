"""The running Concert, through its public API: what is live, and how it is changed."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx

from services.orchestrator.files.kinds import FileKind
from services.orchestrator.files.plan import LIVE, Change, Present
from shared.http.drafts import OURS
from shared.http.etag import etag

TIMEOUT_SECONDS = 30.0
PAGE = 100


class Refused(Exception):  # noqa: N818  says what happened, like the errors of the tree
    """The API did not do what it was asked; `str()` says what and why."""


class Remote:
    """One API with one token; `close` it at the end."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}"},
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def present(self, kind: FileKind) -> dict[str, Present]:
        """Everything of a kind that was saved, by key. Raises Refused."""
        found = {}
        for item in self._items(f"/v1/{kind.folder}"):
            if kind.drafted:
                found[item["key"]] = self._drafted(kind, item)
            elif item["version"]:
                document, number = _document(item), item["version"]
                found[item["key"]] = Present(document, LIVE, document, etag(number))
        return found

    def _drafted(self, kind: FileKind, item: dict[str, Any]) -> Present:
        number, live = item["version"], None
        if number is not None:
            path = f"/v1/{kind.folder}/{quote(item['key'], safe='')}/versions/{number}"
            live = _document(self._ask("GET", path).json())
        return Present(live, item["status"], _document(item), etag(item["draft_version"]))

    def _items(self, path: str) -> Iterator[dict[str, Any]]:
        query: dict[str, Any] = {"limit": PAGE}
        while True:
            page = self._ask("GET", path, query=query).json()
            yield from page["items"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def save(self, change: Change) -> str | None:
        """Save its document; the ETag of that. Raises Refused; also when somebody changed it since
        it was read."""
        read = {"If-None-Match": "*"} if change.etag is None else {"If-Match": change.etag}
        saved = self._ask("PUT", _path(change), body=change.after, only=read)
        tag: str | None = saved.headers.get("ETag")
        return tag

    def carry_out(self, change: Change, *, drafted: bool, saved: str | None = None) -> None:
        """Do it; what was `saved` already, under that ETag, is not saved again. Raises Refused;
        also when somebody changed it since it was read."""
        path = _path(change)
        if change.writes:
            tag = self.save(change) if saved is None else saved
            if drafted:
                only = {} if tag is None else {"If-Match": tag}
                self._ask("POST", f"{path}:publish", body={}, only=only)
        for step in change.steps:
            if step in ("pause", "resume", "archive"):
                self._ask("POST", f"{path}:{step}")

    def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, Any] | None = None,
        body: Any = None,
        only: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            answer = self._http.request(method, path, params=query, json=body, headers=only)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Refused(f"{method} {path}: no answer ({error}): --url names the API") from None
        if answer.status_code == httpx.codes.PRECONDITION_FAILED:
            raise Refused(f"{method} {path}: somebody else changed it meanwhile ({_why(answer)})")
        if answer.is_error:
            raise Refused(f"{method} {path}: {answer.status_code} {_why(answer)}")
        return answer


def _path(change: Change) -> str:
    return f"/v1/{change.folder}/{quote(change.key, safe='')}"


def _document(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in OURS and name != "key"}


def _why(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
    except ValueError:
        return answer.text[:200]
    errors = "; ".join(f"{one['path']}: {one['message']}" for one in problem.get("errors") or ())
    return errors or str(problem.get("detail") or problem.get("title"))
