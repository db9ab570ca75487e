"""Reading people over HTTP: by every id and identifier, in pages, with provenance, masked."""

from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel

from services.profile.api.schemas import ProfileView
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.conftest import PATH_LIKE, PHONE
from tests.support.api import crafted_cursors
from tests.unit.profile.world import touchpoint


async def ok(client: httpx.AsyncClient, url: str, **params: Any) -> Any:
    answer = await client.get(url, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ada(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = await ok(client, "/v1/profiles/by/email/ada@example.com")
    return found


def assert_shape(model: type[BaseModel], value: dict[str, Any]) -> None:
    """The value has the fields of the model, no other ones, and of its types."""
    seen = model.model_validate(value, extra="forbid").model_dump(mode="json", exclude_unset=True)
    assert sorted(seen) == sorted(value)


async def test_a_profile_has_the_shape_of_the_contract(admin: httpx.AsyncClient) -> None:
    person = await ada(admin)
    assert_shape(ProfileView, person)
    assert_shape(ProfileView, await ok(admin, f"/v1/profiles/{person['id']}", include="provenance"))
    assert person["status"] == "active"
    assert [(one["type"], one["value"], one["status"]) for one in person["identifiers"]] == [
        ("email", "ada@example.com", "active"),
        ("loyalty_id", "L1", "active"),
        ("anonymous_id", "b-1", "active"),
    ]
    assert person["traits"] == {
        "first_name": "Ada B.",
        "locale": "fr-FR",
        "score": 7,
        "tags": ["x"],
    }
    assert person["computed"] == {
        "touchpoints": 6,
        "orders": 2,
        "revenue": {"EUR": "159.90"},
        "first_seen_at": "2026-11-21T10:00:01.000Z",
        "last_seen_at": "2026-11-21T10:00:06.000Z",
    }
    empty: dict[str, Any] = {"segments": [], "persona": None, "consents": [], "household": None}
    assert {name: person[name] for name in empty} == empty


async def test_the_version_is_the_etag_and_the_number_of_the_last_update(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    answer = await admin.get("/v1/profiles/by/email/ada@example.com")
    version = answer.json()["version"]
    assert answer.headers["etag"] == f'"{version}"'
    told = [
        one["seq"] for one in await worker.updates() if one["profile_id"] == answer.json()["id"]
    ]
    assert told == list(range(1, version + 1))


async def test_every_old_id_answers_with_the_profile_it_belongs_to(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    person = await ada(admin)
    lost = [
        str(row[0]) for row in await worker.rows("SELECT id FROM profile WHERE status = 'merged'")
    ]
    assert len(lost) == 2
    for old in lost:
        assert await ok(admin, f"/v1/profiles/{old}") == person
        assert (await ok(admin, f"/v1/profiles/{old}/identifiers"))["items"] == person[
            "identifiers"
        ]


@pytest.mark.parametrize(
    "url", ["phone/+33612345678", "phone/%2B33 6 12 34 56 78", "phone/0033612345678x"]
)
async def test_a_telephone_is_found_however_it_is_written(
    admin: httpx.AsyncClient, url: str
) -> None:
    answer = await admin.get(f"/v1/profiles/by/{url}")
    if url.endswith("x"):
        assert answer.status_code == 404
    else:
        assert answer.json()["identifiers"][0]["value"] == PHONE[1]


async def test_values_are_normalised_and_may_look_like_paths(admin: httpx.AsyncClient) -> None:
    assert await ok(admin, "/v1/profiles/by/email/%20ADA@Example.COM%20") == await ada(admin)
    odd = await ok(admin, f"/v1/profiles/by/{PATH_LIKE[0]}/{quote(PATH_LIKE[1], safe='')}")
    assert odd["identifiers"][0]["value"] == PATH_LIKE[1]
    plain = await ok(admin, f"/v1/profiles/by/{PATH_LIKE[0]}/a/b%20c%25")
    assert plain["id"] == odd["id"]


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("by/email/nobody@example.com", 404),
        ("by/nonsense/x", 404),
        (str(UUID(int=5)), 404),
        (f"{UUID(int=5)}/timeline", 404),
        (f"{UUID(int=5)}/merges", 404),
        ("no-uuid", 422),
        ("by/email/a%00b", 400),
        ("by/email/" + "x" * 600, 422),
    ],
)
async def test_nobody_is_a_problem(admin: httpx.AsyncClient, url: str, status: int) -> None:
    answer = await admin.get(f"/v1/profiles/{url}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_provenance_says_who_said_it_and_what_it_won_over(admin: httpx.AsyncClient) -> None:
    person = await ada(admin)
    found = (await ok(admin, f"/v1/profiles/{person['id']}", include="provenance"))["provenance"]
    assert sorted(found) == sorted(person["traits"])
    assert found["first_name"] == {
        "value": "Ada B.",
        "source": "crm",
        "observed_at": "2026-11-21T10:00:05.000Z",
        "rule": "most_recent",
        "runners_up": [
            {"value": "Ada", "source": "shop", "observed_at": "2026-11-21T10:00:02.000Z"},
            {"value": "Ada?", "source": "shop", "observed_at": "2026-11-21T10:00:01.000Z"},
        ],
    }
    assert (
        await admin.get(f"/v1/profiles/{person['id']}", params={"include": "x"})
    ).status_code == 422


async def test_the_list_names_every_active_profile_once(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    await worker.absorb(*(touchpoint(100 + n, ("user_id", f"u{n}")) for n in range(25)))
    listed: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given: dict[str, Any] = {"limit": 7} | ({} if cursor is None else {"cursor": cursor})
        page = await ok(admin, "/v1/profiles", **given)
        listed += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert [one["id"] for one in listed] == [one.id for one in await worker.active()]
    for one in listed:
        assert_shape(ProfileView, one)
    assert len((await ok(admin, "/v1/profiles", limit=1000))["items"]) == len(listed) == 28
    assert (await admin.get("/v1/profiles", params={"cursor": "x"})).status_code == 400


async def test_personal_data_is_masked_for_a_viewer_everywhere(
    viewer: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    person = await ada(admin)
    base = f"/v1/profiles/{person['id']}"
    for url in [
        base,
        f"{base}?include=provenance",
        f"{base}/identifiers",
        f"{base}/timeline",
        f"{base}/merges",
        "/v1/profiles?limit=1000",
    ]:
        shown, hidden = (await admin.get(url)).text, (await viewer.get(url)).text
        for secret in ("ada@example.com", "Ada B.", "L1", PHONE[1]):
            assert f'"{secret}"' not in hidden, (url, secret)
        assert '"L1"' in shown or '"ada@example.com"' in shown, url
        assert (
            await admin.get(url, params={"masked": "true", "include": "provenance"})
        ).status_code == 200
    masked = await ok(viewer, base)
    assert_shape(ProfileView, masked)
    assert masked["traits"] == {
        "first_name": "A***",
        "locale": "fr-FR",
        "score": 7,
        "tags": "***",
    }
    assert masked["computed"] == person["computed"]
    assert await ok(admin, base, masked="true") == masked


async def test_a_touchpoint_tells_whose_it_is(admin: httpx.AsyncClient, worker: Worker) -> None:
    first, nameless = (touchpoint(number)["id"] for number in (1, 9))
    assert await ok(admin, f"/v1/touchpoints/{first}") == {
        "id": first,
        "profile_id": (await ada(admin))["id"],
        "reason": None,
        "duplicates": 0,
        "source": "shop",
        "audience": None,
    }
    found = await ok(admin, f"/v1/touchpoints/{nameless}")
    assert (found["profile_id"], found["reason"]) == (None, "no_identity")
    assert (await admin.get(f"/v1/touchpoints/{UUID(int=3)}")).status_code == 404


@pytest.mark.parametrize("path", ["", "/timeline", "/merges", "/identifiers"])
async def test_a_crafted_cursor_is_the_callers_mistake(admin: httpx.AsyncClient, path: str) -> None:
    url = f"/v1/profiles/{(await ada(admin))['id']}{path}" if path else "/v1/profiles"
    for cursor in crafted_cursors():
        answer = await admin.get(url, params={"cursor": cursor})
        assert answer.status_code == 400, (cursor, answer.text)
