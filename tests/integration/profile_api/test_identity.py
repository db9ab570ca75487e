"""Corrections of identity over HTTP: merge, undo, split, kept apart; and how an event came."""

from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.api.identity_schemas import CannotLinkView, DividedView, EventIdentityView
from services.profile.domain.absorb import Rules
from services.profile.use_cases.verify_identity import verify_identity
from tests.integration.profile.worker import Worker
from tests.integration.profile_api.test_profiles import assert_shape, ok
from tests.unit.profile.world import order, touchpoint

NIL = "00000000-0000-0000-0000-000000000000"


async def merged(worker: Worker, admin: httpx.AsyncClient, name: str, start: int) -> dict[str, Any]:
    """A browser and a mailbox that a touchpoint made one person; its merge."""
    browser, mail = ("anonymous_id", f"b-{name}"), ("email", f"{name}@example.com")
    await worker.absorb(order(start, browser, total=10, currency="EUR", n=name))
    await worker.absorb(touchpoint(start + 1, mail, message_id=f"{name}1"))
    await worker.absorb(touchpoint(start + 2, mail, browser, message_id=f"{name}2"))
    person = await by_mail(admin, name)
    [merge] = (await ok(admin, f"/v1/profiles/{person['id']}/merges"))["items"]
    found: dict[str, Any] = merge
    return found


async def by_mail(admin: httpx.AsyncClient, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await ok(admin, f"/v1/profiles/by/email/{name}@example.com")
    return found


async def post(client: httpx.AsyncClient, url: str, status: int = 200, **body: Any) -> Any:
    headers = body.pop("headers", {})
    answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


async def test_an_undo_restores_both_is_told_and_holds(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    merge = await merged(worker, admin, "una", 400)
    url = f"/v1/merges/{merge['id']}:undo"
    await post(admin, url, 412, headers={"If-Match": '"99"'})
    divided = await post(admin, url, reason="two sisters")
    assert_shape(DividedView, divided)
    assert divided["profile"]["id"] == merge["winner"]
    assert divided["split_off"]["id"] == merge["loser"]
    assert divided["profile"]["computed"]["revenue"] == {"EUR": "10.00"}
    assert divided["split_off"]["computed"]["touchpoints"] == 2
    assert (await by_mail(admin, "una"))["id"] == merge["loser"]
    assert (await ok(admin, f"/v1/profiles/{merge['loser']}"))["id"] == merge["loser"]
    await post(admin, url, 409)

    told = [one for one in await worker.updates() if one["profile_id"] == merge["loser"]]
    assert [one["seq"] for one in told] == list(range(1, len(told) + 1))
    assert told[-1]["cause"]["kind"] == "split"
    assert told[-1]["cause"]["why"] == "two sisters"
    assert told[-1]["split_from"] == merge["winner"]
    [listed] = (await ok(admin, f"/v1/profiles/{merge['winner']}/merges"))["items"]
    assert listed["undone_at"] is not None
    audit = await ok(admin, "/v1/audit", kind="profile", key=merge["winner"])
    assert audit["items"][0]["action"] == "undo_merge"
    assert audit["items"][0]["after"]["why"] == "two sisters"

    joint = touchpoint(
        410, ("email", "una@example.com"), ("anonymous_id", "b-una"), message_id="again"
    )
    await worker.absorb(joint)
    assert (await by_mail(admin, "una"))["id"] == merge["loser"]
    event = await ok(admin, f"/v1/events/{joint['id']}/identity")
    assert_shape(EventIdentityView, event)
    assert [(one["outcome"], one["rule"]) for one in event["identifiers"]] == [
        ("matched", None),
        ("demoted", "cannot_link"),
    ]
    assert event["profile_then"] == event["profile_now"] == merge["loser"]

    links = (await ok(admin, "/v1/cannot-links", profile_id=merge["loser"]))["items"]
    for link in links:
        assert_shape(CannotLinkView, link)
        assert (link["cause"], link["cause_id"]) == ("undo", merge["id"])
        assert (await admin.delete(f"/v1/cannot-links/{link['id']}")).status_code == 204
        assert (await admin.delete(f"/v1/cannot-links/{link['id']}")).status_code == 404
    assert links
    await worker.absorb({**joint, "id": touchpoint(411, message_id="later")["id"]})
    assert (await by_mail(admin, "una"))["id"] == merge["winner"]


async def test_a_split_with_dry_run_changes_nothing_and_without_it_holds(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    merge = await merged(worker, admin, "sue", 420)
    url = f"/v1/profiles/{merge['loser']}:split"
    named = [{"type": "email", "value": " SUE@example.com"}]
    tried = await post(admin, url, identifiers=named, dry_run=True)
    assert tried["dry_run"]
    assert [one["type"] for one in tried["split_off"]["identifiers"]] == ["email"]
    assert (await by_mail(admin, "sue"))["id"] == merge["winner"]
    done = await post(admin, url, identifiers=named, reason="not hers")
    assert_shape(DividedView, done)
    split_off = await by_mail(admin, "sue")
    assert split_off["id"] == done["split_off"]["id"] not in {merge["winner"], merge["loser"]}
    assert split_off["version"] == 1
    problem = await post(admin, url, 422, identifiers=named)
    assert problem["errors"][0]["path"] == "identifiers[0]"
    only = [{"type": "anonymous_id", "value": "b-sue"}]
    await post(admin, url, 409, identifiers=only)
    again = touchpoint(425, ("email", "sue@example.com"), ("anonymous_id", "b-sue"))
    await worker.absorb(again)
    assert (await by_mail(admin, "sue"))["id"] == split_off["id"]


async def test_a_merge_by_hand_and_back(admin: httpx.AsyncClient, worker: Worker) -> None:
    await worker.absorb(touchpoint(430, ("email", "ha@example.com"), message_id="ha"))
    await worker.absorb(touchpoint(431, ("email", "hb@example.com"), message_id="hb"))
    a, b = await by_mail(admin, "ha"), await by_mail(admin, "hb")
    one = await post(admin, "/v1/profiles:merge", profiles=[b["id"], a["id"]], reason="same card")
    assert one["id"] == min(a["id"], b["id"])
    await post(admin, "/v1/profiles:merge", 409, profiles=[b["id"], a["id"]])
    [merge] = (await ok(admin, f"/v1/profiles/{one['id']}/merges"))["items"]
    assert (merge["cause"]["actor"], merge["cause"]["why"]) == ("admin", "same card")
    await post(admin, f"/v1/merges/{merge['id']}:undo")
    problem = await post(admin, "/v1/profiles:merge", 409, profiles=[a["id"], b["id"]])
    assert "two people" in problem["detail"]


async def test_a_hand_crosses_no_veto_and_knows_no_strangers(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    await worker.absorb(touchpoint(440, ("user_id", "v1")), touchpoint(441, ("user_id", "v2")))
    ids = [(await ok(admin, f"/v1/profiles/by/user_id/{one}"))["id"] for one in ("v1", "v2")]
    problem = await post(admin, "/v1/profiles:merge", 409, profiles=ids)
    assert "user_id" in problem["detail"]
    await post(admin, "/v1/profiles:merge", 404, profiles=[ids[0], NIL])
    await post(admin, f"/v1/merges/{NIL}:undo", 404)
    await post(admin, "/v1/profiles:merge", 422, profiles=ids[:1])


async def test_an_inner_merge_waits_for_the_outer_one(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    first = ("loyalty_id", "chain-0")
    await worker.absorb(touchpoint(450, first, message_id="c0"))
    merge = await merged(worker, admin, "chi", 451)
    await worker.absorb(touchpoint(459, first, ("anonymous_id", "b-chi"), message_id="c9"))
    problem = await post(admin, f"/v1/merges/{merge['id']}:undo", 409)
    outer = (await ok(admin, f"/v1/profiles/{merge['winner']}/merges"))["items"][-1]
    assert outer["id"] in problem["detail"]
    await post(admin, f"/v1/merges/{outer['id']}:undo")
    await post(admin, f"/v1/merges/{merge['id']}:undo")
    assert (await by_mail(admin, "chi"))["id"] == merge["loser"]


async def test_two_people_can_be_kept_apart_before_anything_unites_them(
    admin: httpx.AsyncClient, worker: Worker
) -> None:
    a, b = ("email", "ka@example.com"), ("phone", "+33612340001")
    await worker.absorb(touchpoint(460, a, message_id="ka"), touchpoint(461, b, message_id="kb"))
    ids = [
        (await ok(admin, f"/v1/profiles/by/{one[0]}/{one[1].replace('+', '%2B')}"))["id"]
        for one in (a, b)
    ]
    await post(admin, "/v1/cannot-links", 204, profiles=ids, reason="father and son")
    await worker.absorb(touchpoint(462, a, b, message_id="kc"))
    assert (await by_mail(admin, "ka"))["id"] == ids[0]
    assert (await ok(admin, f"/v1/profiles/{ids[1]}"))["id"] == ids[1]


@pytest.mark.parametrize(
    ("body", "kind", "outcomes"),
    [
        (touchpoint(470, ("email", "ev@example.com"), message_id="e1"), "create", ["added"]),
        (touchpoint(471, ("email", "ev@example.com"), message_id="e2"), "plain", ["matched"]),
        (
            touchpoint(472, ("email", "ev@example.com"), ("phone", "000"), message_id="e3"),
            "plain",
            ["matched", "blocked"],
        ),
        (touchpoint(473, ("user_id", "null"), message_id="e4"), "none", ["blocked"]),
    ],
)
async def test_how_an_event_came_to_its_profile(
    admin: httpx.AsyncClient,
    viewer: httpx.AsyncClient,
    worker: Worker,
    body: dict[str, Any],
    kind: str,
    outcomes: list[str],
) -> None:
    await worker.absorb(body)
    found = await ok(admin, f"/v1/events/{body['id']}/identity")
    assert_shape(EventIdentityView, found)
    assert (found["kind"], [one["outcome"] for one in found["identifiers"]]) == (kind, outcomes)
    assert found["rules_version"] == 0
    again = await ok(admin, f"/v1/events/{body['message_id']}/identity", source="shop")
    assert again == found
    masked = await ok(viewer, f"/v1/events/{body['id']}/identity")
    assert all(one["value"].endswith("***") for one in masked["identifiers"])
    for unknown in (NIL, "no-uuid"):
        assert (await admin.get(f"/v1/events/{unknown}/identity")).status_code == 404


async def test_the_evidence_makes_every_profile_again(
    admin: httpx.AsyncClient, worker: Worker, engine: AsyncEngine
) -> None:
    merge = await merged(worker, admin, "eve", 480)
    await post(admin, f"/v1/merges/{merge['id']}:undo")
    verified = await verify_identity(engine, Rules())
    assert verified.differences == []
    assert verified.profiles > 5
    assert verified.steps > 5
