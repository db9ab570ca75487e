"""Asks on the stage: a person as the profile service would tell of them, and a channel."""

from datetime import timedelta
from typing import Any

import msgspec

from services.orchestrator.domain.answered import Answer, Known
from services.orchestrator.domain.ask import Ask, Person
from services.orchestrator.domain.rule import Rule
from services.orchestrator.use_cases.next_best_action import NextBestAction, Whom, owner_of
from shared.contracts.profile_update import snapshot_decoder
from shared.contracts.topics import Topics
from tests.integration.orchestrator.stage import COUNTS, Stage
from tests.unit.orchestrator.build import profile_json, rule, uid

SECRET = b"a key"
MINUTE = timedelta(minutes=1)


def prompt(channel: str = "kiosk", **fields: Any) -> dict[str, Any]:
    """A prompt that names its channel."""
    content = {"text": f"{{{{ profile.first_name }}}} on {channel}"}
    return {"type": "prompt", "channel": channel, "content": content, **fields}


def asked_rule(key: str, *channels: str, where: Any = None, **fields: Any) -> Rule:
    """A rule that only an ask triggers, with one prompt for each channel."""
    fields.setdefault("actions", [prompt(channel) for channel in channels])
    return rule(key, trigger={"type": "api", **({"where": where} if where else {})}, **fields)


async def ask(
    stage: Stage,
    channel: str = "kiosk",
    *,
    who: str | None = "ada",
    version: int = 1,
    slot: str = "home",
    known: Known = "known",
    identifier: str = "card-1",
    context: dict[str, Any] | None = None,
    **profile: Any,
) -> Answer:
    """One ask. `who` None: nobody is known by the identifier."""
    person = None
    if who is not None:
        body = msgspec.json.encode(profile_json(uid(who), **profile))
        person = Person(uid(who), version, snapshot_decoder.decode(body), body)
    nobody: Known = "unknown" if known == "known" else known
    whom = Whom(
        owner_of(SECRET, "loyalty_id", identifier), person, known if person is not None else nobody
    )
    answers = NextBestAction(
        stage.engine, ruleset=lambda: stage.rules, topics=Topics(), counts=COUNTS
    )
    return await answers(whom, Ask(channel, slot, context or {}))


def chosen(answer: Answer) -> str | None:
    """The rule whose action was answered."""
    return None if answer.action is None else answer.action.rule
