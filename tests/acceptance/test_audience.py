"""An event for everybody it concerns: each member gets it once, whoever dies on the way."""

import json
import signal
from collections import Counter
from typing import Any

import httpx

from deploy.local.services import ROLES
from services.profile.use_cases.fan_out import CRASH_POINTS
from shared.ids import touchpoint_id_text
from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually
from tests.support.kafka import read_all

PEOPLE, SHOP, TYPE = 500, "shops", "Store Closed"
HOPS = ("ingest", "profile")
SCHEMA: dict[str, Any] = {"type": "object", "required": ["store"]}
LYON = {"attr": "profile.city", "op": "eq", "value": "Lyon"}
BROADCAST: dict[str, Any] = {
    "id": "closed-7",
    "source": SHOP,
    "type": TYPE,
    "audience": {"all": [LYON, {"attr": "profile.computed.touchpoints", "op": "gte", "value": 1}]},
    "properties": {"store": "Lyon Bellecour"},
}
KILLS = [(CRASH_POINTS[0], 1), (CRASH_POINTS[1], 1), (CRASH_POINTS[0], 2)]
"""Of three pages: the first is rolled back, then committed; the second is committed, the third
rolled back."""

_COUNTED = """
    SELECT i.value, count(*) FROM profile.touchpoint t JOIN profile.identifier i ON i.id = t.anchor
     WHERE convert_from(t.body, 'UTF8')::json ->> 'type' = $1 GROUP BY 1
"""


def person(number: int) -> dict[str, Any]:
    return {
        "id": f"p-{number}",
        "source": SHOP,
        "type": "Signed Up",
        "identifiers": [{"type": "user_id", "value": f"u{number}"}],
        "traits": {"city": "Nice" if number % 3 else "Lyon"},
    }


async def make_source(concert: Concert) -> None:
    """A registered source whose events are held against a schema, and refused if they break it."""
    async with concert.api("ingest-collector") as api:
        body = {"id": SHOP, "name": "Shops", "channel": "web", "tracking": "reject"}
        made = await api.post("/v1/sources", json=body)
        assert made.status_code == 201, made.text
        draft = {"name": TYPE, "schema": SCHEMA}
        await put_and_publish(api, f"/v1/event-schemas/{TYPE}", draft)


async def get(concert: Concert, path: str) -> Any:
    async with concert.api("profile-api") as api:
        answer = await api.get(path)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.json()


async def kill_at(concert: Concert, point: str, nth: int) -> None:
    """A sweeper that works until it dies at this point."""
    doomed = concert.roles.start("profile", "sweeper", extra={"CONCERT_CRASH": f"{point}:{nth}"})
    code = await eventually(
        doomed.exit_code, until=lambda code: code is not None, what=f"it dies at {point}"
    )
    assert code == -signal.SIGKILL, doomed.log(4000)


async def test_every_member_has_the_event_once_and_nobody_else(own_concert: Concert) -> None:
    concert = own_concert
    without = [role.label for role in ROLES if role.label != "profile-sweeper"]
    await concert.start(*without, CONCERT_ALLOW_UNREGISTERED_SOURCES="false")
    await make_source(concert)
    people = [concert.event("web", person(n), f"u{n}".encode()) for n in range(PEOPLE)]
    await concert.publish(*people)
    await concert.until_done("web", hops=HOPS)
    members = {f"u{n}" for n in range(0, PEOPLE, 3)}

    await concert.publish(concert.event("web", BROADCAST))
    await concert.until_done("web", hops=HOPS)
    path = f"/v1/audience-events/{touchpoint_id_text(SHOP, 'closed-7')}"
    waiting = await get(concert, path)
    assert (waiting["status"], waiting["event"], waiting["of"]) == ("waiting", "closed-7", None)

    for point, nth in KILLS:
        await kill_at(concert, point, nth)
    halfway = await get(concert, path)
    assert (halfway["status"], halfway["examined"], halfway["of"]) == ("running", 400, PEOPLE)
    await concert.start("profile-sweeper")
    done = await eventually(lambda: get(concert, path), until=lambda job: job["status"] == "done")
    assert (done["examined"], done["matched"], done["left_out"]) == (PEOPLE, len(members), 0)
    assert done["audience"] == (
        "the profile's city is \"Lyon\" and the profile's computed touchpoints is at least 1"
    )
    await concert.until_done("web", hops=HOPS)
    rows = await concert.owner.fetch(_COUNTED, TYPE)
    assert {row[0]: row[1] for row in rows} == dict.fromkeys(members, 1)
    raw = Counter(event["id"] for event in await concert.read(concert.topics.channel("web")))
    assert set(raw.values()) == {1}
    assert len(raw) == PEOPLE + 1 + len(members)

    await concert.publish(concert.event("web", BROADCAST, b"again"))
    await concert.until_done("web", hops=HOPS)
    assert [job["id"] for job in (await get(concert, "/v1/audience-events"))["items"]] == [
        done["id"]
    ]
    await the_timelines_have_it(concert)
    await the_publisher_is_told(concert, len(members))


async def the_timelines_have_it(concert: Concert) -> None:
    """As people see it, through the API."""
    for user, expected in (("u3", [TYPE, "Signed Up"]), ("u4", ["Signed Up"])):
        profile = await concert.profile("user_id", user)
        items = (await get(concert, f"/v1/profiles/{profile['id']}/timeline"))["items"]
        assert [item["touchpoint"]["type"] for item in items] == expected
        assert len(profile["identifiers"]) == 1, "the copy adds no identifier"
    assert (await concert.profile("user_id", "u3"))["computed"]["touchpoints"] == 2


async def the_publisher_is_told(concert: Concert, members: int) -> None:
    """The receipts of the event and of a copy, and the source's counters."""
    async with concert.api("ingest-collector") as api:
        found = (await api.get("/v1/events/closed-7", params={"source": SHOP})).json()
        profile = await concert.profile("user_id", "u3")
        copy = f"/v1/events/closed-7:{profile['id']}"
        of_copy = (await api.get(copy, params={"source": SHOP})).json()
        counters = (await api.get(f"/v1/sources/{SHOP}")).json()["counters"]
    assert found == {
        "id": "closed-7",
        "source": SHOP,
        "status": "applied",
        "reason": "audience",
        "duplicates": 1,
        "audience": {
            "status": "done",
            "examined": PEOPLE,
            "of": PEOPLE,
            "matched": members,
            "left_out": 0,
        },
        "decisions": [],
    }
    assert (of_copy["status"], of_copy["profile_id"]) == ("applied", profile["id"])
    total = PEOPLE + members + 1
    assert counters == {
        "received": total + 1,
        "accepted": total,
        "duplicate": 1,
        "failed": 0,
        "in_flight": 0,
        "detail": None,
    }


async def test_a_wrong_condition_is_a_dead_letter_with_its_place(concert: Concert) -> None:
    wrong = {**BROADCAST, "source": "anyone", "audience": {"all": [LYON, {"event": TYPE}]}}
    await concert.publish(concert.event("app", wrong))
    await concert.until_done("app", hops=("ingest",))
    (letter,) = await read_all(concert.stack.kafka, concert.topics.channel("app") + ".dlq")
    headers = dict(letter.headers)
    assert headers["__connect.errors.exception.class.name"] == b"spec_violation"
    message = headers["__connect.errors.exception.message"]
    assert message.startswith(b"audience.all[1].event: ")
    assert message.endswith(b"(event_leaf)")
    assert json.loads(letter.value) == wrong
