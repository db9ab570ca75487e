"""A publisher finds out what became of any event, over its whole life and through both doors."""

from typing import Any

import httpx

from services.ingest.api.peers import DEADLINE_SECONDS
from shared import clock
from tests.acceptance.concert import Concert, put_and_publish
from tests.acceptance.test_counting import source_key
from tests.acceptance.test_old_receipts import RULE
from tests.acceptance.test_permissions import token
from tests.support.eventually import eventually

BOTH = ("collect", "read")


def track(message_id: str, user: str, event: str = "Seen") -> dict[str, Any]:
    return {"messageId": message_id, "userId": user, "event": event}


def native(source: str, event_id: str, user: str) -> dict[str, Any]:
    who = [{"type": "user_id", "value": user}]
    return {"id": event_id, "source": source, "type": "Seen", "identifiers": who}


async def receipt(api: httpx.AsyncClient, event_id: str, **query: str) -> dict[str, Any]:
    answer = await api.get(f"/v1/events/{event_id}", params=query)
    assert answer.status_code == httpx.codes.OK, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until(
    api: httpx.AsyncClient, event_id: str, expected: dict[str, Any], **query: str
) -> dict[str, Any]:
    """The receipt, once it has the expected fields."""

    async def look() -> dict[str, Any]:
        return await receipt(api, event_id, **query)

    return await eventually(
        look,
        until=lambda found: expected.items() <= found.items(),
        within=30,
        what=f"{event_id} is {expected}",
    )


async def test_the_life_of_an_event_by_http_and_kafka(concert: Concert) -> None:
    source, key = "receipts", await source_key(concert, "receipts", *BOTH)
    async with concert.api("ingest-collector", token=key) as shop:
        assert (await shop.post("/v1/track", json=track("r/1 é", "rita"))).is_success
        at_once = await receipt(shop, "r/1 é")
        assert at_once["status"] in ("accepted", "applied")
        found = await until(shop, "r/1 é", {"status": "applied"})
        person = await concert.profile("user_id", "rita")
        assert found == {
            "id": "r/1 é",
            "source": source,
            "status": "applied",
            "profile_id": person["id"],
            "decisions": [],
        }
        assert (await shop.post("/v1/track", json=track("r/1 é", "rita"))).is_success
        await until(shop, "r/1 é", {"status": "applied", "duplicates": 1})

        await concert.publish(concert.event("web", native(source, "r/1 é", "rita")))
        await concert.publish(concert.event("web", native(source, "r-2", "rita")))
        await until(shop, "r/1 é", {"status": "applied", "duplicates": 2})
        await eventually(lambda: until(shop, "r-2", {"status": "applied"}), within=30)

        nameless = {"messageId": "r-3", "event": "Seen", "anonymousId": "null"}
        assert (await shop.post("/v1/track", json=nameless)).is_success
        nobody = await until(shop, "r-3", {"status": "applied", "reason": "no_identity"})
        assert "profile_id" not in nobody
    async with concert.api("profile-api") as profiles:
        counted = await profiles.get(f"/v1/touchpoint-counters/{source}")
    assert counted.json() == {"accepted": 3, "duplicate": 2}


async def test_who_may_ask_for_what(concert: Concert) -> None:
    key, other = (
        await source_key(concert, "asked", *BOTH),
        await source_key(concert, "asking", *BOTH),
    )
    viewer = await token(concert, "ingest-collector", "viewer")
    async with concert.api("ingest-collector", token=key) as shop:
        assert (await shop.post("/v1/track", json=track("q-1", "quin"))).is_success
        mine = await until(shop, "q-1", {"status": "applied"})
    async with concert.api("ingest-collector", token=viewer) as person:
        assert await receipt(person, "q-1", source="asked") == mine
        unnamed = await person.get("/v1/events/q-1")
        assert (unnamed.status_code, unnamed.json()["errors"][0]["path"]) == (422, "source")
        unknown = await person.get("/v1/events/q-2", params={"source": "asked"})
        assert (unknown.status_code, unknown.headers["retry-after"]) == (404, "1")
        for wrong in ("a%00b", "%20"):
            answer = await person.get(f"/v1/events/{wrong}", params={"source": "asked"})
            assert answer.status_code in (400, 404)
    async with concert.api("ingest-collector", token=other) as neighbour:
        for query in ({}, {"source": "asked"}):
            assert (await neighbour.get("/v1/events/q-1", params=query)).status_code == 404
    for wrong in ("csk_nobody", "cst_nobody"):
        async with concert.api("ingest-collector", token=wrong) as stranger:
            assert (await stranger.get("/v1/events/q-1")).status_code == 401


async def test_an_event_on_its_way_is_accepted(concert: Concert) -> None:
    key = await source_key(concert, "waiting", *BOTH)
    worker = concert.running["profile-worker"]
    async with concert.api("ingest-collector", token=key) as shop:
        worker.freeze()
        try:
            assert (await shop.post("/v1/track", json=track("w-1", "wes"))).is_success
            found = await receipt(shop, "w-1")
        finally:
            worker.thaw()
        assert found == {"id": "w-1", "source": "waiting", "status": "accepted", "decisions": []}
        await until(shop, "w-1", {"status": "applied"})


async def test_a_receipt_names_the_decisions(concert: Concert) -> None:
    key = await source_key(concert, "decided", *BOTH)
    rule = RULE | {"trigger": {"type": "event", "event": "Receipt Asked"}}
    async with concert.api("orchestrator-api") as api:
        await put_and_publish(api, "/v1/rules/receipt-asked", rule)
    async with concert.api("ingest-collector", token=key) as shop:

        async def decided() -> list[dict[str, Any]]:
            """Until the rule is live on the worker, an event meets none."""
            name = f"d-{clock.unix_milliseconds()}"
            sent = await shop.post("/v1/track", json=track(name, "dee", "Receipt Asked"))
            assert sent.is_success
            await until(shop, name, {"status": "applied"})

            async def named() -> list[dict[str, Any]]:
                decisions: list[dict[str, Any]] = (await receipt(shop, name))["decisions"]
                return decisions

            return await eventually(named, within=3)

        decision = (await eventually(decided, within=30))[0]
    async with concert.api("orchestrator-api") as api:
        whole = (await api.get(f"/v1/decisions/{decision['id']}")).raise_for_status().json()
        await api.post("/v1/rules/receipt-asked:archive", json={})
    assert {name: whole[name] for name in decision} == decision


async def test_a_failed_event_says_why(concert: Concert) -> None:
    key = await source_key(concert, "failing", *BOTH)
    async with concert.api("ingest-collector", token=key) as shop:
        wrong = track("f-1", "fay") | {"timestamp": "ada@example.com"}
        assert (await shop.post("/v1/track", json=wrong)).is_success
        found = await until(shop, "f-1", {"status": "failed"})
    assert found["reason"] == "spec_violation"
    assert "ada@example.com" not in found["message"]
    async with concert.api("ingest-collector") as admin:
        shown = await receipt(admin, "f-1", source="failing")
        assert "ada@example.com" in shown["message"]
        source = {"id": "failing", "name": "failing", "channel": "web", "dialect": "segment"}
        declared = source | {"pii": {"properties.when": "time"}}
        assert (await admin.put("/v1/sources/failing", json=declared)).is_success
    async with concert.api("ingest-collector", token=key) as shop:
        wrong = track("f-2", "fay") | {"timestamp": "Ada"}
        assert (await shop.post("/v1/track", json=wrong)).is_success
        found = await until(shop, "f-2", {"status": "failed"})
    assert found["message"] == "'…' is no RFC 3339 time"


async def test_a_receipt_says_when_nobody_knows_whether_it_was_applied(concert: Concert) -> None:
    key = await source_key(concert, "unanswered", *BOTH)
    profiles = concert.running["profile-api"]
    async with concert.api("ingest-collector", token=key) as shop:
        assert (await shop.post("/v1/track", json=track("a-1", "abe"))).is_success
        await until(shop, "a-1", {"status": "applied"})
        profiles.freeze()
        try:
            asked_at = clock.monotonic_seconds()
            found = await receipt(shop, "a-1")
            waited = clock.monotonic_seconds() - asked_at
            unknown = await shop.get("/v1/events/never-sent")
        finally:
            profiles.thaw()
        assert DEADLINE_SECONDS <= waited < DEADLINE_SECONDS + 2
        assert found["status"] == "accepted"
        assert found["missing"] == ["No answer from the profile service: whether it was applied."]
        assert (unknown.status_code, unknown.headers["retry-after"]) == (503, "1")
        assert "profile service" in unknown.json()["detail"]
        await until(shop, "a-1", {"status": "applied"})


async def test_a_receipt_says_when_decisions_are_not_known(concert: Concert) -> None:
    key = await source_key(concert, "undecided", *BOTH)
    async with concert.api("ingest-collector", token=key) as shop:
        assert (await shop.post("/v1/track", json=track("a-1", "abe"))).is_success
        whole = await until(shop, "a-1", {"status": "applied"})
        concert.running["orchestrator-api"].kill()
        try:
            found = await receipt(shop, "a-1")
            unknown = await shop.get("/v1/events/never-sent")
        finally:
            extra = {"CONCERT_MEMBER": "orchestrator-api"}
            restarted = await concert.roles.start_ready("orchestrator", "api", extra=extra)
            concert.running["orchestrator-api"] = restarted
        assert found.pop("missing") == [
            "No answer from the orchestrator: which decisions it led to."
        ]
        assert found == {name: each for name, each in whole.items() if name != "decisions"}
        assert unknown.status_code == 404
        assert await receipt(shop, "a-1") == whole
