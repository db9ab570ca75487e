"""Parts of profiles, versions the caller has, many at once, and the record of who saw what."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from services.profile.api.search import BatchView
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.conftest import PHONE
from tests.integration.profile_api.test_profiles import ada, assert_shape, ok


async def reveals(admin: httpx.AsyncClient, profile_id: str) -> list[dict[str, Any]]:
    """What was revealed of a profile, the newest first."""
    log = await ok(admin, "/v1/audit", kind="reveal", key=profile_id, limit=200)
    items: list[dict[str, Any]] = log["items"]
    return items


async def test_only_the_parts_that_are_wanted_are_given(admin: httpx.AsyncClient) -> None:
    person = await ada(admin)
    url = f"/v1/profiles/{person['id']}"
    assert await ok(admin, url, fields="segments,traits.first_name,traits.none") == {
        "id": person["id"],
        "segments": [],
        "traits": {"first_name": "Ada B."},
    }
    emails = await ok(admin, url, fields="identifiers.email,identifiers.loyalty_id")
    assert [one["type"] for one in emails["identifiers"]] == ["email", "loyalty_id"]
    assert (await ok(admin, url, fields="traits,traits.score"))["traits"] == person["traits"]
    assert (await ok(admin, url, fields="computed.orders"))["computed"] == {"orders": 2}
    assert await ok(admin, url, fields=" ") == person
    explained = await ok(admin, url, fields="version", include="provenance")
    assert sorted(explained) == ["id", "provenance", "version"]
    listed = await ok(admin, "/v1/profiles", fields="version")
    assert all(sorted(one) == ["id", "version"] for one in listed["items"])
    by = await ok(admin, "/v1/profiles/by/email/ada@example.com", fields="version")
    assert sorted(by) == ["id", "version"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("trait", 'no "trait". Did you mean "traits"?'),
        ("traits.", "no parts"),
        ("segments.vip", "no parts"),
        (",", 'no ""'),
        (",".join(f"traits.t{n}" for n in range(201)), "at most 200"),
    ],
)
async def test_a_part_that_there_is_not_is_said(
    admin: httpx.AsyncClient, fields: str, said: str
) -> None:
    answer = await admin.get("/v1/profiles", params={"fields": fields})
    assert answer.status_code == 422
    problem = answer.json()["errors"][0]
    assert problem["path"] == "fields"
    assert said in problem["message"]


async def test_a_version_that_the_caller_has_is_not_sent_again(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    person = await ada(admin)
    url, tag = f"/v1/profiles/{person['id']}", f'"{person["version"]}"'
    before = len(await reveals(admin, person["id"]))
    for header in (tag, f"W/{tag}", f'"1", {tag}', "*"):
        answer = await admin.get(url, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b""), header
        assert answer.headers["etag"] == tag
    assert len(await reveals(admin, person["id"])) == before
    assert (await admin.get(url, headers={"If-None-Match": '"1"'})).status_code == 200
    lost = (await worker.rows("SELECT id FROM profile WHERE status = 'merged'"))[0][0]
    for other in (f"/v1/profiles/{lost}", "/v1/profiles/by/email/ada@example.com"):
        answer = await admin.get(other, headers={"If-None-Match": tag})
        assert answer.status_code == 200
        assert answer.headers["content-location"] == url


async def test_many_are_read_at_once_in_the_order_asked(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    person = await ada(admin)
    lost = str((await worker.rows("SELECT id FROM profile WHERE status = 'merged'"))[0][0])
    nobody = str(UUID(int=9))
    asked = {
        "ids": [nobody, lost, person["id"]],
        "identifiers": [
            {"type": "phone", "value": "+33 6 12 34 56 78"},
            {"type": "email", "value": "nobody@example.com"},
            {"type": "email", "value": " ADA@example.com"},
        ],
    }
    answer = await admin.post("/v1/profiles:batch-get", json=asked)
    assert answer.status_code == 200
    found = answer.json()
    assert_shape(BatchView, found)
    assert [one["asked"] for one in found["items"]] == [
        {"id": lost},
        {"id": person["id"]},
        {"identifier": asked["identifiers"][0]},
        {"identifier": asked["identifiers"][2]},
    ]
    assert [one["profile"]["id"] == person["id"] for one in found["items"]] == [1, 1, 0, 1]
    assert found["items"][0]["profile"] == person
    assert found["missing"] == [{"id": nobody}, {"identifier": asked["identifiers"][1]}]
    few = await admin.post(
        "/v1/profiles:batch-get", json={"ids": [person["id"]], "fields": ["version"]}
    )
    assert few.json()["items"][0]["profile"] == {"id": person["id"], "version": person["version"]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": ["x"]},
        {"ids": [str(UUID(int=n)) for n in range(101)]},
        {
            "ids": [str(UUID(int=n)) for n in range(99)],
            "identifiers": [{"type": "a", "value": "b"}] * 2,
        },
        {"ids": [str(UUID(int=1))], "fields": ["nonsense"]},
        {"id": str(UUID(int=1))},
    ],
)
async def test_a_batch_is_checked(admin: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await admin.post("/v1/profiles:batch-get", json=body)).status_code == 422


async def test_whatever_is_shown_in_clear_is_on_record(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    person = await ada(admin)
    base = f"/v1/profiles/{person['id']}"
    before = len(await reveals(admin, person["id"]))
    await ok(admin, base, reveal="true", reason="the customer is on the phone")
    newest = (await reveals(admin, person["id"]))[0]
    assert newest["after"] == {
        "reason": "the customer is on the phone",
        "fields": [
            *("identifiers.anonymous_id", "identifiers.email", "identifiers.loyalty_id"),
            *("traits.first_name", "traits.tags"),
        ],
    }
    assert (newest["who_name"], newest["before"]) == ("admin", None)
    by_header = await admin.get(base, headers={"X-Reveal-Reason": "again"})
    assert by_header.json() == person
    for url in (
        *(base, f"{base}/timeline", f"{base}/merges", f"{base}/identifiers"),
        *("/v1/profiles?limit=1000", "/v1/profiles:search?q=ada@example.com"),
    ):
        assert (await admin.get(url)).status_code == 200, url
    sought = [{"type": "email", "value": "ada@example.com"}]
    await admin.post("/v1/profiles:batch-get", json={"identifiers": sought})
    assert len(await reveals(admin, person["id"])) == before + 9
    assert (await reveals(admin, person["id"]))[-before - 2]["after"]["reason"] == "again"
    for url in (f"{base}?masked=true", f"{base}?fields=segments", f"{base}/segments"):
        assert (await admin.get(url)).status_code == 200, url
    await ok(viewer, base)
    assert len(await reveals(admin, person["id"])) == before + 9
    assert PHONE[1] not in str(await ok(admin, "/v1/audit", kind="reveal"))


async def test_a_reveal_needs_a_role_and_a_reason(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    base = f"/v1/profiles/{(await ada(admin))['id']}"
    refused = await viewer.get(base, params={"reveal": "true", "reason": "because"})
    assert refused.status_code == 403
    assert (await viewer.get(base, headers={"X-Reveal-Reason": "x"})).status_code == 403
    for given in ({"reveal": "true"}, {"reveal": "true", "reason": "  "}):
        assert (await admin.get(base, params=given)).status_code == 422
