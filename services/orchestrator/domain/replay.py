"""What a decision saw, kept small beside its record, and the same decision made from it again.

Configuration is kept by its versions, which never change; of the person the snapshot, the cause and
as much of the history as was read. The answer is the record, bit for bit.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec

from services.orchestrator.domain.action_ids import OptionIds, step_action_ids
from services.orchestrator.domain.contact_gates import assigned
from services.orchestrator.domain.decide import Considered, Question, judge
from services.orchestrator.domain.effects import Effects, InputRow
from services.orchestrator.domain.estimates import Estimates
from services.orchestrator.domain.experiments.in_force import Assigned
from services.orchestrator.domain.gates import ActionIds, Situation
from services.orchestrator.domain.history import History
from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.planned import persona_of
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.run import Step, effect_id
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import Moment, moment_with
from services.orchestrator.domain.window import consider
from shared.contracts.decision import Decision
from shared.contracts.profile_update import snapshot_decoder

LEVEL = 1
"""Of compression: the fastest; inputs are written for every decision and hardly ever read."""


class Versions(msgspec.Struct):
    """The versions that a decision depended on, by key; what nobody saved has none."""

    epoch: int
    rules: dict[str, int]
    policies: dict[str, int]
    channels: dict[str, int]
    templates: dict[str, int]
    resources: dict[str, int]


class KeptQuestion(msgspec.Struct):
    """One touchpoint: which profile it was about, its JSON, and the rules that it triggered; or the
    step of a run, with the event that let the person in, and the rule of its node."""

    of: str
    seq: int
    cause: bytes
    occurred: datetime | None
    rules: list[str]
    step: Step | None = None


class Kept(msgspec.Struct):
    """Everything that a decision depended on; `together` when it ended an arbitration window.
    `arms` are those of the person, by experiment."""

    profile_id: str
    at: datetime
    together: bool
    questions: list[KeptQuestion]
    snapshot: bytes
    history: History
    prices: dict[str, float]
    counts: dict[str, dict[tuple[str, str], tuple[int, int]]]
    totals: dict[str, tuple[int, int]]
    versions: Versions
    arms: dict[str, Assigned] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Kept)


def keep(
    effects: Effects,
    questions: Sequence[Question],
    ruleset: RuleSet,
    decision_id: UUID,
    *,
    together: bool = False,
) -> None:
    """Keep what a decision sees. To be called before what it decides changes the history."""
    if effects.silent:
        return
    situation = questions[0].situation
    moment = situation.moment
    rules = {live.key: live for question in questions for live in question.candidates}
    estimates = ruleset.estimates.of(rules, persona_of(moment))
    kept = Kept(
        profile_id=moment.profile_id,
        at=situation.at,
        together=together,
        questions=[_question(one) for one in questions],
        snapshot=moment.profile_json,
        history=_history(situation.history, moment),
        prices=dict(estimates.prices),
        counts={rule: dict(counts) for rule, counts in estimates.counts.items()},
        totals=dict(estimates.totals),
        versions=_versions(rules.values(), ruleset),
        arms=_arms(rules.values(), moment, ruleset),
    )
    body = zlib.compress(_encoder.encode(kept), LEVEL)
    effects.inputs.append(InputRow(decision_id, moment.profile_id, body))


def read(body: bytes) -> Kept:
    """What was kept."""
    return _decoder.decode(zlib.decompress(body))


def replay(kept: Kept, recorded: Decision, ruleset: RuleSet, action_ids: ActionIds) -> Decision:
    """The decision made again; `ruleset` has the versions that were kept. What was taken back is
    as recorded: it is no choice."""
    profile = snapshot_decoder.decode(kept.snapshot)
    given = ruleset.learned(Estimates(kept.prices, kept.counts, kept.totals)).with_arms(kept.arms)
    questions = []
    for one in kept.questions:
        moment = moment_with(
            one.cause,
            profile_id=kept.profile_id,
            of=one.of,
            seq=one.seq,
            profile=profile,
            profile_json=kept.snapshot,
            at=kept.at,
            occurred=one.occurred,
        )
        ids = _ids(one, action_ids(moment.cause.id or ""))
        situation = Situation(moment, kept.history, kept.at, ids, one.step)
        candidates = [given.acting[key] for key in one.rules if key in given.acting]
        questions.append(Question(candidates, situation))
    considered = _consider(questions, given, together=kept.together)
    again = decision_record(
        decision_id=UUID(recorded.id),
        profile_id=recorded.profile_id,
        profile_version=recorded.profile_version,
        touchpoint_id=recorded.touchpoint_id,
        at=kept.at,
        considered=considered,
        retracts=[(UUID(one.action_id), one.reason) for one in recorded.retracts],
        ruleset=given,
        zone=given.joint.zone_for_record(profile),
        together=kept.together,
    )
    again.retracts = recorded.retracts
    return again


def _ids(one: KeptQuestion, of_touchpoint: OptionIds) -> OptionIds:
    if one.step is None:
        return of_touchpoint
    node = one.rules[0].partition("/")[2]
    return step_action_ids(effect_id(one.step.run, node, one.step.occurrence))


def _consider(
    questions: Sequence[Question], ruleset: RuleSet, *, together: bool
) -> list[Considered]:
    if together:
        return judge(questions, ruleset)
    first, *beside = questions
    return consider(first.candidates, first.situation, ruleset, beside)


def _question(one: Question) -> KeptQuestion:
    moment = one.situation.moment
    return KeptQuestion(
        of=moment.of,
        seq=moment.seq,
        cause=moment.kept_cause,
        occurred=moment.occurred,
        rules=[live.key for live in one.candidates],
        step=one.situation.step,
    )


def _history(history: History, moment: Moment) -> History:
    """As much of it as decisions look at."""
    home = moment.profile.household
    return replace(
        history,
        in_flight={key: replace(one, cause=b"") for key, one in history.in_flight.items()},
        held={key: replace(one, cause=b"") for key, one in history.held.items()},
        households={home: history.households[home]}
        if home is not None and home in history.households
        else {},
        uses={},
        runs={},
        past_runs=[],
    )


def _arms(rules: Iterable[LiveRule], moment: Moment, ruleset: RuleSet) -> dict[str, Assigned]:
    found = (assigned(ruleset, live.rule, moment) for live in rules)
    return {one.experiment: one for one in found if one is not None}


def _versions(rules: Iterable[LiveRule], ruleset: RuleSet) -> Versions:
    live = list(rules)
    specs = [
        spec
        for one in live
        for action in one.rule.actions
        for spec in (action, *(fallback.spec for fallback in action.fallback))
    ]
    channels = (ruleset.channels.get(spec.channel) for spec in specs)
    templates = (ruleset.templates.get(spec.template or "") for spec in specs)
    resources = (ruleset.resources.get(key) for one in live for key in one.rule.costs)
    return Versions(
        epoch=ruleset.epoch,
        rules={one.key: one.rule.version for one in live},
        policies={one.key: one.version for one in ruleset.policies if one.version},
        channels={one.key: one.version for one in channels if one is not None and one.version},
        templates={one.key: one.version for one in templates if one is not None},
        resources={one.key: one.version for one in resources if one is not None},
    )
