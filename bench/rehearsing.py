"""`python -m bench.rehearsing`: how many recorded updates a rehearsal goes through in a second.

No broker and no database: updates as they are on the topic go in, under two configurations that
differ in one cap. Seconds are the process's own, so that other work on the machine does not count.
"""

import argparse
import random
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson

from services.orchestrator.domain.policy_document import parse_policy
from services.orchestrator.domain.rule_document import parse_rule
from services.orchestrator.domain.trigger_index import RuleSet
from services.orchestrator.use_cases.rehearsal.rehearsal import Rehearsal
from shared.contracts.times import rfc3339
from shared.kafka.records import Record

UPDATES, RULES, PEOPLE_OF_UPDATES = 100_000, 50, 0.15
CONCERN = 0.1
START = datetime(2026, 10, 1, tzinfo=UTC)
STEP = timedelta(seconds=20)
SNAPSHOT_BYTES = 2_000
GRANTED = [{"purpose": "marketing", "channel": "*", "status": "granted", "at": "2026-01-01"}]


def configuration(limit: int) -> RuleSet:
    """Fifty rules of marketing under a cap; a third of them wait an hour."""
    rules = [
        {
            "category": "marketing",
            "trigger": {"type": "event", "event": f"event-{number}"},
            "score": {"value": number + 1},
            "actions": [
                {"type": "message", "channel": "email", "content": {"body": "Hi"},
                 "delay": "PT1H" if number % 3 == 0 else "PT0S"}
            ],
        }
        for number in range(RULES)
    ]  # fmt: skip
    cap = {"scope": {"category": "marketing"}, "limit": limit, "window": "P7D"}
    return RuleSet(
        epoch=1,
        rules=[parse_rule(rule, key=f"r{n}", version=1) for n, rule in enumerate(rules)],
        policies=[parse_policy({"caps": [cap]}, key="default", version=1)],
    )


def recorded(updates: int, seed: int = 1) -> Iterator[Record]:
    """So many updates, 15 % as many people; one in ten has an event that triggers a rule."""
    chance = random.Random(seed)  # noqa: S311  the same updates every time
    people = [
        str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(int(updates * PEOPLE_OF_UPDATES))
    ]
    seqs = dict.fromkeys(people, 0)
    for number in range(updates):
        who, at = chance.choice(people), START + number * STEP
        seqs[who] += 1
        concerns = chance.random() < CONCERN
        event = f"event-{chance.randrange(RULES)}" if concerns else "Page Viewed"
        value = {
            "profile_id": who,
            "seq": seqs[who],
            "cause": {
                "id": str(uuid.UUID(int=chance.getrandbits(128))), "type": event, "kind": "track",
                "source": "shop", "channel": "web", "occurred_at": rfc3339(at),
                "received_at": rfc3339(at), "properties": {"total": number % 90}, "context": {},
            },
            "profile": {
                "id": who, "status": "active", "identifiers_total": 1,
                "identifiers": [{"type": "email", "value": f"{who}@example.com"}],
                "traits": {"first_name": "Ada", "note": "x" * (SNAPSHOT_BYTES - 400)},
                "computed": {"touchpoints": seqs[who]}, "consents": GRANTED,
                "created_at": rfc3339(START), "last_seen_at": rfc3339(at),
            },
        }  # fmt: skip
        stamp = int(at.timestamp() * 1000)
        yield Record("profile.updates", 0, number, stamp, None, orjson.dumps(value), ())


def main() -> int:
    """Rehearse, and print the figure."""
    parser = argparse.ArgumentParser(prog="python -m bench.rehearsing", description=__doc__)
    parser.add_argument("--updates", type=int, default=UPDATES)
    updates = parser.parse_args().updates
    records = list(recorded(updates))
    rehearsal = Rehearsal(configuration(2), configuration(1), begins=START, room=10 * updates)
    before = time.process_time()
    for record in records:
        rehearsal.take(record, datetime.fromtimestamp(record.timestamp / 1000, UTC))
    rehearsal.end(START + updates * STEP)
    seconds = time.process_time() - before
    counts = rehearsal.counts()
    print(f"{updates:,} updates in {seconds:.1f} s: {updates / seconds:,.0f} updates/s")
    print(f"actions {counts['actions']}, people with a difference {rehearsal.changed_total:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
