"""Writes the candidates that wait for the end of an arbitration window; `histories` reads them."""

from collections.abc import Mapping

import orjson
from sqlalchemy import text

from services.orchestrator.domain.history import Held
from shared.postgres.transaction import Tx

# The keys of a row's rules come as JSON: unnest would flatten arrays of arrays.
_KEEP = text(
    """
    INSERT INTO held_candidate AS h (profile_id, touchpoint_id, of, held_at, ends_at, occurred_at,
                                     cause, rules)
    SELECT profile_id, touchpoint_id, of, held_at, ends_at, occurred_at, cause,
           ARRAY(SELECT json_array_elements_text(rules))
      FROM unnest(CAST(:profiles AS uuid[]), CAST(:touchpoints AS uuid[]), CAST(:ofs AS uuid[]),
                  CAST(:helds AS timestamptz[]), CAST(:ends AS timestamptz[]),
                  CAST(:occurreds AS timestamptz[]), CAST(:causes AS bytea[]),
                  CAST(:rules AS json[]))
           AS g (profile_id, touchpoint_id, of, held_at, ends_at, occurred_at, cause, rules)
        ON CONFLICT (profile_id, touchpoint_id) DO UPDATE SET rules = excluded.rules
    """
)
_FORGET = text(
    """
    DELETE FROM held_candidate AS h
     USING unnest(CAST(:profiles AS uuid[]), CAST(:touchpoints AS uuid[]))
           AS g (profile_id, touchpoint_id)
     WHERE h.profile_id = g.profile_id AND h.touchpoint_id = g.touchpoint_id
    """
)


async def write(tx: Tx, held: Mapping[tuple[str, str], Held | None]) -> None:
    """By profile and touchpoint: keep what waits, and forget where there is None."""
    gone = [place for place, one in held.items() if one is None]
    if gone:
        given = {"profiles": [one[0] for one in gone], "touchpoints": [one[1] for one in gone]}
        await tx.execute(_FORGET, given)
    kept = [(place[0], one) for place, one in held.items() if one is not None]
    if kept:
        await tx.execute(
            _KEEP,
            {
                "profiles": [profile_id for profile_id, _ in kept],
                "touchpoints": [one.touchpoint_id for _, one in kept],
                "ofs": [one.of for _, one in kept],
                "helds": [one.held_at for _, one in kept],
                "ends": [one.ends_at for _, one in kept],
                "occurreds": [one.occurred_at for _, one in kept],
                "causes": [one.cause for _, one in kept],
                "rules": [orjson.dumps(one.rules).decode() for _, one in kept],
            },
        )
