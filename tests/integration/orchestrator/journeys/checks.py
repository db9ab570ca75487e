"""What is stored, against the naive model, and what has to be true of it whatever happened."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from services.orchestrator.domain.run import Run
from services.orchestrator.storage.erasures import TABLES
from services.orchestrator.storage.runs import run_decoder
from tests.integration.orchestrator.journeys.drawn import EVENTS
from tests.integration.orchestrator.journeys.walker import Walker
from tests.integration.orchestrator.journeys.world import World
from tests.integration.orchestrator.stage import Stage

_RUNS = "SELECT id, profile_id::text, state FROM journey_run"
_ACTIONS = """
    SELECT run, split_part(rule, '/', 2) AS node, occurrence FROM action
     WHERE run IS NOT NULL ORDER BY occurrence
"""
_TWICE = "SELECT run, occurrence FROM action GROUP BY run, occurrence HAVING count(*) > 1"
_CONTACTS = """
    SELECT a.action_id, count(c.action_id) AS n
      FROM action AS a LEFT JOIN contact_ledger AS c USING (action_id)
     GROUP BY a.action_id HAVING count(c.action_id) <> 1
"""
_UNDER_WAY = """
    SELECT s.profile_id::text, s.in_flight, counted.n
      FROM profile_state AS s, LATERAL (
           SELECT (SELECT count(*) FROM action AS a
                    WHERE a.in_flight AND a.profile_id = s.profile_id)
                + (SELECT count(*) FROM journey_run AS r
                    WHERE r.watching AND r.profile_id = s.profile_id) AS n) AS counted
     WHERE s.in_flight <> counted.n
"""
_TIMERS = """
    SELECT r.id, count(t.id) AS n FROM journey_run AS r
      LEFT JOIN timer AS t ON t.kind = 'run' AND t.ref = r.id AND t.gen = r.gen
            AND t.profile_id = r.profile_id AND t.due_at = r.wakes_at
     WHERE r.status IN ('active', 'waiting') GROUP BY r.id HAVING count(t.id) <> 1
"""
_LAWS: Mapping[str, str] = {
    "a step has at most one action": _TWICE,
    "an action is one contact": _CONTACTS,
    "what is under way is counted": _UNDER_WAY,
    "who is not over has one timer": _TIMERS,
}

Stand = Mapping[str, Any]
"""Where a run stands, in words that the model and the database share."""


class Seen(NamedTuple):
    """A run: the profile that entered, where it stands, and when it entered in real time."""

    home: str
    stand: Stand
    entered: float = 0.0


Seeing = Mapping[UUID, Seen]
NOTHING = Seen("", {})


async def laws_broken(stage: Stage) -> list[str]:
    """What is not as it has to be."""
    found = []
    for law, sql in _LAWS.items():
        found += [f"{law}: {dict(row._mapping)}" for row in await stage.rows(sql)]
    return found


async def stored(stage: Stage) -> Seeing:
    """All runs as they are in the database."""
    asked: dict[UUID, list[tuple[str, int]]] = {}
    for row in await stage.rows(_ACTIONS):
        asked.setdefault(row.run, []).append((row.node, row.occurrence))
    return {
        row.id: seen(run_decoder.decode(row.state), row.profile_id, asked)
        for row in await stage.rows(_RUNS)
    }


async def kept(stage: Stage) -> set[str]:
    """The profiles whose snapshots are kept, because something is under way."""
    rows = await stage.rows("SELECT profile_id::text FROM profile_state WHERE snapshot IS NOT NULL")
    return {row.profile_id for row in rows}


def seen(run: Run, person: str, asked: Mapping[UUID, list[tuple[str, int]]]) -> Seen:
    """A run of a person, with the actions of all runs."""
    return Seen(run.home, _of_row(run, person, asked), run.entered_at.timestamp())


def modelled(world: World) -> Seeing:
    """The same, as the model has it."""
    return {
        id_: Seen(one.name.home, _of_walker(one, world.root(one.name.home)))
        for id_, one in world.walkers.items()
    }


def differences(found: Seeing, meant: Seeing, profiles: Collection[str]) -> list[str]:
    """What is another in the database than in the model, of runs that these profiles entered."""
    lines = []
    for id_ in sorted(found.keys() | meant.keys()):
        is_, is_meant = found.get(id_, NOTHING), meant.get(id_, NOTHING)
        if (is_.home or is_meant.home) not in profiles:
            continue
        lines += [
            f"run {id_}: {name} is {is_.stand.get(name)!r}, not {is_meant.stand.get(name)!r}"
            for name in sorted(is_.stand.keys() | is_meant.stand.keys())
            if is_.stand.get(name) != is_meant.stand.get(name)
        ]
    return lines


async def left_of(stage: Stage, profiles: Collection[str]) -> list[str]:
    """In which tables anything is left of profiles."""
    found = []
    for table in TABLES:
        count = await stage.scalar(
            f"SELECT count(*) FROM {table} WHERE profile_id = ANY(CAST(:ids AS uuid[]))",
            ids=list(profiles),
        )
        found += [f"{count} in {table}"] if count else []
    kept = await stage.rows(
        "SELECT profile_id FROM profile_state WHERE profile_id = ANY(CAST(:ids AS uuid[]))"
        " AND (in_flight > 0 OR snapshot IS NOT NULL)",
        ids=list(profiles),
    )
    logs = await stage.scalar(
        "SELECT count(*) FROM run_log WHERE NOT EXISTS"
        " (SELECT FROM journey_run AS r WHERE r.id = run_log.run)"
    )
    return found + [f"a snapshot of {row.profile_id}" for row in kept] + ["a log"] * bool(logs)


def _of_row(run: Run, profile_id: str, asked: Mapping[UUID, list[tuple[str, int]]]) -> Stand:
    reason = run.reason
    if reason is not None and reason.startswith("exit: "):
        event = reason.removeprefix("exit: ").partition(" on ")[0]
        reason = f"exit: {event if event in EVENTS else 'segment'}"
    found: dict[str, Any] = {
        "person": profile_id,
        "ended": reason,
        "step": (run.node, run.occurrence),
        "goal": run.goal_at is not None,
        "reached": sorted(run.touched),
        "asked": asked.get(run.id, []),
        "aside for": run.aside_for,
    }
    if not run.is_over:
        found |= {
            "version": run.version,
            "held": run.held is not None,
            "by hand": run.paused,
            "spared": sorted(run.spared),
        }
    return found


def _of_walker(one: Walker, person: str) -> Stand:
    found: dict[str, Any] = {
        "person": person,
        "ended": one.ended,
        "step": (one.at, one.step),
        "goal": one.goals > 0,
        "reached": sorted(one.reached),
        "asked": one.asked,
        "aside for": one.aside_for if one.frozen else None,
    }
    if one.ended is None:
        found |= {
            "version": one.stands_in,
            "held": one.held is not None,
            "by hand": one.by_hand,
            "spared": sorted(set().union(*one.spared.values())),
        }
    return found
