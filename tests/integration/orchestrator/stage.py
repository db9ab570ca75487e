"""A stage for the handler and the timers on a real database: updates go in, messages come out."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.fire_timers import fire_timers
from services.orchestrator.use_cases.respond import Responder
from shared.contracts.topics import Topics, default_topics
from shared.kafka.messages import PartitionCounts
from shared.kafka.records import Record
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from shared.runtime.records import Handled
from tests.unit.orchestrator.build import profile_json, touchpoint_json, uid, update_json

TOPIC = "profile.updates"
COUNTS = PartitionCounts({spec.name: 8 for spec in default_topics()})

ASKED_FOR: list[str] = []
"""The channels whose topics were asked for, in the order of asking."""


async def ask_for_topics(channels: Iterable[str]) -> None:
    """Stands for the catalogue where a test has no Kafka."""
    ASKED_FOR.extend(channels)


STATE = (
    *("profile_state", "decision", "action", "contact_ledger", "rule_entry", "exit_mark"),
    *("timer", "household_turn", "outbox", "erased_profile", "outcome", "task", "erased_action"),
    "erased_decision",
    *("journey_run", "run_log", "journey_count", "journey_line", "run_sweep"),
    *("rule_leaf", "rule_warming", "rule_schedule"),
    *("journey_leaf", "journey_schedule", "journey_audience", "journey_state"),
    *("held_candidate", "resource_turn", "resource_window", "resource_use", "resource_price"),
    *("exposure", "experiment_outcome", "experiment_state"),
    *("propensity", "replay_input", "slot_answer"),
    *("delivery", "delivery_channel", "delivery_batch"),
)


@dataclass
class Message:
    """A message that was committed to the outbox."""

    topic: str
    key: str
    value: dict[str, Any]


@dataclass
class Stage:
    """One database, one configuration that tests may exchange, and numbers for the updates."""

    engine: AsyncEngine
    rules: RuleSet
    seqs: dict[str, int] = field(default_factory=dict)
    offset: int = 0

    def record(self, profile_id: str, cause: dict[str, Any], **fields: Any) -> Record:
        """The next update of a profile as a record; `seq` may be given."""
        seq = fields.pop("seq", None) or self.seqs.get(profile_id, 0) + 1
        self.seqs[profile_id] = max(seq, self.seqs.get(profile_id, 0))
        self.offset += 1
        value = update_json(profile_id, seq, cause, **fields)
        return Record(TOPIC, 0, self.offset, 0, profile_id.encode(), value, ())

    async def now(self) -> datetime:
        instant: datetime = await self.scalar("SELECT clock.now()")
        return instant

    async def happened(
        self,
        name: str,
        event: str = "Cart Updated",
        *,
        who: str = "ada",
        ago: timedelta = timedelta(0),
        profile: dict[str, Any] | None = None,
        **cause: Any,
    ) -> Record:
        """A record: `who` did `event`, `ago` before now, as seen right now."""
        now = await self.now()
        touchpoint = touchpoint_json(name, event, at=now - ago, received=now, **cause)
        snapshot = profile_json(uid(who)) if profile is None else profile
        return self.record(uid(who), touchpoint, profile=snapshot)

    async def respond(self, *records: Record, then: Exception | None = None) -> Handled:
        """One batch; `then` is raised before the commit."""
        responder = Responder(ruleset=lambda: self.rules, topics=Topics(), counts=COUNTS)
        async with transaction(self.engine) as tx:
            handled = await responder(records, tx)
            await outbox.append(tx, handled.messages)
            if then is not None:
                raise then
        for report in handled.after_commit:
            report()
        return handled

    async def empty(self) -> None:
        """Forget everything that was processed, and reset the clock."""
        async with transaction(self.engine) as tx:
            await tx.execute(text(f"TRUNCATE {', '.join(STATE)}"))
            await tx.execute(text("SELECT clock.reset()"))

    async def does(self, name: str, event: str = "Cart Updated", **more: Any) -> Handled:
        """One update in a batch of its own."""
        return await self.respond(await self.happened(name, event, **more))

    async def advance(self, step: timedelta) -> None:
        """Shift the business clock."""
        await self.scalar("SELECT clock.advance(CAST(:step AS interval))", step=step)

    async def fire(self, limit: int = 200) -> int:
        """One round of the poller."""
        return await fire_timers(
            self.engine, ruleset=lambda: self.rules, topics=Topics(), counts=COUNTS, limit=limit
        )

    async def rows(self, sql: str, **values: Any) -> Sequence[Any]:
        async with transaction(self.engine) as tx:
            return (await tx.execute(text(sql), values)).all()

    async def scalar(self, sql: str, **values: Any) -> Any:
        async with transaction(self.engine) as tx:
            return (await tx.execute(text(sql), values)).scalar_one_or_none()

    async def messages(self, topic: str | None = None) -> list[Message]:
        """Everything in the outbox, in the order of the frames; of one topic, if given."""
        found = []
        for row in await self.rows("SELECT topic, frame FROM outbox ORDER BY id"):
            for message in outbox.decode_frame(row.frame):
                value = json.loads(message.value or b"null")
                found.append(Message(row.topic, (message.key or b"").decode(), value))
        return [one for one in found if topic is None or one.topic == topic]

    async def kinds(self, channel: str = "email") -> list[str]:
        """The kinds of the messages on a channel's topic, in order."""
        return [one.value["kind"] for one in await self.messages(f"actions.{channel}")]

    async def last_decision(self) -> dict[str, Any]:
        """The decision that was published last."""
        return (await self.messages("decisions"))[-1].value

    async def status(self, action_id: Any) -> str:
        """Where an action stands."""
        status: str = await self.scalar(
            "SELECT status FROM action WHERE action_id = :id", id=str(action_id)
        )
        return status
