"""Which ids corrected events keep: those that were made of what was published."""

import json
from typing import Any

import pytest

from services.ingest.domain.ids_before import (
    id_before,
    item_ids_before,
    refuse_another_id,
    refuse_other_item_ids,
)
from services.ingest.domain.mapping import parse_mapping
from services.ingest.domain.recovery import Step, corrected
from services.ingest.domain.replayed import message_id_header
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData
from tests.unit.ingest.reading import NATIVE, read
from tests.unit.ingest.test_webhook import reads


def replace(path: str, value: Any) -> Step:
    return Step(op="replace", path=path, value=value)


def remove(path: str) -> Step:
    return Step(op="remove", path=path)


def test_an_event_without_id_keeps_the_one_of_its_first_body() -> None:
    named = {name: value for name, value in NATIVE.items() if name != "id"}
    published = read(named)
    raw = json.dumps(named).encode()
    value = corrected(raw, [replace("properties.total", 1)], ())
    fixed = read(value)
    assert fixed.id != published.id
    before = id_before(raw, value, fixed.message_id)
    assert before == published.message_id
    assert read(value, dict(message_id_header([before]))).id == published.id
    assert read(value, {"concert-message-id": "forged"}).id == fixed.id


def test_a_segment_call_without_id_keeps_its_own_too() -> None:
    call = {"type": "track", "event": "Seen", "userId": "u1", "sentAt": "2025-11-21T08:00:00Z"}
    raw = json.dumps(call).encode()
    value = corrected(raw, [replace("event", "Left")], ())
    assert id_before(raw, value, read(value).message_id) == read(call).message_id


def test_an_event_with_an_id_needs_no_other() -> None:
    raw = json.dumps(NATIVE).encode()
    value = corrected(raw, [remove("occurred_at")], ())
    assert id_before(raw, value, read(value).message_id) is None
    assert id_before(raw, raw, "sha256:0") is None


def test_a_body_that_never_had_an_id_gets_one_all_the_same() -> None:
    named = {name: value for name, value in NATIVE.items() if name != "id"}
    raw = json.dumps({**named, "n": 2**70}).encode()
    found = set()
    for step in (remove("n"), replace("n", 7)):
        value = corrected(raw, [step], ())
        found.add(id_before(raw, value, read(value).message_id))
    assert len(found) == 1
    assert None not in found


ROWS: dict[str, Any] = {"each": "rows", "type": {"const": "Row"}, "occurred_at": "at"}
GOOD = {"at": "2025-01-02T03:04:05Z", "n": 1}
BAD = {"at": "soon", "n": 2}


@pytest.mark.parametrize(
    ("event", "step", "allowed"),
    [
        ({"messageId": "m"}, replace("messageId", "n"), False),
        ({"messageId": "m"}, remove("messageId"), False),
        ({"messageId": "m"}, replace("id", "n"), True),
        ({"id": 7}, Step(op="cast", path="id", to="string"), True),
        ({"id": "m", "n": float("nan")}, remove("n"), True),
        ({"id": "m", "n": float("nan")}, replace("id", "n"), False),
        ({"id": {}}, replace("id", "n"), False),
        ({"id": {}}, remove("id"), True),
        ({"type": "x"}, replace("messageId", "n"), False),
        ({"id": "m", "source": "a", "specversion": "1.0"}, replace("source", "b"), False),
    ],
)
def test_steps_never_change_an_event_s_own_id(
    event: dict[str, Any], step: Step, allowed: bool
) -> None:
    raw = json.dumps(event).encode()
    value = corrected(raw, [step], ())
    if allowed:
        refuse_another_id(raw, value, (), moved=False)
    else:
        with pytest.raises(InvalidData, match="id"):
            refuse_another_id(raw, value, (), moved=False)


def test_a_wrong_source_may_be_put_right() -> None:
    raw = json.dumps({"id": "m", "source": "shpo"}).encode()
    refuse_another_id(raw, corrected(raw, [replace("source", "shop")], ()), (), moved=True)


def test_ids_that_a_mapping_finds_stay_too() -> None:
    mapping = parse_mapping({"each": "rows", "type": {"const": "Row"}, "id": "no"})
    raw = json.dumps({"rows": [{"no": 1, "at": "soon"}, {"no": 2}]}).encode()
    for step in (remove("rows[0].at"), remove("rows[0]")):
        refuse_other_item_ids(raw, corrected(raw, [step], ()), (), mapping)
    with pytest.raises(InvalidData, match="ids"):
        refuse_other_item_ids(raw, corrected(raw, [replace("rows[0].no", 9)], ()), (), mapping)


def ids(body: Any, mapping: dict[str, Any], *steps: Step, headers: Headers = ()) -> list[str]:
    """The ids of the touchpoints of a webhook's body after a replay with these steps."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    value = corrected(raw, steps, headers)
    before = item_ids_before(raw, value, headers, parse_mapping(mapping))
    found = reads(value, mapping, (*headers, *message_id_header(before)))
    assert not found.failures
    return [one.id for one in found.touchpoints]


def test_items_keep_the_ids_of_what_was_published() -> None:
    body = {"rows": [BAD, GOOD, {**BAD, "n": 3}]}
    published = reads(body, ROWS).touchpoints
    one = ids(body, ROWS, remove("rows[*].at"))
    other = ids(body, ROWS, replace("rows[0].at", GOOD["at"]), replace("rows[2]", {"n": 9}))
    assert one == other
    assert len(set(one)) == 3
    assert one[1] == published[0].id, "the neighbour that got through"


def test_items_that_were_none_before_have_ids_of_the_body() -> None:
    body = {"rows": "none", "n": 1}
    one = ids(body, ROWS, replace("rows", [GOOD, GOOD]))
    assert one == ids(body, ROWS, replace("rows", [{"n": 1}, {"n": 2}]))
    assert len(set(one)) == 2
    assert set(one).isdisjoint(ids({**body, "n": 2}, ROWS, replace("rows", [GOOD, GOOD])))


@pytest.mark.parametrize("mapping", [ROWS, {**ROWS, "id": "$.order"}])
def test_steps_that_move_items_are_refused_where_place_is_all_there_is(
    mapping: dict[str, Any],
) -> None:
    body = {"order": "o-1", "rows": [BAD, GOOD]}
    with pytest.raises(InvalidData) as refused:
        ids(body, mapping, remove("rows[0]"))
    assert (refused.value.reason, refused.value.path) == ("spec_violation", "mapping.each")


def test_items_with_ids_of_their_own_may_go() -> None:
    body = {"rows": [BAD, GOOD]}
    mapping = {**ROWS, "id": "n"}
    assert ids(body, mapping, remove("rows[0]")) == [reads(body, mapping).touchpoints[0].id]


def test_a_form_keeps_its_id_too() -> None:
    form = (("content-type", b"application/x-www-form-urlencoded"),)
    mapping = {"type": {"const": "Sent"}, "occurred_at": "at"}
    (published,) = reads(b"at=2025-01-02&n=1", mapping, form).touchpoints
    assert ids(b"at=2025-01-02&n=1", mapping, remove("n"), headers=form) == [published.id]
    assert ids(b"n=1&at=2025-01-02", mapping, remove("at"), headers=form) == [published.id]
