"""What a schema may hold, what it costs at most, and how an error names its place."""

import time
from typing import Any

import orjson
import pytest

from services.ingest.domain.event_schema import (
    DIALECT,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_ERRORS,
    MAX_PATTERN,
    MAX_PATTERNS,
    MAX_WORK,
    compile_schema,
    schema_mistakes,
)

ORDER: dict[str, Any] = {
    "$schema": DIALECT,
    "type": "object",
    "required": ["order_id", "total"],
    "properties": {
        "order_id": {"type": "string", "pattern": "^o-[0-9]+$"},
        "total": {"type": "number", "minimum": 0},
        "paid_at": {"format": "date-time"},
        "products": {"type": "array", "items": {"$ref": "#/$defs/product"}},
    },
    "additionalProperties": False,
    "$defs": {"product": {"type": "object", "properties": {"price": {"type": "number"}}}},
    "traits": {"required": ["email"]},
    "context": {"properties": {"locale": {"enum": ["fr-FR", "en-GB"]}}},
}


def errors(schema: dict[str, Any], **parts: Any) -> list[tuple[str, str]]:
    assert schema_mistakes(schema) == []
    event = {"properties": {}, "traits": {}, "context": {}, **parts}
    return [(one.path, one.rule) for one in compile_schema("Order", 1, schema).errors(event)]


def mistakes(schema: object) -> list[tuple[str, str]]:
    return [(one.path, one.rule) for one in schema_mistakes(schema)]


def test_an_event_that_keeps_its_schema() -> None:
    good = {"order_id": "o-1", "total": 5, "paid_at": "2026-01-02T03:04:05Z", "products": []}
    assert errors(ORDER, properties=good, traits={"email": "a@b.c"}) == []


def test_every_error_names_its_place_and_rule() -> None:
    bad = {
        "order_id": "17",
        "paid_at": "soon",
        "products": [{"price": 1}, {"price": "dear"}],
        "colour": "red",
    }
    found = errors(ORDER, properties=bad, context={"locale": "xx"})
    assert sorted(found) == [
        ("context.locale", "enum"),
        ("properties.colour", "additionalProperties"),
        ("properties.order_id", "pattern"),
        ("properties.paid_at", "format"),
        ("properties.products[1].price", "type"),
        ("properties.total", "required"),
        ("traits.email", "required"),
    ]


def test_messages_do_not_repeat_what_the_customer_typed() -> None:
    schema = {"properties": {"phone": {"type": "number"}, "mail": {"pattern": "^x$"}}}
    event = {"properties": {"phone": "0612345678", "mail": "a@b.c"}, "traits": {}, "context": {}}
    found = compile_schema("Order", 1, schema).errors(event)
    assert len(found) == 2
    assert not [one for one in found if "0612345678" in one.message or "a@b.c" in one.message]


@pytest.mark.parametrize(
    ("schema", "path", "rule"),
    [
        (7, "schema", "type"),
        ({"type": "strin"}, "schema.type", "anyOf"),
        ({"properties": []}, "schema.properties", "type"),
        ({"properties": {"a": {"minimum": "x"}}}, "schema.properties.a.minimum", "type"),
        ({"patern": "x"}, "schema.patern", "unknown_field"),
        ({"traits": 7}, "schema.traits", "type"),
        ({"traits": {"type": 8}}, "schema.traits.type", "anyOf"),
        ({"format": "emial"}, "schema.format", "format"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "schema.$schema", "dialect"),
        ({"items": {"$id": "https://a.example/b"}}, "schema.items.$id", "unknown_field"),
        ({"$ref": "https://a.example/b"}, "schema.$ref", "remote_reference"),
        ({"$ref": "file:///etc/passwd"}, "schema.$ref", "remote_reference"),
        ({"$ref": "#/%24defs/a", "$defs": {"a": {}}}, "schema.$ref", "remote_reference"),
        (
            {"properties": {"const": {"$ref": "//a.example"}}},
            "schema.properties.const.$ref",
            "remote_reference",
        ),
        ({"$dynamicRef": "#a"}, "schema.$dynamicRef", "unknown_field"),
        ({"$ref": "#/$defs/no"}, "schema.$ref", "unknown_reference"),
        ({"$ref": "#"}, "schema.$ref", "recursive_reference"),
        (
            {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
            "schema.$defs.a.items.$ref",
            "recursive_reference",
        ),
        ({"pattern": "(?=a)b"}, "schema.pattern", "pattern"),
        ({"pattern": r"(a)\1"}, "schema.pattern", "pattern"),
        ({"pattern": "(a"}, "schema.pattern", "pattern"),
        ({"pattern": "(a{100}){1000}"}, "schema.pattern", "pattern"),
        ({"pattern": "a" * (MAX_PATTERN + 1)}, "schema.pattern", "max_length"),
        (
            {"patternProperties": {"a" * (MAX_PATTERN + 1): {}}},
            "schema.patternProperties",
            "max_length",
        ),
        (
            {"allOf": [{"pattern": "a"}] * (MAX_PATTERNS + 1)},
            f"schema.allOf[{MAX_PATTERNS}].pattern",
            "max_patterns",
        ),
        ({"title": "x" * MAX_BYTES}, "schema", "max_bytes"),
    ],
)
def test_what_is_refused_and_where(schema: object, path: str, rule: str) -> None:
    # Equal subschemas become objects of their own, as they do when a body is read.
    assert (path, rule) in mistakes(orjson.loads(orjson.dumps(schema)))


def test_a_misspelt_keyword_gets_a_hint() -> None:
    (mistake,) = schema_mistakes({"requird": ["a"]})
    assert 'Did you mean "required"?' in mistake.message


def test_notes_of_tools_are_taken() -> None:
    assert mistakes({"$id": "https://a.example/b", "x-owner": "shop", "title": "Order"}) == []


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"items": schema}
    return schema


def test_depth() -> None:
    assert mistakes(nested(MAX_DEPTH)) == []
    assert mistakes(nested(MAX_DEPTH + 1)) == [("schema", "max_depth")]
    assert mistakes(nested(5_000)) == [("schema", "max_depth")]


def test_references_cannot_multiply() -> None:
    twice = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)}
    schema = {"$ref": "#/$defs/d0", "$defs": {**twice, "d60": {}}}
    assert ("schema", "max_work") in mistakes(orjson.loads(orjson.dumps(schema)))


def test_references_cannot_queue_up() -> None:
    chain = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(1_500)}
    found = mistakes({"$ref": "#/$defs/d0", "$defs": {**chain, "d1500": {}}})
    assert "max_depth" in {rule for _, rule in found}
    assert max(len(path) for path, _ in found) <= 200


def test_patterns_take_linear_time() -> None:
    schema = {"properties": {"a": {"pattern": "^(x+x+)+y$"}}}
    started = time.process_time()
    assert errors(schema, properties={"a": "x" * 200_000}) == [("properties.a", "pattern")]
    assert time.process_time() - started < 1


def test_a_large_part_names_its_first_error_only() -> None:
    schema = {"properties": {"list": {"items": {"type": "string"}}}}
    started = time.process_time()
    assert errors(schema, properties={"list": [1] * 200_000}) == [("properties.list[0]", "type")]
    assert time.process_time() - started < 1
    assert len(errors(schema, properties={"list": [1] * 50})) == MAX_ERRORS


def test_the_widest_schema_is_taken() -> None:
    wide = {"properties": {f"p{n}": {"type": "string"} for n in range(MAX_WORK - 1)}}
    assert mistakes(wide) == []
    wide["properties"]["more"] = {}
    assert mistakes(wide) == [("schema", "max_work")]
