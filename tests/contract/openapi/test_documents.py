"""The committed documents are what the code makes, and a user of them keeps working.

When a test here fails after a change: `python -m tests.contract.openapi` writes the documents
anew, unless the change would break somebody.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.contracts.profile_update import ProfileSnapshot, ProfileUpdate
from tests.contract.openapi.__main__ import ACCEPT, main
from tests.contract.openapi.compatible import Document
from tests.contract.openapi.documents import (
    FOLDER,
    breaking_changes,
    documents,
    text_of,
    write,
    written,
)
from tests.contract.openapi.wire_schemas import MESSAGES, wire_schemas


@pytest.fixture(scope="module")
def made() -> dict[str, Document]:
    return documents()


def test_there_is_a_document_for_every_api_and_every_message(made: dict[str, Document]) -> None:
    apis = {f"openapi-{name}.json" for name in ("ingest", "profile", "orchestrator")}
    messages = {f"{name}.schema.json" for name in MESSAGES}
    assert set(made) == apis | messages == {path.name for path in FOLDER.glob("*.json")}


def test_the_committed_documents_break_nobody(made: dict[str, Document]) -> None:
    found = {name: breaking_changes(name, json.loads(written(name)), made[name]) for name in made}
    assert found == {name: [] for name in made}


def test_the_committed_documents_are_fresh(made: dict[str, Document]) -> None:
    stale = [name for name, document in made.items() if written(name) != text_of(document)]
    assert not stale, "run python -m tests.contract.openapi"


def shown(operation: Document) -> Document:
    """The media types of what an operation answers when all is well."""
    content: Document = operation["responses"].get("200", {}).get("content", {})
    return content


def test_every_operation_says_what_it_does_and_how_it_fails(made: dict[str, Document]) -> None:
    operations = {
        f"{name} {method} {path}": operation
        for name, document in made.items()
        if name.startswith("openapi-")
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    silent = [
        where
        for where, operation in operations.items()
        if not operation.get("description") and not operation["summary"].endswith(".")
    ]
    assert not silent
    page, problem = "text/html", "application/problem+json"
    other_errors = [
        where
        for where, operation in operations.items()
        if "422" in operation["responses"]
        or set(operation["responses"]["default"]["content"])
        != ({page, problem} if page in shown(operation) else {problem})
    ]
    assert not other_errors


def test_writing_refuses_what_breaks_somebody(tmp_path: Path, made: dict[str, Document]) -> None:
    assert write(tmp_path, accept_breaking=False) == []
    name = "touchpoint.schema.json"
    promised = json.loads((tmp_path / name).read_text())
    fields = promised["$defs"]["Touchpoint"]["properties"]
    fields["promised"] = {"type": "string"}
    (tmp_path / name).write_text(text_of(promised))
    assert write(tmp_path, accept_breaking=False) == [f"{name}: /promised: removed"]
    assert (tmp_path / name).read_text() == text_of(promised)
    assert write(tmp_path, accept_breaking=True) == [f"{name}: /promised: removed"]
    assert (tmp_path / name).read_text() == text_of(made[name])


def test_the_command_takes_one_option_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--force"]) == 2
    assert ACCEPT in capsys.readouterr().out


def test_the_schema_of_an_update_describes_its_undecoded_parts() -> None:
    """`cause` and `profile` are not decoded by the model; their own models stand in the schema."""
    schema = wire_schemas()["profile-update"]["$defs"]
    snapshot: Any = msgspec.json.schema(ProfileSnapshot)["$defs"]["ProfileSnapshot"]
    assert schema["ProfileSnapshot"] == snapshot
    assert set(schema["ProfileUpdate"]["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(ProfileUpdate)
    }
    assert {form["$ref"] for form in schema["ProfileUpdate"]["properties"]["cause"]["anyOf"]} == {
        "#/$defs/Touchpoint",
        "#/$defs/OtherCause",
    }
