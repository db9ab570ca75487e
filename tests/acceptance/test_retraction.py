"""Bought at the till: what was planned on four channels is taken back on all of them, in time.

An e-mail that waits, a push that was published, a call task in its queue and a line of tomorrow's
print file: one purchase ends the reason for all four. The time is from the till's event on Kafka to
the withdrawn states in the API and the retractions on the channels' topics.
"""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import httpx

from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually
from tests.support.kafka import read_all

SECONDS = 2.0
CUSTOMERS = 5
PRINT = {"connector": "file", "file": {"folder": "letters", "cut_off": "23:59"}}
RULE = {
    "category": "service",
    "trigger": {"type": "event", "event": "Retraction Cart Updated"},
    "exit_criteria": [{"event": "Retraction Order Completed"}],
    "actions": [
        {"type": "message", "channel": "email", "delay": "PT1H", "content": {"body": "Still?"}},
        {"type": "message", "channel": "push", "content": {"body": "Your cart waits"}},
        {"type": "task", "channel": "call_centre", "queue": "carts", "content": {"body": "Call"}},
        {"type": "message", "channel": "direct_mail", "content": {"body": "Dear customer"}},
    ],
}
REACHED = {"email": "pending", "push": "published", "call_centre": "open", "direct_mail": "queued"}


def event(number: int, name: str, type_: str, *identifiers: tuple[str, str]) -> dict[str, Any]:
    who = (("user_id", f"retracted-{number}"), *identifiers)
    return {
        "id": f"retraction-{name}-{number}",
        "source": "shop",
        "type": type_,
        "identifiers": [{"type": kind, "value": value} for kind, value in who],
    }


async def test_a_purchase_at_the_till_takes_everything_back(concert: Concert) -> None:
    async with concert.api("orchestrator-api") as api:
        channel = await api.put("/v1/channels/direct_mail", json=PRINT)
        assert channel.is_success, channel.text
        await put_and_publish(api, "/v1/rules/retraction", RULE)
        await concert.until_live()
        times = [await bought(concert, api, number) for number in range(CUSTOMERS)]
    shown = ", ".join(f"{taken:.2f}" for taken in sorted(times))
    print(f"\nfrom the till to everything taken back: {shown} s (at most {SECONDS:g} s)")
    assert max(times) < SECONDS


async def bought(concert: Concert, api: httpx.AsyncClient, number: int) -> float:
    """One customer fills a cart, then buys at the till; how long it took to take all back."""
    address = (("email", f"retracted-{number}@mail.example"), ("phone", f"+3361200000{number}"))
    cart = event(number, "cart", "Retraction Cart Updated", *address, ("device_id", f"d{number}"))
    await concert.publish(concert.event("web", cart))
    profile = await eventually(
        lambda: concert.profile("user_id", f"retracted-{number}"),
        retrying=(AssertionError, httpx.HTTPStatusError),
        what="the profile",
    )
    planned = await eventually(
        lambda: actions(api, profile["id"]), until=lambda found: len(found) == 4, what="actions"
    )
    assert {one["channel"]: one["status"] for one in planned} == {
        "email": "pending", "push": "published", "call_centre": "published",
        "direct_mail": "published",
    }  # fmt: skip

    began = time.time()
    sold = event(number, "sold", "Retraction Order Completed")
    await concert.publish(concert.event("pos", sold))
    found = await eventually(
        lambda: actions(api, profile["id"]),
        until=lambda found: all(one["status"] == "retracted" for one in found),
        every=0.02,
        what="everything is taken back",
    )
    shown = time.time()
    assert {one["channel"]: one["reached"] for one in found} == REACHED
    assert {one["reason"] for one in found} == {"exit: Retraction Order Completed on pos"}
    await withdrawn(api, profile["id"], found)
    last = await retractions(concert, found)
    return max(shown, last) - began


async def actions(api: httpx.AsyncClient, profile_id: str) -> list[dict[str, Any]]:
    answer = (await api.get("/v1/actions", params={"profile_id": profile_id})).raise_for_status()
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def withdrawn(
    api: httpx.AsyncClient, profile_id: str, found: Sequence[dict[str, Any]]
) -> None:
    """The task left its queue, and the record of the decision says what was taken back and why."""
    tasks = (await api.get("/v1/tasks", params={"profile_id": profile_id})).json()["items"]
    assert [one["status"] for one in tasks] == ["withdrawn"]
    assert tasks[0]["reason"] == "exit: Retraction Order Completed on pos"
    page = (await api.get("/v1/decisions", params={"profile_id": profile_id})).json()["items"]
    (decision,) = [one for one in page if one["retracts"]]
    assert {one["action_id"] for one in decision["retracts"]} == {one["action_id"] for one in found}


async def retractions(concert: Concert, found: Sequence[dict[str, Any]]) -> float:
    """The latest instant at which a retraction stood on its channel's topic; of an e-mail that
    nobody had, there is none."""
    latest = 0.0
    for one in found:
        wanted = 0 if one["channel"] == "email" else 1
        instants = await eventually(
            partial(told, concert, one["channel"], one["action_id"]),
            until=partial(has, wanted),
            what="retractions",
        )
        latest = max(latest, *instants, 0.0)
    return latest


def has(wanted: int, found: Sequence[float]) -> bool:
    return len(found) == wanted


async def told(concert: Concert, channel: str, action_id: str) -> list[float]:
    """When retractions of an action were put on its channel's topic."""
    key = f"{action_id}:retract".encode()
    records = await read_all(concert.stack.kafka, concert.topics.actions(channel))
    return [record.timestamp / 1000 for record in records if key in record.value]
