"""Answers profile updates: takes back what lost its reason, and decides what to do next.

One call is one batch in the transaction of the stream worker. The profiles are locked, so two
workers can never pass the same cap. Most updates concern no rule: they only move the profile's row
to their `seq`, in one statement for all of them.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.answer import answer
from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.record import deciding_stage
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Routed, read_moment, routed_decoder
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import profile_states, timers
from services.orchestrator.storage.profile_states import Saved, Unusual
from services.orchestrator.use_cases.absorb_profile import Persons, link_profiles, links_in
from services.orchestrator.use_cases.forget_people import forget_people
from services.orchestrator.use_cases.naming import action_ids, decision_id
from services.orchestrator.use_cases.note_outcomes import Outcomes, outcomes_of
from services.orchestrator.use_cases.recall import Asked, recall, recall_tried
from services.orchestrator.use_cases.report import Report
from shared.contracts.topics import Topics
from shared.errors import PartitionStopped
from shared.kafka.messages import OutboxBuffer, PartitionCounts
from shared.kafka.records import Place
from shared.runtime.crash import crash_point
from shared.runtime.records import Handled, Record

logger = logging.getLogger(__name__)

CRASH_POINTS = (
    "orchestrator.decoded",
    "orchestrator.locked",
    "orchestrator.decided",
    "orchestrator.written",
)
ERASURE_POINTS = ("orchestrator.erased",)
"""Where a test may kill the worker while somebody is erased."""


@dataclass(slots=True)
class Batch:
    """The updates of a batch in order, and per profile the span of their numbers."""

    updates: list[tuple[Record, Routed]] = field(default_factory=list)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    linking: list[Routed] = field(default_factory=list)
    erasing: list[Routed] = field(default_factory=list)
    concerns_rules: bool = False
    missing: int = 0


class Responder:
    """The stateful handler of the worker. `ruleset` gives the configuration in force; one batch
    uses one, and nothing else is kept between batches."""

    def __init__(
        self, *, ruleset: Callable[[], RuleSet], topics: Topics, counts: PartitionCounts
    ) -> None:
        self._ruleset = ruleset
        self._topics = topics
        self._counts = counts

    async def __call__(self, records: Sequence[Record], tx: AsyncConnection) -> Handled:
        """Raises PartitionStopped for a record that is no profile update."""
        ruleset = self._ruleset()
        handled = Handled(OutboxBuffer(self._counts))
        report = Report()
        effects = Effects(connected=ruleset.connected, scarce=bool(ruleset.resources))
        batch = _read(records, ruleset, handled)
        crash_point("orchestrator.decoded")
        partners = {
            id_ for link in links_in(batch.linking) for id_ in (link.profile_id, link.partner)
        }
        unusual = await profile_states.advance(tx, batch.spans, partners)
        crash_point("orchestrator.locked")
        _drop_known(batch, unusual, handled)
        persons = Persons(unusual)
        await persons.lock_winners(tx)
        await link_profiles(tx, persons, links_in(batch.linking))
        report.missing = batch.missing
        await _forget(tx, batch, persons, effects)
        if batch.concerns_rules or persons.in_flight:
            await _Answers(tx, batch, persons, ruleset, effects, report).run()
        elif effects.released:
            await effect_rows.write(tx, effects)  # what erased people had reserved
        add_messages(handled.messages, effects, self._topics)
        handled.after_commit.append(lambda: report.count(effects))
        return handled


def add_messages(buffer: OutboxBuffer, effects: Effects, topics: Topics) -> None:
    """Put the messages of a batch into the outbox, keyed by profile."""
    channels = {message.channel for message in effects.messages}
    named = {one: topics.decisions if one is None else topics.actions(one) for one in channels}
    buffer.require(named.values())
    for message in effects.messages:
        buffer.add(named[message.channel], message.profile_id.encode(), message.value)


def _read(records: Sequence[Record], ruleset: RuleSet, handled: Handled) -> Batch:
    """Decode just enough of every record to route it; drop what stands twice in the batch."""
    batch = Batch()
    updates, spans = batch.updates, batch.spans
    listens, watches, concerns = ruleset.listens, ruleset.watches, ruleset.concerns
    decode = routed_decoder.decode
    for record in records:
        try:
            update = decode(record.value or b"")
        except msgspec.DecodeError as error:
            raise _stopped(record, error) from error
        profile_id, seq = update.profile_id, update.seq
        span = spans.get(profile_id)
        if span is None:
            spans[profile_id] = (seq, seq)
        elif seq <= span[1]:
            handled.dedup(record)
            continue
        else:
            if seq > span[1] + 1:
                batch.missing += _lost(profile_id, span[1], seq)
            spans[profile_id] = (span[0], seq)
        updates.append((record, update))
        if update.cause.type in listens or (watches and concerns(update)):
            batch.concerns_rules = True
        if update.links:
            batch.linking.append(update)
        elif update.erases:
            batch.erasing.append(update)
    return batch


def _stopped(record: Record, error: Exception) -> PartitionStopped:
    place = Place(record.topic, record.partition)
    return PartitionStopped(str(place), f"offset {record.offset} is no profile update: {error}")


def _lost(profile_id: str, had: int, seq: int) -> int:
    missing = seq - had - 1
    logger.error("profile %s: %d updates are missing before %d", profile_id, missing, seq)
    return missing


def _drop_known(batch: Batch, unusual: Mapping[str, Unusual], handled: Handled) -> None:
    """Drop updates that an earlier batch has seen, and report those that never came."""
    seen: dict[str, int] = {}
    for profile_id, row in unusual.items():
        first = batch.spans.get(profile_id, (None,))[0]
        if first is None:
            continue
        if row.had >= first:
            seen[profile_id] = row.had
        elif row.had < first - 1:
            batch.missing += _lost(profile_id, row.had, first)
    if not seen:
        return
    kept = []
    for record, update in batch.updates:
        if update.seq <= seen.get(update.profile_id, -1):
            handled.dedup(record)
        else:
            kept.append((record, update))
    batch.updates = kept
    batch.linking = [one for one in batch.linking if one.seq > seen.get(one.profile_id, -1)]


async def _forget(tx: AsyncConnection, batch: Batch, persons: Persons, effects: Effects) -> None:
    """Nothing is answered any more for whoever was erased, however late it comes."""
    if batch.erasing:
        await forget_people(tx, batch.erasing, persons, effects)
        crash_point("orchestrator.erased")
    if persons.knows_erased:
        batch.updates = [one for one in batch.updates if not persons.is_erased(one[1].profile_id)]


class _Answers:
    """Answers the updates of one batch in order, then writes what they caused."""

    def __init__(
        self,
        tx: AsyncConnection,
        batch: Batch,
        persons: Persons,
        ruleset: RuleSet,
        effects: Effects,
        report: Report,
    ) -> None:
        self._tx = tx
        self._batch = batch
        self._persons = persons
        self._ruleset = ruleset
        self._effects = effects
        self._report = report
        self._states: dict[str, Saved] = {}
        self._histories: dict[str, History] = {}

    async def run(self) -> None:
        at = await timers.now(self._tx)
        asked = self._ask(at)
        in_flight = self._persons.in_flight
        noting = await outcomes_of(
            self._tx,
            [one.moment for one in asked.values()],
            ruleset=self._ruleset,
            effects=self._effects,
            report=self._report,
        )
        self._histories = await recall(
            self._tx,
            [*asked.values(), *noting.followed(asked.values())],
            in_flight=in_flight,
            merged=bool(self._batch.linking),
            ruleset=self._ruleset,
            at=at,
        )
        followed = noting.followed_actions(self._histories)
        if followed:
            await recall_tried(self._tx, self._histories, followed, self._ruleset)
        self._answer_all(asked, in_flight, noting, at)
        crash_point("orchestrator.decided")
        await effect_rows.write(self._tx, self._effects)
        if self._states:
            await profile_states.save(self._tx, self._states)
        crash_point("orchestrator.written")

    def _ask(self, at: datetime) -> dict[int, Asked]:
        """The updates that concern rules, by their place in the batch, with their candidates."""
        concerns = self._ruleset.concerns
        return {
            place: self._look_at(record, update, at)
            for place, (record, update) in enumerate(self._batch.updates)
            if concerns(update)
        }

    def _look_at(self, record: Record, update: Routed, at: datetime) -> Asked:
        try:
            profile_id = self._persons.of(update.profile_id)
            moment = read_moment(record.value or b"", update, profile_id, at)
        except (msgspec.DecodeError, ValueError) as error:
            raise _stopped(record, error) from error
        cause = moment.cause
        found = self._ruleset.candidates(moment.facts, cause) if cause.id else []
        candidates = [live for live in found if live.rule.is_valid_at(at)]
        return Asked(moment, candidates, action_ids(cause.id or ""))

    def _answer_all(
        self, asked: dict[int, Asked], in_flight: set[str], noting: Outcomes, at: datetime
    ) -> None:
        """In order. What goes in flight on the way makes later updates of its person matter."""
        flying = set(in_flight)
        for place, (record, update) in enumerate(self._batch.updates):
            one = asked.get(place)
            if one is None:
                if not flying or self._persons.of(update.profile_id) not in flying:
                    continue
                one = self._look_at(record, update, at)
            history = self._histories.setdefault(one.moment.profile_id, History())
            situation = Situation(one.moment, history, at, one.action_id)
            noting.note(one.moment, situation)
            self._answer(one, situation)
            if history.under_way or one.moment.profile_id in flying:
                flying.add(one.moment.profile_id)
                self._keep_snapshot(one, history)

    def _answer(self, one: Asked, situation: Situation) -> None:
        answered = answer(
            situation,
            one.candidates,
            ruleset=self._ruleset,
            decision_id=decision_id(one.moment),
            effects=self._effects,
            action_ids=action_ids,
        )
        if answered is not None:
            decision, considered = answered
            self._report.decided(one.moment, decision.outcome, deciding_stage(considered))

    def _keep_snapshot(self, one: Asked, history: History) -> None:
        moment, before = one.moment, self._states.get(one.moment.profile_id)
        fresh = None if before is None else before.fresh
        if moment.is_of_winner:
            fresh = moment.profile_json
        self._states[moment.profile_id] = Saved(
            in_flight=history.under_way, fresh=fresh, spare=moment.profile_json
        )
