"""Households and accounts over HTTP, with a worker and the sweeper's work beside it."""

from typing import Any

import httpx
import pytest

from services.profile.api.groups import GroupView
from services.profile.api.profiles import members_json
from services.profile.api.sight import Sight
from services.profile.domain.groups import group_id
from services.profile.use_cases.take_to_members import TakeToMembers
from shared.access import Role
from shared.contracts.topics import Topics
from shared.http.auth import Principal
from shared.postgres.transaction import transaction
from tests.integration.profile.definer import Definer
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import assert_shape, ok
from tests.unit.profile.world import touchpoint

DEE, EVE, FAY = ("email", "dee@x.y"), ("email", "eve@x.y"), ("email", "fay@x.y")
HOME, OTHER = ("household_id", "H1"), ("household_id", "H2")
HOME_ID, OTHER_ID = (group_id("household", f"household_id\0{value}") for value in ("H1", "H2"))


def members_of(worker: Worker) -> TakeToMembers:
    return TakeToMembers(
        worker.engine, topics=Topics(), counts=worker.counts, rules=lambda: worker.rules
    )


async def settle(worker: Worker, limit: int = 2) -> None:
    """Take all news of groups to their members."""
    sweeper = members_of(worker)
    for _ in range(100):
        await worker.rows("SELECT pg_sleep(0.01)")
        if not await sweeper.advance(limit):
            waiting = await worker.rows("SELECT count(*) FROM group_job WHERE waiting")
            if waiting == [(0,)]:
                return
    raise AssertionError("the groups never come to rest")


async def person(client: httpx.AsyncClient, one: tuple[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = await ok(client, f"/v1/profiles/by/{one[0]}/{one[1]}")
    return found


@pytest.fixture(scope="module")
async def linked(worker: Worker) -> Worker:
    """Two people of one household, one of them of an account."""
    await worker.absorb(
        touchpoint(101, DEE, HOME),
        touchpoint(102, EVE, HOME),
        touchpoint(
            103,
            EVE,
            type="group",
            kind="group",
            properties={"group_id": "acme", "group_traits": {"plan": "gold", "owner": "Zoe"}},
        ),
    )
    await settle(worker)
    return worker


async def test_a_group_has_its_traits_and_its_members(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, linked: Worker
) -> None:
    eve = await person(admin, EVE)
    assert (eve["household"], len(eve["accounts"])) == (HOME_ID, 1)
    home = await ok(admin, f"/v1/households/{HOME_ID}")
    assert_shape(GroupView, home)
    assert (home["kind"], home["type"], home["value"], home["size"]) == (
        "household",
        "household_id",
        "H1",
        2,
    )
    acme = await ok(admin, "/v1/accounts/by/group_id/acme")
    assert acme["traits"] == {"owner": "Zoe", "plan": "gold"}
    hidden = await ok(viewer, f"/v1/accounts/{acme['id']}")
    assert hidden["traits"] == {"owner": "Z***", "plan": "g***"}
    assert hidden["value"] == "a***"
    first = await ok(viewer, f"/v1/households/{HOME_ID}/members", limit=1)
    rest = await ok(
        viewer, f"/v1/households/{HOME_ID}/members", limit=1, cursor=first["next_cursor"]
    )
    found = [*first["items"], *rest["items"]]
    assert rest["next_cursor"] is None
    assert sorted(one["id"] for one in found) == sorted(
        [eve["id"], (await person(admin, DEE))["id"]]
    )
    assert all("***" in one["identifiers"][0]["value"] for one in found)
    groups = await ok(admin, f"/v1/profiles/{eve['id']}/groups")
    assert [one["id"] for one in groups["items"]] == [HOME_ID, acme["id"]]


async def test_what_members_know_follows_in_the_background_and_decides_segments(
    admin: httpx.AsyncClient, linked: Worker
) -> None:
    definer = Definer(linked)
    await definer.segment("family", {"all": [{"attr": "household.size", "op": "gte", "value": 2}]})
    await definer.segment("gold", {"attr": "account.plan", "op": "eq", "value": "gold"})
    await definer.settle()
    dee, eve = await person(admin, DEE), await person(admin, EVE)
    assert (dee["segments"], eve["segments"]) == (["family"], ["family", "gold"])
    found = await admin.post(
        "/v1/segments:preview",
        json={"condition": {"attr": "household.size", "op": "eq", "value": 2}},
    )
    assert (found.json()["count"], found.json()["exact"]) == (2, True)
    found = await admin.post(
        "/v1/segments:preview",
        json={"condition": {"attr": "profile.household", "op": "eq", "value": HOME_ID}},
    )
    assert found.json()["count"] == 2

    await linked.absorb(touchpoint(111, EVE, OTHER))
    await settle(linked)
    dee, eve = await person(admin, DEE), await person(admin, EVE)
    assert (dee["segments"], eve["segments"]) == ([], ["gold"])
    told = [one for one in await linked.updates() if one["profile_id"] == dee["id"]][-2:]
    assert [one["cause"]["kind"] for one in told] == ["household_changed", "segment_left"]
    assert told[0]["cause"]["facts"] == ["size"]
    assert told[0]["profile"]["groups"]["household"] == {"id": HOME_ID, "size": 1}
    assert told[0]["seq"] + 1 == told[1]["seq"] == dee["version"]

    answer = await admin.post(
        "/v1/accounts", json={"type": "group_id", "value": "acme", "traits": {"plan": "free"}}
    )
    assert answer.json()["traits"] == {"owner": "Zoe", "plan": "free"}
    assert answer.headers["etag"] == f'"{answer.json()["version"]}"'
    await settle(linked)
    assert (await person(admin, EVE))["segments"] == []


async def test_people_are_linked_and_taken_out_by_hand(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, linked: Worker
) -> None:
    await linked.absorb(touchpoint(120, FAY))
    fay = await person(admin, FAY)
    path = f"/v1/households/{HOME_ID}/members/{fay['id']}"
    assert (await viewer.put(path)).status_code == 403
    refused = await admin.put(path, headers={"If-Match": '"99"'})
    assert refused.status_code == 412
    first = await admin.put(path, headers={"If-Match": f'"{fay["version"]}"'})
    assert first.json()["household"] == HOME_ID
    again = await admin.put(path)
    assert again.json()["version"] == first.json()["version"]
    ids = {one["id"] for one in (await ok(admin, path.rpartition("/")[0]))["items"]}
    assert fay["id"] in ids
    gone = await admin.delete(path)
    assert gone.json()["household"] is None
    assert (await admin.delete(path)).json()["version"] == gone.json()["version"]
    # What was said before the removal changes nothing; what is said after it does.
    await linked.absorb(touchpoint(121, FAY, HOME))
    assert (await person(admin, FAY))["household"] is None
    await linked.absorb(touchpoint(122, FAY, HOME, occurred_at="2099-01-01T00:00:00.000Z"))
    assert (await person(admin, FAY))["household"] == HOME_ID
    assert (await admin.delete(path)).json()["household"] is None
    causes = [one["cause"] for one in await linked.updates() if one["profile_id"] == fay["id"]]
    kinds = [one["kind"] for one in causes if one["kind"] == "household_changed"]
    assert len(kinds) >= 4
    log = (await ok(admin, "/v1/audit", kind="household", key=HOME_ID))["items"]
    assert [one["action"] for one in log] == ["unlink", "unlink", "link"]


async def test_accounts_are_many_and_merge_undo_and_split_keep_them_right(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    mail, phone = ("email", "gus@x.y"), ("phone", "+33611111111")
    await worker.absorb(
        touchpoint(201, mail, ("group_id", "a1"), ("group_id", "a2")),
        touchpoint(202, phone, ("group_id", "a3"), ("household_id", "G")),
    )
    gus, other = await person(admin, mail), await person(admin, phone)
    assert len(gus["accounts"]) == 2
    merged = await admin.post(
        "/v1/profiles:merge", json={"profiles": [gus["id"], other["id"]], "reason": "same"}
    )
    assert len(merged.json()["accounts"]) == 3
    assert merged.json()["household"] == other["household"]
    count = "SELECT count(*) FROM group_member WHERE profile_id = '{}'"
    assert await worker.rows(count.format(other["id"])) == [(0,)]
    assert await worker.rows(count.format(gus["id"])) == [(4,)]
    (merge,) = (await ok(admin, f"/v1/profiles/{gus['id']}/merges"))["items"]
    undone = await admin.post(f"/v1/merges/{merge['id']}:undo")
    assert undone.status_code == 200, undone.text
    after, back = await person(admin, mail), await person(admin, phone)
    assert (after["accounts"], after["household"]) == (gus["accounts"], None)
    assert (back["accounts"], back["household"]) == (other["accounts"], other["household"])
    assert await worker.rows(count.format(other["id"])) == [(2,)]
    assert await worker.rows(count.format(gus["id"])) == [(2,)]


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        ({"type": "email", "value": "a@b.c"}, "role"),
        ({"type": "group_id", "value": "x"}, "role"),
        ({"type": "household_id", "value": "null"}, "blocked"),
        ({"type": "household_id", "value": "x", "traits": {"size": 3}}, "reserved"),
        ({"type": "household_id", "value": "x", "traits": {"a": "x" * 3000}}, "max_length"),
    ],
)
async def test_what_is_no_household_is_refused_with_the_rule(
    admin: httpx.AsyncClient, body: dict[str, Any], rule: str
) -> None:
    answer = await admin.post("/v1/households", json=body)
    assert answer.status_code == 422
    assert [one["rule"] for one in answer.json()["errors"]] == [rule]


async def test_unknown_groups_and_people_are_not_found(admin: httpx.AsyncClient) -> None:
    nobody = "00000000-0000-7000-8000-000000000000"
    assert (await admin.get(f"/v1/households/{nobody}")).status_code == 404
    assert (await admin.get("/v1/accounts/by/group_id/nobody")).status_code == 404
    assert (await admin.put(f"/v1/accounts/{nobody}/members/{nobody}")).status_code == 404


async def test_a_pass_takes_page_after_page_and_goes_again_for_what_came_meanwhile(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    crowd = [("email", f"crowd{n}@x.y") for n in range(7)]
    await worker.absorb(
        *(touchpoint(300 + n, one, ("group_id", "crowd")) for n, one in enumerate(crowd))
    )
    sweeper = members_of(worker)
    assert await sweeper.advance(3) == 1
    late = ("email", "late@x.y")
    await worker.absorb(touchpoint(310, late, ("group_id", "crowd")))
    await settle(worker, 3)
    last: dict[str, Any] = {}
    for update in await worker.updates():
        last[update["profile_id"]] = update["profile"]
    for one in [*crowd, late]:
        groups = last[(await person(admin, one))["id"]]["groups"]
        assert groups["account"]["size"] == 8


async def test_what_is_shown_of_groups_and_members_is_on_record(
    admin: httpx.AsyncClient, viewer: httpx.AsyncClient, linked: Worker
) -> None:
    async def newest(key: str) -> tuple[int, list[str]]:
        log = (await ok(admin, "/v1/audit", kind="reveal", key=key, limit=200))["items"]
        return len(log), log[0]["after"]["fields"] if log else []

    eve = await person(admin, EVE)
    acme = eve["accounts"][0]
    urls = {
        f"/v1/accounts/{acme}": acme,
        "/v1/accounts/by/group_id/acme": acme,
        f"/v1/accounts/{acme}/members": eve["id"],
        f"/v1/profiles/{eve['id']}/groups": eve["id"],
    }
    for url, key in urls.items():
        count, _ = await newest(key)
        await ok(viewer, url)
        await ok(admin, url, masked="true")
        assert (await newest(key))[0] == count, url
        await ok(admin, url)
        assert (await newest(key))[0] == count + 1, url
    assert (await newest(acme))[1] == ["identifiers.group_id", "traits.owner", "traits.plan"]
    assert "groups.traits.owner" in (await newest(eve["id"]))[1]
    count, _ = await newest(eve["id"])
    url = f"/v1/accounts/{acme}/members/{eve['id']}"
    assert (await admin.put(url)).status_code == 200
    assert (await newest(eve["id"]))[0] == count + 1


async def test_a_group_is_edited_by_whoever_has_its_version(admin: httpx.AsyncClient) -> None:
    async def put(plan: str, if_match: str | None = None) -> httpx.Response:
        body = {"type": "group_id", "value": "edited", "traits": {"plan": plan}}
        headers = {} if if_match is None else {"If-Match": if_match}
        return await admin.post("/v1/accounts", json=body, headers=headers)

    assert (await put("none", "*")).status_code == 412
    first = (await put("gold")).headers["etag"]
    second = (await put("tin", first)).headers["etag"]
    assert second != first
    assert (await put("zinc", first)).status_code == 412
    assert (await put("zinc", second)).json()["traits"] == {"plan": "zinc"}


async def test_a_member_who_is_gone_is_left_out_of_the_page(linked: Worker) -> None:
    rules, nobody = linked.rules, "00000000-0000-7000-8000-000000000000"
    ((id_,),) = await linked.rows("SELECT profile_id::text FROM identifier WHERE value = 'eve@x.y'")
    sight = Sight(Principal("t", "t", frozenset({Role.VIEWER})), rules.registry, False, None)
    async with transaction(linked.engine) as tx:
        shown = await members_json(tx, [nobody, id_], rules, sight)
    assert [one["id"] for one in shown] == [id_]
