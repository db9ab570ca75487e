"""`python -m bench.rules`: 10,000 published rules, how fast they load and how fast they route.

No broker and no database: rules as they are stored go in, updates as they are on the topic are
routed, and every match is compared with asking each rule's condition. Seconds are the process's
own, so that other work on the machine does not count.
"""

import argparse
import gc
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.orchestrator.domain.live_rule import LiveRule
from services.orchestrator.domain.rule import Rule
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from shared.conditions.closure import Holds, compile_condition
from shared.conditions.facts import Facts

RULES, EVENTS = 10_000, 100_000
MUST, AIM = 20_000, 70_000
"""Events a second and core, of DESIGN's budgets."""
TYPES = [f"type-{number}" for number in range(200)]
OFTEN = [1 / (number + 3) for number in range(200)]
CITIES = [f"city-{number}" for number in range(200)]
TIERS = ["none", "bronze", "silver", "gold"]
SEGMENTS = [f"segment-{number}" for number in range(50)]


def rule_documents(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Rules as people write them: of 200 event types a few are asked for by many."""
    chance = random.Random(seed)  # noqa: S311  the same rules every time
    return [_document(chance) for _ in range(count)]


def _document(chance: random.Random) -> dict[str, Any]:
    parts = [_leaf(chance) for _ in range(chance.choice((1, 2, 2, 3, 4)))]
    where: dict[str, Any] = {"all": parts} if chance.random() < 0.9 else {"any": parts}
    if chance.random() < 0.05:
        where = {"not": {"any": parts}}
    return {
        "trigger": {"event": _type(chance), "where": where},
        "engagement_policy": {"suitability": {"not": {"segment": "open-complaint"}}},
        "actions": [{"type": "message", "channel": "email", "content": {"subject": "Hi"}}],
    }


def _type(chance: random.Random) -> str:
    return chance.choices(TYPES, OFTEN)[0]


def _leaf(chance: random.Random) -> dict[str, Any]:
    amount = round(chance.uniform(0, 500), 2)
    kinds: list[dict[str, Any]] = [
        {"attr": "event.city", "op": "eq", "value": chance.choice(CITIES)},
        {"attr": "profile.tier", "op": "in", "value": chance.sample(TIERS, 2)},
        {"attr": "event.total", "op": chance.choice(("gt", "gte")), "value": amount},
        {"attr": "event.total", "op": "between", "value": [amount, amount + 20]},
        {"attr": "profile.computed.orders", "op": "lt", "value": chance.randrange(20)},
        {"segment": chance.choice(SEGMENTS)},
        {"attr": "profile.tier", "op": "ne", "value": chance.choice(TIERS)},
        {"attr": "event.coupon", "op": "exists", "value": chance.random() < 0.5},
        {"attr": "event.items", "op": "contains", "value": f"sku-{chance.randrange(300)}"},
    ]
    weights = (6, 2, 2, 3, 1, 3, 1, 1, 1)
    return chance.choices(kinds, weights)[0]


def random_facts(count: int, seed: int = 2) -> list[Facts]:
    """What the conditions may read of so many events, each of another person."""
    chance = random.Random(seed)  # noqa: S311  the same events every time
    return [_facts(chance) for _ in range(count)]


def _facts(chance: random.Random) -> Facts:
    event: dict[str, object] = {
        "city": chance.choice(CITIES),
        "total": round(chance.uniform(0, 500), 2),
        "items": [f"sku-{chance.randrange(300)}" for _ in range(3)],
    }
    if chance.random() < 0.2:
        event["coupon"] = "SPRING"
    return Facts(
        profile={"tier": chance.choice(TIERS)},
        computed={"orders": chance.randrange(30)},
        event=event,
        event_type=_type(chance),
        segments=frozenset(chance.sample(SEGMENTS, chance.randrange(6))),
    )


class AskEveryRule:
    """Brute force: the condition of every rule for the event's type, one after the other."""

    def __init__(self, live: RuleSet) -> None:
        self._asked: dict[str, list[tuple[LiveRule, Holds | None]]] = {}
        for one in live.rules.values():
            where = one.rule.trigger.where
            holds = None if where is None else compile_condition(where)
            self._asked.setdefault(one.rule.trigger.event, []).append((one, holds))

    def __call__(self, facts: Facts) -> list[str]:
        """The keys of the rules that the event triggers."""
        asked = self._asked.get(facts.event_type or "", ())
        return [live.key for live, holds in asked if holds is None or holds(facts)]


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; seconds are of one core."""

    rules: int
    events: int
    parsing: float
    compiling: float
    again: float
    routing: float
    matches: int
    wrong: int

    @property
    def per_second(self) -> float:
        return self.events / self.routing


def parsed(documents: Sequence[dict[str, Any]]) -> list[Rule]:
    """The rules, by number."""
    return [
        parse_rule(document, key=f"rule-{number}", version=1)
        for number, document in enumerate(documents)
    ]


def measure(rules: int, events: int) -> Figures:
    """Load, route and compare."""
    documents = rule_documents(rules)
    start = time.process_time()
    read = parsed(documents)
    parsing = time.process_time() - start
    start = time.process_time()
    live = RuleSet(epoch=1, rules=read)
    compiling = time.process_time() - start
    start = time.process_time()
    changed = parse_rule({**documents[0], "priority": 1}, key="rule-0", version=2)
    live = RuleSet(epoch=2, rules=[changed, *read[1:]], before=live)
    again = time.process_time() - start
    facts = random_facts(events)
    gc.collect()
    gc.freeze()
    start = time.process_time()
    matches = sum(len(live.candidates(one)) for one in facts)
    routing = time.process_time() - start
    brute = AskEveryRule(live)
    wrong = sum([one.key for one in live.candidates(seen)] != brute(seen) for seen in facts)
    return Figures(rules, events, parsing, compiling, again, routing, matches, wrong)


def main(arguments: list[str]) -> int:
    """Measure and print; the exit code is 0 when the budget is kept and every match is right."""
    parser = argparse.ArgumentParser(prog="python -m bench.rules", description=__doc__)
    parser.add_argument("--rules", type=int, default=RULES)
    parser.add_argument("--events", type=int, default=EVENTS)
    chosen = parser.parse_args(arguments)
    found = measure(chosen.rules, chosen.events)
    loaded = f"read in {found.parsing:.2f} s, compiled in {found.compiling:.2f} s"
    print(f"{found.rules:,} rules: {loaded}, one published again: {found.again:.2f} s")
    print(f"{found.events:,} events: routed at {found.per_second:,.0f}/s a core")
    print(f"  (must {MUST:,}, aim {AIM:,}), {found.matches / found.events:.1f} matches each")
    print(f"  {found.wrong} events with other matches than by asking every rule")
    return 0 if found.wrong == 0 and found.per_second >= MUST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
