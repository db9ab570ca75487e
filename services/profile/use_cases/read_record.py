"""Reads a record of topic `touchpoints`, which is our own: anything else there is a fault."""

import re
from typing import NamedTuple

import msgspec

from services.profile.domain.absorb import Rules
from services.profile.domain.absorbed import Arrival
from services.profile.domain.identity import usable
from shared.contracts.touchpoint import envelope_decoder
from shared.errors import PartitionStopped
from shared.kafka.records import Place, Record

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
_INSTANTS = re.compile(f"{_INSTANT} {_INSTANT}", re.ASCII)


class Incoming(NamedTuple):
    """A record and the touchpoint in it."""

    record: Record
    arrival: Arrival


def read_record(record: Record, rules: Rules) -> Incoming:
    """The touchpoint of a record, with the identifiers that count. Raises PartitionStopped."""
    body = record.value
    if body is None:
        raise _corrupt(record, "it is empty")
    try:
        touchpoint = envelope_decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise _corrupt(record, str(error)) from error
    if not _ID.fullmatch(touchpoint.id):
        raise _corrupt(record, f"{touchpoint.id!r} is no id")
    instants = f"{touchpoint.occurred_at} {touchpoint.received_at}"
    if not _INSTANTS.fullmatch(instants):
        raise _corrupt(record, f"{instants!r} are no instants with milliseconds in UTC")
    named = usable(touchpoint.identifiers, rules.identity)
    return Incoming(record, Arrival(touchpoint, body, named))


def _corrupt(record: Record, problem: str) -> PartitionStopped:
    place = Place(record.topic, record.partition)
    return PartitionStopped(str(place), f"offset {record.offset} is no touchpoint: {problem}")
