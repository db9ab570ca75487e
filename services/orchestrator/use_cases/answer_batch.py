"""The updates of one batch, answered in their order, and what they caused written at its end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.effects import Effects
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.travel import Travel
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, Routed, read_moment
from services.orchestrator.storage import effects as effect_rows
from services.orchestrator.storage import profile_states, timers
from services.orchestrator.storage.profile_states import Locked, Saved
from services.orchestrator.use_cases.absorb_profile import News, Persons
from services.orchestrator.use_cases.answer_one import answer_one, ask, tell_more
from services.orchestrator.use_cases.link_runs import link_runs
from services.orchestrator.use_cases.naming import action_ids
from services.orchestrator.use_cases.note_outcomes import Outcomes, outcomes_of
from services.orchestrator.use_cases.recall import Asked, recall, recall_tried
from services.orchestrator.use_cases.report import Report
from services.orchestrator.use_cases.seen_people import SeenPeople
from services.orchestrator.use_cases.take_turns import take_turns
from shared.errors import PartitionStopped
from shared.kafka.records import Place
from shared.postgres.epochs import hold_epoch
from shared.runtime.crash import crash_point
from shared.runtime.records import Record


@dataclass(slots=True)
class Batch:
    """The updates of a batch in order, and per profile the span of their numbers."""

    updates: list[tuple[Record, Routed]] = field(default_factory=list)
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    linking: list[Routed] = field(default_factory=list)
    erasing: list[Routed] = field(default_factory=list)
    concerns_rules: bool = False
    missing: int = 0
    news: News = field(default_factory=lambda: News([], [], {}))
    seqs: dict[str, int] = field(default_factory=dict)
    """Where anybody was linked: the last update of each profile that was answered before."""


def stopped(record: Record, error: Exception) -> PartitionStopped:
    """What stops the partition of a record that is no profile update."""
    place = Place(record.topic, record.partition)
    return PartitionStopped(str(place), f"offset {record.offset} is no profile update: {error}")


class Answers:
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
        self._snapshots: dict[str, tuple[bytes | None, bytes | None]] = {}
        """Of whom something happened to: their own newest one, and one that is better than none."""
        self._histories: dict[str, History] = {}
        self._last: dict[str, Moment] = {}
        """The last update of each person that was answered, with the person as seen."""

    async def run(self) -> None:
        at = self._at = await timers.now(self._tx)
        in_flight = self._persons.in_flight
        asked = self._ask(in_flight)
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
        self._seen = SeenPeople(await self._kept(asked, in_flight), at)
        if self._batch.linking:
            await self._link_runs(asked)
        self._answer_all(asked, in_flight, noting)
        await take_turns(self._tx, self._effects, self._histories, at, self._go_on)
        if self._effects.pausing:
            await hold_epoch(self._tx, self._ruleset.epoch)
        crash_point("orchestrator.decided")
        await effect_rows.write(self._tx, self._effects)
        if self._snapshots:
            await profile_states.save(self._tx, self._as_they_stand())
        crash_point("orchestrator.written")

    async def _kept(self, asked: Mapping[int, Asked], in_flight: set[str]) -> Mapping[str, Locked]:
        """What is kept of people whom not only their own updates concern: they are locked."""
        persons = in_flight
        if not self._batch.linking:
            moments = [one.moment for one in asked.values()]
            persons = in_flight & {one.profile_id for one in moments if not one.is_of_winner}
        return await profile_states.lock(self._tx, persons) if persons else {}

    async def _link_runs(self, asked: Mapping[int, Asked]) -> None:
        """Runs hear of merges and splits before anything else of the batch."""
        said = {
            asked[place].moment.profile_id: asked[place].moment
            for place, (_, update) in enumerate(self._batch.updates)
            if update.links and place in asked and asked[place].moment.is_of_winner
        }

        def tell(profile_id: str, say: Callable[[Travel], None]) -> None:
            cause = next(iter(self._histories[profile_id].runs.values())).cause
            told = said.get(profile_id)
            self._last[profile_id] = self._seen.kept(profile_id, cause) if told is None else told
            self._go_on(profile_id, UUID(profile_id), say)

        batch, of = self._batch, self._persons.of
        sides = {of(side) for pair in batch.news.parted for side in pair}
        joined = {of(one.loser) for one in batch.news.absorbed}
        await link_runs(self._tx, self._histories, sides, joined, batch.seqs, self._ruleset, tell)

    def _ask(self, in_flight: set[str]) -> dict[int, Asked]:
        """The updates that concern rules or somebody for whom something is under way, by their
        place in the batch, with their candidates."""
        concerns, of = self._ruleset.concerns, self._persons.of
        return {
            place: self._look_at(record, update)
            for place, (record, update) in enumerate(self._batch.updates)
            if concerns(update) or (in_flight and of(update.profile_id) in in_flight)
        }

    def _look_at(self, record: Record, update: Routed) -> Asked:
        try:
            profile_id = self._persons.of(update.profile_id)
            moment = read_moment(record.value or b"", update, profile_id, self._at)
        except (msgspec.DecodeError, ValueError) as error:
            raise stopped(record, error) from error
        return ask(moment, self._ruleset, self._at)

    def _answer_all(self, asked: dict[int, Asked], in_flight: set[str], noting: Outcomes) -> None:
        """In order. What goes in flight on the way makes later updates of its person matter."""
        flying = set(in_flight)
        for place, (record, update) in enumerate(self._batch.updates):
            one = asked.get(place)
            if one is None:
                if not flying or self._persons.of(update.profile_id) not in flying:
                    continue
                one = self._look_at(record, update)
            history = self._histories.setdefault(one.moment.profile_id, History())
            seen = self._last[one.moment.profile_id] = self._seen.see(one.moment)
            situation = Situation(one.moment, history, self._at, one.action_id)
            answer_one(
                one, situation, noting, self._ruleset, self._effects, self._report, seen=seen
            )
            if history.under_way or one.moment.profile_id in flying:
                flying.add(one.moment.profile_id)
                self._keep_snapshot(one.moment)

    def _go_on(self, profile_id: str, named: UUID, tell: Callable[[Travel], None]) -> None:
        """Tell the runs of a person something more, as they were last seen."""
        moment = self._last[profile_id]
        self._snapshots.setdefault(profile_id, (None, None))
        situation = Situation(moment, self._histories[profile_id], self._at, action_ids(""))
        tell_more(situation, named, tell, self._ruleset, self._effects, self._report)

    def _as_they_stand(self) -> dict[str, Saved]:
        """The rows of everybody to whom something happened, with what is under way at the end."""
        return {
            profile_id: Saved(self._histories[profile_id].under_way, fresh, spare)
            for profile_id, (fresh, spare) in self._snapshots.items()
        }

    def _keep_snapshot(self, moment: Moment) -> None:
        fresh, _ = self._snapshots.get(moment.profile_id, (None, None))
        own = moment.profile_json if moment.is_of_winner else fresh
        self._snapshots[moment.profile_id] = own, moment.profile_json
