"""Register event leaves, which snapshots carry from then on."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncEngine

from services.profile.storage import definition_jobs, definitions
from services.profile.storage.definitions import LeafRow, Stored
from services.profile.use_cases.keep_streams import event_leaf, put_streams
from shared.conditions.leaves import leaf_hash
from shared.conditions.tree import EventCount, to_json
from shared.errors import Problem, Unprocessable
from shared.postgres import audit
from shared.postgres.transaction import transaction

MAX_LEAVES = 1_000
LEAVES = "leaves"


async def register_leaves(
    engine: AsyncEngine, leaves: Sequence[EventCount], *, who: audit.Who
) -> list[str]:
    """The hashes of event leaves, which snapshots carry from now on; registering again is free.

    A larger count of a leaf that is there makes it remember more.
    """
    async with transaction(engine) as tx:
        await definitions.exclude(tx)
        stored = await definitions.load(tx)
        known = {row.hash: event_leaf(row.body) for row in stored.leaves}
        new: dict[str, EventCount] = {}
        for leaf in leaves:
            name = leaf_hash(leaf)
            there = new.get(name) or known.get(name)
            if there is None or there.count < leaf.count:
                new[name] = leaf
        if new:
            if len(known | new) > MAX_LEAVES:
                rule = Problem("leaves", "too_many", f"at most {MAX_LEAVES} are kept")
                raise Unprocessable("too many event leaves", [rule])
            epoch = await definitions.bump(tx)
            rows = [row for row in stored.leaves if row.hash not in new]
            for name, leaf in sorted(new.items()):
                await definitions.put_leaf(tx, name, to_json(leaf), since=epoch)
                rows.append(LeafRow(name, epoch, to_json(leaf)))
            after = Stored(stored.rows, rows, stored.streams)
            await put_streams(tx, after, stored, epoch)
            await definition_jobs.insert(tx, epoch=epoch, kind=LEAVES, key="")
            await audit.append(
                tx,
                who=who,
                kind=LEAVES,
                key=",".join(sorted(new))[:200],
                action="register",
                before=None,
                after={name: to_json(leaf) for name, leaf in new.items()},
            )
        return [leaf_hash(leaf) for leaf in leaves]
