"""Static lists over HTTP: members by hand and by file, as a segment among segments."""

from typing import Any

import httpx
import pytest

from services.profile.use_cases.blank_uploads import blank_uploads
from services.profile.use_cases.fill_lists import FillLists
from shared.contracts.topics import Topics
from shared.postgres.transaction import transaction
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import ok
from tests.unit.profile.world import touchpoint

PEOPLE = [("email", f"list{n}@x.y") for n in range(6)]


async def person(client: httpx.AsyncClient, one: tuple[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = await ok(client, f"/v1/profiles/by/{one[0]}/{one[1]}")
    return found


def named(*people: tuple[str, str]) -> list[dict[str, str]]:
    return [{"type": type_, "value": value} for type_, value in people]


@pytest.fixture(scope="module")
async def people(worker: Worker) -> Worker:
    await worker.absorb(*(touchpoint(400 + n, one) for n, one in enumerate(PEOPLE)))
    return worker


async def change(client: httpx.AsyncClient, key: str, **body: Any) -> Any:
    answer = await client.post(f"/v1/lists/{key}/members", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def have(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.put(f"/v1/lists/{key}", json={"name": key})
    assert answer.status_code == 200, answer.text


async def test_a_list_is_live_at_once_and_the_same_again_is_no_change(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, people: Worker
) -> None:
    first = await admin.put("/v1/lists/vips", json={"name": "VIPs"})
    assert (first.status_code, first.json()["status"], first.json()["version"]) == (200, "live", 1)
    again = await admin.put("/v1/lists/vips", json={"name": "VIPs"})
    assert again.json() == first.json()
    assert again.headers["etag"] == first.headers["etag"]
    lost = await admin.put("/v1/lists/vips", json={"name": "x"}, headers={"If-Match": '"9"'})
    assert lost.status_code == 412
    assert (await viewer.put("/v1/lists/vips", json={"name": "x"})).status_code == 403
    assert (await admin.put("/v1/lists/vips", json={"name": "x", "rule": 1})).status_code == 422
    assert (await ok(admin, "/v1/lists/vips"))["members"] == 0


async def test_members_come_and_go_as_of_any_segment(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, people: Worker
) -> None:
    await have(admin, "club")
    definer = Definer(people)
    await definer.segment("friends", {"all": [{"segment": "club"}]})
    await definer.settle()
    ada, bo = await person(admin, PEOPLE[0]), await person(admin, PEOPLE[1])
    body = {
        "add": [
            *named(("email", " LIST0@x.y "), ("email", "nobody@x.y"), ("household_id", "H")),
            {"profile_id": bo["id"]},
            {"profile_id": "00000000-0000-7000-8000-000000000000"},
            *named(("email", "null")),
        ]
    }
    assert await change(admin, "club", **body) == {
        "added": 2,
        "removed": 0,
        "unresolved": [
            {"path": "add[1]", "reason": "unknown"},
            {"path": "add[2]", "reason": "links_people"},
            {"path": "add[4]", "reason": "unknown"},
            {"path": "add[5]", "reason": "blocked"},
        ],
    }
    again = await change(admin, "club", **body)
    assert (again["added"], again["removed"]) == (0, 0)
    now = await person(admin, PEOPLE[0])
    assert now["segments"] == ["club", "friends"]
    told = [one for one in await people.updates() if one["profile_id"] == ada["id"]]
    assert [one["cause"]["kind"] for one in told[-2:]] == ["segment_entered"] * 2
    assert [one["cause"]["segment"] for one in told[-2:]] == ["club", "friends"]
    assert "backfill" not in told[-1]["cause"]
    preview = await admin.post("/v1/segments:preview", json={"condition": {"segment": "club"}})
    assert preview.json()["count"] == 2

    first = await ok(viewer, "/v1/lists/club/members", limit=1)
    rest = await ok(viewer, "/v1/lists/club/members", limit=1, cursor=first["next_cursor"])
    assert [one["id"] for one in [*first["items"], *rest["items"]]] == sorted([ada["id"], bo["id"]])
    assert rest["next_cursor"] is None
    assert "***" in first["items"][0]["identifiers"][0]["value"]

    both = await change(admin, "club", add=named(PEOPLE[2]), remove=named(PEOPLE[0], PEOPLE[2]))
    assert (both["added"], both["removed"]) == (0, 1)
    assert (await person(admin, PEOPLE[0]))["segments"] == []
    assert (await ok(admin, "/v1/lists/club"))["members"] == 1
    archived = await admin.post("/v1/segments/club:archive")
    assert archived.status_code == 409


async def test_a_list_that_is_archived_takes_up_no_room(
    admin: httpx.AsyncClient, people: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.profile.use_cases.change_list.MAX_LISTS", 1)
    await people.absorb(touchpoint(460, ("email", "room@x.y")))
    one = named(("email", "room@x.y"))
    for key in ("over", "next"):
        await have(admin, key)
    assert (await change(admin, "over", add=one))["added"] == 1
    refused = await change(admin, "next", add=one)
    assert refused["unresolved"] == [{"path": "add[0]", "reason": "too_many_lists"}]
    assert (await admin.post("/v1/segments/over:archive")).status_code == 200
    assert (await change(admin, "next", add=one))["added"] == 1


async def test_a_list_stays_with_the_identifier_it_was_put_on(
    admin: httpx.AsyncClient, people: Worker
) -> None:
    await have(admin, "left")
    await have(admin, "right")
    mail, phone = PEOPLE[3], ("phone", "+33622222222")
    await people.absorb(touchpoint(450, phone))
    await change(admin, "left", add=named(mail))
    await change(admin, "right", add=named(phone))
    await people.absorb(touchpoint(451, mail, phone))
    united = await person(admin, mail)
    assert united["segments"] == ["left", "right"]
    assert (await person(admin, phone))["id"] == united["id"]
    (merge,) = (await ok(admin, f"/v1/profiles/{united['id']}/merges"))["items"]
    assert (await admin.post(f"/v1/merges/{merge['id']}:undo")).status_code == 200
    await Definer(people).settle()
    assert (await person(admin, mail))["segments"] == ["left"]
    assert (await person(admin, phone))["segments"] == ["right"]
    members = (await ok(admin, "/v1/lists/right/members"))["items"]
    assert [one["id"] for one in members] == [(await person(admin, phone))["id"]]


async def test_a_file_is_worked_through_in_the_background(
    admin: httpx.AsyncClient, people: Worker
) -> None:
    await have(admin, "mailing")
    rows = "".join(f"email,list{n}@x.y\n" for n in range(6)) + "email,no@x.y\n"
    answer = await admin.post(
        "/v1/lists/mailing/uploads",
        content="type,value\n" + rows,
        headers={"Content-Type": "text/csv; charset=utf-8"},
    )
    assert answer.status_code == 202, answer.text
    first = answer.json()
    assert (first["status"], first["of"], first["examined"]) == ("waiting", 7, 0)
    filler = FillLists(
        people.engine, topics=Topics(), counts=people.counts, rules=lambda: people.rules
    )
    assert await filler.advance(4) == 1
    path = f"/v1/lists/mailing/uploads/{first['id']}"
    half = await ok(admin, path)
    assert (half["status"], half["examined"], half["changed"]) == ("running", 4, 4)
    async with transaction(people.engine) as tx:
        assert await blank_uploads(tx, {"email\0list5@x.y"}, people.rules) == 1
        assert await blank_uploads(tx, {"email\0list5@x.y"}, people.rules) == 0
    assert await filler.advance(4) == 1
    assert await filler.advance(4) == 0
    done = await ok(admin, path)
    assert (done["status"], done["examined"], done["changed"], done["unresolved"]) == (
        "done",
        7,
        5,
        1,
    )
    assert done["problems"] == [{"row": 7, "reason": "unknown"}]
    assert await people.rows(
        f"SELECT rows IS NULL FROM list_upload WHERE id = '{first['id']}'"
    ) == [(True,)]
    assert (await ok(admin, "/v1/lists/mailing"))["members"] == 5
    entered = [one["cause"] for one in await people.updates() if one["cause"].get("segment")]
    assert all(one["backfill"] for one in entered if one["segment"] == "mailing")


@pytest.mark.parametrize(
    ("content", "stated", "status"),
    [
        ("{}", "application/json", 400),
        ("type,value\nemail", "text/csv", 422),
        ('{"type":"email","value":"a"}\nx', "application/x-ndjson", 422),
        ("", "text/csv", 400),
    ],
)
async def test_a_file_that_cannot_be_read_is_refused(
    admin: httpx.AsyncClient, people: Worker, content: str, stated: str, status: int
) -> None:
    await have(admin, "mailing")
    answer = await admin.post(
        "/v1/lists/mailing/uploads", content=content, headers={"Content-Type": stated}
    )
    assert answer.status_code == status, answer.text


async def test_a_list_and_a_segment_of_one_key_are_one_thing(
    admin: httpx.AsyncClient, people: Worker
) -> None:
    await Definer(people).segment("rich", {"attr": "profile.score", "op": "gt", "value": 5})
    assert (await admin.put("/v1/lists/rich", json={"name": "x"})).status_code == 409
    assert (await admin.get("/v1/lists/rich")).status_code == 404
    none = await admin.post("/v1/lists/rich/members", json={"add": []})
    assert none.status_code == 404
    await have(admin, "plain")
    body = {"condition": {"attr": "profile.score", "op": "gt", "value": 5}}
    assert (await admin.put("/v1/segments/plain", json=body)).status_code == 200
    assert (await admin.post("/v1/segments/plain:publish")).status_code == 409
    much = [{"type": "email", "value": "a"}] * 1001
    assert (await admin.post("/v1/lists/plain/members", json={"add": much})).status_code == 422
    neither = await admin.post("/v1/lists/plain/members", json={"add": [{"type": "email"}]})
    assert neither.status_code == 422
