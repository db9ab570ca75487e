"""A dry run of one person: chosen answers, events, and a clock that moves."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from services.orchestrator.domain.journeys.dry_run import (
    MAX_LINES,
    Chosen,
    DryRun,
    Later,
    Line,
    Scenario,
    dry_run,
)
from services.orchestrator.domain.journeys.live import LiveJourney
from services.orchestrator.domain.update import Cause
from shared.contracts.profile_update import snapshot_decoder
from tests.unit.orchestrator.build import profile_json, uid
from tests.unit.orchestrator.journeys.build import NOON, end, journey, mail, wait

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def rehearsed(*nodes: dict[str, Any], fields: Any = None, **more: Any) -> DryRun:
    """A person with a cart goes through a journey of these nodes for sixty days."""
    snapshot = profile_json(uid("ada"), segments=[], **more.pop("profile", {}))
    profile = snapshot_decoder.decode(msgspec.json.encode(snapshot))
    scenario = Scenario(
        profile=profile,
        zone=ZoneInfo("UTC"),
        cause=Cause(id=uid("cart"), type="Cart Updated"),
        enters_at=NOON,
        until=more.pop("until", NOON + 60 * DAY),
        **more,
    )
    return dry_run(LiveJourney([journey(*nodes, **(fields or {}))], live=1), scenario)


def told(made: DryRun) -> list[tuple[timedelta, str, str | None, str]]:
    return [(one.at - NOON, one.kind, one.node, one.word) for one in made.lines]


def path(made: DryRun) -> list[tuple[timedelta, str | None]]:
    """When the person came to which node."""
    return [(one.at - NOON, one.node) for one in made.lines if one.kind == "arrived"]


def test_days_go_by_in_no_time_and_every_step_has_its_instant() -> None:
    made = rehearsed(mail("hello", "w"), wait("w", "again", duration="P30D"), mail("again"), end())
    assert path(made) == [
        (0 * DAY, "hello"), (0 * DAY, "w"), (30 * DAY, "again"), (30 * DAY, "end"),
    ]  # fmt: skip
    assert made.run is not None
    assert (made.run.status, made.run.reason, made.complete) == ("completed", "completed", True)
    assert Line(NOON, "asks", "hello", 1, "email") in made.lines


def test_a_chosen_refusal_takes_its_edge() -> None:
    nodes = [mail("hello", outcomes={"capped": "late"}), mail("late"), end()]
    assert path(rehearsed(*nodes)) == [(0 * DAY, "hello"), (0 * DAY, "end")]
    made = rehearsed(*nodes, chosen={"hello": Chosen("capped")})
    assert path(made)[1] == (0 * DAY, "late")
    assert (0 * DAY, "answered", "hello", "capped") in told(made)


def test_an_outcome_comes_when_it_was_chosen_to() -> None:
    task = {
        "id": "call", "type": "task", "channel": "call_centre", "queue": "q",
        "content": {"body": "Call"}, "expires_in": "P7D",
        "outcomes": {"accepted": "thanks", "declined": "end"},
    }  # fmt: skip
    nodes = [task, mail("thanks"), end()]
    accepts = {"call": Chosen(outcomes=[(5 * HOUR, "accepted")])}
    made = rehearsed(*nodes, chosen=accepts)
    assert path(made) == [(0 * HOUR, "call"), (5 * HOUR, "thanks"), (5 * HOUR, "end")]
    declines = {"call": Chosen(outcomes=[(2 * HOUR, "declined"), (5 * HOUR, "accepted")])}
    assert path(rehearsed(*nodes, chosen=declines)) == [(0 * HOUR, "call"), (2 * HOUR, "end")]


def test_an_event_ends_a_wait_before_its_time_and_an_exit_ends_the_run() -> None:
    nodes = [
        wait("w", "thanks", until={"event": "Order Completed"}, timeout="P3D", timeout_next="end"),
        mail("thanks"), end(),
    ]  # fmt: skip
    bought = Later(NOON + DAY, Cause(id=uid("o"), type="Order Completed"))
    assert path(rehearsed(*nodes))[-1] == (3 * DAY, "end")
    assert path(rehearsed(*nodes, events=[bought]))[1] == (DAY, "thanks")
    made = rehearsed(
        wait("w", duration="P9D"), end(), events=[bought],
        fields={"exit_criteria": [{"event": "Order Completed"}]},
    )  # fmt: skip
    assert made.run is not None
    assert (made.run.ended_at, made.run.reason) == (NOON + DAY, "exit: Order Completed")


def test_traits_become_others_on_the_way() -> None:
    nodes = [
        wait("w", "which", duration="P2D"),
        {"id": "which", "type": "branch", "else": "end", "cases": [
            {"when": {"attr": "profile.tier", "op": "eq", "value": "gold"}, "next": "gold"}]},
        mail("gold"), end(),
    ]  # fmt: skip
    becomes = Later(NOON + DAY, Cause(id=uid("t"), type="Tier"), traits={"tier": "gold"})
    assert (2 * DAY, "gold") in path(rehearsed(*nodes, events=[becomes]))
    assert (2 * DAY, "gold") not in path(rehearsed(*nodes))


def test_an_arm_may_be_chosen_and_a_place_in_a_line() -> None:
    nodes = [
        {"id": "half", "type": "split", "mode": "random", "salt": "s",
         "branches": [{"percent": 50, "next": "a"}, {"percent": 50, "next": "b"}]},
        mail("a"), mail("b"), end(),
    ]  # fmt: skip
    taken = {arm: path(rehearsed(*nodes, arms={"half": arm}))[1][1] for arm in ("a", "b", "0")}
    assert taken == {"a": "a", "b": "b", "0": "a"}
    crowded = [{"id": "door", "type": "throttle", "limit": 1, "per": "PT1H", "next": "end"}, end()]
    made = rehearsed(*crowded, chosen={"door": Chosen(turn=5 * HOUR)})
    assert path(made) == [(0 * HOUR, "door"), (5 * HOUR, "end")]


def test_it_stops_at_the_end_of_the_scenario_and_says_where_the_run_stands() -> None:
    made = rehearsed(wait("w", duration="P30D"), end(), until=NOON + 5 * DAY)
    assert made.run is not None
    assert (made.run.node, made.run.status, made.run.wakes_at) == ("w", "waiting", NOON + 30 * DAY)


def test_who_may_not_enter_is_told_why() -> None:
    fields = {"valid": {"from": "2030-01-01T00:00:00Z"}}
    made = rehearsed(mail("hello"), end(), fields=fields)
    assert made.run is None
    assert made.refused is not None
    assert made.refused.reason == "not_valid"


def test_a_very_long_way_is_cut_off() -> None:
    many = [Later(NOON + HOUR * n, Cause(id=uid(str(n)), type="Seen")) for n in range(3_000)]
    round_ = [wait("w", "x", until={"event": "Seen"}, timeout="P1D"), mail("x", "w")]
    made = rehearsed(*round_, events=many, until=NOON + 400 * DAY)
    assert (len(made.lines), made.complete) == (MAX_LINES, False)


def test_the_same_scenario_is_the_same_dry_run() -> None:
    nodes = [mail("hello", "w"), wait("w", "again", duration="P1D"), mail("again"), end()]
    assert rehearsed(*nodes).lines == rehearsed(*nodes).lines
