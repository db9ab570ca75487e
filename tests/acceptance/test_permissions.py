"""A token's role is its limit: an editor cannot publish, a viewer cannot write."""

import httpx

from tests.acceptance.concert import Concert
from tests.acceptance.test_old_receipts import RULE

APIS = ("ingest-collector", "profile-api", "orchestrator-api")
CHANGE_NOTHING = (
    *(":validate", ":preview", ":batch-get", ":dry-run"),
    "/decisions/{decision_id}:replay",
)
"""Posts that only answer; everybody with a token may ask."""
SIGNED_LINKS = ("/preferences/{token}", "/consent-confirmations/{token}")
"""Pages for customers: the link is the authority, a token of ours is none."""


async def token(concert: Concert, label: str, role: str) -> str:
    """A new token with one role, made by the administrator."""
    async with concert.api(label) as api:
        answer = await api.post("/v1/tokens", json={"name": f"a {role}", "roles": [role]})
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return str(answer.json()["token"])


async def test_an_editor_saves_but_cannot_publish(concert: Concert) -> None:
    editor = await token(concert, "orchestrator-api", "editor")
    async with concert.api("orchestrator-api", token=editor) as api:
        saved = await api.put("/v1/rules/edited", json=RULE)
        assert saved.is_success, saved.text
        refused = await api.post("/v1/rules/edited:publish", json={})
    assert refused.status_code == httpx.codes.FORBIDDEN
    publisher = await token(concert, "orchestrator-api", "publisher")
    async with concert.api("orchestrator-api", token=publisher) as api:
        assert (await api.post("/v1/rules/edited:publish", json={})).is_success
        assert (await api.post("/v1/rules/edited:archive", json={})).is_success


async def test_a_viewer_reads_but_cannot_write(concert: Concert) -> None:
    for label in APIS:
        viewer = await token(concert, label, "viewer")
        async with concert.api(label, token=viewer) as api:
            described = (await api.get("/openapi.json")).raise_for_status().json()
            writes = [
                (method.upper(), path)
                for path, operations in described["paths"].items()
                for method, operation in operations.items()
                if method in ("put", "post", "delete", "patch")
                and not _takes_source_keys(operation)
                and not path.endswith(CHANGE_NOTHING)
                and path not in SIGNED_LINKS
            ]
            assert writes, label
            for method, path in writes:
                answer = await api.request(method, _filled(path), json={})
                assert answer.status_code == httpx.codes.FORBIDDEN, f"{method} {path}: {answer}"


async def test_nobody_gets_in_without_a_token(concert: Concert) -> None:
    for label in APIS:
        async with concert.api(label, token="cst_nobody") as api:
            assert (await api.get("/v1/audit")).status_code == httpx.codes.UNAUTHORIZED


def _takes_source_keys(operation: dict[str, object]) -> bool:
    return {"SourceKey": []} in (operation.get("security") or [])  # type: ignore[operator]


def _filled(path: str) -> str:
    """A path with something in place of each parameter."""
    parts = [
        "00000000-0000-7000-8000-000000000000" if part.startswith("{") and part.endswith("}") else
        part.replace("{", "").replace("}", "")
        for part in path.split("/")
    ]  # fmt: skip
    return "/".join(parts)
