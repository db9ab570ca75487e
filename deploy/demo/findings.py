"""What Concert says about Ada after the demo, read through the public interfaces only."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.demo import crowd
from deploy.demo.concert import Concert, Json
from deploy.demo.errors import DemoError
from deploy.demo.story import ALONE, EMAIL, Silo
from deploy.demo.topic import read_topic
from shared import clock

PATIENCE_SECONDS = 30.0
POLL_SECONDS = 0.2
PUBLISHED = frozenset({"published", "done"})
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything the report shows. Decisions, actions and timeline are oldest first.

    `sent` are the messages for Ada on `actions.<channel>`, as a channel system reads them.
    """

    profile: Json
    merges: list[Json]
    timeline: list[Json]
    decisions: list[Json]
    actions: dict[str, Json]
    sent: list[Json]

    def silo_profile(self, silo: Silo) -> str:
        """The profile that a silo's identifier had before anything was merged."""
        for merge in self.merges:
            if {"type": silo.type, "value": silo.value} in merge["moved"]:
                return str(merge["loser"])
        return str(self.profile["id"])

    def known_by(self, silo: Silo) -> list[Json]:
        """The touchpoints of the time when no channel knew what another knew."""
        alone = {str(event.touchpoint_id) for event in ALONE if event.channel == silo.channel}
        return [one for one in self.timeline if one["id"] in alone]

    def about(self, touchpoint_id: str | None) -> Json | None:
        """The touchpoint of this id."""
        return next((one for one in self.timeline if one["id"] == touchpoint_id), None)

    def action_of(self, rule: str) -> Json | None:
        """The first action that a rule asked for."""
        return next((one for one in self.actions.values() if one["rule"] == rule), None)


async def find(concert: Concert) -> Findings:
    """Read everything; waits until what is published can be read from its topic too."""
    profile = await concert.profiles.get(f"/v1/profiles/by/email/{EMAIL}", include="provenance")
    path = f"/v1/profiles/{profile['id']}"
    items = await concert.profiles.everything(f"{path}/timeline", limit=200)
    decisions = await concert.orchestrator.everything(
        "/v1/decisions", profile_id=profile["id"], limit=200
    )
    actions = await concert.orchestrator.everything(
        "/v1/actions", profile_id=profile["id"], limit=200
    )
    timeline = [one["touchpoint"] for one in reversed(items) if one["kind"] == "touchpoint"]
    published = [one for one in actions if one["status"] in PUBLISHED]
    return Findings(
        profile=profile,
        merges=await concert.profiles.everything(f"{path}/merges", limit=200),
        timeline=timeline,
        decisions=sorted(decisions, key=lambda one: _happened(one, timeline)),
        actions={one["action_id"]: one for one in reversed(actions)},
        sent=await _sent(concert, published),
    )


def _happened(decision: Json, timeline: list[Json]) -> str:
    """When what was decided about happened, RFC 3339."""
    known = {one["id"]: str(one["occurred_at"]) for one in timeline}
    return known.get(decision["touchpoint_id"], str(decision["at"]))


async def _sent(concert: Concert, published: list[Json]) -> list[Json]:
    """The messages of these actions, once all of them can be read.

    Raises DemoError when some cannot after a while.
    """
    ids = {one["action_id"] for one in published}
    channels = sorted({one["channel"] for one in published})
    deadline = clock.monotonic_seconds() + PATIENCE_SECONDS
    while True:
        messages = [
            message
            for channel in channels
            for message in await read_topic(concert.access, f"actions.{channel}")
            if message["action_id"] in ids and message["kind"] != "retract"
        ]
        missing = ids - {message["action_id"] for message in messages}
        if not missing:
            return messages
        if clock.monotonic_seconds() > deadline:
            raise DemoError(
                f"{len(missing)} actions are published by the orchestrator's word but cannot be "
                f"read from their topics after {PATIENCE_SECONDS:.0f} s; "
                f"see orchestrator-worker.log in {concert.access.home / 'logs'}"
            )
        await asyncio.sleep(POLL_SECONDS)


@dataclass(frozen=True, slots=True)
class Shop:
    """The demo's people: the version of each one's profile, and their orders together."""

    versions: dict[str, int]
    orders: int
    revenue_cents: int


async def look_at_shop(concert: Concert) -> Shop:
    """The profiles of Ada and of the hundred others."""
    addresses = {EMAIL, *map(crowd.email, range(crowd.SIZE))}
    everybody = await concert.profiles.everything("/v1/profiles", limit=PAGE)
    ours = [one for one in everybody if addresses & set(_emails(one["identifiers"]))]
    return Shop(
        versions={one["id"]: one["version"] for one in ours},
        orders=sum(one["computed"]["orders"] for one in ours),
        revenue_cents=sum(_cents(one["computed"]["revenue"].get("EUR", "0")) for one in ours),
    )


async def what_stands(concert: Concert) -> Json:
    """All that a second run must not change: versions, and Ada's decisions and actions."""
    shop = await look_at_shop(concert)
    ada = await concert.profiles.find(f"/v1/profiles/by/email/{EMAIL}")
    if ada is None:
        return {"versions": shop.versions, "decisions": [], "actions": []}
    query = {"profile_id": ada["id"], "limit": 200}
    decisions = await concert.orchestrator.everything("/v1/decisions", **query)
    actions = await concert.orchestrator.everything("/v1/actions", **query)
    return {
        "versions": shop.versions,
        "decisions": sorted(one["id"] for one in decisions),
        "actions": sorted(one["action_id"] + one["status"] for one in actions),
    }


def knew(findings: Findings, silo: Silo) -> str:
    """What a silo knew, in words."""
    touchpoints = findings.known_by(silo)
    types = [str(one["type"]) for one in touchpoints]
    events = [f"{name} x {types.count(name)}" if types.count(name) > 1 else name
              for name in dict.fromkeys(types)]  # fmt: skip
    traits = {name: value for one in touchpoints for name, value in one.get("traits", {}).items()}
    return ", ".join([*events, *(f"{name}: {value}" for name, value in traits.items())])


def _emails(identifiers: Iterable[Json]) -> Iterable[str]:
    return (one["value"] for one in identifiers if one["type"] == "email")


def _cents(decimal: str) -> int:
    whole, _, part = decimal.partition(".")
    return int(whole) * 100 + int(f"{part:0<2}"[:2])
