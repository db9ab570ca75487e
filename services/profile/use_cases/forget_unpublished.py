"""Takes people out of what waits in the outbox: it must not be published later."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from services.profile.domain import erased
from services.profile.use_cases.naming import change_id
from shared.contracts.times import rfc3339
from shared.contracts.topics import DEAD_LETTERS, Topics
from shared.kafka.messages import Message
from shared.postgres import outbox


class ErasedCause(msgspec.Struct, gc=False, kw_only=True):
    """The last thing that is ever said of a profile: everybody has to forget it."""

    kind: str = "erased"
    id: str
    at: str


async def forget_unpublished(
    tx: AsyncConnection, family: Sequence[str], keys: Sequence[str], *, at: datetime, topics: Topics
) -> int:
    """Updates that wait to be published keep their number and lose all else, those of others lose
    the identifiers; dead letters that name one are dropped."""
    ours = {one.encode() for one in family}
    values = [erased.quoted(key) for key in keys]
    blank = {erased.written(key): erased.written(_blank(key)) for key in keys}

    def change(topic: str, message: Message) -> Message | None:
        body = message.value or b""
        if topic == topics.profile_updates and message.key in ours:
            return message._replace(value=_forgotten(body, rfc3339(at)))
        if topic.endswith(DEAD_LETTERS) and any(value in body for value in values):
            return None
        changed = body
        for written, unwritten in blank.items():
            changed = changed.replace(written, unwritten)
        return message if changed == body else message._replace(value=changed)

    return await outbox.revise(tx, [*ours, *values], change) if ours else 0


def _blank(key: str) -> str:
    return f"{key.partition(chr(0))[0]}\0{erased.random_name('')}"


class _Numbered(msgspec.Struct):
    profile_id: str
    seq: int


def _forgotten(update: bytes, at: str) -> bytes:
    numbered = msgspec.json.decode(update, type=_Numbered)
    cause = ErasedCause(id=change_id(numbered.profile_id, numbered.seq), at=at)
    blank = {
        "id": numbered.profile_id,
        "status": "erased",
        "identifiers": [],
        "identifiers_total": 0,
        "traits": {},
        "computed": {},
        "created_at": at,
        "last_seen_at": at,
    }
    whole = {
        "profile_id": numbered.profile_id, "seq": numbered.seq, "cause": cause, "profile": blank,
    }  # fmt: skip
    return msgspec.json.encode(whole, order="deterministic")
