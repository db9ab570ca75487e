"""Journeys: a path over weeks, for one person whoever they turn out to be, changed under way."""

from datetime import timedelta
from typing import Any

from tests.acceptance.scenarios.company import Company, Person, message, task
from tests.support.eventually import eventually

CROWD = 1_000


def journey(event: str, *nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A journey that an event lets into."""
    return {
        "category": "marketing",
        "entry": {"type": "event", "event": event},
        "nodes": [*nodes, {"id": "end", "type": "exit", "reason": "completed"}],
        **more,
    }


def node(id_: str, does: dict[str, Any], next_: str = "end", **more: Any) -> dict[str, Any]:
    """A step that asks for an action."""
    return {"id": id_, **does, "next": next_, **more}


def wait(id_: str, next_: str = "end", **more: Any) -> dict[str, Any]:
    """A step that waits."""
    return {"id": id_, "type": "wait", "next": next_, **more}


async def runs(company: Company, key: str, **query: Any) -> list[dict[str, Any]]:
    """The runs of a journey."""
    items: list[dict[str, Any]] = (await company.get(f"/v1/journeys/{key}/runs", **query))["items"]
    return items


async def until_run(company: Company, key: str, who: Person, **wanted: Any) -> dict[str, Any]:
    """The one run of a person like this, as soon as there is one."""
    found = await eventually(
        lambda: runs(company, key, profile_id=who.profile_id),
        until=lambda found: any(
            all(one.get(name) == value for name, value in wanted.items()) for one in found
        ),
        within=30,
        what=f"a run like {wanted}",
    )
    return next(
        one for one in found if all(one.get(name) == value for name, value in wanted.items())
    )


async def test_4_of_two_profiles_in_a_journey_one_run_goes_on(company: Company) -> None:
    await company.publish(
        "journeys",
        "welcome-4",
        journey(
            "Welcomed 4",
            node("hello", message("app"), "rest"),
            wait("rest", "more", duration="P2D"),
            node("more", message("app")),
            re_entry={"mode": "after_exit"},
        ),
    )
    ada = await company.person("ada4", without=["device_id"])
    web = Person("web4")
    await company.did(web, "Signed Up", "web", by=["device_id"])
    web.profile_id = (await company.concert.profile("device_id", web.identifiers["device_id"]))[
        "id"
    ]
    await company.consent(web, {"purpose": "marketing", "channel": "*", "status": "granted",
                                "basis": "consent"})  # fmt: skip
    await company.did(ada, "Welcomed 4", "pos")
    await company.did(web, "Welcomed 4", "web", by=["device_id"])
    for who in (ada, web):
        await until_run(company, "welcome-4", who, node="rest")
    # The web visitor logs in as ada.
    both = [
        {"type": "device_id", "value": web.identifiers["device_id"]},
        {"type": "user_id", "value": ada.identifiers["user_id"]},
    ]
    await company.did(ada, "Logged In 4", "web", identifiers=both)
    merged = await eventually(
        lambda: runs(company, "welcome-4"),
        until=lambda found: sorted(one["reason"] or "" for one in found) == ["", "merged"],
        within=30,
        what="one run steps aside",
    )
    (person,) = {one["profile_id"] for one in merged}
    survivor = Person("survivor4", person)
    assert len(await company.messages(ada, "app", "send")) == 1
    assert len(await company.messages(web, "app", "send")) == 1
    await company.advance(timedelta(days=2, minutes=1))
    done = await until_run(company, "welcome-4", survivor, status="completed")
    await company.settled()
    judged = await company.judged(survivor, "welcome-4/more")
    assert judged["reason"] == "chosen", judged
    sends = [
        one
        for who in (ada, web)
        for one in await company.messages(who, "app", "send")
        if one["journey"] == "welcome-4"
    ]
    assert sorted(one["node"] for one in sends) == ["hello", "hello", "more"]
    for run in merged:
        shown = await company.get(f"/v1/runs/{run['id']}")
        assert any(line["node"] == "hello" for line in shown["log"]), "both histories are kept"
    assert done["id"] in {one["id"] for one in merged}


async def test_13_after_a_stop_the_journey_goes_on_by_mail(company: Company) -> None:
    await company.publish(
        "journeys",
        "offers-13",
        journey(
            "Interested 13",
            wait("rest", "text", duration="P1D"),
            node("text", message("sms"), "far", outcomes={"no_consent": "mail"}),
            wait("far", duration="P9D"),
            node("mail", message("email"), "far"),
        ),
    )
    ada, bo = await company.person("ada13"), await company.person("bo13")
    for who in (ada, bo):
        await company.did(who, "Interested 13")
        await until_run(company, "offers-13", who, node="rest")
    stop = {
        "purpose": "marketing", "channel": "sms", "status": "denied", "basis": "consent",
    }  # fmt: skip
    await company.consent(ada, stop)
    await company.advance(timedelta(days=1, minutes=1))
    for who in (ada, bo):
        await until_run(company, "offers-13", who, node="far")
    assert [len(await company.messages(ada, one, "send")) for one in ("sms", "email")] == [0, 1]
    assert [len(await company.messages(bo, one, "send")) for one in ("sms", "email")] == [1, 0]
    judged = await company.judged(ada, "offers-13/text")
    assert judged["stage"] == "consent"


async def test_22_a_journey_is_edited_while_a_thousand_wait(company: Company) -> None:
    def version(last: str, policy: str) -> dict[str, Any]:
        return journey(
            "Crowded 22",
            node("first", message("app"), "rest"),
            wait("rest", "last", duration="P3D"),
            node("last", message(last)),
            version_policy=policy,
            category="transactional",
        )

    await company.publish("journeys", "crowd-22", version("app", "pin"))
    now = (await company.now()).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    concert = company.concert
    await concert.publish(*(
        concert.event("app", {
            "id": f"crowd-{number}", "source": "scenario", "type": "Crowded 22",
            "occurred_at": now,
            "identifiers": [
{"type": kind, "value": f"crowd-{number}"} for kind in ("user_id", "device_id")],
        })
        for number in range(CROWD)
    ))  # fmt: skip
    await company.settled()
    await eventually(
        lambda: _waiting(company, "crowd-22"), until=lambda n: n == CROWD, within=120,
        what="a thousand wait",
    )  # fmt: skip
    path = "/v1/journeys/crowd-22"
    tag = await _tag(company, path)
    await _save(company, path, version("push", "pin"), tag)
    seen = await company.get(f"{path}:preview")
    assert [(one["node"], one["runs"], one["fate"]) for one in seen["items"]] == [
        ("rest", CROWD, "stays")
    ]
    seen = await company.get(f"{path}:preview", version_policy="follow_live")
    assert [(one["node"], one["runs"], one["fate"]) for one in seen["items"]] == [
        ("rest", CROWD, "goes_on")
    ]
    published = await company.call("POST", f"{path}:publish", {"version_policy": "follow_live"})
    assert published.status_code == 200, published.text
    assert [one["runs"] for one in published.json()["affected"]] == [CROWD]
    await company.concert.until_live()
    await company.advance(timedelta(days=3, minutes=1))
    await eventually(
        lambda: _waiting(company, "crowd-22"), until=lambda n: n == 0, within=120,
        what="all are through",
    )  # fmt: skip
    sent = {"app": 0, "push": 0}
    for channel in sent:
        topic = company.concert.topics.actions(channel)
        values = await company.concert.read(topic)
        mine = [one for one in values if one.get("journey") == "crowd-22"]
        assert len({one["run"] for one in mine}) == len(mine) == CROWD
        assert {one["node"] for one in mine} == {"first" if channel == "app" else "last"}
        sent[channel] = len(mine)
    assert sent == {"app": CROWD, "push": CROWD}


async def test_25_the_runs_of_an_erased_person_are_gone(company: Company) -> None:
    await company.publish(
        "journeys",
        "care-25",
        journey(
            "Cared 25",
            node("call", task("call_centre"), "rest", outcomes={"declined": "end"}),
            wait("rest", duration="P9D"),
        ),
    )
    ada = await company.person("ada25j")
    event = await company.did(ada, "Cared 25")
    run = await until_run(company, "care-25", ada, node="call")
    assert len(await company.tasks(ada)) == 1
    body = {"kind": "erasure", "profile_id": ada.profile_id}
    asked = await company.call("POST", "/v1/privacy-requests", body, "profile-api")
    assert asked.status_code in (201, 202), asked.text
    await eventually(
        lambda: company.call("GET", f"/v1/runs/{run['id']}"),
        until=lambda answer: answer.status_code in (404, 410),
        within=60,
        what="the run is gone",
    )
    assert (await company.call("GET", f"/v1/tasks?profile_id={ada.profile_id}")).status_code == 410
    left = await company.concert.owner.fetchval(
        "SELECT count(*) FROM orchestrator.timer WHERE profile_id = $1", ada.profile_id
    )
    assert left == 0
    await company.say({**event, "id": "late-25"}, "web")
    await company.advance(timedelta(days=10))
    await company.settled()
    rows = await company.concert.owner.fetch(
        "SELECT * FROM orchestrator.journey_run WHERE profile_id = $1 OR home = $1",
        ada.profile_id,
    )
    assert rows == []
    assert len(await company.messages(ada, "call_centre", "task")) == 1


async def _waiting(company: Company, key: str) -> int:
    stats = await company.get(f"/v1/journeys/{key}/stats")
    return sum(one["waiting"] for one in stats["nodes"])


async def _tag(company: Company, path: str) -> str:
    async with company.concert.api("orchestrator-api") as api:
        return (await api.get(path)).headers["etag"]


async def _save(company: Company, path: str, body: dict[str, Any], tag: str) -> None:
    async with company.concert.api("orchestrator-api") as api:
        answer = await api.put(path, json=body, headers={"If-Match": tag})
    assert answer.status_code == 200, answer.text
