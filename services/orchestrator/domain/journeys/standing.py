"""Where a run stands and why, in one plain sentence."""

from services.orchestrator.domain.journeys.journey import (
    Act,
    Awaiting,
    BusinessDays,
    Journey,
    Lasting,
    Node,
    OnDate,
    Spacing,
)
from services.orchestrator.domain.journeys.live import LiveVersion
from services.orchestrator.domain.run import Run
from shared.contracts.times import rfc3339

_ENDS = {
    "completed": "it came to the end",
    "goal": "the goal was reached",
    "max_duration": "it lasted as long as it may",
    "stale": "when the pause was over, what let the person in was too long ago",
    "merged": "another run of the same person goes on in its place",
    "held_out": "the person is one of those who are left out",
    "node_removed": "its next node is gone from the version that it follows",
    "too_many_steps": "it took more steps than anybody means",
    "unanswered": "nobody said what became of its action, and no way leads on without",
    "throttled": "it would have waited too long in a line",
    "no_date": "the person has no such date",
    "date_passed": "the date was over already",
    "archived": "the journey was archived, and its runs with it",
    "erased": "the person was erased",
}


def where_it_stands(
    run: Run, journey: Journey, *, journey_paused: bool = False, stuck: bool = False
) -> str:
    """The sentence; `journey` is the version that the run is in, and `stuck` says that it should
    have gone on by itself."""
    if run.is_over:
        return _ended(run)
    node = journey.nodes.get(run.node or "")
    stands = "It has not taken its first step" if run.node is None else f"It stands on {run.node}"
    since = "" if run.since is None else f" since {rfc3339(run.since)}"
    return f"{stands}{since}{_why(run, node, journey, journey_paused, stuck)}."


def _ended(run: Run) -> str:
    reason = run.reason or ""
    at = "" if run.ended_at is None else f" at {rfc3339(run.ended_at)}"
    last = "" if run.node is None else f" on {run.node}"
    if reason.startswith("exit: "):
        return f"It left{last}{at}: what ends the journey came true ({reason[6:]})."
    return f"It ended{last}{at}: {_ENDS.get(reason, reason)}."


def _why(run: Run, node: Node | None, journey: Journey, journey_paused: bool, stuck: bool) -> str:
    until = None if run.wakes_at is None else rfc3339(run.wakes_at)
    if run.paused:
        return ": it is held, and goes on when it is resumed or its turn comes"
    if journey_paused:
        return ": the journey is paused; what ends a wait is noted until it is resumed"
    if stuck:
        return f": it should have gone on at {until or 'some time'} and did not; try it once more"
    if run.held is not None:
        return ": a pause held its next step, which it takes at its turn"
    if node is None:
        return ""
    return _waits_for(node, journey, until)


def _waits_for(node: Node, journey: Journey, until: str | None) -> str:
    match node.does:
        case Awaiting():
            words = LiveVersion(journey).awaited[node.id].words
            return f" and waits until {words}, at most until {until}"
        case Lasting() | OnDate() | BusinessDays():
            return f" and waits until {until}"
        case Act(spec):
            return (
                f" and waits for what becomes of its {spec.type} on {spec.channel}, "
                f"at most until {until}"
            )
        case Spacing():
            return f" in a line, and passes at {until}"
        case _:
            return ""
