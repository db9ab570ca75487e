"""Answers who asks what to do now: the same for a slot on every channel, until something changes.

An answer that is kept is given again after one read, when it still holds for the person as they
are now. Else it is decided like everything: the profile is locked, so that two who ask at once get
one answer and no cap is passed twice; answer, ledger and record are one transaction.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.orchestrator.domain.answered import Answer, Known, decided, given_again
from services.orchestrator.domain.asking import Ask, Person, moment_of, nobody
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.slot import Kept, again
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import histories, profile_states, slots
from services.orchestrator.storage.profile_states import Locked, Saved
from services.orchestrator.use_cases.decide_ask import Decided, decide_ask
from services.orchestrator.use_cases.naming import action_ids
from services.orchestrator.use_cases.report import Report
from services.orchestrator.use_cases.respond import add_messages
from shared import ids
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.transaction import autocommit, statement, transaction


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom an ask is about. `owner` stands for the identifier and cannot be turned back into it;
    `person` None: nobody is known by it, or (`unavailable`) could not be read in time."""

    owner: str
    person: Person | None
    known: Known


def owner_of(secret: bytes, type_: str, value: str) -> str:
    """A UUID that stands for an identifier: a keyed hash, the same for as long as the key is."""
    digest = hmac.digest(secret, f"{type_}\0{value}".encode(), hashlib.sha256)
    return str(UUID(bytes=digest[:16]))


class NextBestAction:
    """Answers asks. `ruleset` gives the configuration in force."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        ruleset: Callable[[], RuleSet],
        topics: Topics,
        counts: PartitionCounts,
    ) -> None:
        self._engine = engine
        self._reading = autocommit(engine)
        self._ruleset = ruleset
        self._topics = topics
        self._counts = counts

    async def __call__(self, whom: Whom, ask: Ask) -> Answer:
        """What is said in the slot. Raises Infrastructure without a database, or before the
        configuration was read."""
        answer = await self._kept(whom, ask)
        if answer is None:
            answer = await self._decided(whom, ask)
        given = "action" if answer.action is not None else "none"
        kept = "kept" if answer.kept else "new"
        metrics.ASKS.labels(person=whom.known, answer=given, kept=kept).inc()
        return answer

    async def _kept(self, whom: Whom, ask: Ask) -> Answer | None:
        """The answer that is kept, if it still holds; without a lock, which is no less right: it
        held when it was read."""
        id_ = whom.owner if whom.person is None else whom.person.profile_id
        async with statement(self._reading) as tx:
            found = await slots.read(tx, [id_], ask.slot)
            kept = found.kept.get(id_)
            if kept is None:
                return None
            return await _given_again(tx, kept, whom, ask, self._ruleset(), found.at)

    async def _decided(self, whom: Whom, ask: Ask) -> Answer:
        ruleset, effects, report = self._ruleset(), Effects(), Report()
        async with transaction(self._engine) as tx:
            answer = await _Turn(tx, whom, ask, ruleset, effects, report).take()
            buffer = OutboxBuffer(self._counts)
            add_messages(buffer, effects, self._topics)
            await outbox.append(tx, buffer)
        report.count(effects)
        return answer


async def _given_again(
    tx: AsyncConnection, kept: Kept, whom: Whom, ask: Ask, ruleset: RuleSet, at: datetime
) -> Answer | None:
    person = whom.person or nobody(kept.profile_id, at)
    history = History()
    live = ruleset.rules.get(kept.rule or "")
    if live is not None and live.exit_events:
        criteria = {event.criterion for event in live.exit_events}
        await histories.read_exits(tx, {kept.profile_id: history}, [kept.profile_id], criteria)
    moment = moment_of(person, kept.profile_id, kept.said.cause, at)
    situation = Situation(moment, history, at, action_ids(str(kept.decision_id)))
    holds = again(kept, ask.channel, situation, ruleset)
    if holds is None:
        return None
    return given_again(kept, holds, channel=ask.channel, slot=ask.slot, person=whom.known)


class _Turn:
    """One ask that has to be decided, in a transaction."""

    def __init__(
        self,
        tx: AsyncConnection,
        whom: Whom,
        ask: Ask,
        ruleset: RuleSet,
        effects: Effects,
        report: Report,
    ) -> None:
        self._tx = tx
        self._whom = whom
        self._ask = ask
        self._ruleset = ruleset
        self._effects = effects
        self._report = report

    async def take(self) -> Answer:
        """Lock whom it is about, look once more at what is kept, and decide."""
        person = self._whom.person
        locked = None if person is None else await _lock(self._tx, person.profile_id)
        if person is None or locked is None:
            if person is not None:  # who was erased since they were read is nobody we know
                self._whom = Whom(self._whom.owner, None, "unknown")
            return await self._for_nobody()
        stands_for, row = locked
        owner, slot = self._whom.owner, self._ask.slot
        found = await slots.read(self._tx, [stands_for, owner], slot)
        kept = found.kept.get(stands_for)
        answer = await self._again(kept, found.at)
        if answer is None and owner in found.kept:
            answer = await self._again(found.kept[owner], found.at)
            if answer is not None:
                await slots.adopt(self._tx, owner, slot, stands_for)
        if answer is not None:
            return answer
        made = await self._decide(person, stands_for, stands_for, kept, row, found.at)
        flying = len(made.history.in_flight)
        if flying != row.in_flight:
            saved = Saved(in_flight=flying, fresh=person.profile_json, spare=None)
            await profile_states.save(self._tx, {stands_for: saved})
        return self._answer(made)

    async def _for_nobody(self) -> Answer:
        """Somebody without a profile. Of them only the keyed hash is kept, as long as the answer
        is; decision and action are in the name of nobody in particular."""
        owner, slot = self._whom.owner, self._ask.slot
        await slots.lock(self._tx, owner, slot)
        found = await slots.read(self._tx, [owner], slot)
        kept = found.kept.get(owner)
        answer = await self._again(kept, found.at)
        if answer is not None:
            return answer
        stranger = nobody(str(ids.random_id()), found.at)
        made = await self._decide(stranger, stranger.profile_id, owner, kept, None, found.at)
        return self._answer(made)

    async def _again(self, kept: Kept | None, at: datetime) -> Answer | None:
        if kept is None:
            return None
        return await _given_again(self._tx, kept, self._whom, self._ask, self._ruleset, at)

    async def _decide(
        self,
        person: Person,
        stands_for: str,
        owner: str,
        before: Kept | None,
        row: Locked | None,
        at: datetime,
    ) -> Decided:
        made = await decide_ask(
            self._tx,
            self._ask,
            person,
            stands_for=stands_for,
            owner=owner,
            before=before,
            in_flight=row is not None and row.in_flight > 0,
            known=self._whom.known,
            ruleset=self._ruleset,
            effects=self._effects,
            at=at,
        )
        self._report.decided(None, made.outcome, made.stage)
        await effect_rows.write(self._tx, self._effects)
        await slots.put(self._tx, self._ask.slot, made.kept)
        return made

    def _answer(self, made: Decided) -> Answer:
        return decided(
            made.kept,
            made.considered,
            channel=self._ask.channel,
            slot=self._ask.slot,
            person=self._whom.known,
        )


async def _lock(tx: AsyncConnection, profile_id: str) -> tuple[str, Locked] | None:
    """Lock the row of the profile that stands for the person here, making it where this service
    has not heard of them; None when they were erased."""
    locked = await profile_states.lock(tx, [profile_id])
    if not locked:
        await profile_states.advance(tx, {}, [profile_id])
        locked = await profile_states.lock(tx, [profile_id])
    row = locked[profile_id]
    while row.merged_into is not None:
        profile_id = row.merged_into
        row = (await profile_states.lock(tx, [profile_id]))[profile_id]
    return None if row.erased else (profile_id, row)
