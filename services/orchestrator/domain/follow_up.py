"""What is done instead of an action that came to nothing on its channel, with a record of it.

The options of an action are one choice: when another one is taken, nothing of the action before is
left to take back. Pure but for `effects` and `history`.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from services.orchestrator.domain.effects import Change, Effects, drop_in_flight, record
from services.orchestrator.domain.enact import start
from services.orchestrator.domain.fallback import consider_next, place_of
from services.orchestrator.domain.gates import Situation
from services.orchestrator.domain.history import InFlight
from services.orchestrator.domain.planned import Planned
from services.orchestrator.domain.record import decision_record
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.domain.update import ASKED
from shared.contracts.decision import Decision

MOMENT = timedelta(seconds=1)


def fall_back(
    effects: Effects,
    action: InFlight,
    reasons: Collection[str],
    situation: Situation,
    *,
    ruleset: RuleSet,
    decision_id: UUID,
) -> Decision | None:
    """Take the next option of the action's rule that is for one of the `reasons`, and may be taken
    now; the decision about it, None when the rule has no option for them. An answer to somebody who
    asked has none: it is given where they asked, and nowhere else.

    `situation` is that of the touchpoint that asked for the action, with the person as known now.
    An update of a profile that was merged away shows an old snapshot: what follows from it waits
    for a moment, and is checked like everything that waits.
    """
    if situation.moment.cause.kind == ASKED:
        return None
    live = ruleset.acting.get(action.rule)
    place = None if live is None else place_of(live, action.action_id, situation)
    if live is None or place is None:
        return None
    index, option = place
    left = live.rule.actions[index].fallback
    reason = next((one for one in sorted(reasons) if any(one in each.on for each in left)), None)
    if reason is None:
        return None
    considered, chosen = consider_next(live, index, option, reason, situation, ruleset)
    moment = situation.moment
    decision = decision_record(
        decision_id=decision_id,
        profile_id=moment.profile_id,
        profile_version=moment.seq,
        touchpoint_id=moment.cause.id,
        at=situation.at,
        considered=[considered],
        retracts=[],
        ruleset=ruleset,
    )
    record(effects, decision, decision_id, situation.at)
    if isinstance(chosen, Planned):
        if not moment.is_of_winner:
            chosen = replace(chosen, due_at=max(chosen.due_at, situation.at + MOMENT))
        if action.action_id in situation.history.in_flight:
            drop_in_flight(effects, situation.history, action, Change("done", in_flight=False))
            if action.sent_for is not None:
                effects.superseded.append(action.action_id)
        start(
            effects, situation.history, chosen, moment=moment, decision_id=decision_id,
            at=situation.at, score=action.score,
        )  # fmt: skip
    return decision
