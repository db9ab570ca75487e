"""A company that uses Concert, for the scenarios: its people, its channel systems and its CX team,
all through the public interfaces. Every scenario has people, event names and rules of its own."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from shared.conditions.duration import format_duration
from shared.contracts.delivery import event_type
from tests.acceptance.concert import Concert, put_and_publish
from tests.support.eventually import eventually
from tests.support.kafka import Message, read_all
from tests.support.settled import watching

ZONE = ZoneInfo("Europe/Paris")
CHANNELS = ("web", "app", "email", "sms", "push", "pos", "kiosk", "call_centre", "clienteling",
            "direct_mail", "concert")  # fmt: skip
ALL_CONSENTS = [{"purpose": "marketing", "channel": "*", "status": "granted", "basis": "consent"}]
POLICY: dict[str, Any] = {
    "time_zone": {"source": ["profile", "default"], "default": "Europe/Paris"},
    "caps": [
        {"scope": {"channel": "email", "topic": "newsletter"}, "limit": 2, "window": "P7D"},
        {"scope": {"topic": "one-slot"}, "limit": 1, "window": "P1D"},
    ],
    "quiet_hours": [
        {
            "channels": ["sms"],
            "categories": ["marketing"],
            "from": "21:00",
            "to": "08:00",
            "action": "defer",
            "max_defer": "P2D",
        }
    ],
    "suppressions": [
        {"on": {"outcome": "declined", "count": 1, "within": "P14D", "per": "group"}, "for": "P14D"}
    ],
    "arbitration": {"max_actions": 1},
}


@dataclass(slots=True)
class Person:
    """A customer: the identifiers that the channels know, and the profile once there is one."""

    name: str
    profile_id: str = ""

    @property
    def identifiers(self) -> dict[str, str]:
        """By type; each channel system uses those that it knows."""
        number = int.from_bytes(self.name.encode(), "big") % 10**8
        return {
            "user_id": f"user-{self.name}",
            "email": f"{self.name}@mail.example",
            "phone": f"+336{number:08d}",
            "device_id": f"device-{self.name}",
            "loyalty_id": f"card-{self.name}",
        }


@dataclass(slots=True)
class Company:
    """Everything that a scenario does and sees."""

    concert: Concert
    counted: int = 0
    seen: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    # ---- the CX team ----------------------------------------------------------------------------

    async def publish(self, kind: str, key: str, body: dict[str, Any]) -> None:
        """Save a draft and make it live; every worker has it when this returns."""
        async with self.concert.api("orchestrator-api") as api:
            await put_and_publish(api, f"/v1/{kind}/{key}", body)
        await self.concert.until_live()

    async def rule(self, key: str, event: str, *actions: dict[str, Any], **more: Any) -> None:
        """Publish a rule on an event."""
        trigger = {"type": "event", "event": event, **more.pop("trigger", {})}
        body = {"category": "marketing", "topic": key, "trigger": trigger, "actions": list(actions)}
        await self.publish("rules", key, {**body, **more})

    async def get(self, path: str, role: str = "orchestrator-api", **query: Any) -> Any:
        """The answer to a GET, which must be 200."""
        async with self.concert.api(role) as api:
            answer = await api.get(path, params=query)
        assert answer.status_code == httpx.codes.OK, f"{path}: {answer.status_code} {answer.text}"
        return answer.json()

    async def call(
        self, method: str, path: str, body: Any = None, role: str = "orchestrator-api"
    ) -> httpx.Response:
        """The answer to any request."""
        async with self.concert.api(role) as api:
            return await api.request(method, path, json=body)

    # ---- time -----------------------------------------------------------------------------------

    async def now(self) -> datetime:
        """What the business clock shows."""
        clock = await self.get("/v1/test-clock")
        return datetime.fromisoformat(clock["now"])

    async def advance(self, step: timedelta) -> None:
        """Let time pass; what becomes due happens."""
        whole = timedelta(seconds=math.ceil(step.total_seconds()))
        answer = await self.call("POST", "/v1/test-clock", {"advance": format_duration(whole)})
        assert answer.status_code == httpx.codes.OK, answer.text

    async def until_clock(self, hour: int, minute: int = 0, zone: ZoneInfo = ZONE) -> datetime:
        """Let time pass until the next such time of day in a zone."""
        now = await self.now()
        local = now.astimezone(zone)
        wanted = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if wanted <= local:
            wanted = (local + timedelta(days=1)).replace(
                hour=hour, minute=minute, second=0, microsecond=0
            )
        await self.advance(wanted - now)
        return wanted

    # ---- customers ------------------------------------------------------------------------------

    async def person(
        self,
        name: str,
        *,
        without: Sequence[str] = (),
        consents: Sequence[dict[str, Any]] = ALL_CONSENTS,
        traits: dict[str, Any] | None = None,
        zone: str | None = "Europe/Paris",
    ) -> Person:
        """Somebody who has signed up, with these consents."""
        who = Person(name)
        body: dict[str, Any] = {"traits": {"first_name": name.title(), **(traits or {})}}
        if zone is not None:
            body["context"] = {"timezone": zone}
        kinds = [kind for kind in who.identifiers if kind not in without]
        await self.did(who, "Signed Up", "web", by=kinds, **body)
        who.profile_id = (await self.concert.profile("user_id", who.identifiers["user_id"]))["id"]
        if consents:
            await self.consent(who, *consents)
        return who

    async def consent(self, who: Person, *consents: dict[str, Any]) -> None:
        """What the customer allows or refuses, through the profile API."""
        body = {"consents": list(consents), "proof": {"source": "scenario"}}
        answer = await self.call(
            "PUT", f"/v1/profiles/{who.profile_id}/consents", body, "profile-api"
        )
        assert answer.status_code == httpx.codes.OK, answer.text
        await self.settled()

    async def did(
        self,
        who: Person,
        type_: str,
        channel: str = "web",
        *,
        by: Sequence[str] = ("user_id",),
        wait: bool = True,
        **fields: Any,
    ) -> dict[str, Any]:
        """The customer does something on a channel; returns the event as it was published."""
        self.counted += 1
        now = await self.now()
        event = {
            "id": f"{who.name}-{self.counted}",
            "source": "scenario",
            "type": type_,
            "occurred_at": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "identifiers": [
                {"type": kind, "value": who.identifiers.get(kind, f"{kind}-{who.name}")}
                for kind in by
            ],
            **fields,
        }
        await self.say(event, channel, wait=wait)
        return event

    async def say(self, event: dict[str, Any], channel: str, *, wait: bool = True) -> None:
        """A channel system publishes an event."""
        topic = self.concert.topics.channel(channel)
        await self.concert.publish(Message(topic, json.dumps(event).encode(), b"k"))
        if wait:
            await self.settled()

    async def settled(self) -> None:
        """Wait until everything published went the whole way; what waits for its time waits on."""
        async with watching(
            self.concert.owner, self.concert.stack.kafka, self.concert.topics, CHANNELS
        ) as work:
            await eventually(
                work.left,
                until=lambda left: not left.keys() - {"pending actions"},
                within=60,
                what="everything is done",
            )

    # ---- what came of it ------------------------------------------------------------------------

    async def actions(self, who: Person, **wanted: Any) -> list[dict[str, Any]]:
        """What was asked of the channels for a customer, oldest first."""
        items = (await self.get("/v1/actions", profile_id=who.profile_id, limit=100))["items"]
        return [
            one
            for one in reversed(items)
            if all(one[name] == value for name, value in wanted.items())
        ]

    async def until_action(self, who: Person, count: int = 1, **wanted: Any) -> dict[str, Any]:
        """The newest of so many actions that are like this, as soon as there are."""
        found = await eventually(
            lambda: self.actions(who, **wanted),
            until=lambda found: len(found) == count,
            within=30,
            what=f"{count} actions like {wanted}",
        )
        return found[-1]

    async def messages(self, who: Person, channel: str, kind: str | None = None) -> list[Any]:
        """What a channel system was told about a customer."""
        topic = self.concert.topics.actions(channel)
        values = [json.loads(one.value) for one in await read_all(self.concert.stack.kafka, topic)]
        return [
            value
            for value in values
            if value["profile_id"] == who.profile_id and (kind is None or value["kind"] == kind)
        ]

    async def until_told(
        self, who: Person, channel: str, kind: str | None = None, count: int = 1
    ) -> list[Any]:
        """The same, as soon as it was told so often."""
        return await eventually(
            lambda: self.messages(who, channel, kind),
            until=lambda found: len(found) == count,
            within=30,
            what=f"{channel} is told {count} times",
        )

    async def decisions(self, who: Person) -> list[dict[str, Any]]:
        """Why, newest first."""
        items: list[dict[str, Any]] = (
            await self.get("/v1/decisions", profile_id=who.profile_id, limit=100)
        )["items"]
        return items

    async def judged(self, who: Person, rule: str) -> dict[str, Any]:
        """What was last decided about a rule for a customer, as its candidate."""
        for decision in await self.decisions(who):
            candidate: dict[str, Any]
            for candidate in decision["candidates"]:
                if candidate["rule"] == rule:
                    return candidate
        raise AssertionError(f"{rule} was never a candidate for {who.name}")

    async def taken_back(self, who: Person) -> dict[str, str]:
        """The reasons of what was taken back, by action."""
        return {
            one["action_id"]: one["reason"]
            for decision in await self.decisions(who)
            for one in decision["retracts"]
        }

    async def tasks(self, who: Person, **query: Any) -> list[dict[str, Any]]:
        """The tasks about a customer."""
        items: list[dict[str, Any]] = (
            await self.get("/v1/tasks", profile_id=who.profile_id, **query)
        )["items"]
        return items

    async def ask(self, who: Person, channel: str, slot: str, **context: Any) -> dict[str, Any]:
        """The next best action for a customer on a channel now."""
        body = {
            "identifier": {"type": "user_id", "value": who.identifiers["user_id"]},
            "channel": channel,
            "slot": slot,
            "context": context,
        }
        answer = await self.call("POST", "/v1/decide", body)
        assert answer.status_code == httpx.codes.OK, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def told(self, action: dict[str, Any], outcome: str, **more: Any) -> None:
        """A channel system reports what became of an action, over HTTP."""
        path = f"/v1/deliveries/{action['action_id']}/events"
        answer = await self.call("POST", path, {"type": outcome, **more})
        assert answer.status_code in (200, 202), answer.text
        await self.settled()

    async def reported(
        self, who: Person, action: dict[str, Any], outcome: str, channel: str
    ) -> None:
        """A channel system reports it as an event."""
        await self.did(
            who,
            event_type(channel, outcome),
            channel,
            properties={"action_id": action["action_id"]},
        )


def message(channel: str, **fields: Any) -> dict[str, Any]:
    """A message action."""
    content: dict[str, Any] = {"body": "Hello {{ profile.first_name }}"}
    if channel == "email":
        content["subject"] = "News"
    return {"type": "message", "channel": channel, "content": content, **fields}


def task(channel: str, **fields: Any) -> dict[str, Any]:
    """A task for somebody at the phone or in the store."""
    return {
        "type": "task",
        "channel": channel,
        "queue": "all",
        "content": {"text": "Speak with {{ profile.first_name }}"},
        **fields,
    }
