"""Answers profile updates: takes back what lost its reason, and decides what to do next.

One call is one batch in the transaction of the stream worker. The profiles are locked, so two
workers can never pass the same cap. Most updates concern no rule: they only move the profile's row
to their `seq`, in one statement for all of them.
"""

import logging
from collections.abc import Callable, Mapping, Sequence

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import routed_decoder
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import profile_states
from services.orchestrator.storage.profile_states import Unusual
from services.orchestrator.use_cases.absorb_profile import Persons, link_profiles, links_in
from services.orchestrator.use_cases.answer_batch import Answers, Batch, stopped
from services.orchestrator.use_cases.forget_people import forget_people
from services.orchestrator.use_cases.publish_effects import add_messages
from services.orchestrator.use_cases.report import Report
from shared.contracts.topics import Topics
from shared.kafka.messages import OutboxBuffer, PartitionCounts
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
        batch.news = await link_profiles(tx, persons, links_in(batch.linking))
        batch.seqs = _answered_before(batch, unusual) if batch.linking else {}
        report.missing = batch.missing
        await _forget(tx, batch, persons, effects)
        if batch.concerns_rules or persons.in_flight:
            await Answers(tx, batch, persons, ruleset, effects, report).run()
        elif effects.released:
            await effect_rows.write(tx, effects)  # what erased people had reserved
        add_messages(handled.messages, effects, self._topics)
        handled.after_commit.append(lambda: report.count(effects))
        return handled


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
            raise stopped(record, error) from error
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


def _answered_before(batch: Batch, unusual: Mapping[str, Unusual]) -> dict[str, int]:
    """The number of the last update of each profile that an earlier batch answered."""
    known = {profile_id: first - 1 for profile_id, (first, _) in batch.spans.items()}
    return known | {profile_id: row.had for profile_id, row in unusual.items()}


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
