"""What to say to a customer, here and now: one answer, whoever asks, until something changes it."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.acceptance.concert import Concert, concert_on, put_and_publish
from tests.support.eventually import eventually
from tests.support.kafka import new_prefix, standard_topics
from tests.support.postgres import Database, cloned_database
from tests.support.stack import Stack

CHANNELS = ("kiosk", "app", "web", "pos")
MARKETING = "decide-offer"


def rule(value: float, category: str, *channels: str, **fields: Any) -> dict[str, Any]:
    """A rule that answers asks in this test's slots alone."""
    return {
        "category": category,
        "group": f"group-{value}",
        "trigger": {
            "type": "api", "where": {"attr": "context.shop", "op": "eq", "value": "decide"},
        },
        "score": {"value": value},
        "actions": [
            {
                "type": "prompt", "channel": channel,
                "content": {"text": f"{{{{ profile.first_name }}}}: {value} on {channel}"},
            }
            for channel in channels
        ],
        **fields,
    }  # fmt: skip


@pytest.fixture(scope="module")
async def asked(
    stack: Stack, migrated: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Concert]:
    """Every role."""
    home = tmp_path_factory.mktemp("asked")
    async with (
        cloned_database(stack, migrated) as database,
        standard_topics(stack.kafka, new_prefix()) as topics,
        concert_on(stack, database, topics, home) as running,
    ):
        await running.start()
        yield running


@pytest.fixture(scope="module")
async def till(asked: Concert) -> AsyncIterator[httpx.AsyncClient]:
    """A channel system's client; the rules are live."""
    async with asked.api("orchestrator-api") as admin:
        await put_and_publish(admin, f"/v1/rules/{MARKETING}", rule(9, "marketing", *CHANNELS))
        await put_and_publish(admin, "/v1/rules/decide-help", rule(1, "service", *CHANNELS))
        policy = {
            "suppressions": [
                {"on": {"outcome": "declined", "count": 1, "within": "P7D", "per": "rule"},
                 "for": "P7D"}
            ]
        }  # fmt: skip
        await put_and_publish(admin, "/v1/contact-policies/decide", policy)
        made = await admin.post("/v1/tokens", json={"name": "till 7", "roles": ["channel"]})
    await asyncio.sleep(2)
    async with asked.api("orchestrator-api", token=made.raise_for_status().json()["token"]) as it:
        yield it


async def ask(
    till: httpx.AsyncClient, who: str, channel: str = "kiosk", slot: str = "hero", **more: Any
) -> dict[str, Any]:
    """Ask by card; the answer."""
    body = {
        "identifier": {"type": "loyalty_id", "value": who},
        "channel": channel,
        "slot": slot,
        "context": {"shop": "decide"},
        **more,
    }
    answer = await till.post("/v1/decide", json=body)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def chosen(answer: dict[str, Any]) -> str | None:
    """The rule of the action, None when there is none."""
    return None if answer["action"] is None else str(answer["action"]["rule"])


async def somebody(concert: Concert, card: str, *more: tuple[str, str], agreed: bool = True) -> str:
    """A customer with a card; the profile's id."""
    identifiers = [("loyalty_id", card), *more]
    event = {
        "id": f"seen-{card}-{len(more)}",
        "source": "decide",
        "type": "Store Visited",
        "occurred_at": "2026-11-01T10:00:00Z",
        "identifiers": [{"type": type_, "value": value} for type_, value in identifiers],
        "traits": {"first_name": card},
    }
    await concert.publish(concert.event("pos", event, card.encode()))
    await concert.until_done("pos")
    profile = await concert.profile("loyalty_id", card)
    if agreed:
        await consent(concert, profile["id"], "granted")
    return str(profile["id"])


async def consent(concert: Concert, profile_id: str, status: str) -> None:
    """The customer says what they think of advertising."""
    said = {"purpose": "marketing", "channel": "*", "status": status, "basis": "consent"}
    async with concert.api("profile-api") as api:
        put = await api.put(f"/v1/profiles/{profile_id}/consents", json={"consents": [said]})
    put.raise_for_status()


async def test_the_app_says_what_the_kiosk_said(asked: Concert, till: httpx.AsyncClient) -> None:
    await somebody(asked, "ida")
    kiosk = await ask(till, "ida")
    app = await ask(till, "ida", "app")
    assert chosen(kiosk) == chosen(app) == MARKETING
    assert app["action"]["action_id"] == kiosk["action"]["action_id"]
    assert app["action"]["content"] == {"text": "ida: 9 on app"}
    assert (kiosk["kept"], app["kept"]) == (False, True)
    async with asked.api("orchestrator-api") as api:
        decision = (await api.get(f"/v1/decisions/{kiosk['decision_id']}")).raise_for_status()
    assert decision.json()["action_ids"] == [kiosk["action"]["action_id"]]
    assert [one["rule"] for one in decision.json()["candidates"]] == [MARKETING, "decide-help"]


async def test_a_consent_put_just_before_holds(asked: Concert, till: httpx.AsyncClient) -> None:
    profile_id = await somebody(asked, "jon", agreed=False)
    without = await ask(till, "jon", slot="a")
    assert chosen(without) == "decide-help"
    assert any(one.startswith(f"consent_missing: {MARKETING} ") for one in without["reasons"])
    await consent(asked, profile_id, "granted")
    assert chosen(await ask(till, "jon", slot="b")) == MARKETING
    await consent(asked, profile_id, "denied")
    assert chosen(await ask(till, "jon", "app", slot="b")) == "decide-help"


async def test_not_interested_means_on_no_channel(asked: Concert, till: httpx.AsyncClient) -> None:
    await somebody(asked, "kim")
    offers = {slot: await ask(till, "kim", slot=slot) for slot in ("hero", "footer")}
    assert {chosen(one) for one in offers.values()} == {MARKETING}
    action_id = offers["hero"]["action"]["action_id"]
    said = await till.post(
        f"/v1/deliveries/{action_id}/events", json={"type": "declined", "channel": "clienteling"}
    )
    assert said.is_success, said.text

    async def absent() -> bool:
        answers = [
            await ask(till, "kim", channel, slot)
            for channel in ("web", "app", "pos")
            for slot in offers
        ]
        return all(chosen(one) == "decide-help" for one in answers)

    await eventually(absent, within=30)


async def test_somebody_unknown_gets_what_needs_no_consent(till: httpx.AsyncClient) -> None:
    first = await ask(till, "nobody-1")
    again = await ask(till, "nobody-1", "app")
    assert (first["person"], chosen(first)) == ("unknown", "decide-help")
    assert first["action"]["content"] == {"text": ": 1 on kiosk"}
    assert again["action"]["action_id"] == first["action"]["action_id"]


async def test_who_becomes_known_keeps_the_answer(asked: Concert, till: httpx.AsyncClient) -> None:
    stranger = await ask(till, "lou")
    assert stranger["person"] == "unknown"
    await somebody(asked, "lou", agreed=False)
    known = await ask(till, "lou", "app")
    assert known["person"] == "known"
    assert known["action"]["action_id"] == stranger["action"]["action_id"]


async def test_a_merge_between_two_asks(asked: Concert, till: httpx.AsyncClient) -> None:
    await somebody(asked, "max-1")
    await somebody(asked, "max-2")
    before = await ask(till, "max-2")
    assert chosen(before) == MARKETING
    await somebody(asked, "max-1", ("loyalty_id", "max-2"), agreed=False)
    one, two = await ask(till, "max-1", "app"), await ask(till, "max-2", "web")
    assert one["action"]["action_id"] == two["action"]["action_id"]
    assert one["action"]["action_id"] == before["action"]["action_id"]


async def test_without_the_profile_service_it_still_answers(
    asked: Concert, till: httpx.AsyncClient
) -> None:
    """The last test here: the profile API does not come back."""
    await somebody(asked, "nia")
    assert chosen(await ask(till, "nia", slot="before")) == MARKETING
    asked.running["profile-api"].kill()
    taken = []
    for number in range(5):
        begun = time.perf_counter()
        answer = await ask(till, "nia", slot=f"away-{number}")
        taken.append(time.perf_counter() - begun)
        assert (answer["person"], chosen(answer)) == ("unavailable", None)
        assert answer["reasons"][0].startswith("profile_unavailable: ")
        assert any(one.startswith("person_unavailable: decide-help ") for one in answer["reasons"])
    assert min(taken) < 1.0
