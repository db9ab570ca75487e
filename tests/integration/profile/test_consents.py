"""Consents: recorded under the profile's lock, told with the next number."""

from collections.abc import Sequence

import pytest

from services.profile.domain.consent import MAX_CONSENTS
from services.profile.domain.consent_change import ConsentChange
from services.profile.domain.profile import StoredProfile
from services.profile.use_cases.change_consents import change_consents
from shared.contracts.times import parse_rfc3339
from shared.contracts.topics import Topics
from shared.errors import NotFound, PreconditionFailed, Unprocessable
from shared.kafka.messages import OutboxBuffer
from shared.postgres import outbox
from shared.postgres.transaction import transaction
from tests.integration.profile.worker import Worker
from tests.unit.profile.world import touchpoint

MAIL, BROWSER = ("email", "e@x.y"), ("anonymous_id", "a")
AT = parse_rfc3339("2026-11-22T10:00:00.000Z")
GRANTED = ConsentChange("marketing", "email", "granted", "consent")


async def change(
    worker: Worker,
    profile_id: str,
    changes: Sequence[ConsentChange],
    expected_version: int | None = None,
) -> StoredProfile:
    messages = OutboxBuffer(worker.counts)
    async with transaction(worker.engine) as tx:
        stored = await change_consents(
            tx,
            profile_id,
            changes,
            at=AT,
            actor="somebody",
            topics=Topics(),
            messages=messages,
            rules=worker.rules,
            expected_version=expected_version,
        )
        await outbox.append(tx, messages)
    return stored


async def test_a_consent_is_recorded_and_told(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL))
    (person,) = await worker.active()
    await change(worker, person.id, [GRANTED], expected_version=1)
    (person,) = await worker.active()
    assert person.version == 2
    told = (await worker.updates())[-1]
    assert told["seq"] == 2
    assert told["cause"]["kind"] == "consent_changed"
    (line,) = await worker.rows("SELECT id::text, what, proof FROM consent_change")
    assert line[1:] == ("granted", {"source": "api", "actor": "somebody"})
    assert told["profile"]["consents"] == [
        {
            "purpose": "marketing",
            "channel": "email",
            "status": "granted",
            "basis": "consent",
            "at": "2026-11-22T10:00:00.000Z",
            "proof": line[0],
        }
    ]
    await worker.absorb(touchpoint(2, MAIL))
    assert (await worker.updates())[-1]["profile"]["consents"] == told["profile"]["consents"]


async def test_saying_it_again_is_no_change(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL))
    (person,) = await worker.active()
    await change(worker, person.id, [GRANTED])
    stored = await change(worker, person.id, [GRANTED])
    assert stored.seq == 2
    assert len(await worker.updates()) == 2


async def test_an_old_id_means_the_profile_it_became(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL), touchpoint(2, BROWSER))
    old = (await worker.active())[1].id
    await worker.absorb(touchpoint(3, MAIL, BROWSER))
    stored = await change(worker, old, [GRANTED])
    assert stored.id != old
    assert [one.id for one in await worker.active()] == [stored.id]


async def test_a_lost_race_and_an_unknown_profile_are_refused(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL))
    (person,) = await worker.active()
    with pytest.raises(PreconditionFailed):
        await change(worker, person.id, [GRANTED], expected_version=9)
    with pytest.raises(NotFound):
        await change(worker, "00000000-0000-7000-8000-000000000000", [GRANTED])


async def test_a_profile_holds_so_many_consents(worker: Worker) -> None:
    await worker.absorb(touchpoint(1, MAIL))
    (person,) = await worker.active()
    crowd = [ConsentChange("marketing", f"c{n}", "denied") for n in range(MAX_CONSENTS + 1)]
    with pytest.raises(Unprocessable):
        await change(worker, person.id, crowd)
    assert (await worker.active())[0].version == 1
