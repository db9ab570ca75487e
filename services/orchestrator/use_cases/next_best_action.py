"""Answers who asks what to do now: the same for a slot on every channel, until something changes.

An answer that is kept is given again after one read, when it still holds for the person as they
are now. Else it is decided like everything: the profile is locked, so that two who ask at once get
one answer and no cap is passed twice; answer, ledger and record are one transaction.
"""

import hashlib
import hmac
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from services.orchestrator.domain.answered import Answer, Known, decided, given_again
from services.orchestrator.domain.ask import Ask, Person, moment_of, nobody
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.slot import Kept, again
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import histories, profile_states, slots
from services.orchestrator.storage.profile_states import Locked, Saved
from services.orchestrator.storage.slots import Found
from services.orchestrator.use_cases.decide_ask import Decided, decide_ask
from services.orchestrator.use_cases.naming import action_ids
from services.orchestrator.use_cases.publish_effects import add_messages
from services.orchestrator.use_cases.report import Report
from shared import ids
from shared.contracts.topics import Topics
from shared.errors import Infrastructure
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.observability import metrics
from shared.postgres import outbox
from shared.postgres.direct import Direct, direct
from shared.postgres.together import Part
from shared.postgres.transaction import Tx

TRIES = 10


@dataclass(frozen=True, slots=True)
class Whom:
    """Whom an ask is about. `owner` stands for the identifier and cannot be turned back into it;
    `person` None: nobody is known by it, or (`unavailable`) could not be read in time."""

    owner: str
    person: Person | None
    known: Known

    @property
    def ids(self) -> list[str]:
        """What an answer may be kept under, the first one first."""
        return [self.owner] if self.person is None else [self.person.profile_id, self.owner]


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
        self._ruleset = ruleset
        self._topics = topics
        self._counts = counts

    async def __call__(self, whom: Whom, ask: Ask) -> Answer:
        """What is said in the slot. Raises Infrastructure without a database, or before the
        configuration was read."""
        family = set() if whom.person is None else {whom.person.profile_id}
        for _ in range(TRIES):
            ruleset = self._ruleset()
            async with direct(self._engine) as database:
                found = await slots.read(database, whom.ids, ask.slot)
                answer = await _again(database, whom.ids[0], found, whom, ask, ruleset)
                if answer is None:
                    answer = await self._decided(database, whom, ask, ruleset, found, family)
            if answer is not None:
                return _counted(answer)
        raise Infrastructure("postgres", f"more than {TRIES} asked for {ask.slot} at once")

    async def _decided(
        self,
        database: Direct,
        whom: Whom,
        ask: Ask,
        ruleset: RuleSet,
        found: Found,
        family: set[str],
    ) -> Answer | None:
        """None when somebody else who asked at the same time was answered first, or when the
        person was merged into somebody else; `family`, whom to lock, has them then."""
        effects, report = (
            Effects(connected=ruleset.connected, scarce=bool(ruleset.resources)),
            Report(),
        )
        try:
            async with database.transaction():
                turn = _Turn(database, whom, ask, ruleset, effects, report, self._frames)
                answer = await turn.take(found, family)
        except _Overtaken as overtaken:
            family.update(overtaken.family)
            return None
        report.count(effects)
        return answer

    def _frames(self, effects: Effects) -> list[Part]:
        buffer = OutboxBuffer(self._counts)
        add_messages(buffer, effects, self._topics)
        return outbox.appending(buffer)


class _Overtaken(Exception):  # noqa: N818 - says what happened, as everywhere
    """Somebody else was answered for the slot since it was read, or the person was merged into
    `family`: the transaction is undone."""

    def __init__(self, *family: str) -> None:
        self.family = family


def _counted(answer: Answer) -> Answer:
    given = "action" if answer.action is not None else "none"
    kept = "kept" if answer.kept else "new"
    metrics.ASKS.labels(person=answer.person, answer=given, kept=kept).inc()
    return answer


async def _again(
    tx: Tx, id_: str, found: Found, whom: Whom, ask: Ask, ruleset: RuleSet
) -> Answer | None:
    """What is kept under an id, if it still holds."""
    kept = found.kept.get(id_)
    return None if kept is None else await _given_again(tx, kept, whom, ask, ruleset, found.at)


async def _given_again(
    tx: Tx, kept: Kept, whom: Whom, ask: Ask, ruleset: RuleSet, at: datetime
) -> Answer | None:
    unavailable = whom.known == "unavailable"
    person = whom.person or nobody(kept.profile_id, at, unavailable=unavailable)
    history = History()
    live = ruleset.rules.get(kept.rule or "")
    if live is not None and live.exit_events:
        criteria = {event.criterion for event in live.exit_events}
        await histories.read_exits(tx, {kept.profile_id: history}, [kept.profile_id], criteria)
    if live is not None and ruleset.joint.outcome_window:
        found, window = {kept.profile_id: history}, ruleset.joint.outcome_window
        await histories.read_outcomes(tx, found, [kept.profile_id], at=at, window=window)
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
        tx: Tx,
        whom: Whom,
        ask: Ask,
        ruleset: RuleSet,
        effects: Effects,
        report: Report,
        frames: Callable[[Effects], list[Part]],
    ) -> None:
        self._frames = frames
        self._tx = tx
        self._whom = whom
        self._ask = ask
        self._ruleset = ruleset
        self._effects = effects
        self._report = report

    async def take(self, found: Found, family: Collection[str]) -> Answer:
        """Lock whom it is about and decide; `found` is what was kept just before."""
        person = self._whom.person
        locked = None if person is None else await _lock(self._tx, person.profile_id, family)
        if person is None or locked is None:
            if person is not None:  # who was erased since they were read is nobody we know
                self._whom = Whom(self._whom.owner, None, "unknown")
            return await self._for_nobody(found)
        stands_for, row = locked
        if stands_for != person.profile_id or self._whom.owner in found.kept:
            found = await slots.read(self._tx, [stands_for, self._whom.owner], self._ask.slot)
            answer = await self._theirs(stands_for, found)
            if answer is not None:
                return answer
        before = found.kept.get(stands_for)
        made = await self._decide(person, stands_for, stands_for, before, row, found.at)
        return self._answer(made)

    async def _theirs(self, stands_for: str, found: Found) -> Answer | None:
        """What is kept for the profile, or was for the identifier before anybody was known by
        it: that is the profile's from now on."""
        whom, ask = self._whom, self._ask
        answer = await _again(self._tx, stands_for, found, whom, ask, self._ruleset)
        if answer is None:
            answer = await _again(self._tx, whom.owner, found, whom, ask, self._ruleset)
            if answer is not None:
                await slots.adopt(self._tx, whom.owner, ask.slot, stands_for)
        return answer

    async def _for_nobody(self, found: Found) -> Answer:
        """Somebody without a profile. Of them only the keyed hash is kept, as long as the answer
        is; decision and action are in the name of nobody in particular. For who could not be read
        in time nothing is kept: they may have an answer that still holds."""
        owner = self._whom.owner
        unavailable = self._whom.known == "unavailable"
        stranger = nobody(str(ids.random_id()), found.at, unavailable=unavailable)
        before = found.kept.get(owner)
        made = await self._decide(stranger, stranger.profile_id, owner, before, None, found.at)
        return self._answer(made)

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
        self._report.decided(None, made.outcome, made.considered)
        keeping = []
        if self._whom.known != "unavailable":
            keeping = [slots.putting(self._ask.slot, made.kept, before)]
        also = [*keeping, *self._frames(self._effects)]
        flying = made.history.under_way
        if row is not None and flying != row.in_flight:
            saved = Saved(in_flight=flying, fresh=person.profile_json, spare=None)
            also.append(profile_states.saving({stands_for: saved}))
        if await effect_rows.write(self._tx, self._effects, also) != [1] * len(keeping):
            raise _Overtaken
        return made

    def _answer(self, made: Decided) -> Answer:
        return decided(
            made.kept,
            made.considered,
            channel=self._ask.channel,
            slot=self._ask.slot,
            person=self._whom.known,
        )


async def _lock(tx: Tx, profile_id: str, family: Collection[str]) -> tuple[str, Locked] | None:
    """Lock the row of the profile that stands for the person here, making it where this service
    has not heard of them; None when they were erased. `family` are the person and whom they were
    merged into, as far as that is known: rows are locked in their order, all at once."""
    if len(family) > 1:
        locked = await profile_states.lock(tx, family)
    else:
        locked = {profile_id: await profile_states.lock_or_make(tx, profile_id)}
    row = locked[profile_id]
    while row.merged_into is not None:
        profile_id = row.merged_into
        if profile_id not in locked:
            raise _Overtaken(profile_id)
        row = locked[profile_id]
    return None if row.erased else (profile_id, row)
