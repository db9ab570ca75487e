"""PostgreSQL says of a condition what the naive interpreter says: true, false or unknown."""

from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Integer, Text, cast, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.conditions.facts import Facts
from shared.conditions.leaves import leaf_hash
from shared.conditions.parse import parse_condition
from shared.conditions.sql import SqlFacts, sql_condition
from shared.conditions.tree import EventCount
from tests.property.conditions import generated, naive


def row_of(facts: Facts) -> SqlFacts:
    """The facts as bound values, as if they stood in the columns of a row."""

    def json(value: Any) -> Any:
        return cast(literal(msgspec.json.encode(value).decode(), Text), JSONB)

    consents: dict[str, dict[str, str]] = {}
    for (purpose, channel), status in facts.consents.items():
        consents.setdefault(purpose, {})[channel] = status

    def count(leaf: EventCount) -> Any:
        known = facts.leaves.get(leaf_hash(leaf))
        return cast(literal(None if known is None else known["count"], Integer), Integer)

    return SqlFacts(
        roots={
            "profile": json(facts.profile),
            "computed": json(facts.computed),
            "event": json(facts.event),
            "context": json(facts.context),
            "type": json(facts.event_type),
            "channel": json(facts.event_channel),
            "source": json(facts.event_source),
            "household": json(facts.household),
            "account": json(facts.account),
            "links": json(facts.links),
        },
        segments=json(sorted(facts.segments)),
        persona=cast(literal(facts.persona, Text), Text),
        consents=json(consents),
        count=count,
    )


def asks_for_a_change(document: Any) -> bool:
    return "changed_to" in msgspec.json.encode(document).decode()


cases = st.lists(
    generated.documents_and_facts().filter(lambda case: not asks_for_a_change(case[0])),
    min_size=10,
    max_size=10,
)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(cases)
async def test_postgresql_says_what_the_naive_interpreter_says(
    engine: AsyncEngine, examples: list[tuple[Any, Facts]]
) -> None:
    asked = [
        sql_condition(parse_condition(document, allow_event_leaves=True), row_of(facts))
        for document, facts in examples
    ]
    async with engine.connect() as connection:
        row = (await connection.execute(select(*asked))).one()

    for truth, (document, facts) in zip(row, examples, strict=True):
        assert truth is naive.truth(document, facts), (document, facts)
