"""Where the contract documents stand, how they are written, and what must not happen to them."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.contract.openapi.apis import api_documents
from tests.contract.openapi.compatible import (
    Document,
    breaking_api_changes,
    breaking_schema_changes,
)
from tests.contract.openapi.wire_schemas import wire_schemas

FOLDER = Path(__file__).parents[3] / "docs" / "contracts"


def documents() -> dict[str, Document]:
    """Every document by its file name, as the code makes it now."""
    found = {f"{name}.schema.json": schema for name, schema in wire_schemas().items()}
    return found | {f"openapi-{name}.json": api for name, api in api_documents().items()}


def written(name: str) -> str:
    """The text of the committed document. Raises FileNotFoundError when there is none."""
    return (FOLDER / name).read_text(encoding="utf-8")


def text_of(document: Document) -> str:
    """The one way a document is written, so that a difference is a difference in meaning."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def breaking_changes(name: str, old: Document, new: Document) -> list[str]:
    """What `new` takes away from those who use the document `old` of this name."""
    check: Callable[[Document, Document], list[str]] = (
        breaking_schema_changes if name.endswith(".schema.json") else breaking_api_changes
    )
    return check(old, new)


def write(folder: Path, *, accept_breaking: bool) -> list[str]:
    """Write every document into `folder` unless one would break its users.

    Returns the breaking changes. With some, nothing is written unless `accept_breaking`.
    """
    made = documents()
    found: list[str] = []
    for name, document in made.items():
        present = folder / name
        if present.exists():
            old = json.loads(present.read_text(encoding="utf-8"))
            found += [f"{name}: {line}" for line in breaking_changes(name, old, document)]
    if not found or accept_breaking:
        folder.mkdir(parents=True, exist_ok=True)
        for name, document in made.items():
            (folder / name).write_text(text_of(document), encoding="utf-8")
    return found
