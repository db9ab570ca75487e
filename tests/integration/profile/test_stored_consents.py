"""PostgreSQL says of a stored consent what its records say, at any instant: also of those that have
expired and were not told yet."""

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Text, cast, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.domain.consent import ConsentRecord, Consents, holding
from services.profile.domain.consent_change import lapse
from services.profile.domain.stored_facts import consents_in_row
from shared.conditions.sql import SqlFacts, sql_condition
from shared.conditions.tree import HasConsent

DAYS = [f"2026-11-0{day}T00:00:00.000Z" for day in range(1, 6)]
instants = st.sampled_from(DAYS)
granted = st.builds(
    lambda expires_at, pending: ConsentRecord(
        "granted", "2026-10-01T00:00:00.000Z", expires_at=expires_at, double_opt_in=pending
    ),
    st.none() | instants,
    st.booleans(),
)
records = granted | st.just(ConsentRecord("denied", "2026-10-01T00:00:00.000Z"))
keys = st.tuples(
    st.sampled_from(["news", "ads", "*stop"]), st.sampled_from(["email", "sms", "*", "all"])
).map("\0".join)
held_by_people = st.dictionaries(keys, records, max_size=5)
ASKED = [(purpose, channel) for purpose in ("news", "ads") for channel in ("email", "sms", "web")]


def _general_denials(held: Consents) -> Consents:
    """The general purpose knows denials alone."""
    return {
        key: one for key, one in held.items() if one.said == "denied" or not key.startswith("*")
    }


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(held_by_people.map(_general_denials), instants), min_size=5, max_size=5))
async def test_a_row_permits_what_the_records_permit(
    engine: AsyncEngine, people: list[tuple[Consents, str]]
) -> None:
    asked, expected = [], []
    for held, told in people:
        lapse(held, told, lambda key: key)
        row = cast(literal(msgspec.json.encode(consents_in_row(held)).decode(), Text), JSONB)
        for now in DAYS:
            if now < told:
                continue
            no = cast(literal("null", Text), JSONB)
            facts = SqlFacts(
                roots={},
                segments=no,
                persona=literal(None, Text),
                consents=row,
                now=literal(now, Text),
            )
            asked += [sql_condition(HasConsent(*one), facts) for one in ASKED]
            permitted = holding(held, now)
            expected += [permitted.get(one) == "granted" for one in ASKED]
    async with engine.connect() as connection:
        found = (await connection.execute(select(*asked))).one()
    assert list(found) == expected
