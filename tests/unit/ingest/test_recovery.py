"""Steps on the JSON of a failed event: what they change, what they leave, what they refuse."""

import json
from typing import Any

import pytest

from services.ingest.domain.recovery import Step, corrected, is_path
from shared.contracts.dead_letter import Headers
from shared.errors import InvalidData
from tests.unit.ingest.reading import NATIVE, read


def after(event: Any, *steps: Step) -> Any:
    """The event after the steps."""
    raw = event if isinstance(event, bytes) else json.dumps(event).encode()
    return json.loads(corrected(raw, steps, ()))


def replace(path: str, value: Any) -> Step:
    return Step(op="replace", path=path, value=value)


def remove(path: str) -> Step:
    return Step(op="remove", path=path)


def cast(path: str, to: Any) -> Step:
    return Step(op="cast", path=path, to=to)


ITEMS = {"properties": {"items": [{"price": "1.5"}, {"price": "2"}, {"name": "x"}]}}


@pytest.mark.parametrize(
    ("event", "step", "expected"),
    [
        ({"a": 1}, replace("a", [2]), {"a": [2]}),
        ({}, replace("a.b.c", 1), {"a": {"b": {"c": 1}}}),
        ({"a": None}, replace("a.b", 1), {"a": {"b": 1}}),
        ({"a": [1, 2]}, replace("a[1]", 9), {"a": [1, 9]}),
        ({"a": [1, 2]}, replace("a[7]", 9), {"a": [1, 2]}),
        ({"a": [{}, {}]}, replace("a[*].b", 1), {"a": [{"b": 1}, {"b": 1}]}),
        ({"a": {"b": 1, "c": 2}}, remove("a.b"), {"a": {"c": 2}}),
        ({"a": [1, 2, 3]}, remove("a[1]"), {"a": [1, 3]}),
        ({"a": [1, 2, 3]}, remove("a[*]"), {"a": []}),
        ({"a": 1}, remove("b.c"), {"a": 1}),
        ({"a": 1}, remove("a.c"), {"a": 1}),
        ({"a": "0012.50"}, cast("a", "number"), {"a": 12.5}),
        ({"a": " -7 "}, cast("a", "number"), {"a": -7}),
        ({"a": 12345678901234567}, cast("a", "string"), {"a": "12345678901234567"}),
        ({"a": True}, cast("a", "string"), {"a": "true"}),
        ({"a": "Yes"}, cast("a", "boolean"), {"a": True}),
        ({"a": 0}, cast("a", "boolean"), {"a": False}),
        ({"a": 1763712000}, cast("a", "time"), {"a": "2025-11-21T08:00:00.000Z"}),
        ({"a": 1763712000123}, cast("a", "time"), {"a": "2025-11-21T08:00:00.123Z"}),
        ({"a": "1763712000"}, cast("a", "time"), {"a": "2025-11-21T08:00:00.000Z"}),
        ({"a": "2025-11-21T09:00+01:00"}, cast("a", "time"), {"a": "2025-11-21T08:00:00.000Z"}),
        ({"a": None}, cast("a", "number"), {"a": None}),
        ({}, cast("a.b", "number"), {}),
        (
            ITEMS,
            cast("properties.items[*].price", "number"),
            {"properties": {"items": [{"price": 1.5}, {"price": 2}, {"name": "x"}]}},
        ),
    ],
)
def test_a_step_changes_what_its_path_names(event: Any, step: Step, expected: Any) -> None:
    assert after(event, step) == expected


def test_steps_come_one_after_the_other() -> None:
    steps = [replace("b", "7"), cast("b", "number"), remove("a"), replace("c", {"d": 1})]
    assert after({"a": 1}, *steps, replace("c.d", 2)) == {"b": 7, "c": {"d": 2}}


def test_a_value_is_not_shared_between_places() -> None:
    steps = [replace("a[*].b", {}), replace("a[0].b.c", 1)]
    assert after({"a": [{}, {}]}, *steps) == {"a": [{"b": {"c": 1}}, {"b": {}}]}


@pytest.mark.parametrize(
    ("event", "step", "path"),
    [
        ({"a": "x"}, cast("a", "number"), "a"),
        ({"a": True}, cast("a", "number"), "a"),
        ({"a": "1e999"}, cast("a", "number"), "a"),
        ({"a": {}}, cast("a", "string"), "a"),
        ({"a": 2}, cast("a", "boolean"), "a"),
        ({"a": "soon"}, cast("a", "time"), "time"),
        ({"a": 1e300}, cast("a", "time"), "a"),
        ({"a": 1}, replace("a.b", 1), "a.b"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(event: Any, step: Step, path: str) -> None:
    with pytest.raises(InvalidData) as refused:
        after(event, step)
    assert (refused.value.reason, refused.value.path) == ("spec_violation", path)


@pytest.mark.parametrize(
    "raw",
    [
        *(None, b"", b"no json", b"7", b"[]", b'{"a":1,"a":2}', b"\xff"),
        *(b'{"a":' * 40 + b"1" + b"}" * 40, b"[" * 100_000, b'{"a":' * 100_000),
    ],
)
def test_what_is_no_object_is_refused(raw: bytes | None) -> None:
    with pytest.raises(InvalidData) as refused:
        corrected(raw, [remove("a")], ())
    assert refused.value.reason == "malformed_payload"


@pytest.mark.parametrize("raw", [None, b"", b"no json", b'{ "a": 1.10 }'])
def test_without_steps_the_bytes_stay(raw: bytes | None) -> None:
    assert corrected(raw, [], ()) == (raw or b"")


@pytest.mark.parametrize("bad", ["NaN", "Infinity", '"a\\u0000b"', "1e400"])
def test_what_no_reader_takes_can_be_taken_out(bad: str) -> None:
    text = json.dumps({**NATIVE, "properties": {"total": 7}}).replace("7}", f"{bad}}}")
    with pytest.raises(InvalidData):
        read(text.encode())
    untouched = corrected(text.encode(), [replace("properties.other", 1)], ())
    with pytest.raises(InvalidData):
        read(untouched)
    assert read(corrected(text.encode(), [remove("properties.total")], ())).properties == {}


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("a", True),
        ("a.b[0].c[*]", True),
        ("properties.order id", True),
        ("", False),
        (".a", False),
        ("a..b", False),
        ("a[x]", False),
        ("[0]", False),
        ("a.", False),
        ("a" * 257, False),
    ],
)
def test_paths(path: str, is_one: bool) -> None:
    assert is_path(path) is is_one


def test_the_header_makes_it_historical() -> None:
    assert read(NATIVE, {"concert-historical": "true"}).historical
    assert not read(NATIVE).historical


FORM: Headers = (("content-type", b"application/x-www-form-urlencoded"),)


def test_the_fields_of_a_form_are_corrected() -> None:
    steps = [replace("when", "2025-01-02"), remove("odd")]
    value = corrected(b"when=soon&odd=%00&name=Ada+L&tag=a&tag=b", steps, FORM)
    assert json.loads(value) == {"when": "2025-01-02", "name": "Ada L", "tag": ["a", "b"]}
    assert json.loads(corrected(b'{"a":1}', [remove("a")], FORM)) == {}, "stated wrong"
    with pytest.raises(InvalidData):
        corrected(b"when=soon", steps, ())
