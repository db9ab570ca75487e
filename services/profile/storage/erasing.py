"""Takes people out of the stores: `STORES` is the one list of the tables that hold somebody.

What an erasure does is bound to its past: evidence up to a number. An identifier that was erased
may belong to a new customer by now, whose rows look the same but for that.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

STORES: Mapping[str, str] = {
    "profile": "rows of the person and of all that were merged into her are deleted; the marks of"
    " other people's identifiers get random names",
    "identifier": "rows are deleted; one that many people use stays, as nobody's",
    "touchpoint": "hers are stripped to id, source and instants; others' get random names for her"
    " identifiers; what came too late is never stored",
    "merge": "merges that she was part of are deleted; others' get random names",
    "evidence": "decisions of people get random names for her identifiers and lose their words",
    "cannot_link": "rows with one of her identifiers are deleted",
    "link_suggestion": "rows that name one of her profiles are deleted",
    "link_verdict": "rows that name one of her profiles are deleted",
    "deadline": "rows are deleted",
    "consent_change": "what hangs on her identifiers, or on her profile alone, is deleted",
    "group_member": "rows are deleted, and the other members are told",
    "linked_group": "a household that nobody is left in forgets its traits; others, and"
    " accounts, are nobody's own",
    "list_member": "rows are deleted",
    "list_upload": "rows of a file that waits still and name her are blanked",
    "audience_job": "conditions get random names for her identifiers",
    "export": "conditions that name her identifiers are emptied; one that is open still ends",
    "outbox": "what was not published yet of her is replaced or dropped",
    "privacy_subject": "holds her identifiers while she is being erased, and nothing afterwards",
    "privacy_export": "documents of her are deleted",
}
"""Every table that holds something of a person, and what erasure does to it."""

NOTHING_PERSONAL: Mapping[str, str] = {
    "touchpoint_duplicate": "ids and raw positions",
    "touchpoint_counter": "counts by source",
    "segment": "configuration",
    "segment_version": "configuration",
    "persona": "configuration",
    "persona_version": "configuration",
    "trait": "configuration",
    "trait_version": "configuration",
    "consent_purpose": "configuration",
    "consent_purpose_version": "configuration",
    "opt_out_rules": "configuration",
    "opt_out_rules_version": "configuration",
    "group_news": "ids of groups",
    "group_job": "progress",
    "export_part": "ids of profiles; who is gone is in no export",
    "definition_epoch": "one counter",
    "definition": "configuration",
    "event_stream": "configuration",
    "event_leaf": "configuration",
    "definition_job": "progress",
    "identity_rules": "configuration",
    "identity_rules_version": "configuration",
    "config_epoch": "one counter",
    "link_run": "progress, and who asked for it",
    "lease": "positions in topics",
    "member": "processes",
    "api_token": "holders of tokens, who are not customers",
    "audit_log": "who changed what; never the values of identifiers or traits",
    "privacy_request": "ids of profiles, progress and receipts",
    "suppression": "keyed hashes, which tell nothing without the key",
    "erased_profile": "ids of profiles that are gone",
    "erasure_epoch": "one counter",
}
"""Every other table, and what it holds."""

_FAMILY = text(
    """
    WITH RECURSIVE past (id) AS (
        SELECT unnest(CAST(:ids AS uuid[]))
        UNION
        SELECT merge.loser FROM past JOIN merge ON merge.winner = past.id
         WHERE undone_at IS NULL
    )
    SELECT id::text FROM past ORDER BY id
    """
)
_IDENTIFIERS = text(
    """
    SELECT type, value, status FROM identifier WHERE profile_id = ANY (CAST(:ids AS uuid[]))
    """
)
_DELETE_IDENTIFIERS = text(
    "DELETE FROM identifier WHERE id = ANY (CAST(:ids AS uuid[])) AND status <> 'shared'"
)
_NOBODYS = text(
    """
    UPDATE identifier SET profile_id = '00000000-0000-0000-0000-000000000000'
     WHERE id = ANY (CAST(:ids AS uuid[])) AND status = 'shared'
    """
)
_UNTIL = text(
    """
    SELECT coalesce(max(last_value), 0) AS until, clock_timestamp() AS at
      FROM pg_sequences
     WHERE schemaname = current_schema() AND sequencename = 'evidence_number_seq'
    """
)
_DELETES = {
    "deadline": text("DELETE FROM deadline WHERE profile_id = ANY (CAST(:family AS uuid[]))"),
    "consent_change": text(
        "DELETE FROM consent_change"
        " WHERE (profile_id = ANY (CAST(:family AS uuid[])) AND anchor IS NULL)"
        " OR anchor = ANY (CAST(:held AS uuid[]))"
    ),
    "group_member": text(
        "DELETE FROM group_member WHERE profile_id = ANY (CAST(:family AS uuid[]))"
    ),
    "list_member": text("DELETE FROM list_member WHERE profile_id = ANY (CAST(:family AS uuid[]))"),
    "merge": text(
        "DELETE FROM merge WHERE winner = ANY (CAST(:family AS uuid[]))"
        " OR loser = ANY (CAST(:family AS uuid[]))"
    ),
    "cannot_link": text(
        "DELETE FROM cannot_link WHERE one = ANY (CAST(:identifiers AS uuid[]))"
        " OR other = ANY (CAST(:identifiers AS uuid[]))"
    ),
    "link_suggestion": text(
        "DELETE FROM link_suggestion WHERE profile_a = ANY (CAST(:family AS uuid[]))"
        " OR profile_b = ANY (CAST(:family AS uuid[]))"
    ),
    "link_verdict": text(
        "DELETE FROM link_verdict WHERE profile_a = ANY (CAST(:family AS uuid[]))"
        " OR profile_b = ANY (CAST(:family AS uuid[]))"
    ),
    "profile": text("DELETE FROM profile WHERE id = ANY (CAST(:family AS uuid[]))"),
}


_TELL_GROUPS = text(
    """
    INSERT INTO group_news (group_id)
    SELECT DISTINCT group_id FROM group_member WHERE profile_id = ANY (CAST(:family AS uuid[]))
    RETURNING group_id::text
    """
)
_EMPTY_HOUSEHOLDS = text(
    """
    UPDATE linked_group SET traits = NULL, version = version + 1
      FROM (SELECT id FROM linked_group AS g
             WHERE id = ANY (CAST(:groups AS uuid[])) AND kind = 'household'
               AND traits IS NOT NULL
               AND NOT EXISTS (SELECT FROM group_member AS m WHERE m.group_id = g.id)
             ORDER BY id FOR UPDATE) AS empty
     WHERE linked_group.id = empty.id
    """
)


async def family(tx: AsyncConnection, ids: Collection[str]) -> list[str]:
    """The profiles and all that were merged into them, in order of id."""
    return list((await tx.execute(_FAMILY, {"ids": list(ids)})).scalars())


async def identifiers_of(tx: AsyncConnection, profiles: Collection[str]) -> dict[str, bool]:
    """Every identifier (`type NUL value`) that belongs to the profiles, and whether many people
    use it. Reads the whole table: a profile does not keep those beyond its cap."""
    rows = await tx.execute(_IDENTIFIERS, {"ids": list(profiles)})
    return {f"{row.type}\0{row.value}": row.status == "shared" for row in rows}


async def remove_identifiers(tx: AsyncConnection, ids: Collection[str]) -> int:
    """Delete identifiers (by id), and make nobody's what many people use; how many were deleted."""
    values = {"ids": sorted(ids)}
    await tx.execute(_NOBODYS, values)
    return (await tx.execute(_DELETE_IDENTIFIERS, values)).rowcount


async def remove_rows(
    tx: AsyncConnection,
    *,
    profiles: Sequence[str],
    identifiers: Collection[str],
    held: Collection[str],
) -> dict[str, int]:
    """Delete what names the profiles or the identifiers (by id), the profiles last; how many rows
    of each table. `held` are all identifiers of the profiles, those that many people use too: what
    was said hangs on them. The groups they belong to have news, and a household
    of nobody forgets what was said of it."""
    told = await tx.execute(_TELL_GROUPS, {"family": list(profiles)})
    groups = list(told.scalars())
    values = {"family": list(profiles), "identifiers": sorted(identifiers)}
    values["held"] = sorted(held)
    done = {
        table: (await tx.execute(statement, _only(statement.text, values))).rowcount
        for table, statement in _DELETES.items()
    }
    done["linked_group"] = (await tx.execute(_EMPTY_HOUSEHOLDS, {"groups": groups})).rowcount
    return done


def _only(statement: str, values: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {name: value for name, value in values.items() if f":{name}" in statement}


async def until(tx: AsyncConnection) -> tuple[int, object]:
    """The number of the last evidence so far, and the time."""
    row = (await tx.execute(_UNTIL)).one()
    return row.until, row.at


class Told(NamedTuple):
    """A touchpoint, and the version of the identity rules by which it was absorbed."""

    id: str
    body: bytes
    rules: int


_OWN = text(
    """
    SELECT t.id::text, t.body, coalesce(e.rules, 0) AS rules
      FROM touchpoint AS t LEFT JOIN evidence AS e ON e.batch = t.batch
     WHERE t.anchor = ANY (CAST(:anchors AS uuid[])) AND coalesce(e.number, 0) <= :until
     LIMIT :limit
    """
)
_STRIP = text(
    """
    UPDATE touchpoint SET anchor = NULL, reason = :reason, body = new.body
      FROM unnest(CAST(:ids AS uuid[]), CAST(:bodies AS bytea[])) AS new (id, body)
     WHERE touchpoint.id = new.id AND touchpoint.id = ANY (CAST(:ids AS uuid[]))
    """
)
_OWNED = text("SELECT type, value FROM identifier WHERE id = ANY (CAST(:ids AS uuid[]))")


async def own_touchpoints(
    tx: AsyncConnection, anchors: Collection[str], *, until: int, limit: int
) -> list[Told]:
    """Touchpoints that hang on the identifiers (by id), from before; those that were stripped hang
    on nothing any more."""
    values = {"anchors": list(anchors), "until": until, "limit": limit}
    return [Told(*row) for row in await tx.execute(_OWN, values)]


async def strip(tx: AsyncConnection, bodies: Mapping[str, bytes], *, reason: str) -> None:
    """Replace the bodies of touchpoints (by id), which hang on nothing from now on."""
    if bodies:
        values = {"ids": list(bodies), "bodies": list(bodies.values())}
        await tx.execute(_STRIP, values | {"reason": reason})


async def owned(tx: AsyncConnection, ids: Collection[str]) -> set[str]:
    """Those of the identifiers (by id) that belong to somebody, as `type NUL value`."""
    rows = await tx.execute(_OWNED, {"ids": list(ids)})
    return {f"{row.type}\0{row.value}" for row in rows}
