"""The prices of scarce resources, as they were last found."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.price import Priced

_LOCK = text(
    """
    SELECT resource, price, at, starts_at, seen FROM resource_price
     WHERE resource = ANY(CAST(:keys AS text[])) ORDER BY resource FOR UPDATE
    """
)
_READ = text("SELECT resource, price, at, starts_at, seen FROM resource_price")
_WRITE = text(
    """
    INSERT INTO resource_price (resource, price, at, starts_at, seen)
    SELECT * FROM unnest(CAST(:keys AS text[]), CAST(:prices AS float8[]),
                         CAST(:ats AS timestamptz[]), CAST(:starts AS timestamptz[]),
                         CAST(:seens AS float8[])) AS g (resource, price, at, starts_at, seen)
     ORDER BY resource
        ON CONFLICT (resource) DO UPDATE
       SET price = excluded.price, at = excluded.at, starts_at = excluded.starts_at,
           seen = excluded.seen
    """
)


async def lock(tx: AsyncConnection, keys: Iterable[str]) -> dict[str, Priced]:
    """The prices of these resources; nobody else finds new ones until the transaction ends."""
    rows = await tx.execute(_LOCK, {"keys": sorted(keys)})
    return {row.resource: Priced(row.price, row.at, row.starts_at, row.seen) for row in rows}


async def read(tx: AsyncConnection) -> dict[str, Priced]:
    """All prices."""
    rows = await tx.execute(_READ)
    return {row.resource: Priced(row.price, row.at, row.starts_at, row.seen) for row in rows}


async def write(tx: AsyncConnection, prices: dict[str, Priced]) -> None:
    """Keep new prices."""
    found = sorted(prices.items())
    await tx.execute(
        _WRITE,
        {
            "keys": [key for key, _ in found],
            "prices": [one.price for _, one in found],
            "ats": [one.at for _, one in found],
            "starts": [one.window for _, one in found],
            "seens": [one.seen for _, one in found],
        },
    )
