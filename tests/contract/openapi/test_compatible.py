"""The checker itself: each kind of break is found, each kind of addition passes."""

from copy import deepcopy
from typing import Any

import pytest

from tests.contract.openapi.compatible import (
    Document,
    breaking_api_changes,
    breaking_schema_changes,
)

MESSAGE: Document = {
    "$ref": "#/$defs/Message",
    "$defs": {
        "Message": {
            "title": "Message",
            "type": "object",
            "properties": {
                "id": {"type": "string", "maxLength": 10},
                "kind": {"type": "string", "enum": ["a", "b"]},
                "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Message"}},
                "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
                "free": {},
            },
            "required": ["id", "kind"],
        }
    },
}


def changed(path: str, value: Any) -> Document:
    """MESSAGE with the node at the dotted path of its one definition set (None: removed)."""
    copy = deepcopy(MESSAGE)
    node = copy["$defs"]["Message"]
    *steps, last = path.split(".")
    for step in steps:
        node = node[step]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("properties.note", None, "/note: removed"),
        ("properties.id.type", "integer", "/id: string no longer taken"),
        ("properties.note", {"type": "string"}, "/note: null no longer taken"),
        ("properties.free", {"type": "string"}, "/free: anything no longer taken"),
        ("properties.id", {}, "/id: may now be anything"),
        ("properties.id.maxLength", 9, "/id: maxLength is now 9"),
        ("properties.id.minLength", 1, "/id: minLength is now 1"),
        ("properties.id.pattern", "^x", "/id: pattern is now ^x"),
        ("properties.kind.enum", ["a"], "/kind: 'b' no longer among the values"),
        ("properties.counts.additionalProperties.type", "string", "/counts/*: integer no longer"),
        ("properties.counts.additionalProperties", False, "/counts: unknown fields are now"),
        ("properties.parts.items", {"type": "string"}, "/parts[]: object no longer taken"),
        ("required", ["id", "kind", "note"], "/note: became required"),
        ("required", ["id"], "/kind: no longer always there"),
    ],
)
def test_what_breaks_a_message_is_found(path: str, value: Any, said: str) -> None:
    found = breaking_schema_changes(MESSAGE, changed(path, value))
    assert [line for line in found if line.startswith(said)], found


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("properties.added", {"type": "string"}),
        ("properties.kind.enum", ["a", "b", "c"]),
        ("properties.id.maxLength", 20),
        ("properties.id.description", "words"),
    ],
)
def test_an_addition_to_a_message_passes(path: str, value: Any) -> None:
    assert breaking_schema_changes(MESSAGE, changed(path, value)) == []


def api() -> Document:
    return {
        "paths": {
            "/things/{key}": {
                "put": {
                    "parameters": [
                        {
                            "in": "path",
                            "name": "key",
                            "required": True,
                            "schema": {"type": "string"},
                        },
                        {"in": "query", "name": "dry", "schema": {"type": "boolean"}},
                    ],
                    "requestBody": {
                        "content": {"application/json": {"schema": {"$ref": "#/components/Thing"}}}
                    },
                    "responses": {
                        "200": {
                            "content": {
                                "application/json": {"schema": {"$ref": "#/components/Thing"}}
                            }
                        }
                    },
                }
            }
        },
        "components": {
            "Thing": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
                "required": ["name"],
            }
        },
    }


def test_the_same_api_breaks_nobody() -> None:
    assert breaking_api_changes(api(), api()) == []


def test_what_breaks_a_client_is_found() -> None:
    new = api()
    put = new["paths"]["/things/{key}"]["put"]
    put["parameters"] = [
        {"in": "path", "name": "key", "required": True, "schema": {"type": "integer"}},
        {"in": "header", "name": "If-Match", "required": True, "schema": {"type": "string"}},
    ]
    put["requestBody"]["required"] = True
    new["components"]["Thing"]["required"] = ["name", "size"]
    where = "PUT /things/{key}"
    assert breaking_api_changes(api(), new) == [
        f"{where} body/size: became required",
        f"{where} header If-Match: new and required",
        f"{where} path key: string no longer taken",
        f"{where} query dry: removed",
        f"{where}: a body became required",
    ]


def test_an_answer_may_promise_more_but_not_less() -> None:
    more, less = api(), api()
    more["components"]["Thing"]["properties"]["added"] = {"type": "string"}
    assert breaking_api_changes(api(), more) == []
    less["components"]["Thing"]["required"] = []
    assert breaking_api_changes(api(), less) == [
        "PUT /things/{key} 200/name: no longer always there"
    ]


def test_removed_paths_answers_and_media_types_are_found() -> None:
    gone, silent, other = api(), api(), api()
    gone["paths"] = {}
    assert breaking_api_changes(api(), gone) == ["PUT /things/{key}: removed"]
    silent["paths"]["/things/{key}"]["put"]["responses"] = {}
    assert breaking_api_changes(api(), silent) == ["PUT /things/{key} 200: removed"]
    other["paths"]["/things/{key}"]["put"]["responses"]["200"] = {"content": {"text/csv": {}}}
    assert breaking_api_changes(api(), other) == ["PUT /things/{key} 200: application/json removed"]
