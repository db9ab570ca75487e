"""How many profiles a condition holds for, asked of the database; and how personas are spread."""

from typing import Any

from sqlalchemy import BigInteger, Integer, Text, cast, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain.definitions import Definitions
from services.profile.domain.profile import StoredProfile, decode_state
from services.profile.domain.streams import needed_streams, stream_of
from services.profile.storage.tables import profile
from shared.conditions.leaves import leaf_hash
from shared.conditions.sql import SqlFacts, sql_condition
from shared.conditions.tree import Condition, EventCount
from shared.conditions.windows import milliseconds

_NOW_TEXT = func.to_char(
    func.timezone("UTC", select(func.clock.now()).scalar_subquery()),
    'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"',
)
_NOW = func.floor(func.extract("epoch", select(func.clock.now()).scalar_subquery()) * 1000)


def is_countable(condition: Condition, definitions: Definitions) -> bool:
    """Whether every profile that was looked at by `definitions` keeps what the condition counts."""
    return all(
        key in definitions.streams
        and definitions.streams[key].keep >= needed.keep
        and definitions.streams[key].since <= definitions.floor
        for key, needed in needed_streams([condition]).items()
    )


def row_facts() -> SqlFacts:
    """Where conditions find their facts in a row of `profile`."""
    facts = profile.c.facts
    return SqlFacts(
        roots={
            "profile": facts["traits"],
            "computed": profile.c.computed,
            "household": facts["household"],
            "account": facts["account"],
            "links": facts["links"],
        },
        segments=facts["segments"],
        persona=facts["persona"].astext,
        consents=facts["consents"],
        count=_count,
        now=_NOW_TEXT,
    )


def _count(leaf: EventCount) -> Any:
    """The count of an event leaf at the instant of the query, from the instants that are kept."""
    tally = profile.c.facts["events"][leaf_hash(stream_of(leaf))]
    if leaf.within is None:
        return func.coalesce(cast(tally["n"].astext, Integer), 0)
    instants = func.coalesce(tally["t"], cast(literal("[]", Text), JSONB))
    instant = func.jsonb_array_elements_text(instants).column_valued("instant")
    opens = cast(_NOW, BigInteger) - literal(milliseconds(leaf.within), BigInteger)
    return select(func.count()).where(cast(instant, BigInteger) > opens).scalar_subquery()


async def matching(
    tx: AsyncConnection, condition: Condition, definitions: Definitions, *, sample: int
) -> tuple[int, list[str]]:
    """How many active profiles the condition holds for, and the ids of the first few.

    The condition has to be countable by `definitions` (ValueError).
    """
    if not is_countable(condition, definitions):
        raise ValueError("the profiles do not keep what this condition counts")
    holds = sql_condition(condition, row_facts())
    active = profile.c.status == "active"
    found = select(profile.c.id).where(active, holds)
    count = (await tx.execute(select(func.count()).select_from(found.subquery()))).scalar_one()
    rows = await tx.execute(found.order_by(profile.c.id).limit(sample))
    return count, [str(row[0]) for row in rows]


_TOTAL = text("SELECT count(*) FROM profile WHERE status = 'active'")
_SOME = text(
    """
    SELECT id, status, seq, n_merges, state
      FROM profile TABLESAMPLE BERNOULLI (CAST(:percent AS double precision))
     WHERE status = 'active' LIMIT :limit
    """
)


async def some(tx: AsyncConnection, limit: int) -> tuple[int, list[StoredProfile]]:
    """How many active profiles there are; and all of them, or about `limit` chosen at random."""
    total: int = (await tx.execute(_TOTAL)).scalar_one()
    percent = 100.0 if total <= limit else 100.0 * limit / total
    rows = await tx.execute(_SOME, {"percent": percent, "limit": limit})
    return total, [
        StoredProfile(str(r.id), r.status, None, r.seq, r.n_merges, decode_state(r.state))
        for r in rows
    ]


_PERSONAS = text(
    """
    SELECT facts ->> 'persona' AS persona, count(*) FROM profile
     WHERE status = 'active' GROUP BY 1 ORDER BY 2 DESC, 1
    """
)
_MEMBERS = text(
    """
    SELECT count(*) FROM profile
     WHERE status = 'active' AND facts -> 'segments' @> to_jsonb(CAST(:key AS text))
    """
)


async def personas(tx: AsyncConnection) -> dict[str | None, int]:
    """How many active profiles have each persona; None: no persona fits."""
    return {row[0]: row[1] for row in await tx.execute(_PERSONAS)}


async def members(tx: AsyncConnection, key: str) -> int:
    """How many active profiles are in a segment."""
    count: int = (await tx.execute(_MEMBERS, {"key": key})).scalar_one()
    return count
